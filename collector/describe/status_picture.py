"""The state of a daemon as a few tables of texts, for a terminal or for a pipe.

What senders and sinks wrote is made fit for a terminal here, so that whoever shows it need not know
what came from whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from collector.describe.accounts import LOST, accounts
from collector.describe.quantities import count, octets, rate, span
from collector.describe.terminal import cut
from collector.describe.throughput import Throughput, total
from collector.roles import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collector.describe.throughput import Look, Status

SHOWN_SENDERS: Final = 10
_SHOWN_LENGTH: Final = 160

# The accounts of the ledger in the order in which messages pass them, with the side they stand on.
_FLOW: Final = (
    ("received", "in"),
    ("copies", "in"),
    ("taken_over", "in"),
    ("rejected", "out"),
    ("in_memory", "now"),
    ("spooled", "now"),
    ("delivered", "out"),
    ("handed_over", "out"),
    ("dead_lettered", "out"),
    ("dropped", "out"),
    (LOST, "out"),
)
_SHARED: Final = frozenset({"taken_over", "handed_over"})
_STATES: Final = frozenset({"in_memory", "spooled"})
_BAR: Final = 20


@dataclass(frozen=True, slots=True)
class Section:
    """A table.

    Attributes:
        columns: their names.
        rows: a text for each column.
        numbers: the columns that hold numbers.
        spare: the columns that can be left out where there is little room, the first first.
        alarming: the rows that want to be looked at, by position.
        left_out: how many rows more there would be.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[str] = frozenset()
    spare: tuple[str, ...] = ()
    alarming: frozenset[int] = frozenset()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """The state of a daemon at one moment.

    Attributes:
        title: version, since when it runs, whether it listens.
        alarms: what works only in part, or is wrong; a line each.
        sections: tables, the most important first.
    """

    title: str
    alarms: tuple[str, ...]
    sections: tuple[Section, ...]


def picture(now: Look, before: Look | None, wall: float) -> Picture:
    """Return the state of a daemon.

    Args:
        now: what it says.
        before: what it said some time ago, for rates; None if it was not asked.
        wall: the time, in seconds since 1970.

    Raises:
        LookupError, TypeError, ValueError or AttributeError: what answers is no collector of this
        version.
    """
    status, through = now.status, Throughput(now, before)
    sections = [
        _flow(status, through),
        _sinks(status, through),
        _intakes(status, through),
        _listeners(status, through),
        _spool(status),
        _stream(status),
        _workers(status, through),
        _senders(status, wall),
    ]
    return Picture(
        _title(status, wall),
        tuple(_alarms(status)),
        tuple(section for section in sections if section.rows),
    )


def _title(status: Status, wall: float) -> str:
    runs = span(wall - datetime.fromisoformat(status["started"]).timestamp())
    role = _role(status)
    does = "delivering" if role == Role.DELIVER else "listening"
    state = does if status["ready"] else f"NOT {does.upper()}"
    part = "" if role is None else f", role {role} of several members"
    return cut(f"collector {status['version']}, runs for {runs}, {state}{part}", _SHOWN_LENGTH)


def _role(status: Status) -> Role | None:
    """Return what the daemon does where several share a stream; None where it is alone."""
    cluster = status.get("cluster")
    return None if cluster is None else Role(cluster["role"])


def _alarms(status: Status) -> Iterator[str]:
    for entry in status["degraded"]:
        about = " ".join(f"{name} {value}" for name, value in entry.items() if name != "reason")
        yield cut(f"{about}: {entry['reason']}", _SHOWN_LENGTH)
    if off := _imbalance(status["ledger"]):
        yield f"the ledger is off by {off}: please report it"
    if held := status["spool"].get("in_memory_at_last_write"):
        yield f"the last process did not end well: {count(held)} copies were in its memory alone"
    if fields := len(status["drift"]):
        yield f"{count(fields)} fields that parsers do not know: `collector drift`"


def _imbalance(ledger: Mapping[str, Any]) -> int:
    """Return what came in less all accounts of where it is: 0, or there is a mistake."""
    shown = accounts(ledger)
    signs = ((name, 1 if side == "in" else -1) for name, side in _FLOW)
    return int(sum(sign * total(shown[name]) for name, sign in signs))


