"""One picture of many processes: what each says of itself, added up.

What comes in is what JSON can hold; so is what goes out, but for the metric families at the end.
What cannot be added up, as an address or a version, is that of the supervisor, else of the first.
"""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import Metric

from collector.admin.status import SHOWN_SOURCES, intake_status, unused_sink_status
from collector.drift import WITHOUT_VALUE
from collector.metrics import IntakeStats
from collector.roles import STREAM
from collector.sightings import Sightings
from collector.spool import Backlog, files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from collector.config import Config, SpoolSettings

Packed = list[dict[str, Any]]
"""Metric families of a process: `{name, help, type, samples: [[name, labels, value], …]}`."""

Part = dict[str, Any]
"""What one process says of itself, as the body of `/api/status`."""

Left = dict[str, dict[str, dict[str, Any]]]
"""What processes that have ended had counted: by section of a `Part`, and by name."""

LEAST: Final = frozenset(
    {
        "collector_config_last_reload_successful",
        "collector_sink_up",
        "collector_spool_disk_free_bytes",
        "collector_spool_max_bytes",
        "collector_spool_writable",
        "collector_stream_connected",
        "collector_tls_certificate_expiry_timestamp_seconds",
        "process_max_fds",
        "process_start_time_seconds",
    }
)
"""Gauges of which the least says how the whole is."""

GREATEST: Final = frozenset(
    {
        "collector_intake_key_last_used_timestamp_seconds",
        "collector_last_seen_timestamp_seconds",
        "collector_sink_last_success_timestamp_seconds",
        "collector_sink_paused",
        "collector_spool_full",
        "collector_spool_oldest_seconds",
        "collector_spool_quarantined_bytes",
        "collector_spool_share_full",
        "collector_stream_bytes",
        "collector_stream_dead_letters",
        "collector_stream_events",
        "collector_stream_max_age_seconds",
        "collector_stream_max_bytes",
        "collector_stream_oldest_seconds",
        "collector_stream_redelivered",
        "python_info",
    }
)
"""Gauges of which the greatest does. All others are added up.

What a stream holds is the same for all workers, who hear of it one after the other.
"""

COUNTED: Final = frozenset({"counter", "histogram"})
"""Types of families that outlive their process: what it has counted stays counted."""

OUTLIVING: Final = frozenset({"collector_udp_kernel_drops"})
"""Families whose counts go on by themselves when a process ends: those of sockets."""

COUNTS: Final = {
    "listeners": ("messages", "rejected", "truncated", "connections_rejected"),
    "intakes": ("events", "parse_errors", "repaired"),
    "sinks": ("delivered", "failure_store", "requests"),
}
"""What of a `Part` outlives its process, by section; the ledger is in the spool."""


# Metrics.


def packed(families: Iterable[Metric]) -> Packed:
    """Return metric families in a form that can be sent."""
    return [
        {
            "name": family.name,
            "help": family.documentation,
            "type": family.type,
            "samples": [[item.name, item.labels, item.value] for item in family.samples],
        }
        for family in families
    ]


def carried(before: Packed, last: Packed) -> Packed:
    """Return what stays counted of processes that have ended.

    Args:
        before: what was carried so far.
        last: the last families of a process that has ended since.
    """
    counted = [
        family for family in last if family["type"] in COUNTED and family["name"] not in OUTLIVING
    ]
    return _merged((before, counted))


def uncounted(last: Packed) -> Packed:
    """Return what `carried` leaves: how a process that has ended was when it last said so."""
    return [
        family for family in last if family["type"] not in COUNTED or family["name"] in OUTLIVING
    ]


def merged_families(parts: Iterable[Packed]) -> list[Metric]:
    """Return the metric families of the whole.

    Args:
        parts: the families of each process, and those that are `carried`.

    Returns:
        Every family of any of them, and every sample: of those with the same labels one.
    """
    made = []
    for family in _merged(parts):
        metric = Metric(family["name"], family["help"], family["type"])
        for name, labels, value in family["samples"]:
            metric.add_sample(name, labels, value)
        made.append(metric)
    return made


def _merged(parts: Iterable[Packed]) -> Packed:
    families: dict[str, dict[str, Any]] = {}
    samples: dict[str, dict[tuple[Any, ...], list[Any]]] = {}
    for family in (family for part in parts for family in part):
        name = family["name"]
        families.setdefault(name, family)
        known = samples.setdefault(name, {})
        combine = _combination(family)
        for sample, labels, value in family["samples"]:
            key = (sample, *sorted(labels.items()))
            if key in known:
                known[key][2] = combine((known[key][2], value))
            else:
                known[key] = [sample, labels, value]
    return [
        {**family, "samples": list(samples[name].values())} for name, family in families.items()
    ]


