"""The plain counters of a process, and the reasons that they are counted by.

Hot paths increment attributes of the records below; nothing is locked and no label is looked up.
What Prometheus is told of them, and under which names, is said by `exposition`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.sightings import Sightings
from collector.spool import EVICTED, EXPIRED, PURGED, QUARANTINED, SPOOL_FULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from collector.ledger import Ledger
    from collector.routing import KeySlot

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Reasons are exported from the start, so that the first of a kind is an increase from 0.
REJECTED = ("oversize", "source_not_allowed", "unknown_intake")
RELOADS = ("ok", "failed")
DROPPED = ("max_rate", "shutdown", SPOOL_FULL, EVICTED, EXPIRED, PURGED, QUARANTINED)
# Of dead letters: of messages that belong to no intake, of an intake's, and all that can be kept.
OF_NO_INTAKE = ("incomplete_frame", "unknown_intake")
OF_INTAKES = ("gave_up", "internal", "max_rate", "parse_error", "refused")
DEAD_LETTERS = (*OF_NO_INTAKE, *OF_INTAKES, "buried")
# The same of those that are kept besides where several daemons share a spool.
SHARED_OF_NO_INTAKE = ("foreign_message",)
SHARED_OF_INTAKES = ("stream_refused", "too_large_for_stream")
SHARED_DEAD_LETTERS = (*SHARED_OF_NO_INTAKE, *SHARED_OF_INTAKES)
# What `degraded` of /readyz names, each entry by its first key.
PARTS = ("files", "intake", "listeners", "settings", "sink", "spool", "worker")

DELIVERY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)


def _unknown() -> int | None:
    """Return None: a count that this listener or system cannot give."""
    return None


@dataclass(slots=True)
class Histogram:
    """Observations in buckets; `bounds` are upper limits in seconds, in rising order."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count `times` observations of `seconds`."""
        self.counts[bisect_left(self.bounds, seconds)] += times
        self.sum += seconds * times

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative buckets in Prometheus' form, `+Inf` last."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


@dataclass(slots=True)
class ListenerStats:
    """What one listener has seen.

    `kernel_drops` gives None where the kernel does not say; `certificate_expiry` is when the
    certificate ends, in seconds since 1970, None without TLS.
    """

    name: str
    messages: int = 0
    octets: int = 0
    truncated: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    connections_rejected: Counter[str] = field(default_factory=Counter)
    kernel_drops: Callable[[], int | None] = _unknown
    certificate_expiry: float | None = None


@dataclass(slots=True)
class IntakeStats:
    """What became of one intake's messages."""

    name: str
    ok: int = 0
    pipeline_error: int = 0
    parse_errors: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    unmapped_fields: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class SinkStats:
    """What one sink has been sent.

    `paused` is whether it refuses us until somebody does something, and so is not `up` either;
    `ingest_to_delivery` is shared by all sinks; `last_success` and `down_since` are in seconds
    since 1970, None before the first and while it is up; `last_failure` is when it did not take
    everything, and what it said; `concurrency_limit` is how many requests may be in flight now, and
    `failure_store` counts copies that the sink accepted only to keep them apart as failed.
    """

    name: str
    ingest_to_delivery: Histogram
    delivered: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    request_seconds: Histogram = field(default_factory=lambda: Histogram(REQUEST_SECONDS))
    in_flight: int = 0
    concurrency_limit: int = 1
    failure_store: int = 0
    up: bool = True
    paused: bool = False
    down_since: float | None = None
    last_success: float | None = None
    last_failure: tuple[float, str] | None = None


@dataclass(slots=True)
class Stats:
    """All counters of one process.

    `dead_lettered` is by intake and reason; `drop_reasons` are those for which copies may be
    dropped; `sightings` says who was seen when, `key_slots` when each intake key was last used;
    `dropped_before`, `handed_over_before` and `taken_over_before` are what the ledger knew of
    earlier processes: counters begin at 0 with each. `worker_restarts` is how often a worker was
    started in the place of one that had died; `last_reload_failed` is whether the settings in force
    are not those that were read last, and `degraded` is what works only in part, as `/readyz` had
    it just before it is exported. `delivers` is whether its sinks are posted to here, and not by
    other daemons.
    """

    ledger: Ledger
    listeners: dict[str, ListenerStats] = field(default_factory=dict)
    intakes: dict[str, IntakeStats] = field(default_factory=dict)
    sinks: dict[str, SinkStats] = field(default_factory=dict)
    ingest_to_delivery: Histogram = field(default_factory=lambda: Histogram(DELIVERY_SECONDS))
    dead_lettered: Counter[tuple[str, str]] = field(default_factory=Counter)
    drop_reasons: tuple[str, ...] = DROPPED
    sightings: Sightings = field(default_factory=Sightings)
    key_slots: tuple[KeySlot, ...] = ()
    config_sha256: str = ""
    config_reloads: Counter[str] = field(default_factory=Counter)
    dropped_before: Counter[str] = field(default_factory=Counter)
    handed_over_before: int = 0
    taken_over_before: int = 0
    worker_restarts: int = 0
    last_reload_failed: bool = False
    degraded: Sequence[Mapping[str, str]] = ()
    delivers: bool = True

    def mark_start(self) -> None:
        """Count from here on: the ledger is as the last process left it."""
        self.dropped_before = self.ledger.dropped.copy()
        self.handed_over_before = self.ledger.handed_over
        self.taken_over_before = self.ledger.taken_over

    def dead_letters_made(self, *, is_shared: bool) -> dict[tuple[str, str], int]:
        """Return how many copies this process has kept as dead letters, by intake and reason.

        Args:
            is_shared: whether others share its spool: that has reasons of its own.
        """
        of_no_intake = OF_NO_INTAKE + (SHARED_OF_NO_INTAKE if is_shared else ())
        of_intakes = OF_INTAKES + (SHARED_OF_INTAKES if is_shared else ())
        known = [("", reason) for reason in of_no_intake]
        known += [(intake, reason) for intake in self.intakes for reason in of_intakes]
        return {**dict.fromkeys(known, 0), **self.dead_lettered}

    def dropped(self) -> dict[str, int]:
        """Return how many copies this process has dropped, by reason."""
        dropped = complete(self.ledger.dropped, self.drop_reasons)
        return {reason: count - self.dropped_before[reason] for reason, count in dropped.items()}

    def handed_over(self) -> int:
        """Return how many copies this process has put into a stream."""
        return self.ledger.handed_over - self.handed_over_before

    def taken_over(self) -> int:
        """Return how many copies of a stream this process is done with."""
        return self.ledger.taken_over - self.taken_over_before


def complete(counter: Mapping[str, int], known: Iterable[str]) -> dict[str, int]:
    """Return a counter with 0 for each known key that is not yet there."""
    return {**dict.fromkeys(known, 0), **counter}
