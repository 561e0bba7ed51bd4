"""What Prometheus is told."""

import re

from prometheus_client import CollectorRegistry, generate_latest

from collector import __version__
from collector.exposition import MetricsCollector
from collector.ledger import Ledger
from collector.metrics import IntakeStats, ListenerStats, SinkStats, Stats
from collector.routing import KeySlot
from collector.spool import Backlog, Batch, Letter, Share
from collector.spool.memory import MemorySpool
from tests.spools import HELD, SharedSpool

NAMES = [
    "build_info",
    "bytes_received_total",
    "config_info",
    "config_last_reload_successful",
    "config_reloads_total",
    "connections",
    "connections_rejected_total",
    "dead_letters",
    "degraded",
    "events_dead_lettered_total",
    "events_delivered_total",
    "events_dropped_total",
    "events_repaired_total",
    "events_total",
    "ingest_to_delivery_seconds_bucket",
    "ingest_to_delivery_seconds_count",
    "ingest_to_delivery_seconds_sum",
    "intake_key_last_used_timestamp_seconds",
    "last_seen_timestamp_seconds",
    "ledger_messages",
    "messages_received_total",
    "messages_rejected_total",
    "messages_truncated_total",
    "parse_errors_total",
    "senders_silent",
    "sink_concurrency_limit",
    "sink_failure_store_total",
    "sink_in_flight",
    "sink_last_success_timestamp_seconds",
    "sink_paused",
    "sink_request_seconds_bucket",
    "sink_request_seconds_count",
    "sink_request_seconds_sum",
    "sink_requests_total",
    "sink_up",
    "spool_bytes",
    "spool_disk_free_bytes",
    "spool_events",
    "spool_full",
    "spool_max_bytes",
    "spool_oldest_seconds",
    "spool_quarantined_bytes",
    "spool_share_full",
    "spool_writable",
    "tls_certificate_expiry_timestamp_seconds",
    "udp_kernel_drops_total",
    "unmapped_fields_total",
    "worker_restarts_total",
]


def exported(stats, spool):
    registry = CollectorRegistry()
    registry.register(MetricsCollector(stats, spool))
    lines = generate_latest(registry).decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


class SpoolOnDisk(MemorySpool):
    """Has a disk, as far as it says."""

    def disk_free(self):
        return 4000

    def quarantined(self):
        return 17


def letter(reason):
    return Letter(reason, "", "", "edr", "", "", "192.0.2.7", 0.0, b"raw", is_frame=True)


def populated():
    stats = Stats(Ledger(received=3, in_memory=3))
    spool = SpoolOnDisk(1000, {"siem": Share(None, "block")}, stats.ledger)
    stats.config_sha256, stats.config_reloads["failed"] = "0123abcd", 2
    stats.ledger.rejected["oversize"] = 1
    stats.ledger.dropped["shutdown"] = 2
    listener = ListenerStats("in", messages=3, octets=99, truncated=1, connections=4)
    listener.rejected["oversize"] = 1
    listener.connections_rejected["max_connections"] = 5
    listener.kernel_drops = lambda: 6
    listener.certificate_expiry = 15.5
    stats.listeners["in"] = listener
    intake = IntakeStats("edr", ok=7, pipeline_error=8)
    intake.parse_errors["not_cef"] = 8
    intake.repaired["octet_count"] = 3
    intake.unmapped_fields["agent.new"] = 2
    stats.intakes["edr"] = intake
    stats.sightings.configure({"edr": 60.0}, 0.0)
    stats.sightings.saw("edr", "192.0.2.7", 13.5)
    stats.sightings.saw("gone", "192.0.2.7", 13.5)
    stats.sightings.check(100.0)
    stats.degraded = [{"sink": name, "reason": "HTTP 503"} for name in ("siem", "lake")]
    stats.key_slots = (KeySlot(intake, 0, 14.5), KeySlot(intake, 1))
    sink = SinkStats("siem", stats.ingest_to_delivery, delivered=9, in_flight=1, last_success=12.5)
    sink.concurrency_limit, sink.failure_store = 3, 5
    sink.requests["200"] = 10
    sink.request_seconds.observe(0.02)
    stats.sinks["siem"] = sink
    stats.ingest_to_delivery.observe(0.3, 9)
    stats.dead_lettered["edr", "refused"] = 4
    spool.put(Batch("siem", "ndjson:event", "none", b"x" * 11, 2, 11, 0.0, b""))
    spool.set_aside(letter("refused"))
    return stats, spool


