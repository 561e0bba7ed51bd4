"""Every metric, its help text and the plain counters behind it.

Hot paths increment attributes of the records below; nothing is locked and no label is looked up.
`MetricsCollector` reads the records when Prometheus asks. Names and labels are those users hold on
to: they are added to, never renamed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from collector import __version__
from collector.listeners import reasons
from collector.parsers import repairs
from collector.sightings import Sightings
from collector.spool import EVICTED, EXPIRED, PURGED, QUARANTINED, SPOOL_FULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from collector.ledger import Ledger
    from collector.routing import KeySlot
    from collector.spool import Spool

    Samples = Iterable[tuple[tuple[str, ...], float]]

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Reasons are exported from the start, so that the first of a kind is an increase from 0.
REJECTED = ("oversize", "source_not_allowed", "unknown_intake")
RELOADS = ("ok", "failed")
DROPPED = ("max_rate", "shutdown", SPOOL_FULL, EVICTED, EXPIRED, PURGED, QUARANTINED)

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

    `ingest_to_delivery` is shared by all sinks; `last_success` is in seconds since 1970, None
    before the first; `concurrency_limit` is how many requests may be in flight now, and
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
    last_success: float | None = None


@dataclass(slots=True)
class Stats:
    """All counters of one process.

    `dead_lettered` is by intake and reason; `drop_reasons` are those for which copies may be
    dropped; `sightings` says who was seen when, `key_slots` when each intake key was last used;
    `dropped_before` is what the ledger knew of earlier processes: counters begin at 0 with
    each. `worker_restarts` is how often a worker was started in the place of one that had died.
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
    worker_restarts: int = 0

    def mark_start(self) -> None:
        """Count from here on: the ledger is as the last process left it."""
        self.dropped_before = self.ledger.dropped.copy()

    def dropped(self) -> dict[str, int]:
        """Return how many copies this process has dropped, by reason."""
        dropped = _complete(self.ledger.dropped, self.drop_reasons)
        return {reason: count - self.dropped_before[reason] for reason, count in dropped.items()}


