"""One object per event, as Splunk's HTTP Event Collector has them."""

import json

import pytest

from collector.sinks.formats.splunk_hec import SplunkHec
from collector.sinks.retry import Outcome, read_status
from tests.making import PEER, document_of, entry_of, form_of

EVENT = {"message": "m", "@timestamp": "2022-03-15T07:26:01.276123Z"}


def test_an_object_says_when_where_and_as_what_its_event_is_indexed():
    """{intake} is put in; what is not set is left to the token."""
    written = {"index": "edr_{intake}", "source": "s", "sourcetype": "t:{intake}"}
    document = document_of(form_of("splunk_hec", splunk=written), "m", entry_of(), event=EVENT)
    assert json.loads(document) == {
        "time": 1647329161.276123,
        "host": PEER,
        "source": "s",
        "sourcetype": "t:edr",
        "index": "edr_edr",
        "event": EVENT,
    }
    assert b'"time":1647329161.276123,' in document
    document = document_of(form_of("splunk_hec"), "m", entry_of(), event=EVENT)
    assert set(json.loads(document)) == {"time", "host", "sourcetype", "event"}
    assert json.loads(document)["sourcetype"] == "collector:edr"


def test_an_event_without_a_date_has_the_time_of_its_receipt():
    """With timestamp_fallback switched off there are such."""
    document = document_of(form_of("splunk_hec"), "m", entry_of(1), event={"message": "m"})
    assert b'"time":1700000001.250000,' in document


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ({"name": "n", "hostname": "h"}, "n"),
        ({"hostname": "h"}, "h"),
        ({"name": ["a", "b"]}, PEER),
        ("h", PEER),
    ],
)
def test_the_host_is_the_one_that_the_event_names_or_the_sender(host, said):
    """Unless another is set, for all."""
    event = {**EVENT, "host": host}
    document = document_of(form_of("splunk_hec"), "m", entry_of(), event=event)
    assert json.loads(document)["host"] == said
    form = form_of("splunk_hec", splunk={"host": "of-{intake}"})
    document = document_of(form, "m", entry_of(), event=event)
    assert json.loads(document)["host"] == "of-edr"


def test_a_sender_without_address_is_on_this_machine(monkeypatch):
    """Which has a name."""
    monkeypatch.setattr("collector.sinks.formats.splunk_hec.gethostname", lambda: "here")
    entry = entry_of()._replace(peer="")
    document = document_of(form_of("splunk_hec"), "m", entry, event=EVENT)
    assert json.loads(document)["host"] == "here"


def test_a_raw_message_is_told_the_time_and_host_of_its_event():
    """They are read of it all the same."""
    event = {**EVENT, "host": {"name": "n"}}
    form = form_of("splunk_hec", payload="raw")
    said = json.loads(document_of(form, 'text "x"', entry_of(), event=event))
    assert (said["event"], said["host"], said["time"]) == ('text "x"', "n", 1647329161.276123)


def test_what_is_set_does_not_hide_the_event():
    """Whatever octets it holds."""
    form = form_of("splunk_hec", splunk={"source": '","event":"', "host": ',"event":'})
    document = document_of(form, "m", entry_of(), event=EVENT)
    content = SplunkHec.content(document, is_raw=False)
    assert json.loads(content.event) == EVENT


@pytest.mark.parametrize(
    ("url", "posted_to"),
    [
        ("https://h:8088", "https://h:8088/services/collector/event"),
        ("https://h:8088/", "https://h:8088/services/collector/event"),
        ("https://h:8088/services/collector", "https://h:8088/services/collector"),
    ],
)
def test_the_endpoint_of_events_is_meant_unless_the_url_has_a_path(url, posted_to):
    """A proxy may have another."""
    assert form_of("splunk_hec", url=url).url == posted_to


@pytest.mark.parametrize(
    ("status", "body", "outcome", "culprit"),
    [
        (200, '{"text":"Success","code":0}', Outcome.ACCEPTED, None),
        (200, "", Outcome.ACCEPTED, None),
        (400, '{"text":"No data","code":5}', Outcome.REFUSED, None),
        (400, '{"text":"Invalid data format","code":6,"invalid-event-number":0}', "", 0),
        (400, '{"text":"Incorrect index","code":7,"invalid-event-number":2}', "", 2),
        (400, '{"text":"Incorrect index","code":7,"invalid-event-number":3}', "", 2),
        (400, '{"text":"Event field is required","code":12,"invalid-event-number":1}', "", 1),
        (
            400,
            '{"text":"Event field cannot be blank","code":13,"invalid-event-number":9}',
            "",
            None,
        ),
        (400, '{"text":"Data channel is missing","code":10}', Outcome.PAUSE, None),
        (400, '{"text":"ACK is disabled","code":14}', Outcome.PAUSE, None),
        (400, '{"code":6,"invalid-event-number":"1"}', "", None),
        (400, '["no object"]', "", None),
        (400, "<html>", "", None),
        (401, '{"text":"Token is required","code":2}', Outcome.PAUSE, None),
        (403, '{"text":"Invalid token","code":4}', Outcome.PAUSE, None),
        (429, "", Outcome.RETRY, None),
        (500, '{"text":"Internal server error","code":8}', Outcome.RETRY, None),
        (503, '{"text":"Server is busy","code":9}', Outcome.RETRY, None),
    ],
)
def test_answers_are_read_as_splunk_documents_them(status, body, outcome, culprit):
    """An event that is named is a hint, 400 for a wrong setting is no event's fault."""
    verdict = form_of("splunk_hec").read(status, {}, body, 3, 0.0)
    assert verdict.outcome is (outcome or Outcome.REFUSED)
    assert verdict.culprit == culprit
    assert verdict.problem == read_status(status, {}, body, now=0.0).problem


def test_a_page_of_somebody_else_is_no_acceptance():
    """A proxy that asks for a login answers 200 too."""
    verdict = form_of("splunk_hec").read(200, {}, "<html>please log in</html>", 3, 0.0)
    assert verdict.outcome is Outcome.RETRY
    assert verdict.problem == "HTTP 200, but no answer of HEC: <html>please log in</html>"


def test_a_token_is_splunks():
    """Not a bearer token."""
    assert SplunkHec.bearer_scheme == "Splunk"