def test_every_metric_has_its_name_and_labels():
    """Names and labels are a promise to dashboards."""
    samples = exported(*populated())
    found = {name.partition("{")[0].removeprefix("collector_") for name in samples}
    assert sorted(found) == sorted(NAMES)
    expected = {
        f'collector_build_info{{version="{__version__}"}}': 1,
        'collector_config_info{sha256="0123abcd"}': 1,
        'collector_config_reloads_total{outcome="failed"}': 2,
        'collector_config_reloads_total{outcome="ok"}': 0,
        "collector_config_last_reload_successful": 1,
        'collector_degraded{part="sink"}': 2,
        'collector_degraded{part="worker"}': 0,
        'collector_messages_received_total{listener="in"}': 3,
        'collector_bytes_received_total{listener="in"}': 99,
        'collector_messages_truncated_total{listener="in"}': 1,
        'collector_messages_rejected_total{listener="in",reason="oversize"}': 1,
        'collector_connections{listener="in"}': 4,
        'collector_connections_rejected_total{listener="in",reason="max_connections"}': 5,
        'collector_tls_certificate_expiry_timestamp_seconds{listener="in"}': 15.5,
        'collector_udp_kernel_drops_total{listener="in"}': 6,
        'collector_events_total{intake="edr",outcome="ok"}': 7,
        'collector_events_total{intake="edr",outcome="pipeline_error"}': 8,
        'collector_parse_errors_total{intake="edr",reason="not_cef"}': 8,
        'collector_events_repaired_total{intake="edr",repair="octet_count"}': 3,
        'collector_events_repaired_total{intake="edr",repair="truncated"}': 0,
        'collector_unmapped_fields_total{field="agent.new",intake="edr"}': 2,
        'collector_last_seen_timestamp_seconds{intake="edr",source="192.0.2.7"}': 13.5,
        'collector_senders_silent{intake="edr"}': 1,
        'collector_intake_key_last_used_timestamp_seconds{intake="edr",slot="0"}': 14.5,
        'collector_ledger_messages{account="received",reason=""}': 3,
        'collector_ledger_messages{account="copies",reason=""}': 0,
        'collector_ledger_messages{account="in_memory",reason=""}': 0,
        'collector_ledger_messages{account="spooled",reason=""}': 2,
        'collector_ledger_messages{account="delivered",reason=""}': 0,
        'collector_ledger_messages{account="rejected",reason="oversize"}': 1,
        'collector_ledger_messages{account="dropped",reason="shutdown"}': 2,
        'collector_ledger_messages{account="dead_lettered",reason="refused"}': 1,
        'collector_dead_letters{reason="refused"}': 1,
        'collector_events_dead_lettered_total{intake="edr",reason="refused"}': 4,
        'collector_events_dropped_total{reason="shutdown"}': 2,
        'collector_spool_events{sink="siem"}': 2,
        'collector_spool_bytes{sink="siem"}': 11,
        "collector_spool_full": 0,
        'collector_spool_share_full{sink="siem"}': 0,
        "collector_spool_writable": 1,
        "collector_spool_max_bytes": 1000,
        "collector_spool_disk_free_bytes": 4000,
        "collector_spool_quarantined_bytes": 17,
        'collector_events_delivered_total{sink="siem"}': 9,
        'collector_sink_requests_total{code="200",sink="siem"}': 10,
        'collector_sink_request_seconds_bucket{le="0.01",sink="siem"}': 0,
        'collector_sink_request_seconds_bucket{le="0.025",sink="siem"}': 1,
        'collector_sink_request_seconds_bucket{le="+Inf",sink="siem"}': 1,
        'collector_sink_in_flight{sink="siem"}': 1,
        'collector_sink_concurrency_limit{sink="siem"}': 3,
        'collector_sink_failure_store_total{sink="siem"}': 5,
        'collector_sink_up{sink="siem"}': 1,
        'collector_sink_paused{sink="siem"}': 0,
        'collector_sink_last_success_timestamp_seconds{sink="siem"}': 12.5,
        'collector_ingest_to_delivery_seconds_bucket{le="0.25"}': 0,
        'collector_ingest_to_delivery_seconds_bucket{le="0.5"}': 9,
        "collector_ingest_to_delivery_seconds_count": 9,
    }
    for name, value in expected.items():
        assert samples[name] == value, name


def test_only_what_is_there_is_told_of_senders_and_keys():
    """No source of an intake that is gone, and no time of a key that was not used."""
    samples = exported(*populated())
    assert not [name for name in samples if 'intake="gone"' in name or 'slot="1"' in name]