def _combination(family: Mapping[str, Any]) -> Callable[[tuple[float, float]], float]:
    """Return what makes one of two values of a family."""
    if family["name"] in LEAST:
        return min
    if family["name"] in GREATEST or family["type"] == "info":
        return max
    return sum


# State.


def blank(config: Config) -> Part:
    """Return the state of a daemon whose workers have not said anything yet, but for listeners."""
    nothing = Backlog(0, 0, 0.0)
    spool: Part = {
        "type": config.spool.type,
        "octets": 0,
        "max_bytes": config.spool.bound,
        "full": False,
        "gone": {},
    }
    if config.spool.type != "memory":
        directory = Path(config.spool.path)
        spool |= {
            "path": str(directory),
            "disk_free": files.free_octets(directory),
            "quarantined": files.quarantined_octets(directory),
            "in_memory_at_last_write": 0,
        }
    if config.spool.type == STREAM:
        spool["stream"] = _unknown_stream(config.spool)
    return {
        "intakes": [
            intake_status(item, IntakeStats(item.name), Sightings()) for item in config.intakes
        ],
        "sinks": [unused_sink_status(item.name, nothing) for item in config.sinks],
        "spool": spool,
    }


def _unknown_stream(settings: SpoolSettings) -> Part:
    """Return the state of a stream of which no worker has said anything yet."""
    return {
        "name": settings.stream,
        "connected": False,
        "problem": "",
        "leader": "",
        "messages": None,
        "octets": None,
        "max_bytes": settings.stream_bound,
        "oldest_seconds": None,
        "max_age_seconds": settings.max_age,
        "events": {},
        "redelivered": {},
        "dead_letters": {"messages": None, "octets": None, "events": {}},
        "outgoing_octets": 0,
        "in_hand": {},
    }


def counts_left(before: Left, last: Part) -> Left:
    """Return what stays counted in the state of the whole of workers that have ended.

    Args:
        before: of those that had ended before.
        last: the last state of one that has ended since.
    """
    found = {
        section: {
            entry["name"]: {name: entry[name] for name in names} for entry in last.get(section, ())
        }
        for section, names in COUNTS.items()
    }
    return summed((before, found))


def uncounted_state(last: Part) -> Part:
    """Return the last state of a worker without what `counts_left` has of it."""
    found = {
        section: [
            {**entry, **{name: {} if isinstance(entry[name], dict) else 0 for name in names}}
            for entry in last[section]
        ]
        for section, names in COUNTS.items()
        if section in last
    }
    return {**last, **found}


def merged_status(own: Part, parts: Sequence[Part], left: Iterable[Left] = ()) -> Part:
    """Return the state of the whole, in the form of one process.

    Args:
        own: what the supervisor knows: version, addresses of listeners, who was refused, and so on.
            What cannot be added up is as it is here, where it is here.
        parts: the state of each worker.
        left: what workers that have ended had counted, see `counts_left`.
    """
    counted = summed(left)
    every = [own, *parts]
    return {
        **own,
        "ledger": summed(part["ledger"] for part in every if "ledger" in part),
        "buffered_bytes": sum(part.get("buffered_bytes", 0) for part in every),
        **{
            section: [
                _with_counts(entry, counted.get(section, {}).get(entry["name"], {}))
                for entry in _by_name(every, section, combine)
            ]
            for section, combine in _COMBINED.items()
        },
        "spool": _spool([part["spool"] for part in every if part.get("spool")]),
        "drift": _drift(entry for part in every for entry in part.get("drift", ())),
    }


def merged_degraded(parts: Iterable[Sequence[Mapping[str, str]]]) -> list[dict[str, str]]:
    """Name once what works only in part, in however many processes."""
    found = {tuple(entry.items()): dict(entry) for part in parts for entry in part}
    return list(found.values())


