"""What all formats have in common."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import FormatName, SinkSettings
from collector.sinks.formats import FORMATS, stored
from collector.sinks.formats.base import endpoint
from collector.sinks.retry import Outcome, read_status
from tests.making import arrival_of, document_of, entry_of, event_of, form_of, intake_of

WAYS = [(name, payload) for name, kind in FORMATS.items() for payload in kind.payloads]


def form(name, payload):
    return form_of(name) if name == "sekoia" else form_of(name, payload=payload)


def test_every_format_of_the_settings_is_there():
    """And none besides."""
    assert set(FORMATS) == set(FormatName.__args__)
    assert SinkSettings.model_fields["format"].default in FORMATS


@pytest.mark.parametrize(("name", "payload"), WAYS)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_what_is_joined_is_taken_apart_again(name, payload, texts):
    """Documents come back as they were, and say what they said, whatever the messages hold."""
    wanted = form(name, payload)
    documents = [document_of(wanted, text, entry_of(at)) for at, text in enumerate(texts)]
    kind, is_raw = stored(wanted.form)
    assert kind is FORMATS[name]
    assert is_raw == wanted.is_raw == (payload == "raw")
    assert kind.split(kind.join(documents)) == documents
    for at, (text, document) in enumerate(zip(texts, documents, strict=True)):
        content = kind.content(document, is_raw=is_raw)
        assert content.raw == text
        assert content.event == (None if is_raw else event_of(text, entry_of(at))[1])


@pytest.mark.parametrize(("name", "payload"), [way for way in WAYS if way[1] == "raw"])
def test_half_a_surrogate_pair_does_not_stop_a_raw_message(name, payload):
    """It becomes U+FFFD, as in events."""
    make = form(name, payload).document_of(intake_of())
    event, encoded, _ = event_of("x", entry_of())
    document = make(event, encoded, "a\ud800b", arrival_of(entry_of()))
    content = FORMATS[name].content(document, is_raw=True)
    assert content.raw == "a\ufffdb"


def test_an_event_without_a_message_was_made_of_nothing():
    """Such is the pipeline_error of an empty one."""
    assert FORMATS["ndjson"].content(b'{"event":{}}', is_raw=False).raw == ""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (413, Outcome.TOO_LARGE),
        (422, Outcome.REFUSED),
        (400, Outcome.REFUSED),
        (401, Outcome.PAUSE),
        (302, Outcome.PAUSE),
        (503, Outcome.RETRY),
    ],
)
def test_what_is_said_of_a_whole_request_is_told_by_its_status(name, status, outcome):
    """In every format; the sink's words and its wish to be left alone are in the verdict."""
    verdict = form_of(name).read(status, {"Retry-After": "7"}, "no", 3, 0.0)
    assert verdict == read_status(status, {"Retry-After": "7"}, "no", now=0.0)
    assert (verdict.outcome, verdict.retry_after, verdict.items) == (outcome, 7.0, None)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "elasticsearch"])
def test_2xx_is_an_acceptance_whatever_is_said_with_it(name):
    """Where a sink takes all or nothing."""
    verdict = form_of(name).read(204, {}, "", 3, 0.0)
    assert (verdict.outcome, verdict.problem) == (Outcome.ACCEPTED, "")


@pytest.mark.parametrize(
    ("url", "ending"),
    [
        ("http://h", "http://h/_bulk"),
        ("http://h/", "http://h/_bulk"),
        ("http://h/es/", "http://h/es/_bulk"),
        ("http://h/_bulk", "http://h/_bulk"),
        ("http://h/_bulk/", "http://h/_bulk"),
        ("http://h/not_bulk", "http://h/not_bulk/_bulk"),
        ("http://h:9200/a%2Fb?x=%20y&z", "http://h:9200/a%2Fb/_bulk?x=%20y&z"),
    ],
)
def test_a_path_is_appended_unless_it_is_there(url, ending):
    """The rest of the URL stays as it is written."""
    assert endpoint(url, "/_bulk") == ending


def test_a_form_says_what_its_documents_depend_on():
    """Batches of another form are made anew, those of the same posted as they are."""
    forms = [
        form_of(),
        form_of(payload="raw"),
        form_of("json"),
        form_of("elasticsearch"),
        form_of("elasticsearch", index="logs-x-y"),
        form_of("splunk_hec"),
        form_of("splunk_hec", splunk={"index": "i"}),
        form_of("splunk_hec", payload="raw"),
        form_of("sekoia"),
    ]
    assert len({wanted.form for wanted in forms}) == len(forms)
    assert form_of("elasticsearch", concurrency=1).form == form_of("elasticsearch").form


def test_a_form_that_is_not_known_is_an_error():
    """As of a version to come."""
    with pytest.raises(KeyError):
        stored("parquet:event")


def test_documents_are_one_line_each_but_for_those_of_elasticsearch():
    """So a body is taken apart at line feeds, unread."""
    for name, payload in WAYS:
        document = document_of(form(name, payload), "a\nb\r\n\u2028c", entry_of())
        assert document.count(b"\n") == (1 if name == "elasticsearch" else 0)
        for line in document.split(b"\n"):
            orjson.loads(line)


def test_a_sink_is_posted_to_where_its_url_says():
    """A format that has an endpoint of its own says so."""
    assert form_of(url="http://h/x?y").url == "http://h/x?y"