def _flow(status: Status, through: Throughput) -> Section:
    """Return the ledger: what came in, and where it went, each with a bar for its part."""
    ledger = accounts(status["ledger"])
    shown = [
        (name, side)
        for name, side in _FLOW
        if name not in _SHARED or _role(status) is not None or total(ledger[name])
    ]
    whole = sum(total(ledger[name]) for name, side in _FLOW if side == "in")
    rows = []
    for name, side in shown:
        number = total(ledger[name])
        per_second = "" if name in _STATES else rate(through.account(name))
        sign = {"in": "+", "out": "-", "now": "="}[side]
        rows.append(
            (
                f"{sign} {name.replace('_', ' ')}",
                per_second,
                count(int(number)),
                _bar(number / whole if whole else 0.0),
                _reasons(ledger[name]),
            )
        )
    lost = {at for at, (name, _) in enumerate(shown) if name == LOST and total(ledger[name])}
    columns = ("messages", "per_second", "count", "part", "reasons")
    numbers = frozenset({"per_second", "count"})
    return Section(columns, tuple(rows), numbers, ("reasons", "part"), frozenset(lost))


def _bar(part: float) -> str:
    filled = min(_BAR, round(part * _BAR)) or int(part > 0)
    return "█" * filled + "·" * (_BAR - filled)


def _reasons(account: object) -> str:
    """Name the reasons of an account, the most frequent first."""
    if not isinstance(account, dict):
        return ""
    ordered = sorted(account.items(), key=lambda item: -item[1])
    return cut(", ".join(f"{reason} {count(n)}" for reason, n in ordered if n), _SHOWN_LENGTH)


def _sinks(status: Status, through: Throughput) -> Section:
    sinks, role = status["sinks"], _role(status)
    rows = (
        (
            cut(sink["name"], _SHOWN_LENGTH),
            "elsewhere" if role == Role.RECEIVE else _state(sink),
            rate(through.sink(sink["name"])),
            count(sink["delivered"]),
            count(sink["waiting"]["events"]),
            span(sink["waiting"]["oldest_seconds"]) if sink["waiting"]["events"] else "-",
            count(sink["in_flight"]),
            cut(sink["problem"] or "", _SHOWN_LENGTH),
        )
        for sink in sinks
    )
    columns = (
        "sink",
        "state",
        "per_second",
        "delivered",
        "waiting",
        "oldest",
        "requests",
        "problem",
    )
    numbers = frozenset({"per_second", "delivered", "waiting", "oldest", "requests"})
    alarming = (at for at, sink in enumerate(sinks) if not sink["up"] or sink["problem"])
    spare = ("requests", "delivered", "oldest")
    return Section(columns, tuple(rows), numbers, spare, frozenset(alarming))


def _state(sink: Mapping[str, Any]) -> str:
    """Name the state of a sink; one that is paused waits for somebody to do something."""
    if sink["paused"]:
        return "PAUSED"
    return "up" if sink["up"] else "DOWN"


def _intakes(status: Status, through: Throughput) -> Section:
    """Return the intakes, those with the most events first."""
    intakes = sorted(status["intakes"], key=lambda intake: -total(intake["events"]))
    rows = (
        (
            cut(intake["name"], _SHOWN_LENGTH),
            rate(through.intake(intake["name"])),
            count(intake["events"]["ok"]),
            count(intake["events"]["pipeline_error"]),
            _reasons(intake["parse_errors"]),
        )
        for intake in intakes
    )
    columns = ("intake", "per_second", "events", "errors", "reasons")
    numbers = frozenset({"per_second", "events", "errors"})
    return Section(columns, tuple(rows), numbers, ("reasons",))


def _listeners(status: Status, through: Throughput) -> Section:
    listeners = status["listeners"]
    rows = (
        (
            cut(item["name"], _SHOWN_LENGTH),
            _place(item),
            rate(through.listener(item["name"])),
            count(item["messages"]),
            "-" if item["connections"] is None else count(item["connections"]),
            count(int(total(item["rejected"]) + total(item["connections_rejected"]))),
            "-" if item["kernel_drops"] is None else count(item["kernel_drops"]),
            _reasons({**item["rejected"], **item["connections_rejected"]}),
        )
        for item in listeners
    )
    columns = (
        *("listener", "address", "per_second", "messages", "connections", "refused"),
        *("kernel_drops", "reasons"),
    )
    numbers = frozenset({"per_second", "messages", "connections", "refused", "kernel_drops"})
    alarming = (at for at, item in enumerate(listeners) if item["kernel_drops"])
    spare = ("reasons", "address", "kernel_drops", "connections")
    return Section(columns, tuple(rows), numbers, spare, frozenset(alarming))


