"""What `/api/status` says of listeners, intakes and sinks, each as JSON can hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.sightings import as_text

if TYPE_CHECKING:
    from collector.config import IntakeSettings, ListenerSettings
    from collector.metrics import IntakeStats, ListenerStats, SinkStats
    from collector.sightings import Sightings
    from collector.sinks.http import HttpSink
    from collector.spool import Backlog

SHOWN_SOURCES: Final = 100
"""How many sources of an intake are shown, the latest."""


def listener_status(
    settings: ListenerSettings, stats: ListenerStats, address: tuple[str, int] | str | None
) -> dict[str, Any]:
    """Return the state of a listener.

    Args:
        settings: the listener's settings.
        stats: its counters.
        address: where it listens; None if it does not, then it is where it is to listen.
    """
    return {
        "name": stats.name,
        "transport": settings.transport,
        **_place(settings, address),
        "tls": settings.tls is not None,
        "messages": stats.messages,
        "rejected": dict(stats.rejected),
        "truncated": stats.truncated,
        "connections": stats.connections,
        "connections_rejected": dict(stats.connections_rejected),
        "kernel_drops": stats.kernel_drops(),
    }


def _place(
    settings: ListenerSettings, address: tuple[str, int] | str | None
) -> dict[str, str | int | None]:
    if settings.path is not None:
        return {"path": str(settings.path)}
    host, port = address if isinstance(address, tuple) else (settings.host, settings.port)
    return {"host": host, "port": port}


def intake_status(
    settings: IntakeSettings, stats: IntakeStats, sightings: Sightings
) -> dict[str, Any]:
    """Return what became of an intake's messages, and who sent the latest."""
    return {
        "name": stats.name,
        "parser": settings.parser,
        "profile": settings.profile,
        "events": {"ok": stats.ok, "pipeline_error": stats.pipeline_error},
        "parse_errors": dict(stats.parse_errors),
        "repaired": dict(stats.repaired),
        "last_seen": [
            {"source": source, "at": as_text(at)}
            for source, at in sightings.newest(stats.name, SHOWN_SOURCES)
        ],
    }


def sink_status(sink: HttpSink, stats: SinkStats, backlog: Backlog) -> dict[str, Any]:
    """Return the state of a sink; `problem` may quote what it said, parts of events included."""
    return {
        "name": sink.name,
        "up": sink.health.up,
        "paused": sink.health.paused,
        "problem": sink.problem,
        "down_since": _as_text(stats.down_since),
        "last_success": _as_text(stats.last_success),
        "last_failure": None
        if stats.last_failure is None
        else {"at": as_text(stats.last_failure[0]), "problem": stats.last_failure[1]},
        "delivered": stats.delivered,
        "failure_store": stats.failure_store,
        "requests": dict(stats.requests),
        "in_flight": stats.in_flight,
        "waiting": _waiting(backlog),
    }


def unused_sink_status(name: str, backlog: Backlog) -> dict[str, Any]:
    """Return the state of a sink that is posted to by other daemons, or by nobody yet."""
    return {
        "name": name,
        "up": True,
        "paused": False,
        "problem": None,
        "down_since": None,
        "last_success": None,
        "last_failure": None,
        "delivered": 0,
        "failure_store": 0,
        "requests": {},
        "in_flight": 0,
        "waiting": _waiting(backlog),
    }


def _waiting(backlog: Backlog) -> dict[str, Any]:
    return {
        "events": backlog.events,
        "octets": backlog.octets,
        "oldest_seconds": round(backlog.oldest_seconds, 3),
    }


def _as_text(at: float | None) -> str | None:
    return None if at is None else as_text(at)
