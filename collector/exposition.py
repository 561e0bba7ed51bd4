"""Every metric, its labels and its help text.

The counters of `metrics` are read when Prometheus asks. Names and labels are those users hold on
to: they are added to, never renamed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from collector import __version__
from collector.listeners import reasons
from collector.metrics import (
    DEAD_LETTERS,
    PARTS,
    REJECTED,
    RELOADS,
    SHARED_DEAD_LETTERS,
    complete,
)
from collector.parsers import base, repairs
from collector.stream.wire import FOREIGN_LETTER, MAX_STRANGERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from collector.metrics import SinkStats, Stats
    from collector.spool import Spool

    Samples = Iterable[tuple[tuple[str, ...], float]]


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
        yield from self._messages()
        yield from self._connections()
        yield from self._intakes()
        yield from self._senders()
        stream = None if self._spool is None else self._spool.status().get("stream")
        yield from self._ledger(is_shared=stream is not None)
        yield from self._spooled()
        if stream is not None:
            yield from self._shared(stream)
        yield from self._deliveries()
        yield from self._requests()
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
            (((name,), count) for name, count in complete(stats.config_reloads, RELOADS).items()),
        )
        yield _gauge(
            "config_last_reload_successful",
            "0 while the settings that were read last are not in force, having a mistake.",
            (),
            (((), int(not stats.last_reload_failed)),),
        )
        yield _counter(
            "worker_restarts",
            "Workers started in the place of one that had died.",
            (),
            (((), stats.worker_restarts),),
        )
        parts = Counter(next(iter(entry)) for entry in stats.degraded)
        yield _gauge(
            "degraded",
            "Entries in `degraded` of /readyz, by what works only in part.",
            ("part",),
            (((part,), count) for part, count in complete(parts, PARTS).items()),
        )

    def _messages(self) -> Iterator[Metric]:
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
        drops = ((item.name, item.kernel_drops()) for item in listeners)
        yield _counter(
            "udp_kernel_drops",
            "Datagrams the kernel dropped since the socket was opened; absent where unknown.",
            label,
            (((name,), count) for name, count in drops if count is not None),
        )

    def _connections(self) -> Iterator[Metric]:
        listeners = self._stats.listeners.values()
        label = ("listener",)
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
            _by_reason(((item.name, item.parse_errors) for item in intakes), base.REASONS),
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
        yield _gauge(
            "senders_silent",
            "Senders of an intake that are silent for longer than its expect_every, or 1 where "
            "none was seen for so long; absent without expect_every.",
            ("intake",),
            (((intake,), count) for intake, count in self._stats.sightings.silent().items()),
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

    def _ledger(self, *, is_shared: bool) -> Iterator[Metric]:
        ledger = self._stats.ledger
        samples: list[tuple[tuple[str, str], int]] = [
            (("received", ""), ledger.received),
            (("copies", ""), ledger.copies),
            (("in_memory", ""), ledger.in_memory),
            (("spooled", ""), ledger.spooled),
            (("delivered", ""), ledger.delivered),
        ]
        for name in ("handed_over", "taken_over"):
            count: int = getattr(ledger, name)
            if is_shared or count:  # of a stream that was used before, or it would not add up
                samples.append(((name, ""), count))
        for account in ("rejected", "dead_lettered", "dropped"):
            reasons: Counter[str] = getattr(ledger, account)
            samples += [((account, reason), count) for reason, count in reasons.items()]
        yield _gauge(
            "ledger_messages",
            "Where every copy of every message is; received, copies and taken_over together are "
            "the sum of the others.",
            ("account", "reason"),
            samples,
        )
        yield _counter(
            "events_dead_lettered",
            "Copies kept as dead letters, by intake (empty: none) and reason.",
            ("intake", "reason"),
            self._stats.dead_letters_made(is_shared=is_shared).items(),
        )
        known = DEAD_LETTERS + (SHARED_DEAD_LETTERS if is_shared else ())
        kept = complete(ledger.dead_lettered, known)
        yield _gauge(
            "dead_letters",
            "Dead letters that are kept, by reason.",
            ("reason",),
            (((reason,), count) for reason, count in kept.items()),
        )
        yield _counter(
            "events_dropped",
            "Copies accepted and then given up, by reason.",
            ("reason",),
            (((reason,), count) for reason, count in self._stats.dropped().items()),
        )

    def _spooled(self) -> Iterator[Metric]:
        yield from self._backlogs()
        yield from self._room()

    def _backlogs(self) -> Iterator[Metric]:
        spool, label = self._spool, ("sink",)
        # Those of sinks that are no longer configured take room, too.
        gone = spool.gone()[:MAX_STRANGERS] if spool else ()
        names = dict.fromkeys((*self._stats.sinks, *gone)) if spool else {}
        backlog = {name: spool.backlog(name) for name in names} if spool else {}
        yield _gauge(
            "spool_events",
            "Copies waiting for a sink, whether or not it is still configured, or in flight to it.",
            label,
            (((name,), item.events) for name, item in backlog.items()),
        )
        yield _gauge(
            "spool_bytes",
            "Octets waiting for a sink, whether or not it is still configured, or in flight to it.",
            label,
            (((name,), item.octets) for name, item in backlog.items()),
        )
        yield _gauge(
            "spool_oldest_seconds",
            "Age of the oldest copy waiting for a sink; 0 when none waits.",
            label,
            (((name,), item.oldest_seconds) for name, item in backlog.items()),
        )

    def _room(self) -> Iterator[Metric]:
        spool = self._spool
        yield _gauge(
            "spool_full",
            "1 while the spool is full and senders wait.",
            (),
            _known(int(spool.full) if spool else None),
        )
        gates = spool.gates if spool else {}
        yield _gauge(
            "spool_share_full",
            "1 while the share that a sink has of the spool is full and its senders wait.",
            ("sink",),
            (((name,), int(gate.closed)) for name, gate in gates.items()),
        )
        yield _gauge(
            "spool_writable",
            "0 while the spool cannot be written: senders wait, or events are dropped.",
            (),
            _known(int(not spool.in_trouble) if spool else None),
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

    def _shared(self, stream: Mapping[str, Any]) -> Iterator[Metric]:
        """Yield what is known of a stream, as `/api/status` has it.

        But for whether it is connected, and for what was handed over and taken over, each member
        tells the same: what the servers say.
        """
        stats = self._stats
        yield _gauge(
            "stream_connected",
            "1 while the stream can be used: its servers answer, and it is as settings have it.",
            (),
            (((), int(stream["connected"])),),
        )
        yield _counter(
            "events_handed_over",
            "Copies that this member has put into the stream, dead letters included.",
            (),
            (((), stats.handed_over()),),
        )
        yield _counter(
            "events_taken_over",
            "Copies of the stream that this member is done with: delivered or, after an operator's "
            "decision or ours, given up or kept here.",
            (),
            (((), stats.taken_over()),),
        )
        yield from self._held(stream)

    def _held(self, stream: Mapping[str, Any]) -> Iterator[Metric]:
        """Yield what a stream holds, as its servers said last."""
        label, sinks = ("sink",), self._stats.sinks
        yield _gauge(
            "stream_events",
            "Copies in the stream that wait for a sink or are in flight to it, all members' alike; "
            "those of more than 100 sinks that are not configured have none.",
            label,
            _bounded(stream["events"], sinks, ""),
        )
        yield _gauge(
            "stream_redelivered",
            "Messages of the stream that were taken more than once and are not dealt with.",
            label,
            _bounded(stream["redelivered"], sinks, ""),
        )
        yield _gauge(
            "stream_bytes",
            "Octets that the stream takes on each of its servers.",
            (),
            _known(stream["octets"]),
        )
        yield _gauge(
            "stream_max_bytes",
            "The stream's bound.",
            (),
            _known(stream["max_bytes"]),
        )
        yield _gauge(
            "stream_oldest_seconds",
            "For how long the oldest batch has been in the stream; 0 when there is none.",
            (),
            _known(stream["oldest_seconds"]),
        )
        yield _gauge(
            "stream_max_age_seconds",
            "The age at which the stream's servers delete a batch; absent where they never do.",
            (),
            _known(stream["max_age_seconds"]),
        )
        yield _gauge(
            "stream_dead_letters",
            "Dead letters in the stream, by reason; all members' alike.",
            ("reason",),
            _bounded(
                stream["dead_letters"]["events"],
                (*DEAD_LETTERS, *SHARED_DEAD_LETTERS, FOREIGN_LETTER),
                FOREIGN_LETTER,
            ),
        )

    @property
    def _posted(self) -> Collection[SinkStats]:
        """The sinks that are posted to here."""
        return self._stats.sinks.values() if self._stats.delivers else ()

    def _deliveries(self) -> Iterator[Metric]:
        sinks = self._posted
        label = ("sink",)
        yield _counter(
            "events_delivered",
            "Copies a sink has accepted.",
            label,
            (((item.name,), item.delivered) for item in sinks),
        )
        yield _counter(
            "sink_failure_store",
            "Copies that a sink accepted only to keep them apart as failed.",
            label,
            (((item.name,), item.failure_store) for item in sinks),
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

    def _requests(self) -> Iterator[Metric]:
        sinks = self._posted
        label = ("sink",)
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

    def _sinks(self) -> Iterator[Metric]:
        sinks = self._posted
        label = ("sink",)
        yield _gauge(
            "sink_up",
            "1 while a sink accepts, 0 while it fails or is paused.",
            label,
            (((item.name,), int(item.up)) for item in sinks),
        )
        yield _gauge(
            "sink_paused",
            "1 while a sink refuses us, as for wrong credentials: somebody has to do something.",
            label,
            (((item.name,), int(item.paused)) for item in sinks),
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


def _known(value: float | None) -> Samples:
    """Return a sample without labels; none if the value is not known."""
    return () if value is None else (((), value),)


def _bounded(counts: Mapping[str, int], known: Collection[str], rest: str) -> Samples:
    """Return a sample for each name, of those that are not known for as many as are shown.

    Args:
        counts: by name.
        known: the names that count in any case.
        rest: the name under which those that are not shown are added up.
    """
    strangers = sorted(
        (name for name in counts if name not in known), key=lambda name: (-counts[name], name)
    )
    left_out = strangers[MAX_STRANGERS:]
    shown = Counter(counts)
    for name in left_out:
        shown[rest] += shown.pop(name)
    return (((name,), count) for name, count in shown.items())


def _by_reason(
    counters: Iterable[tuple[str, Mapping[str, int]]], known: Iterable[str] = ()
) -> Samples:
    """Yield a sample for each name and each key of its counter, the known keys in any case."""
    for name, counter in counters:
        for reason, count in complete(counter, known).items():
            yield (name, reason), count