def _place(listener: Mapping[str, Any]) -> str:
    transport = listener["transport"] + ("+tls" if listener["tls"] else "")
    where = listener["path"] if "path" in listener else f"{listener['host']}:{listener['port']}"
    return cut(f"{transport} {where}", _SHOWN_LENGTH)


def _spool(status: Status) -> Section:
    spool = status["spool"]
    used, most, free = spool["octets"], spool["max_bytes"], spool.get("disk_free")
    row = (
        cut(spool["type"], _SHOWN_LENGTH),
        "FULL" if spool["full"] else "has room",
        octets(used),
        octets(most),
        _bar(used / most if most else 0.0),
        "-" if free is None else octets(free),
    )
    columns = ("spool", "state", "used", "of", "part", "disk_free")
    alarming = frozenset({0} if spool["full"] else ())
    numbers = frozenset({"used", "of", "disk_free"})
    return Section(columns, (row,), numbers, ("part", "disk_free"), alarming)


def _stream(status: Status) -> Section:
    """Return the stream that several daemons share: what it holds for all of them."""
    columns = ("stream", "state", "used", "of", "part", "events", "oldest", "dead_letters")
    stream = status["spool"].get("stream")
    if stream is None:
        return Section(columns, ())
    used, most, age = stream["octets"], stream["max_bytes"], stream["oldest_seconds"]
    row = (
        cut(stream["name"], _SHOWN_LENGTH),
        "connected" if stream["connected"] else cut(f"AWAY: {stream['problem']}", _SHOWN_LENGTH),
        "-" if used is None else octets(used),
        octets(most),
        _bar(used / most if used and most else 0.0),
        count(int(total(stream["events"]))),
        span(age) if age else "-",
        count(int(total(stream["dead_letters"]["events"]))),
    )
    alarming = frozenset(() if stream["connected"] else {0})
    numbers = frozenset({"used", "of", "events", "oldest", "dead_letters"})
    return Section(columns, (row,), numbers, ("part", "dead_letters", "oldest"), alarming)


def _workers(status: Status, through: Throughput) -> Section:
    workers = status.get("workers", ())
    rows = (
        (
            count(worker["number"]),
            "gone" if worker["pid"] is None else str(int(worker["pid"])),
            rate(through.worker(worker["number"]) if worker["ledger"] else None),
            count(worker["connections"]),
            count(worker["restarts"]),
        )
        for worker in workers
    )
    columns = ("worker", "process", "per_second", "connections", "restarts")
    alarming = (at for at, item in enumerate(workers) if item["pid"] is None or item["restarts"])
    return Section(columns, tuple(rows), frozenset(columns), alarming=frozenset(alarming))


def _senders(status: Status, wall: float) -> Section:
    """Return who was seen last, of all intakes."""
    seen = sorted(_sightings(status["intakes"]), reverse=True)
    rows = (
        (cut(source, _SHOWN_LENGTH), cut(intake, _SHOWN_LENGTH), f"{span(int(wall - at))} ago")
        for at, source, intake in seen[:SHOWN_SENDERS]
    )
    left_out = max(0, len(seen) - SHOWN_SENDERS)
    columns = ("sender", "intake", "last_seen")
    return Section(columns, tuple(rows), frozenset({"last_seen"}), left_out=left_out)


def _sightings(intakes: Iterable[Mapping[str, Any]]) -> Iterator[tuple[float, str, str]]:
    for intake in intakes:
        for entry in intake["last_seen"]:
            at = datetime.fromisoformat(entry["at"]).timestamp()
            yield at, entry["source"], intake["name"]


def lines(shown: Picture) -> Sequence[str]:
    """Return a picture as lines of plain text, with tabs in between, for programs and files."""
    found = [shown.title, *(f"! {alarm}" for alarm in shown.alarms)]
    for section in shown.sections:
        found += ["", "\t".join(section.columns), *("\t".join(row) for row in section.rows)]
        if section.left_out:
            found.append(f"… {count(section.left_out)} more")
    return found
