"""The state of a daemon as tables of texts."""

import pytest

from collector.describe.status_picture import SHOWN_SENDERS, lines, picture
from collector.describe.throughput import Look

STARTED = "2026-01-01T00:00:00+00:00"
NOW = 1767225600.0 + 3600

LISTENER = {
    "name": "tcp",
    "transport": "tcp",
    "host": "127.0.0.1",
    "port": 5514,
    "tls": True,
    "messages": 100,
    "rejected": {"oversize": 2},
    "truncated": 0,
    "connections": 3,
    "connections_rejected": {"tls_version": 1},
    "kernel_drops": None,
}
INTAKE = {
    "name": "edr",
    "events": {"ok": 90, "pipeline_error": 10},
    "parse_errors": {"cef": 7, "json": 3, "none": 0},
    "repaired": {},
    "last_seen": [{"source": "192.0.2.7", "at": "2026-01-01T00:59:58+00:00"}],
}
SINK = {
    "name": "siem",
    "up": True,
    "paused": False,
    "problem": "",
    "delivered": 80,
    "failure_store": 0,
    "requests": {"200": 1},
    "in_flight": 0,
    "waiting": {"events": 20, "octets": 2000, "oldest_seconds": 65.0},
}
STATUS = {
    "version": "1.2",
    "started": STARTED,
    "config_sha256": "x",
    "ready": True,
    "degraded": [],
    "ledger": {
        "received": 100,
        "copies": 0,
        "rejected": {},
        "in_memory": 0,
        "spooled": 20,
        "delivered": 80,
        "dead_lettered": {},
        "dropped": {},
        "handed_over": 0,
        "taken_over": 0,
    },
    "cluster": None,
    "buffered_bytes": 0,
    "listeners": [LISTENER],
    "intakes": [INTAKE],
    "sinks": [SINK],
    "spool": {
        "type": "sqlite",
        "octets": 1024**2,
        "max_bytes": 10 * 1024**3,
        "full": False,
        "gone": {},
        "path": "/spool",
        "disk_free": 5 * 1024**3,
        "quarantined": 0,
        "in_memory_at_last_write": 0,
    },
    "drift": [],
}


def shown(before=None, **changes):
    return picture(Look({**STATUS, **changes}, 10.0), before, NOW)


def section(name, **changes):
    """Return the rows of the table whose first column has a name, each by its columns."""
    for item in shown(**changes).sections:
        if item.columns[0] == name:
            return [dict(zip(item.columns, row, strict=True)) for row in item.rows]
    return []


def alarming(name, **changes):
    return next(i.alarming for i in shown(**changes).sections if i.columns[0] == name)


def test_the_title_says_what_runs():
    assert shown().title == "collector 1.2, runs for 1h, listening"
    assert shown(ready=False).title.endswith("NOT LISTENING")
    assert shown().alarms == ()


def test_the_flow_goes_from_received_to_where_all_went():
    rows = {row["messages"]: row for row in section("messages")}
    assert [*rows] == [
        *("+ received", "+ copies", "- rejected", "= in memory", "= spooled"),
        *("- delivered", "- dead lettered", "- dropped", "- lost"),
    ]
    assert rows["+ received"]["part"] == "█" * 20
    assert rows["= spooled"]["part"] == "████················"
    assert rows["- delivered"]["count"] == "80"


STREAM = {
    "name": "edr",
    "connected": True,
    "problem": "",
    "octets": 1024**2,
    "max_bytes": 4 * 1024**2,
    "oldest_seconds": 65.0,
    "events": {"siem": 1200, "lake": 34},
    "dead_letters": {"events": {"refused": 5}},
}


def member(role, **changes):
    """Return what differs in the state of one of several daemons that share a stream."""
    return {
        "cluster": {"role": role, "member": "a", "part": "this member"},
        "spool": {**STATUS["spool"], "stream": {**STREAM, **changes}},
    }


def test_a_member_of_several_says_what_it_does():
    assert shown(**member("receive")).title.endswith("listening, role receive of several members")
    assert shown(**member("deliver")).title.endswith("delivering, role deliver of several members")
    away = shown(**member("deliver"), ready=False).title
    assert away.endswith("NOT DELIVERING, role deliver of several members")


def test_the_flow_of_a_member_has_what_it_shares():
    """It balances with what was taken over, and handed over."""
    ledger = {**STATUS["ledger"], "taken_over": 50, "handed_over": 50}
    found = shown(ledger=ledger, **member("all"))
    assert found.alarms == ()
    rows = {row[0]: row for row in found.sections[0].rows}
    assert (rows["+ taken over"][2], rows["- handed over"][2]) == ("50", "50")


