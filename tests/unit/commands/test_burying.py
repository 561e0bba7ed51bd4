"""`collector dead-letters bury`, where no daemon runs."""

import json
from contextlib import closing

import pytest

from collector.spool import files
from tests.unit.commands.conftest import batch


def accounts(place):
    """Return what the file has of the ledger."""
    code, output, _ = place.call("spool", "status", "--format", "json")
    assert code == 0
    ledger = json.loads(output)["ledger"]
    return ledger["received"], ledger["spooled"], ledger["dead_lettered"], ledger["dropped"]


def test_bury_without_a_daemon_is_done_at_once(place):
    """Each event becomes a dead letter."""
    place.fill([], [batch("gone"), batch("siem"), batch("gone")])
    code, output, _ = place.call("dead-letters", "bury", "--sink", "gone")
    assert (code, output) == (0, "4 events of gone buried\n")
    assert accounts(place) == (6, 2, {"buried": 4}, {})
    shown = place.objects("dead-letters", "show", "--reason", "buried")
    assert {item["raw"] for item in shown} == {"a", "b"}
    assert shown[0]["event"] == {"message": "a"}


def test_bury_of_every_sink_that_is_gone_has_to_be_meant(place):
    place.fill([], [batch("gone"), batch("siem"), batch("lost")])
    code, _, errors = place.call("dead-letters", "bury")
    assert code == 2
    assert "(2 for gone, 2 for lost), say --yes" in errors
    code, output, _ = place.call("dead-letters", "bury", "--yes")
    assert (code, output) == (0, "2 events of gone buried\n2 events of lost buried\n")
    code, output, _ = place.call("dead-letters", "bury")
    assert (code, output) == (
        0,
        "events to be buried: none, no sink that events wait for is gone\n",
    )


def test_bury_names_a_batch_that_cannot_be_read(place):
    """Nothing of it is lost: it stays where it is."""
    damaged = batch("gone")
    damaged.body = b"no gzip"
    place.fill([], [damaged])
    code, _, errors = place.call("dead-letters", "bury", "--sink", "gone")
    assert code == 1
    assert "batch 1, for gone, cannot be read" in errors
    assert accounts(place) == (2, 2, {}, {})


@pytest.mark.parametrize(
    ("sink", "code", "problem"),
    [
        ("siem", 2, "sink 'siem' is configured, so that its events are delivered"),
        ("gnoe", 1, "nothing waits for a sink 'gnoe'; gone are gone"),
    ],
)
def test_bury_of_another_sink_is_refused(place, sink, code, problem):
    place.fill([], [batch("gone")])
    found, _, errors = place.call("dead-letters", "bury", "--sink", sink)
    assert found == code
    assert problem in errors


def asked(place):
    """Return the requests that are left for a daemon."""
    with closing(place.store()) as store:
        return [(item.command, item.arguments) for item in store.waiting_requests()]


def test_what_a_stream_holds_for_a_sink_that_is_gone_is_left_to_a_daemon(place, shared):
    """With what the file holds for it; what is in the file alone is buried at once."""
    place.fill([], [batch("gone"), batch("lost")])
    shared.events = {"gone": 5, "siem": 7, "\x1b[2J": 1}
    _, output, _ = place.call("dead-letters", "bury", "--dry-run")
    assert output == "events to be buried: 7 for gone, 2 for lost\n"
    code, output, _ = place.call("dead-letters", "bury", "--yes")
    assert code == 0
    assert output.splitlines() == [
        "no daemon runs: its next start buries 7 events of gone (request 1)",
        "2 events of lost buried",
    ]
    assert asked(place) == [("bury", {"sink": "gone"})]
    lock = files.Lock(place.spool)
    code, output, _ = place.call("dead-letters", "bury", "--sink", "gone", "--no-wait")
    assert (code, output) == (0, "left to the daemon as request 2: 7 events of gone\n")
    lock.release()


def test_without_the_stream_what_the_file_holds_is_buried(place, shared):
    """What is missing is said."""
    shared.problem = "no answer"
    place.fill([], [batch("gone")])
    code, output, errors = place.call("dead-letters", "bury", "--sink", "gone")
    assert (code, output) == (0, "2 events of gone buried\n")
    assert errors.startswith("without what the stream s holds: no answer\n")


def test_a_receiver_buries_nothing_of_the_stream(place, shared, monkeypatch):
    """It takes nothing out of it."""
    monkeypatch.setenv("COLLECTOR_ROLE", "receive")
    shared.events = {"gone": 5}
    code, _, errors = place.call("dead-letters", "bury", "--sink", "gone")
    assert code == 1
    assert errors == (
        "a receiver takes nothing from the stream: bury what it holds where events are delivered\n"
        "nothing waits for a sink 'gone'\n"
    )
