"""What sinks are asked: nothing that stores an event."""

import json

import pytest

from collector.doctor.questions import MOST_KEYS, questions
from tests.unit.doctor.conftest import KEY, config_of

TOKEN = {"bearer": {"token": "the-token-of-the-test"}}


def asked(*, send_test=False, intakes=None, **sink):
    sections = {} if intakes is None else {"intakes": intakes}
    config = config_of(sinks=[{"name": "s", "url": "https://siem.example", **sink}], **sections)
    return questions(config.sinks[0], config.intakes, send_test=send_test)


@pytest.mark.parametrize("form", ["ndjson", "json"])
def test_others_are_asked_with_head(form):
    (question,) = asked(format=form)
    assert (question.method, question.body) == ("HEAD", None)


@pytest.mark.parametrize(("form", "body"), [("ndjson", b""), ("json", b"[]")])
def test_or_with_an_empty_batch_if_that_is_asked_for(form, body):
    (question,) = asked(format=form, send_test=True)
    assert (question.method, question.body) == ("POST", body)


def test_elasticsearch_is_asked_for_rights_on_every_index():
    """Below the same path as the bulk API; a query of the operator's own is for that alone."""
    bulk, rights = asked(
        format="elasticsearch", auth=TOKEN, url="https://siem.example/es/_bulk?pipeline=p"
    )
    assert (bulk.method, bulk.body) == ("POST", b"")
    assert bulk.url.startswith("https://siem.example/es/_bulk?")
    assert rights.url == "https://siem.example/es/_security/user/_has_privileges"
    assert json.loads(rights.body)["index"] == [
        {"names": ["logs-edr.edr-default"], "privileges": ["create_doc", "auto_configure"]}
    ]


def test_without_credentials_there_are_no_rights_to_ask_for():
    assert len(asked(format="elasticsearch")) == 1


def test_splunk_is_asked_how_it_is_and_for_the_token():
    health, token = asked(format="splunk_hec", auth=TOKEN)
    assert (health.method, health.url) == (
        "GET",
        "https://siem.example/services/collector/health",
    )
    assert (token.method, token.body) == ("POST", b"")
    assert token.url == "https://siem.example/services/collector/event"


def test_a_path_of_ones_own_has_no_health():
    (token,) = asked(format="splunk_hec", auth=TOKEN, url="https://siem.example/splunk")
    assert token.url == "https://siem.example/splunk"


def test_sekoia_gets_no_messages_under_each_key():
    intakes = [
        {"name": f"i{n}", "parser": "raw", "key": KEY.replace("1111", f"11{n:02}")}
        for n in range(MOST_KEYS + 1)
    ]
    found = asked(format="sekoia", intakes=intakes)
    assert len(found) == MOST_KEYS
    assert [json.loads(question.body) for question in found[:2]] == [
        {"intake_key": item["key"], "jsons": []} for item in intakes[:2]
    ]
    assert found[0].secret == intakes[0]["key"]


def test_a_key_that_cannot_be_read_is_told_elsewhere(tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    config = config_of(
        intakes=[{"name": "i", "parser": "raw", "key_file": str(file)}],
        sinks=[{"name": "s", "url": "https://siem.example", "format": "sekoia"}],
    )
    file.unlink()
    assert questions(config.sinks[0], config.intakes, send_test=False) == []