def test_the_flow_balances_after_the_way_back_from_a_stream():
    """Without one, what was taken over and handed over before is shown if it was anything."""
    assert not {"+ taken over", "- handed over"} & {row[0] for row in shown().sections[0].rows}
    rows = {row[0] for row in shown(ledger={**STATUS["ledger"], "taken_over": 5}).sections[0].rows}
    assert "+ taken over" in rows


def test_sinks_that_others_post_to_are_elsewhere():
    (row,) = section("sink", **member("receive"))
    assert row["state"] == "elsewhere"
    (row,) = section("sink", **member("deliver"))
    assert row["state"] == "up"


def test_a_stream_shows_what_it_holds_for_all_members():
    (row,) = section("stream", **member("all"))
    assert (row["stream"], row["state"], row["events"]) == ("edr", "connected", "1,234")
    assert (row["part"], row["oldest"], row["dead_letters"]) == (
        "█████···············",
        "1m 5s",
        "5",
    )
    assert alarming("stream", **member("all")) == frozenset()
    assert section("stream") == []


def test_a_stream_that_is_away_wants_to_be_looked_at():
    """What it holds is not known before it was reached."""
    unknown = {"octets": None, "oldest_seconds": None, "events": {}}
    away = member("all", connected=False, problem="no answer", **unknown)
    (row,) = section("stream", **away)
    assert (row["state"], row["used"], row["oldest"]) == ("AWAY: no answer", "-", "-")
    assert alarming("stream", **away) == {0}


def test_every_branch_is_counted_with_its_reasons():
    ledger = {
        **STATUS["ledger"],
        "received": 1111,
        "dropped": {"max_rate": 1, "filter:x": 1000, "none": 0},
        "rejected": {"unknown_intake": 10},
    }
    rows = {row["messages"]: row for row in section("messages", ledger=ledger)}
    assert rows["- dropped"]["count"] == "1,001"
    assert rows["- dropped"]["reasons"] == "filter:x 1,000, max_rate 1"
    assert rows["- lost"]["count"] == "0"
    assert alarming("messages", ledger=ledger) == frozenset()


def test_what_nobody_wanted_to_be_dropped_is_lost_and_wants_to_be_looked_at():
    """It is an account of its own, with a rate of its own."""
    ledger = {
        **STATUS["ledger"],
        "received": 130,
        "dropped": {"max_rate": 10, "spool_full": 20},
    }
    rows = {row["messages"]: row for row in section("messages", ledger=ledger)}
    assert (rows["- dropped"]["count"], rows["- lost"]["count"]) == ("10", "20")
    assert rows["- lost"]["reasons"] == "spool_full 20"
    assert alarming("messages", ledger=ledger) == {8}
    assert shown(ledger=ledger).alarms == ()
    table = shown(Look(STATUS, 8.0), ledger=ledger).sections[0]
    at = table.columns.index("per_second")
    assert [row[at] for row in table.rows[-2:]] == ["5.0", "10"]


def test_a_ledger_that_is_off_is_an_alarm():
    ledger = {**STATUS["ledger"], "received": 101}
    assert "the ledger is off by 1: please report it" in shown(ledger=ledger).alarms


def test_what_works_only_in_part_is_an_alarm():
    found = shown(
        degraded=[{"sink": "siem", "reason": "HTTP 503"}, {"spool": "all", "reason": "full"}],
        drift=[{}] * 3,
        spool={**STATUS["spool"], "in_memory_at_last_write": 7},
    )
    assert found.alarms == (
        "sink siem: HTTP 503",
        "spool all: full",
        "the last process did not end well: 7 copies were in its memory alone",
        "3 fields that parsers do not know: `collector drift`",
    )


def test_a_sink_that_fails_shows_what_it_said_last():
    down = {**SINK, "up": False, "problem": "HTTP 503: busy\x1b[31m\n"}
    (row,) = section("sink", sinks=[down])
    assert row["state"] == "DOWN"
    assert row["problem"] == r"HTTP 503: busy\x1b[31m\n"
    assert (row["waiting"], row["oldest"]) == ("20", "1m 5s")
    assert alarming("sink", sinks=[down]) == {0}
    assert alarming("sink") == frozenset()


def test_a_sink_that_is_paused_says_so():
    """That it is down too follows from that."""
    paused = {**SINK, "up": False, "paused": True, "problem": "HTTP 401"}
    (row,) = section("sink", sinks=[paused])
    assert row["state"] == "PAUSED"
    assert alarming("sink", sinks=[paused]) == {0}


