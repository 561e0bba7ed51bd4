"""The registry of parsers, and what holds for every one of them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import samples
from collector.parsers import PARSERS, ParseError, build, pipeline_error

PARSES = {
    (name, profile): build(name, profile) for name in PARSERS for profile in ("documented", "ecs")
}
REASONS = {
    "cybereason": {"not_cef"},
    "harfanglab": {"not_json", "too_deep", "not_an_object"},
    "raw": set(),
}
RAW = [sample.raw for vendor in ("cybereason", "harfanglab") for sample in samples.load(vendor)]


def empty_fields(value, path="event"):
    """Yield what should have been left out."""
    if value is None or value in ("", [], {}):
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from empty_fields(inner, f"{path}.{key}")
    if isinstance(value, list):
        for inner in value:
            yield from empty_fields(inner, f"{path}[]")


def check(parse, reasons, raw):
    """Parse a message and see that only what may happen does."""
    reason = None
    try:
        event = parse(raw)
    except ParseError as error:
        reason = error.reason
        event = pipeline_error(raw, error)
    assert reason is None or reason in reasons
    assert list(empty_fields(event)) == []
    assert orjson.loads(orjson.dumps(event)) == event


def test_the_parsers_are_known_by_name():
    """As in the configuration and on the command line."""
    assert list(PARSERS) == ["cybereason", "harfanglab", "raw"]
    with pytest.raises(KeyError):
        build("nobody")


def test_the_profile_is_documented_unless_said_otherwise():
    """The shape of the integration documentation."""
    raw = "CEF:0|V|P|1|2|n|5|"
    assert build("cybereason")(raw)["event"]["type"] == "info"
    assert build("cybereason", "ecs")(raw)["event"]["type"] == ["info"]


@pytest.mark.parametrize("profile", ["documented", "ecs"])
def test_raw_keeps_the_text_and_says_it_is_an_event(profile):
    """Whatever the text."""
    assert build("raw", profile)("any text") == {"message": "any text", "event": {"kind": "event"}}
    assert build("raw", profile)("") == {"event": {"kind": "event"}}
    assert build("raw", profile)("a\ud800")["message"] == "a\ufffd"


def test_a_pipeline_error_keeps_the_text_and_the_reason():
    """What could not be read is not lost."""
    assert pipeline_error("text", ParseError("not_cef", "not CEF: no header")) == {
        "message": "text",
        "event": {"kind": "pipeline_error"},
        "error": {"message": "not CEF: no header", "code": "not_cef"},
    }
    assert "message" not in pipeline_error("", ParseError("not_cef", "empty"))
    assert pipeline_error("\ud800", ParseError("not_cef", "odd"))["message"] == "\ufffd"


every_parser = pytest.mark.parametrize(("name", "profile"), list(PARSES), ids=lambda value: value)


@every_parser
@given(raw=st.text() | st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_parsed_or_refused(name, profile, raw):
    """Nothing else is raised, and what comes out can be encoded."""
    check(PARSES[name, profile], REASONS[name], raw)


@every_parser
@given(data=st.data())
def test_damaged_samples_are_parsed_or_refused(name, profile, data):
    """Cut short, spliced, or with something in between."""
    raw = data.draw(st.sampled_from(RAW))
    cut = data.draw(st.integers(0, len(raw)))
    other = data.draw(st.sampled_from(RAW))
    damaged = raw[:cut] + data.draw(st.text(max_size=5)) + other[cut:]
    check(PARSES[name, profile], REASONS[name], damaged)


@every_parser
@pytest.mark.parametrize(
    "raw",
    [
        "[" * 100_000,
        '{"agent":' * 1000 + "1" + "}" * 1000,
        "{" + ",".join(f'"k{number}":{number}' for number in range(100_000)) + "}",
        '{"pid":' + "9" * 5000 + "}",
        '{"groups":[' + "[" * 600 + "]" * 600 + "]}",
        "CEF:0|V|P|1|2|n|5|" + "=" * 100_000,
        "CEF:0|V|P|1|2|n|5|" + " ".join(f"k{number}=v" for number in range(100_000)),
        "CEF:0|V|P|1|2|n|5|" + " ".join(f"cs{n}=v cs{n}Label=L" for n in range(2_000)),
        "CEF:0|V|P|1|2|n|5|rt=" + "9" * 100_000 + " request=" + '"\\' * 50_000,
        "\x00" * 100_000,
    ],
    ids=lambda raw: raw[:24],
)
def test_large_and_hostile_messages_are_parsed_or_refused(name, profile, raw):
    """In time linear in their length."""
    check(PARSES[name, profile], REASONS[name], raw)
