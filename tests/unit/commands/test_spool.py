"""`collector spool`."""

import json

from collector.spool import files
from tests.unit.commands.conftest import batch, letter


def test_status_says_what_waits_and_for_whom(place):
    """Sinks that are gone are marked; the accounts balance."""
    place.fill([letter()], [batch("siem"), batch("gone"), batch("siem")])
    code, output, _ = place.call("spool", "status", "--format", "json")
    assert code == 0
    found = json.loads(output)
    waits = {
        item["sink"]: (item["state"], item["batches"], item["events"]) for item in found["waiting"]
    }
    assert waits == {"gone": ("gone", 1, 2), "siem": ("configured", 2, 4)}
    assert found["waiting"][0]["oldest"] == "1970-01-01T00:00:05+00:00"
    ledger = found["ledger"]
    assert (ledger["received"], ledger["spooled"]) == (7, 6)
    assert ledger["dead_lettered"] == {"unknown_intake": 1}
    assert found["file"] == str(place.spool / files.DATABASE)
    assert found["octets"] > 0
    assert (found["in_use"], found["damaged"]) == (False, [])


def test_status_names_requests_that_nobody_has_answered(place):
    """As those that wait for the next start."""
    place.fill([letter()])
    place.call("dead-letters", "replay")
    found = json.loads(place.call("spool", "status", "--format", "json")[1])["requests"]
    assert [(item["request"], item["command"], item["state"]) for item in found] == [
        (1, "replay", "waiting")
    ]


def test_status_is_told_to_people_too(place):
    place.fill([letter()], [batch("gone")])
    (place.spool / "spool.db.damaged-20260101T000000Z").touch()
    lock = files.Lock(place.spool)
    code, output, _ = place.call("spool", "status")
    lock.release()
    assert code == 0
    assert output.startswith(f"{place.spool}/spool.db, used by a daemon\n")
    assert "gone\tgone\t1\t2\t" in output
    assert "dead_lettered\tunknown_intake\t1\n" in output
    assert "damaged, moved aside: " in output


def test_verify_says_what_can_be_read(place):
    """Of every file; the exit code says whether all of it can."""
    place.fill([letter()], [batch("siem")])
    code, output, _ = place.call("spool", "verify")
    assert (code, output) == (
        0,
        f"{place.spool}/spool.db: sound\n  can be read: 1 batches with 2 events, 1 dead letters\n",
    )
    (place.spool / "spool.db.damaged-20260101T000000Z").write_bytes(b"nonsense" * 1000)
    code, output, _ = place.call("spool", "verify", "--format", "json")
    assert code == 1
    sound, damaged = (json.loads(line) for line in output.splitlines())
    assert (sound["sound"], sound["events"], sound["dead_letters"]) == (True, 2, 1)
    assert (damaged["sound"], damaged["events"]) == (False, 0)
    assert damaged["problems"][0] == "file is not a database"


def test_verify_without_a_file_says_so(place):
    code, _, errors = place.call("spool", "verify")
    assert code == 1
    assert "no daemon has run with this spool.path yet" in errors


def test_status_is_that_of_the_files_of_all_workers(place):
    """What waits for a sink waits in all of them; the accounts balance together."""
    place.fill([letter()], [batch("siem")])
    place.fill([letter(), letter("refused")], [batch("siem"), batch("gone")], worker=1)
    found = json.loads(place.call("spool", "status", "--format", "json")[1])
    waits = {item["sink"]: (item["batches"], item["events"]) for item in found["waiting"]}
    assert waits == {"gone": (1, 2), "siem": (2, 4)}
    ledger = found["ledger"]
    assert (ledger["received"], ledger["spooled"]) == (9, 6)
    assert ledger["dead_lettered"] == {"unknown_intake": 2, "refused": 1}
    assert found["files"] == [f"{place.spool}/spool.db", f"{place.spool}/spool-1.db"]


def test_verify_reads_the_files_of_all_workers(place):
    """One that is damaged is enough for the exit code."""
    place.fill([letter()])
    place.fill([letter()], worker=1)
    code, output, _ = place.call("spool", "verify", "--format", "json")
    found = [json.loads(line) for line in output.splitlines()]
    assert (code, [item["dead_letters"] for item in found]) == (0, [1, 1])
    (place.spool / "spool-1.db").write_bytes(b"nonsense" * 1000)
    assert place.call("spool", "verify")[0] == 1