def test_reasons_are_there_before_the_first_of_their_kind():
    """An alert on an increase sees the first loss, too."""
    stats = Stats(
        Ledger(),
        listeners={"in": ListenerStats("in")},
        intakes={"edr": IntakeStats("edr")},
        drop_reasons=("shutdown", "filter:noise"),
    )
    samples = exported(stats, MemorySpool(1000, {}, stats.ledger))
    for name in (
        'collector_messages_rejected_total{listener="in",reason="unknown_intake"}',
        'collector_connections_rejected_total{listener="in",reason="max_connections"}',
        'collector_connections_rejected_total{listener="in",reason="tls_unknown_ca"}',
        'collector_events_dropped_total{reason="shutdown"}',
        'collector_events_dropped_total{reason="filter:noise"}',
        'collector_events_repaired_total{intake="edr",repair="bom"}',
        'collector_parse_errors_total{intake="edr",reason="too_deep"}',
        'collector_events_dead_lettered_total{intake="",reason="unknown_intake"}',
        'collector_events_dead_lettered_total{intake="edr",reason="refused"}',
        'collector_dead_letters{reason="buried"}',
    ):
        assert samples[name] == 0


def test_settings_that_were_refused_show_until_others_are_taken():
    """Whatever the number of reloads."""
    stats = Stats(Ledger(), last_reload_failed=True)
    samples = exported(stats, MemorySpool(1000, {}, stats.ledger))
    assert samples["collector_config_last_reload_successful"] == 0


def test_what_waits_for_a_sink_that_is_gone_takes_room_too():
    """It is told under the sink's name as long as there is some."""
    stats, spool = populated()
    del stats.sinks["siem"]
    spool.reshape({})
    samples = exported(stats, spool)
    assert samples['collector_spool_bytes{sink="siem"}'] == 11
    assert samples['collector_spool_events{sink="siem"}'] == 2
    assert not [name for name in samples if name.startswith("collector_sink_up")]


def test_a_share_that_is_full_is_told_beside_the_spool():
    """One may be full without the other."""
    stats = Stats(Ledger())
    shares = {"siem": Share(10, "block"), "lake": Share(None, "block")}
    spool = MemorySpool(1000, shares, stats.ledger)
    spool.put(Batch("siem", "ndjson:event", "none", b"x" * 11, 1, 11, 0.0, b""))
    samples = exported(stats, spool)
    assert samples['collector_spool_share_full{sink="siem"}'] == 1
    assert samples['collector_spool_share_full{sink="lake"}'] == 0
    assert samples["collector_spool_full"] == 0
    spool.put(Batch("lake", "ndjson:event", "none", b"x" * 999, 1, 999, 0.0, b""))
    assert exported(stats, spool)["collector_spool_full"] == 1


def test_what_is_unknown_is_absent():
    """No kernel that says nothing is shown as one that drops nothing."""
    stats, spool = populated()
    stats.listeners["in"].kernel_drops = lambda: None
    stats.listeners["in"].certificate_expiry = None
    stats.sinks["siem"].last_success = None
    samples = exported(stats, spool)
    unknown = ("kernel_drops", "certificate_expiry", "last_success")
    assert not [name for name in samples if any(part in name for part in unknown)]


def test_without_a_disk_there_is_no_room_on_it():
    """A spool in memory has none left and none taken."""
    stats = Stats(Ledger())
    samples = exported(stats, MemorySpool(1000, {}, stats.ledger))
    assert "collector_spool_disk_free_bytes" not in samples
    assert samples["collector_spool_quarantined_bytes"] == 0


def test_counters_begin_at_0_although_the_ledger_does_not():
    """What earlier processes dropped is in the accounts alone."""
    stats = Stats(Ledger())
    stats.ledger.dropped.update({"spool_full": 100, "filter:gone": 7})
    stats.mark_start()
    stats.ledger.dropped["spool_full"] += 3
    samples = exported(stats, MemorySpool(1000, {}, stats.ledger))
    assert samples['collector_events_dropped_total{reason="spool_full"}'] == 3
    assert samples['collector_events_dropped_total{reason="filter:gone"}'] == 0
    assert samples['collector_ledger_messages{account="dropped",reason="spool_full"}'] == 103


def shared(stats, **changes):
    spool = SharedSpool(1000, {"siem": Share(None, "block")}, stats.ledger)
    spool.stream = {**HELD, **changes}
    return exported(stats, spool)


