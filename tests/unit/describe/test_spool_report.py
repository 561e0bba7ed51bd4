"""How a spool is shown."""

import io
from pathlib import Path

from rich.console import Console

from collector.describe import spool_report
from collector.spool.requests import Request
from collector.spool.store import Waiting
from collector.spool.verification import Findings

STATUS = {
    "file": "/spool/spool.db",
    "files": ["/spool/spool.db", "/spool/spool-1.db"],
    "in_use": True,
    "octets": 4096,
    "max_bytes": 10 * 1024**3,
    "stream": None,
    "waiting": [spool_report.waiting_object(Waiting("old", 1, 2, 300, 5.0), is_gone=True)],
    "requests": [
        spool_report.request_object(
            Request(3, 6.0, "uid 0", "replay", {"last": 7}, "running", {"replayed": 1})
        )
    ],
    "ledger": {"received": 9, "dropped": {"b": 1, "a": 2}, "rejected": {}},
    "damaged": ["/spool/spool.db.damaged-x\x1b"],
}


def shown(show, *arguments):
    output = io.StringIO()
    show(*arguments, Console(file=output, force_terminal=False))
    return output.getvalue().splitlines()


def test_the_state_of_a_spool_is_told_at_a_glance():
    """Accounts with reasons have a row for each."""
    assert shown(spool_report.show_status, STATUS) == [
        "/spool/spool.db, used by a daemon",
        "/spool/spool-1.db, used by a daemon",
        "4096 octets of 10GiB on disk, dead letters included",
        "",
        "sink\tstate\tbatches\tevents\toctets\toldest",
        "old\tgone\t1\t2\t300\t1970-01-01T00:00:05+00:00",
        "",
        "request\tcommand\tactor\tasked\tstate",
        "3\treplay\tuid 0\t1970-01-01T00:00:06+00:00\trunning",
        "",
        "account\treason\tmessages",
        "received\t\t9",
        "dropped\ta\t2",
        "dropped\tb\t1",
        r"damaged, moved aside: /spool/spool.db.damaged-x\x1b (`collector spool verify` reads it)",
    ]


def test_a_stream_is_said_to_be_elsewhere():
    """Nothing of it is in the files."""
    lines = shown(spool_report.show_status, {**STATUS, "stream": "edr"})
    assert "the stream edr is not in these files: `collector top` shows it" in lines


def test_an_empty_spool_is_said_to_be_empty():
    lines = shown(
        spool_report.show_status, {**STATUS, "waiting": [], "requests": [], "in_use": False}
    )
    assert lines[0] == "/spool/spool.db, not in use"
    assert lines[4:6] == ["nothing waits for a sink", ""]
    assert not any("request" in line for line in lines)


def test_a_file_of_a_newer_version_is_not_called_damaged():
    found = Findings(Path("/spool/spool.db"), ["version 2, this collector knows 1"], is_newer=True)
    assert shown(spool_report.show_findings, found) == [
        "/spool/spool.db: not read, a newer version wrote it",
        "  can be read: 0 batches with 0 events, 0 dead letters",
        "  version 2, this collector knows 1",
    ]
    assert not spool_report.findings_object(found)["sound"]


def test_findings_say_what_can_be_read_and_what_not():
    """Problems may hold anything that was in the file."""
    found = Findings(Path("/spool/spool.db"), ["bad page\x1b"], 3, 40, 5, 2)
    assert shown(spool_report.show_findings, found) == [
        "/spool/spool.db: DAMAGED",
        "  can be read: 3 batches with 40 events, 5 dead letters",
        "  cannot be read: 2 rows, or stretches of rows",
        r"  bad page\x1b",
    ]
    assert spool_report.findings_object(found) == {
        "file": "/spool/spool.db",
        "sound": False,
        "batches": 3,
        "events": 40,
        "dead_letters": 5,
        "unreadable": 2,
        "problems": ["bad page\x1b"],
    }
