"""`collector dead-letters bury`, where no daemon runs."""

import json

import pytest

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