def summed(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up numbers by name, and those of mappings under a name likewise."""
    total: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, dict):
                total[name] = summed((total.get(name, {}), value))
            else:
                total[name] = total.get(name, 0) + value
    return total


def _by_name(
    parts: Sequence[Part], section: str, combine: Callable[[list[Part]], Part]
) -> list[Part]:
    """Combine the entries of a section that have the same name, in the order of the first part."""
    found: dict[str, list[Part]] = {}
    for entry in (entry for part in parts for entry in part.get(section, ())):
        found.setdefault(entry["name"], []).append(entry)
    return [combine(entries) for entries in found.values()]


def _with_counts(entry: Part, more: Mapping[str, Any]) -> Part:
    return {**entry, **summed(({name: entry[name] for name in more}, more))}


def _listener(entries: list[Part]) -> Part:
    counts = (*COUNTS["listeners"], "connections")
    drops = [entry["kernel_drops"] for entry in entries if entry["kernel_drops"] is not None]
    return {
        **entries[0],
        **summed({name: entry[name] for name in counts} for entry in entries),
        "kernel_drops": sum(drops) if drops else None,
    }


def _intake(entries: list[Part]) -> Part:
    counts = COUNTS["intakes"]
    seen: dict[str, str] = {}
    for item in (item for entry in entries for item in entry["last_seen"]):
        seen[item["source"]] = max(item["at"], seen.get(item["source"], ""))
    newest = sorted(seen.items(), key=itemgetter(1), reverse=True)[:SHOWN_SOURCES]
    return {
        **entries[0],
        **summed({name: entry[name] for name in counts} for entry in entries),
        "last_seen": [{"source": source, "at": at} for source, at in newest],
    }


def _sink(entries: list[Part]) -> Part:
    counts = (*COUNTS["sinks"], "in_flight")
    problems = [entry["problem"] for entry in entries if entry["problem"]]

    def known(name: str) -> list[Any]:
        return [entry[name] for entry in entries if entry[name] is not None]

    waiting = [entry["waiting"] for entry in entries]
    return {
        **entries[0],
        **summed({name: entry[name] for name in counts} for entry in entries),
        "up": all(entry["up"] for entry in entries),
        "paused": any(entry["paused"] for entry in entries),
        "problem": problems[0] if problems else entries[0]["problem"],
        "down_since": min(known("down_since"), default=None),
        "last_success": max(known("last_success"), default=None),
        "last_failure": max(known("last_failure"), key=itemgetter("at"), default=None),
        "waiting": {
            **summed(waiting),
            "oldest_seconds": max(entry["oldest_seconds"] for entry in waiting),
        },
    }


_COMBINED: Final[dict[str, Callable[[list[Part]], Part]]] = {
    "listeners": _listener,
    "intakes": _intake,
    "sinks": _sink,
}


def _spool(entries: list[Part]) -> Part:
    """Combine the spools' states; bound, directory and disk are those of all."""
    if not entries:
        return {}
    found = {
        **entries[0],
        **summed({"octets": entry["octets"], "gone": entry["gone"]} for entry in entries),
        "full": any(entry["full"] for entry in entries),
    }
    if "in_memory_at_last_write" in found:
        found["in_memory_at_last_write"] = sum(
            entry["in_memory_at_last_write"] for entry in entries
        )
        found["quarantined"] = max(entry["quarantined"] for entry in entries)
    if "stream" in found:
        found["stream"] = _stream([entry["stream"] for entry in entries])
        # Each worker names what is in the stream, which is not to be counted as often.
        counts = [item for entry in entries for item in entry["gone"].items()]
        found["gone"] = {sink: max(n for name, n in counts if name == sink) for sink, _ in counts}
    return found


_OWN_OF_STREAM: Final = ("outgoing_octets", "in_hand")
"""What of the state of a stream is each worker's own."""


def _stream(entries: list[Part]) -> Part:
    """Combine what the supervisor and the workers say of the stream that they share.

    What it holds is told by a worker that is connected, if one is; what is on its way is added up.
    """
    blank, *of_workers = entries
    if not of_workers:
        return blank
    known = next((entry for entry in of_workers if entry["connected"]), of_workers[0])
    problems = [entry["problem"] for entry in of_workers if entry["problem"]]
    return {
        **known,
        "connected": all(entry["connected"] for entry in of_workers),
        "problem": problems[0] if problems else "",
        **summed({name: item[name] for name in _OWN_OF_STREAM} for item in of_workers),
    }


def _drift(entries: Iterable[Part]) -> list[Part]:
    """Combine what was new by intake, kind and field; what was seen last comes first."""
    identity = itemgetter("intake", "kind", "field")
    found: dict[Any, Part] = {}
    for entry in entries:
        known = found.get(identity(entry))
        found[identity(entry)] = entry if known is None else _seen_twice(known, entry)
    listed = sorted(found.values(), key=identity)
    return sorted(listed, key=itemgetter("last_seen"), reverse=True)


def _seen_twice(one: Part, other: Part) -> Part:
    return {
        **one,
        "count": one["count"] + other["count"],
        "sample": other["sample"] if one["sample"] == WITHOUT_VALUE else one["sample"],
        "first_seen": min(one["first_seen"], other["first_seen"]),
        "last_seen": max(one["last_seen"], other["last_seen"]),
    }
