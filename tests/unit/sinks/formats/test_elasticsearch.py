"""The bulk API."""

import json

import orjson
import pytest

from collector.sinks.formats.elasticsearch import FILTER, Elasticsearch
from collector.sinks.retry import Outcome
from tests.making import arrival_of, document_of, entry_of, form_of, intake_of

ACCEPTED, RETRY = Outcome.ACCEPTED, Outcome.RETRY
REFUSED, PAUSE = Outcome.REFUSED, Outcome.PAUSE
EVENT = {"message": "m", "@timestamp": "2022-03-15T07:26:01.276123Z", "event": {"id": "x"}}
STREAM = {"type": "logs", "dataset": "edr.edr", "namespace": "default"}


def lines(document):
    return [json.loads(line) for line in document.split(b"\n")]


def test_an_event_is_created_under_its_id_in_the_data_stream_of_its_intake():
    """data_stream.* says in the event what the name says."""
    action, event = lines(document_of(form_of("elasticsearch"), "m", entry_of(7), event=EVENT))
    assert action == {"create": {"_index": "logs-edr.edr-default", "_id": f"{7:032x}"}}
    assert event == {"data_stream": STREAM, **EVENT}


def test_an_event_in_an_index_stays_as_it_is():
    """Only names of data streams say something of it."""
    form = form_of("elasticsearch", index="edr-{intake}")
    action, event = lines(document_of(form, "m", entry_of(), event=EVENT))
    assert action["create"]["_index"] == "edr-edr"
    assert event == EVENT


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        ({"dataset": "other", "x": 1}, {**STREAM, "x": 1}),
        ("text", STREAM),
    ],
)
def test_what_an_event_says_of_its_data_stream_follows_its_name(own, merged):
    """And the event that other sinks get is left alone."""
    event = {**EVENT, "data_stream": own}
    kept = orjson.dumps(event)
    make = form_of("elasticsearch").document_of(intake_of())
    document = make(event, kept, "m", arrival_of(entry_of()))
    assert lines(document)[1] == {**EVENT, "data_stream": merged}
    assert orjson.dumps(event) == kept


def test_dataset_and_namespace_are_those_of_the_intakes_fields():
    """They have no other use."""
    form = form_of("elasticsearch", index="logs-{dataset}-{namespace}")
    fields = {"data_stream.dataset": "d", "data_stream.namespace": "prod"}
    action, event = lines(document_of(form, "m", entry_of(), event=EVENT, fields=fields))
    assert action["create"]["_index"] == "logs-d-prod"
    assert event["data_stream"] == {"type": "logs", "dataset": "d", "namespace": "prod"}


def test_an_event_comes_back_without_what_was_put_in():
    """As another sink would have it."""
    form = form_of("elasticsearch")
    content = Elasticsearch.content(document_of(form, "m", entry_of(), event=EVENT), is_raw=False)
    assert content.event == orjson.dumps(EVENT)
    assert content.raw == "m"


@pytest.mark.parametrize(
    ("url", "posted_to"),
    [
        ("http://h:9200", f"http://h:9200/_bulk?{FILTER}"),
        ("http://h/es/_bulk?pipeline=p", f"http://h/es/_bulk?pipeline=p&{FILTER}"),
        ("http://h/?filter_path=took&x=%2C", f"http://h/_bulk?x=%2C&{FILTER}"),
    ],
)
def test_the_bulk_endpoint_is_asked_to_say_little(url, posted_to):
    """But what is needed, whatever else the operator filters."""
    assert form_of("elasticsearch", url=url).url == posted_to


def answer(*items):
    """Return the body of an answer with items of these statuses or contents."""
    listed = [{"status": item} if isinstance(item, int) else item for item in items]
    errors = any(item["status"] >= 300 for item in listed)
    return json.dumps({"errors": errors, "items": [{"create": item} for item in listed]})


def error(status, kind="document_parsing_exception", reason="failed to parse field [x]"):
    return {"status": status, "error": {"type": kind, "reason": reason}}


def read(body, events, status=200, headers=()):
    return form_of("elasticsearch").read(status, dict(headers), body, events, 0.0)