def test_a_stream_is_told_with_what_it_holds():
    """What was handed over and taken over is counted from the start of the process."""
    stats = Stats(Ledger(handed_over=10, taken_over=20))
    stats.mark_start()
    stats.ledger.handed_over, stats.ledger.taken_over = 12, 23
    samples = shared(stats)
    of_stream = {name: value for name, value in samples.items() if "_stream_" in name}
    assert of_stream == {
        "collector_stream_connected": 1,
        'collector_stream_events{sink="siem"}': 7,
        'collector_stream_redelivered{sink="siem"}': 1,
        "collector_stream_bytes": 300,
        "collector_stream_max_bytes": 4000,
        "collector_stream_oldest_seconds": 2.5,
        "collector_stream_max_age_seconds": 3600,
        'collector_stream_dead_letters{reason="refused"}': 3,
    }
    assert samples["collector_events_handed_over_total"] == 2
    assert samples["collector_events_taken_over_total"] == 3
    accounts = "collector_ledger_messages"
    assert samples[accounts + '{account="handed_over",reason=""}'] == 12
    assert samples[accounts + '{account="taken_over",reason=""}'] == 23


def test_what_a_stream_holds_is_absent_before_it_was_reached():
    samples = shared(Stats(Ledger()), connected=False, octets=None, oldest_seconds=None, events={})
    assert samples["collector_stream_connected"] == 0
    assert not {"collector_stream_bytes", "collector_stream_oldest_seconds"} & samples.keys()


def test_a_stream_that_keeps_events_for_ever_has_no_greatest_age():
    samples = shared(Stats(Ledger()), max_age_seconds=None)
    assert samples["collector_stream_oldest_seconds"] == 2.5
    assert "collector_stream_max_age_seconds" not in samples


def test_without_a_stream_nothing_is_told_of_one():
    """Nor have the accounts what is shared."""
    names = " ".join(exported(*populated()))
    assert not re.search("stream|handed_over|taken_over", names)


def test_the_accounts_balance_after_the_way_back_from_a_stream():
    """What was handed over before is not here, and the sum of the accounts is what came in."""
    stats = Stats(Ledger(received=5, handed_over=7, taken_over=2))
    spool = MemorySpool(1000, {}, stats.ledger)
    samples = exported(stats, spool)
    accounts = "collector_ledger_messages"
    assert samples[accounts + '{account="handed_over",reason=""}'] == 7
    assert samples[accounts + '{account="taken_over",reason=""}'] == 2
    assert not re.search("stream|events_handed_over|events_taken_over", " ".join(samples))


def told(samples, name, label):
    """Return the samples of a metric by its label."""
    found = re.compile(rf'collector_{name}{{{label}="(.*)"}}')
    return {match[1]: value for text, value in samples.items() if (match := found.fullmatch(text))}


def test_who_publishes_into_a_stream_makes_no_metrics_at_will():
    """What is ours is told in any case; of the rest the largest, and then no more names."""
    stats = populated()[0]
    made_up = {f"made-up-{number:04}": 2 for number in range(5000)}
    counts = {**made_up, "a-few": 3}
    samples = shared(
        stats,
        events={**counts, "siem": 1},
        redelivered={**counts, "siem": 1},
        dead_letters={"events": {**counts, "refused": 1, "foreign_letter": 4}},
    )
    shown = {"a-few": 3, **{f"made-up-{number:04}": 2 for number in range(99)}}
    rest = 2 * (5000 - 99)
    for name in ("stream_events", "stream_redelivered"):
        assert told(samples, name, "sink") == {**shown, "siem": 1, "": rest}
    letters = told(samples, "stream_dead_letters", "reason")
    assert letters == {**shown, "refused": 1, "foreign_letter": 4 + rest}


def test_sinks_that_are_not_configured_are_told_of_up_to_a_bound():
    """They may be those of somebody who publishes into a stream."""
    stats, spool = populated()
    spool.gone = lambda: [f"made-up-{number:04}" for number in range(5000)]
    spool.backlog = lambda _: Backlog(1, 1, 1.0)
    waiting = told(exported(stats, spool), "spool_events", "sink")
    assert waiting.keys() == {"siem", *(f"made-up-{number:04}" for number in range(100))}


def test_sinks_that_others_post_to_are_not_told_of():
    """What waits for them here is."""
    stats, spool = populated()
    stats.delivers = False
    names = exported(stats, spool)
    assert not [name for name in names if name.startswith("collector_sink_")]
    assert 'collector_spool_events{sink="siem"}' in names


def test_a_process_without_a_spool_has_the_same_families():
    """The supervisor of workers has none; what it does not know it does not tell."""

    def families(spool):
        return {
            family.name: len(family.samples)
            for family in MetricsCollector(Stats(Ledger()), spool).collect()
        }

    without, with_one = families(None), families(MemorySpool(1000, {}, Ledger()))
    assert list(without) == list(with_one)
    assert (without["collector_spool_max_bytes"], with_one["collector_spool_max_bytes"]) == (0, 1)
