"""Trying a message."""

import json

import orjson
import pytest

from collector import samples
from collector.admin import trial
from collector.admin.trial import TrialError, answer, try_message
from collector.parsers import PARSERS, build


def tried(parser, raw, **more):
    return json.loads(json.dumps(try_message({"parser": parser, "raw": raw, **more})))


@pytest.mark.parametrize("profile", ["documented", "ecs"])
@pytest.mark.parametrize("vendor", ["cybereason", "harfanglab"])
def test_every_field_of_the_event_is_explained(vendor, profile):
    """The event is the parser's; what it was made of stands beside each field."""
    raw = samples.load(vendor)[0].raw
    found = tried(vendor, raw, profile=profile)
    assert (found["outcome"], found["problem"], found["text"]) == ("ok", None, raw)
    assert found["event"] == json.loads(json.dumps(build(vendor, profile)(raw)))
    made = {field["target"]: field for field in found["fields"]}
    assert made["event.kind"]["rule"]
    assert any(field["sources"] for field in found["fields"])
    for field in made.values():
        value = found["event"]
        for part in field["target"].split("."):
            value = value[part] if isinstance(value, dict) and part in value else None
        assert value == field["value"] or "." in field["target"]


def test_a_message_may_stand_behind_its_header():
    """As it is found in a capture, octet count included; the key is no part of it."""
    raw = samples.load("cybereason")[0].raw
    message = f'<134>1 2026-01-02T03:04:05Z h a - - [SEKOIA@53288 intake_key="k"] {raw}'
    for text in (message, f"{len(message)} {message}"):
        found = tried("cybereason", text)
        assert (found["outcome"], found["text"]) == ("ok", raw)


def test_what_cannot_be_parsed_says_why():
    """The event is that which would be forwarded."""
    found = tried("harfanglab", "{broken")
    assert found["outcome"] == "pipeline_error"
    assert found["problem"].startswith("not_json: ")
    assert found["event"]["event"]["kind"] == "pipeline_error"
    assert found["event"]["message"] == "{broken"
    assert found["fields"] == found["unmapped"] == []


def test_what_is_not_mapped_is_listed():
    """With the reason."""
    found = tried("harfanglab", '{"log_type": "alert", "of_no_rule": 7}')
    assert {"field": "of_no_rule", "value": 7, "reason": "no rule reads it"} in found["unmapped"]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ([], "JSON object"),
        ({"parser": "other", "raw": ""}, "parser: one of cybereason, harfanglab"),
        ({"parser": ["raw"], "raw": ""}, "parser: one of"),
        ({"parser": "raw", "profile": "x", "raw": ""}, "profile: one of documented, ecs"),
        ({"parser": "raw", "profile": {}, "raw": ""}, "profile: one of"),
        ({"parser": "raw"}, "raw: the text"),
        ({"parser": "raw", "raw": 7}, "raw: the text"),
    ],
)
def test_what_cannot_be_tried_says_what_can(wanted, problem):
    """No request is an error of ours."""
    with pytest.raises(TrialError, match=problem):
        try_message(wanted)


@pytest.mark.parametrize(
    "raw", ['{"log_type": "alert", "a": 1, "b": [2]}', "{broken", "\n\u2028\x00"]
)
def test_the_answer_is_what_was_found_as_json(raw):
    """Without anything that is there for looks: it is long enough."""
    wanted = {"parser": "harfanglab", "raw": raw}
    assert answer(orjson.dumps(wanted)) == orjson.dumps(try_message(wanted)) + b"\n"


def test_what_is_no_json_cannot_be_tried():
    with pytest.raises(TrialError, match="the body is no JSON: "):
        answer(b"{")


def test_an_answer_is_bounded(monkeypatch):
    """A message of nothing but tiny fields becomes many times as long."""
    wanted = {"parser": "cybereason", "raw": samples.load("cybereason")[0].raw}
    length = len(answer(orjson.dumps(wanted)))
    monkeypatch.setattr(trial, "MAX_ANSWER_OCTETS", length)
    assert len(answer(orjson.dumps(wanted))) == length
    monkeypatch.setattr(trial, "MAX_ANSWER_OCTETS", length - 1)
    with pytest.raises(TrialError, match=f"more than {length - 1} octets; try a shorter message"):
        answer(orjson.dumps(wanted))


def test_one_text_of_the_greatest_length_can_be_shown():
    """Though it is in the answer several times over, and every character takes two."""
    raw = '"' * (trial.MAX_OCTETS // 2 - 100)
    assert len(answer(orjson.dumps({"parser": "raw", "raw": raw}))) > 2 * trial.MAX_OCTETS


def test_every_parser_can_be_tried():
    """Also of vendors to come."""
    for name in PARSERS:
        assert tried(name, "x")["outcome"] in ("ok", "pipeline_error")