def test_intakes_show_why_parsers_failed():
    (row,) = section("intake")
    assert (row["events"], row["errors"], row["reasons"]) == ("90", "10", "cef 7, json 3")


def test_listeners_show_what_they_refused():
    (row,) = section("listener")
    assert row["address"] == "tcp+tls 127.0.0.1:5514"
    assert (row["refused"], row["reasons"]) == ("3", "oversize 2, tls_version 1")
    assert row["kernel_drops"] == "-"
    local = {**LISTENER, "transport": "unix", "path": "/run/x.sock", "kernel_drops": 4}
    (row,) = section("listener", listeners=[local])
    assert row["address"] == "unix+tls /run/x.sock"
    assert alarming("listener", listeners=[local]) == {0}


def test_the_spool_shows_how_full_it_is():
    (row,) = section("spool")
    assert (row["used"], row["of"], row["disk_free"]) == ("1.0 MiB", "10.0 GiB", "5.0 GiB")
    memory = {"type": "memory", "octets": 5, "max_bytes": 5, "full": True, "gone": {}}
    (row,) = section("spool", spool=memory)
    assert (row["state"], row["part"], row["disk_free"]) == ("FULL", "█" * 20, "-")


def test_workers_are_there_where_there_are_several():
    worker = {
        "number": 0,
        "pid": 12,
        "started": STARTED,
        "restarts": 0,
        "connections": 4,
        "ledger": {"received": 5},
    }
    assert section("worker") == []
    gone = {**worker, "number": 1, "pid": None, "ledger": None, "restarts": 2}
    rows = section("worker", workers=[worker, gone])
    assert [row["process"] for row in rows] == ["12", "gone"]
    assert alarming("worker", workers=[worker, gone]) == {1}


def test_senders_are_those_seen_last_of_all_intakes():
    other = {
        **INTAKE,
        "name": "other",
        "last_seen": [
            {"source": f"192.0.2.{n}", "at": f"2026-01-01T00:00:{n:02}+00:00"} for n in range(20)
        ],
    }
    state = {"intakes": [other, INTAKE]}
    rows = section("sender", **state)
    assert rows[0] == {"sender": "192.0.2.7", "intake": "edr", "last_seen": "2s ago"}
    assert rows[1]["sender"] == "192.0.2.19"
    assert len(rows) == SHOWN_SENDERS
    assert lines(shown(**state))[-1] == "… 11 more"


def test_intakes_with_the_most_events_are_the_first():
    """The others stay in the order of the settings."""
    few = [{**INTAKE, "name": name, "events": {"ok": 1, "pipeline_error": 0}} for name in "ab"]
    rows = section("intake", intakes=[*few, INTAKE])
    assert [row["intake"] for row in rows] == ["edr", "a", "b"]


def test_rates_are_those_since_the_look_before():
    earlier = {**STATUS, "sinks": [{**SINK, "delivered": 60}]}
    found = shown(before=Look(earlier, 8.0))
    table = next(item for item in found.sections if item.columns[0] == "sink")
    assert table.rows[0][table.columns.index("per_second")] == "10"


def test_what_senders_wrote_has_no_say_over_the_terminal():
    hostile = "\x1b]0;owned\x07\u202e"
    text = "\n".join(
        lines(
            shown(
                version=hostile,
                degraded=[{"intake": hostile, "reason": hostile}],
                intakes=[
                    {
                        **INTAKE,
                        "name": hostile,
                        "parse_errors": {hostile: 1},
                        "last_seen": [{"source": hostile, "at": STARTED}],
                    }
                ],
                sinks=[{**SINK, "name": hostile, "problem": hostile}],
                listeners=[
                    {**LISTENER, "name": hostile, "host": hostile, "rejected": {hostile: 1}}
                ],
            )
        )
    )
    assert all(line.isprintable() for part in text.split("\n") for line in part.split("\t"))


def test_a_pipe_gets_lines_with_tabs():
    """The names of the columns first."""
    found = lines(shown(degraded=[{"sink": "siem", "reason": "HTTP 503"}]))
    assert found[:4] == [
        "collector 1.2, runs for 1h, listening",
        "! sink siem: HTTP 503",
        "",
        "messages\tper_second\tcount\tpart\treasons",
    ]
    assert all(line.count("\t") in {0, 4, 7, 5, 2} for line in found)


@pytest.mark.parametrize("section", ["ledger", "sinks", "intakes", "listeners", "spool", "started"])
@pytest.mark.parametrize("value", [None, [1], 3, "x", [{}]])
def test_what_is_no_collector_of_this_version_is_an_error(section, value):
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError)):
        shown(**{section: value})