def test_all_events_created_is_well():
    """Or there already: then an answer to an earlier request was lost."""
    verdict = read(answer(201, 409, 200), 3)
    assert verdict.outcome is ACCEPTED
    assert verdict.items == (ACCEPTED,) * 3
    assert (verdict.problem, verdict.failed_store) == ("", 0)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (201, ACCEPTED),
        (409, ACCEPTED),
        (429, RETRY),
        (500, RETRY),
        (503, RETRY),
        (400, REFUSED),
        (422, REFUSED),
        (413, REFUSED),
        (401, PAUSE),
        (403, PAUSE),
        (404, PAUSE),
        (0, PAUSE),
    ],
)
def test_each_event_has_its_own_outcome(status, outcome):
    """By the rules for whole requests, but that one alone is not halved."""
    assert read(answer(201, status), 2).items == (ACCEPTED, outcome)
    assert read(answer(201, status), 2).outcome is ACCEPTED
    assert read(answer(status), 1).outcome is outcome


@pytest.mark.parametrize(
    ("kind", "status", "outcome"),
    [
        ("document_parsing_exception", 400, REFUSED),
        ("index_closed_exception", 400, PAUSE),
        ("invalid_index_name_exception", 400, PAUSE),
        ("validation_exception", 400, PAUSE),
        ("io_exception", 500, RETRY),
        ("fail_processor_exception", 500, REFUSED),
        (None, 400, REFUSED),
    ],
)
def test_an_error_may_tell_more_than_its_status(kind, status, outcome):
    """What an index or the cluster is to blame for, no event is; what a pipeline fails, one is."""
    assert read(answer(201, error(status, kind)), 2).items == (ACCEPTED, outcome)


def test_what_is_worst_counts_where_none_is_taken():
    """A sink that forbids is paused, one that is busy asked again."""
    assert read(answer(400, 429, 403), 3).outcome is PAUSE
    assert read(answer(400, 429), 2).outcome is RETRY
    assert read(answer(400, 400), 2).outcome is REFUSED


def test_the_first_error_of_each_kind_is_told_with_how_many_there_are():
    """The worst first."""
    body = answer(
        201,
        error(400),
        error(400, reason="another"),
        error(429, "es_rejected_execution_exception", "rejected"),
        {"status": 400, "error": "text"},
        {"status": 403},
    )
    assert read(body, 6).problem == (
        "1 of 6 events: HTTP 403; "
        "1 of 6 events: HTTP 429 es_rejected_execution_exception: rejected; "
        "3 of 6 events: HTTP 400 document_parsing_exception: failed to parse field [x]"
    )


def test_an_event_in_the_failure_store_is_taken_and_told():
    """It is not where it belongs."""
    body = answer(201, {"status": 201, "failure_store": "used"}, error(400))
    verdict = read(body, 3)
    assert verdict.items == (ACCEPTED, ACCEPTED, REFUSED)
    assert verdict.failed_store == 1
    assert verdict.problem.endswith("; 1 of 3 events went to the failure store")
    assert read(answer({"status": 201, "failure_store": "used"}), 1).problem == (
        "1 of 1 events went to the failure store"
    )
    assert read(answer({"status": 201, "failure_store": "not_enabled"}), 1).failed_store == 0


@pytest.mark.parametrize(
    "body",
    [
        "",
        "OK",
        "[]",
        "{}",
        '{"items":{}}',
        answer(201, 201)[:-9],
        answer(201),
        answer(201, 201, 201),
        '{"items":[{"create":{"status":201}},{"index":{"status":201}}]}',
        '{"items":[{"create":{"status":201}},{"create":{"status":"201"}}]}',
        '{"items":[{"create":{"status":201}},{"create":null}]}',
        '{"items":[{"create":{"status":201}},201]}',
    ],
)
def test_200_without_a_word_on_each_event_is_no_acceptance(body):
    """Of a proxy, or cut: it is asked again, with the same ids."""
    verdict = read(body, 2)
    assert (verdict.outcome, verdict.items) == (RETRY, None)
    assert verdict.problem.startswith("HTTP 200, but no answer of the bulk API for 2 events: ")


def test_a_wish_to_be_left_alone_is_heard():
    """Also beside events that were taken."""
    assert read(answer(201, 429), 2, headers={"Retry-After": "3"}.items()).retry_after == 3.0


def test_answers_may_be_long():
    """They say something of each event."""
    assert Elasticsearch.answer_bytes >= 100_000 * 300