class MetricsCollector(Collector):
    """Exports `stats` and the state of `spool` when Prometheus scrapes.

    Args:
        stats: the counters of the process.
        spool: its spool; None where it has none, as the supervisor of workers.
    """

    def __init__(self, stats: Stats, spool: Spool | None) -> None:
        self._stats = stats
        self._spool = spool

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family, those without a sample too."""
        yield InfoMetricFamily(
            "collector_build", "Version of the running daemon.", value={"version": __version__}
        )
        yield from self._settings()
        yield from self._listeners()
        yield from self._intakes()
        yield from self._senders()
        yield from self._ledger()
        yield from self._spooled()
        yield from self._sinks()

    def _settings(self) -> Iterator[Metric]:
        stats = self._stats
        yield InfoMetricFamily(
            "collector_config",
            "The settings in force, by the hash of their file.",
            value={"sha256": stats.config_sha256},
        )
        yield _counter(
            "config_reloads",
            "Reloads of the settings; one that failed changed nothing.",
            ("outcome",),
            (((name,), count) for name, count in _complete(stats.config_reloads, RELOADS).items()),
        )
        yield _counter(
            "worker_restarts",
            "Workers started in the place of one that had died.",
            (),
            (((), stats.worker_restarts),),
        )

    def _listeners(self) -> Iterator[Metric]:
        listeners = self._stats.listeners.values()
        label = ("listener",)
        yield _counter(
            "messages_received",
            "Messages received, whatever became of them.",
            label,
            (((item.name,), item.messages) for item in listeners),
        )
        yield _counter(
            "bytes_received",
            "Octets read from the network, framing included.",
            label,
            (((item.name,), item.octets) for item in listeners),
        )
        yield _counter(
            "messages_truncated",
            "Messages cut at max_message_bytes and kept.",
            label,
            (((item.name,), item.truncated) for item in listeners),
        )
        yield _counter(
            "messages_rejected",
            "Messages received and not kept, by reason.",
            ("listener", "reason"),
            _by_reason(((item.name, item.rejected) for item in listeners), REJECTED),
        )
        yield _gauge(
            "connections",
            "Open connections.",
            label,
            (((item.name,), item.connections) for item in listeners),
        )
        yield _counter(
            "connections_rejected",
            "Connections refused or ended by the daemon, by reason.",
            ("listener", "reason"),
            _by_reason(
                ((item.name, item.connections_rejected) for item in listeners),
                reasons.ALL,
            ),
        )
        yield _gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a listener's chain ends; absent without TLS.",
            label,
            (
                ((item.name,), item.certificate_expiry)
                for item in listeners
                if item.certificate_expiry is not None
            ),
        )
        drops = ((item.name, item.kernel_drops()) for item in listeners)
        yield _counter(
            "udp_kernel_drops",
            "Datagrams the kernel dropped since the socket was opened; absent where unknown.",
            label,
            (((name,), count) for name, count in drops if count is not None),
        )

    def _intakes(self) -> Iterator[Metric]:
        intakes = self._stats.intakes.values()
        outcomes = [((item.name, "ok"), item.ok) for item in intakes]
        outcomes += [((item.name, "pipeline_error"), item.pipeline_error) for item in intakes]
        yield _counter(
            "events",
            "Events made from messages, by intake and outcome.",
            ("intake", "outcome"),
            outcomes,
        )
        yield _counter(
            "parse_errors",
            "Messages that their parser does not read, by reason.",
            ("intake", "reason"),
            _by_reason((item.name, item.parse_errors) for item in intakes),
        )
        yield _counter(
            "events_repaired",
            "Events of messages that were damaged on their way, by what was undone; or cut.",
            ("intake", "repair"),
            _by_reason(((item.name, item.repaired) for item in intakes), repairs.NAMES),
        )
        yield _counter(
            "unmapped_fields",
            "Examined messages with something their parser does not know, by field; a sample.",
            ("intake", "field"),
            _by_reason((item.name, item.unmapped_fields) for item in intakes),
        )

    def _senders(self) -> Iterator[Metric]:
        yield _gauge(
            "last_seen_timestamp_seconds",
            "When messages of an intake were last received from a source; the latest sources.",
            ("intake", "source"),
            (((intake, source), at) for intake, source, at in self._stats.sightings),
        )
        slots = self._stats.key_slots
        yield _gauge(
            "intake_key_last_used_timestamp_seconds",
            "When a key, by its place in the intake's list, last came with a message; absent if it "
            "has not since the start.",
            ("intake", "slot"),
            (
                ((item.intake.name, str(item.slot)), item.last_used)
                for item in slots
                if item.last_used is not None
            ),
        )

    def _ledger(self) -> Iterator[Metric]:
        ledger = self._stats.ledger
        samples: list[tuple[tuple[str, str], int]] = [
            (("received", ""), ledger.received),
            (("copies", ""), ledger.copies),
            (("in_memory", ""), ledger.in_memory),
            (("spooled", ""), ledger.spooled),
            (("delivered", ""), ledger.delivered),
        ]
        for account in ("rejected", "dead_lettered", "dropped"):
            reasons: Counter[str] = getattr(ledger, account)
            samples += [((account, reason), count) for reason, count in reasons.items()]
        yield _gauge(
            "ledger_messages",
            "Where every copy of every message is; received + copies equals the sum of the others.",
            ("account", "reason"),
            samples,
        )
        yield _counter(
            "events_dead_lettered",
            "Copies kept as dead letters, by intake (empty: none) and reason.",
            ("intake", "reason"),
            self._stats.dead_lettered.items(),
        )
        yield _gauge(
            "dead_letters",
            "Dead letters that are kept, by reason.",
            ("reason",),
            (((reason,), count) for reason, count in ledger.dead_lettered.items()),
        )
        yield _counter(
            "events_dropped",
            "Copies accepted and then given up, by reason.",
            ("reason",),
            (((reason,), count) for reason, count in self._stats.dropped().items()),
        )

    def _spooled(self) -> Iterator[Metric]:
        spool, label = self._spool, ("sink",)
        backlog = {name: spool.backlog(name) for name in self._stats.sinks} if spool else {}
        yield _gauge(
            "spool_events",
            "Copies waiting for a sink or in flight to it.",
            label,
            (((name,), item.events) for name, item in backlog.items()),
        )
        yield _gauge(
            "spool_bytes",
            "Octets waiting for a sink or in flight to it.",
            label,
            (((name,), item.octets) for name, item in backlog.items()),
        )
        yield _gauge(
            "spool_oldest_seconds",
            "Age of the oldest copy waiting for a sink; 0 when none waits.",
            label,
            (((name,), item.oldest_seconds) for name, item in backlog.items()),
        )
        bound = spool.max_bytes if spool else None
        yield _gauge("spool_max_bytes", "The spool's bound.", (), _known(bound))
        yield _gauge(
            "spool_disk_free_bytes",
            "What the spool's file system has left; absent without one.",
            (),
            _known(spool.disk_free() if spool else None),
        )
        yield _gauge(
            "spool_quarantined_bytes",
            "Octets of spool files that were damaged and moved aside.",
            (),
            _known(spool.quarantined() if spool else None),
        )

    def _sinks(self) -> Iterator[Metric]:
        sinks = self._stats.sinks.values()
        label = ("sink",)
        yield _counter(
            "events_delivered",
            "Copies a sink has accepted.",
            label,
            (((item.name,), item.delivered) for item in sinks),
        )
        yield _counter(
            "sink_requests",
            "Requests to a sink, by HTTP status, or `timeout` or `error` where there was none.",
            ("sink", "code"),
            _by_reason((item.name, item.requests) for item in sinks),
        )
        seconds = HistogramMetricFamily(
            "collector_sink_request_seconds",
            "Time from sending a request to the end of its answer.",
            labels=label,
        )
        for item in sinks:
            histogram = item.request_seconds
            seconds.add_metric((item.name,), histogram.buckets(), histogram.sum)
        yield seconds
        yield _gauge(
            "sink_in_flight",
            "Requests under way.",
            label,
            (((item.name,), item.in_flight) for item in sinks),
        )
        yield _gauge(
            "sink_concurrency_limit",
            "How many requests may be under way now; it follows what the sink can take.",
            label,
            (((item.name,), item.concurrency_limit) for item in sinks),
        )
        yield _counter(
            "sink_failure_store",
            "Copies that a sink accepted only to keep them apart as failed.",
            label,
            (((item.name,), item.failure_store) for item in sinks),
        )
        yield _gauge(
            "sink_up",
            "1 while a sink accepts, 0 while it fails or is paused.",
            label,
            (((item.name,), int(item.up)) for item in sinks),
        )
        yield _gauge(
            "sink_last_success_timestamp_seconds",
            "When a sink last accepted a batch; absent before the first.",
            label,
            (((item.name,), item.last_success) for item in sinks if item.last_success is not None),
        )
        delay = self._stats.ingest_to_delivery
        yield HistogramMetricFamily(
            "collector_ingest_to_delivery_seconds",
            "Time from receipt to acceptance by a sink, per copy; a batch counts by its oldest.",
            buckets=delay.buckets(),
            sum_value=delay.sum,
        )


def _counter(
    name: str, text: str, labels: tuple[str, ...], samples: Samples
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"collector_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"collector_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _known(value: int | None) -> Samples:
    """Return a sample without labels; none if the value is not known."""
    return () if value is None else (((), value),)


def _by_reason(
    counters: Iterable[tuple[str, Mapping[str, int]]], known: Iterable[str] = ()
) -> Samples:
    """Yield a sample for each name and each key of its counter, the known keys in any case."""
    for name, counter in counters:
        for reason, count in _complete(counter, known).items():
            yield (name, reason), count


def _complete(counter: Mapping[str, int], known: Iterable[str]) -> dict[str, int]:
    """Return a counter with 0 for each known key that is not yet there."""
    return {**dict.fromkeys(known, 0), **counter}
