"""One picture of many processes."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest

from collector.board import Post
from collector.config import build, parse
from collector.exposition import MetricsCollector
from collector.ledger import Ledger
from collector.metrics import IntakeStats, ListenerStats, SinkStats, Stats
from collector.spool import Share
from collector.spool.building import build_spool
from collector.spool.memory import MemorySpool
from collector.workers import merging
from collector.workers.merging import (
    blank,
    carried,
    counts_left,
    merged_degraded,
    merged_families,
    merged_status,
    packed,
    uncounted_state,
)

COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)
NUMBERS = st.integers(0, 99)
LEDGERS = st.fixed_dictionaries(
    {
        "received": NUMBERS,
        "copies": NUMBERS,
        "rejected": COUNTS,
        "in_memory": NUMBERS,
        "spooled": NUMBERS,
        "delivered": NUMBERS,
        "dead_lettered": COUNTS,
        "dropped": COUNTS,
        "handed_over": NUMBERS,
        "taken_over": NUMBERS,
    }
)
TIMES = st.datetimes().map(lambda at: at.replace(microsecond=0).isoformat() + "+00:00")


def listener(**changes):
    counts = {"messages": 1, "rejected": {"oversize": 2}, "truncated": 3, "connections": 4}
    refused = {"connections_rejected": {"limit": 5}, "kernel_drops": None}
    return {"name": "tcp", "host": "::", "port": 514, **counts, **refused, **changes}


def intake(**changes):
    counts = {"events": {"ok": 1, "pipeline_error": 2}, "parse_errors": {"x": 3}, "repaired": {}}
    form = {"parser": "raw", "profile": "documented"}
    return {"name": "edr", **form, **counts, "last_seen": [], **changes}


def sink(**changes):
    counts = {"delivered": 1, "failure_store": 2, "requests": {"200": 3}, "in_flight": 4}
    waiting = {"events": 5, "octets": 6, "oldest_seconds": 7.5}
    state = {"up": True, "paused": False, "problem": None}
    times = {"down_since": None, "last_success": None, "last_failure": None}
    return {"name": "siem", **state, **times, **counts, "waiting": waiting, **changes}


def novelty(**changes):
    seen = {"first_seen": "2026-01-01", "last_seen": "2026-01-02", "count": 3}
    return {"intake": "edr", "kind": "field", "field": "a", "sample": "text xx", **seen, **changes}


def state(**changes):
    found = {
        "ledger": {**Ledger().as_dict(), "received": 1, "rejected": {"oversize": 1}},
        "buffered_bytes": 10,
        "listeners": [listener()],
        "intakes": [intake()],
        "sinks": [sink()],
        "spool": {"type": "sqlite", "octets": 1, "max_bytes": 9, "full": False, "gone": {"x": 1}},
        "drift": [novelty()],
    }
    return {**found, **changes}


def process(*, messages=0, up=True, sinks=("siem",)):
    """Return the metrics of a process, as a registry has them."""
    stats = Stats(Ledger(received=messages))
    stats.listeners["tcp"] = ListenerStats("tcp", messages=messages, kernel_drops=lambda: 3)
    stats.intakes["edr"] = IntakeStats("edr", ok=messages)
    for name in sinks:
        stats.sinks[name] = SinkStats(name, stats.ingest_to_delivery, up=up, paused=not up)
        stats.sinks[name].request_seconds.observe(0.02, messages)
    spool = MemorySpool(1000, {name: Share(None, "block") for name in sinks}, stats.ledger)
    registry = CollectorRegistry()
    registry.register(MetricsCollector(stats, spool))
    PlatformCollector(registry)
    ProcessCollector(registry=registry)
    return registry


def value(families, name, **labels):
    found = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"collector_{name}" and sample.labels == labels
    ]
    assert len(found) == 1, (name, labels)
    return found[0]


def test_the_families_of_one_process_stay_as_they_are():
    """Whoever scrapes cannot tell whether they have been sent."""
    families = list(process(messages=5).collect())

    class Merged:
        def collect(self):
            return merged_families([json.loads(json.dumps(packed(families)))])

    class Own:
        def collect(self):
            return families

    assert generate_latest(Merged()) == generate_latest(Own())


def test_counters_histograms_and_most_gauges_are_added_up():
    """The labels that only one process has are there too."""
    parts = [process(messages=5), process(messages=7, sinks=("siem", "other"))]
    families = merged_families([packed(part.collect()) for part in parts])
    assert value(families, "messages_received_total", listener="tcp") == 12
    assert value(families, "udp_kernel_drops_total", listener="tcp") == 6
    assert value(families, "ledger_messages", account="received", reason="") == 12
    assert value(families, "sink_request_seconds_count", sink="siem") == 12
    assert value(families, "sink_request_seconds_bucket", sink="siem", le="0.01") == 0
    assert value(families, "sink_request_seconds_count", sink="other") == 7


def test_what_a_sum_would_lie_about_is_not_added_up():
    """A sink is up if it is for all; the spool has one bound and one disk; a version is not two."""
    parts = [process(up=True), process(up=False)]
    families = merged_families([packed(part.collect()) for part in parts])
    assert value(families, "sink_up", sink="siem") == 0
    assert value(families, "sink_paused", sink="siem") == 1
    assert value(families, "spool_max_bytes") == 1000
    assert value(families, "spool_writable") == 1
    assert value(families, "config_last_reload_successful") == 1
    assert [family.name for family in families].count("collector_build") == 1
    build = next(family for family in families if family.name == "collector_build")
    assert [sample.value for sample in build.samples] == [1]


def test_every_gauge_of_a_time_has_a_rule():
    """The sum of two moments is none."""
    families = merged_families([packed(process().collect())] * 2)
    for family in families:
        if family.name.endswith("timestamp_seconds"):
            pair = [{"name": family.name, "help": "", "type": "gauge", "samples": [["x", {}, 5]]}]
            (merged,) = merged_families([pair, pair])
            assert merged.samples[0].value == 5, family.name


def test_many_processes_have_the_families_of_one():
    """In the same order, so that nobody sees how many there are."""
    one = [family.name for family in process().collect()]
    many = merged_families([packed(process().collect()) for _ in range(3)])
    assert [family.name for family in many] == one


def test_what_a_process_has_counted_stays_when_it_ends():
    """Its gauges end with it; the drops of its sockets are counted on by its successor."""
    before = carried([], packed(process(messages=5).collect()))
    before = carried(before, packed(process(messages=2).collect()))
    families = merged_families([packed(process(messages=1).collect()), before])
    assert value(families, "messages_received_total", listener="tcp") == 8
    assert value(families, "udp_kernel_drops_total", listener="tcp") == 3
    assert value(families, "ledger_messages", account="received", reason="") == 1


def test_merging_changes_nothing_that_it_is_given():
    """The last answer of a process is used again and again."""
    parts = [packed(process(messages=5).collect()) for _ in range(2)]
    before = deepcopy(parts)
    merged_families(parts)
    carried(*parts)
    assert parts == before


def test_the_state_of_one_process_stays_as_it_is():
    """What the supervisor knows is added."""
    own = {"version": "1", "ready": True, "degraded": []}
    assert merged_status(own, [state()]) == {**own, **state()}


def test_counts_are_added_up_by_name():
    """Entries of different names stay apart."""
    merged = merged_status({}, [state(), state(listeners=[listener(), listener(name="udp")])])
    assert [entry["name"] for entry in merged["listeners"]] == ["tcp", "udp"]
    first = merged["listeners"][0]
    assert (first["messages"], first["rejected"]) == (2, {"oversize": 4})
    assert merged["intakes"][0]["events"] == {"ok": 2, "pipeline_error": 4}
    assert merged["sinks"][0]["requests"] == {"200": 6}
    assert merged["buffered_bytes"] == 20
    assert merged["spool"] == {
        "type": "sqlite",
        "octets": 2,
        "max_bytes": 9,
        "full": False,
        "gone": {"x": 2},
    }


def test_addresses_are_those_that_the_supervisor_knows():
    """It has opened the sockets; what it refused counts with what workers refused."""
    own = listener(port=6514, messages=0, connections=0, kernel_drops=None)
    merged = merged_status({"listeners": [own]}, [state(listeners=[listener(kernel_drops=2)])])
    (found,) = merged["listeners"]
    assert (found["port"], found["messages"], found["kernel_drops"]) == (6514, 1, 2)
    assert found["connections_rejected"] == {"limit": 10}


def test_a_sink_is_as_the_worst_process_finds_it():
    """What waits for it waits in all of them."""
    waiting = {"events": 1, "octets": 1, "oldest_seconds": 99.5}
    failing = sink(up=False, problem="HTTP 503", waiting=waiting)
    merged = merged_status({}, [state(), state(sinks=[failing])])["sinks"][0]
    assert (merged["up"], merged["paused"], merged["problem"]) == (False, False, "HTTP 503")
    assert merged["waiting"] == {"events": 6, "octets": 7, "oldest_seconds": 99.5}


def test_a_sink_is_down_since_the_first_process_found_it_so():
    """Of failures the last is told."""
    entries = [
        sink(down_since=since, last_failure=at and {"at": at, "problem": f"HTTP 503 at {at}"})
        for since, at in (("T2", "T5"), (None, None), ("T1", "T3"))
    ]
    merged = merged_status({}, [state(sinks=[entry]) for entry in entries])["sinks"][0]
    assert merged["down_since"] == "T1"
    assert merged["last_failure"] == {"at": "T5", "problem": "HTTP 503 at T5"}


def test_a_source_was_seen_when_any_process_saw_it_last():
    """The latest comes first."""
    one = intake(
        last_seen=[{"source": "a", "at": "2026-01-03"}, {"source": "b", "at": "2026-01-01"}]
    )
    other = intake(last_seen=[{"source": "b", "at": "2026-01-04"}])
    merged = merged_status({}, [state(intakes=[one]), state(intakes=[other])])
    assert merged["intakes"][0]["last_seen"] == [
        {"source": "b", "at": "2026-01-04"},
        {"source": "a", "at": "2026-01-03"},
    ]


def test_what_is_new_in_messages_is_one_finding_in_however_many_processes():
    """It shows a value as soon as one of them has met one."""
    other = novelty(first_seen="2025-12-31", last_seen="2026-01-09", count=1, sample="text 99")
    merged = merged_status({}, [state(drift=[novelty(sample="null")]), state(drift=[other])])
    seen = {"first_seen": "2025-12-31", "last_seen": "2026-01-09", "count": 4}
    assert merged["drift"] == [novelty(sample="text 99", **seen)]


def test_the_spool_on_disk_is_one():
    """Its files share a directory and a disk."""
    spool = {
        **state()["spool"],
        "path": "/s",
        "disk_free": 5,
        "quarantined": 3,
        "in_memory_at_last_write": 1,
    }
    merged = merged_status({}, [state(spool=spool), state(spool={**spool, "full": True})])["spool"]
    assert (merged["full"], merged["octets"], merged["in_memory_at_last_write"]) == (True, 2, 2)
    assert (merged["path"], merged["disk_free"], merged["quarantined"]) == ("/s", 5, 3)


def test_no_part_at_all_leaves_what_the_supervisor_knows():
    """As when every worker is being started again."""
    merged = merged_status({"version": "1", "listeners": [listener()]}, [])
    assert (merged["version"], merged["listeners"]) == ("1", [listener()])


def test_what_is_degraded_in_many_processes_is_named_once():
    """The order of the first stays."""
    full, failing = {"spool": "all", "reason": "full"}, {"sink": "siem", "reason": "HTTP 503"}
    assert merged_degraded([[failing], [full, failing]]) == [failing, full]


@given(st.lists(LEDGERS, min_size=1, max_size=4))
def test_accounts_that_balance_balance_together(ledgers):
    """The imbalance of the whole is the sum of what the parts are out of balance."""

    def imbalance(accounts):
        ledger = Ledger(
            accounts["received"],
            accounts["copies"],
            in_memory=accounts["in_memory"],
            spooled=accounts["spooled"],
            delivered=accounts["delivered"],
        )
        for account in ("rejected", "dead_lettered", "dropped"):
            getattr(ledger, account).update(accounts[account])
        return ledger.imbalance()

    merged = merged_status({}, [state(ledger=ledger) for ledger in ledgers])["ledger"]
    assert imbalance(merged) == sum(map(imbalance, ledgers))


@given(st.lists(st.tuples(NUMBERS, st.booleans()), min_size=2, max_size=4), st.randoms())
def test_the_order_of_processes_does_not_matter(given_parts, random):
    """Whoever answers first changes no value."""
    parts = [packed(process(messages=messages, up=up).collect()) for messages, up in given_parts]

    def values(parts):
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in merged_families(parts)
            for sample in family.samples
            if sample.name.startswith("collector_")
        }

    before = values(parts)
    random.shuffle(parts)
    assert values(parts) == pytest.approx(before)


def test_what_a_worker_that_ended_had_counted_is_counted_once():
    """What it was doing is over, what waits is as it was last; its successor begins at zero."""
    left = counts_left({}, state())
    assert merged_status({}, [uncounted_state(state())], [left]) == merged_status({}, [state()])
    merged = merged_status({}, [state()], [counts_left(left, state())])
    assert merged["listeners"] == [
        listener(
            messages=3, rejected={"oversize": 6}, truncated=9, connections_rejected={"limit": 15}
        )
    ]
    assert merged["intakes"][0]["events"] == {"ok": 3, "pipeline_error": 6}
    assert merged["sinks"] == [sink(delivered=3, failure_store=6, requests={"200": 9})]


def test_what_is_no_longer_configured_does_not_come_back_with_what_was_counted():
    """Nor does a worker that has ended before it said anything count."""
    left = counts_left(counts_left({}, {}), state(sinks=[sink(name="gone")]))
    merged = merged_status({}, [state()], [left])
    assert [entry["name"] for entry in merged["sinks"]] == ["siem"]
    assert uncounted_state({}) == {}


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_what_is_told_has_its_form_before_any_worker_says_something(tmp_path, kind):
    """Zeros for everything that settings name; a worker adds to them."""
    config = parse(
        f"""
        listeners: [{{name: tcp, transport: tcp, port: 0}}]
        intakes: [{{name: edr, parser: raw, key: k}}]
        sinks: [{{name: siem, url: "http://siem.example/"}}]
        spool: {{type: {kind}, path: {tmp_path}}}
        """,
        source="test",
        environ={},
    )
    blank = merging.blank(config)
    spool = build_spool(config, Ledger(), Post.alone())
    await spool.start()
    assert blank["spool"].keys() == {"type", *spool.status()}
    await spool.close()
    for section, entry in (("sinks", sink()), ("intakes", intake())):
        assert [item.keys() for item in blank[section]] == [entry.keys()]
    merged = merged_status(blank, [state(spool={**blank["spool"], "octets": 1})])
    assert merged["sinks"] == [sink()]
    assert merged["intakes"] == [intake()]
    assert merged["spool"]["octets"] == 1


def stream(**changes):
    known = {"connected": True, "problem": "", "messages": 2, "octets": 100, "oldest_seconds": 3.0}
    held = {"events": {"siem": 7}, "redelivered": {}, "dead_letters": {"events": {"refused": 1}}}
    held["max_age_seconds"] = None
    own = {"outgoing_octets": 10, "in_hand": {"siem": 1}}
    return {"name": "edr", "leader": "n1", "max_bytes": 900, **known, **held, **own, **changes}


def shared(**changes):
    held = {"type": "jetstream", "octets": 1, "max_bytes": 9, "full": False, "gone": {}}
    held |= {"in_memory_at_last_write": 0, "quarantined": 0}
    return state(spool={**held, "stream": stream(**changes)})


def own_of(tmp_path):
    spool = {"type": "jetstream", "servers": ["nats://h"], "path": str(tmp_path)}
    return blank(
        build(
            {
                "listeners": [{"name": "tcp", "transport": "tcp", "port": 0}],
                "sinks": [{"name": "siem", "url": "http://h"}],
                "spool": spool,
            },
            source="test",
        )
    )


def test_what_a_stream_holds_is_the_same_for_all_workers(tmp_path):
    """What each has in hand is its own."""
    found = merged_status(own_of(tmp_path), [shared(), shared(in_hand={"siem": 2})])
    merged = found["spool"]["stream"]
    assert merged == stream(outgoing_octets=20, in_hand={"siem": 3})


def test_a_stream_that_one_worker_does_not_reach_is_away(tmp_path):
    """What it holds is told by one who reaches it, and why it is away by one who does not."""
    away = shared(connected=False, problem="no answer", messages=None, octets=None, events={})
    merged = merged_status(own_of(tmp_path), [away, shared()])["spool"]["stream"]
    assert (merged["connected"], merged["problem"]) == (False, "no answer")
    assert (merged["messages"], merged["events"]) == (2, {"siem": 7})


def test_before_any_worker_has_said_anything_a_stream_is_not_connected(tmp_path):
    """It has all that it has later."""
    merged = merged_status(own_of(tmp_path), [])["spool"]["stream"]
    assert merged.keys() == stream().keys()
    assert (merged["connected"], merged["max_bytes"]) == (False, 10 << 30)


def test_what_is_in_a_stream_for_a_sink_that_is_gone_counts_once(tmp_path):
    """All workers name it, and one may have some of it in its file besides."""
    parts = [shared(), shared()]
    parts[0]["spool"]["gone"], parts[1]["spool"]["gone"] = {"old": 5}, {"old": 7, "other": 1}
    assert merged_status(own_of(tmp_path), parts)["spool"]["gone"] == {"old": 7, "other": 1}


def test_gauges_of_a_stream_are_not_added_up():
    def part(**values):
        families = [
            GaugeMetricFamily(f"collector_stream_{name}", name, value=number)
            for name, number in values.items()
        ]
        return packed(families)

    bounds = {"max_bytes": 100, "max_age_seconds": 3600}
    one = part(connected=1, events=5, bytes=10, oldest_seconds=3, **bounds)
    other = part(connected=0, events=4, bytes=11, oldest_seconds=2, **bounds)
    merged = {family.name: family.samples[0].value for family in merged_families([one, other])}
    assert merged == {
        "collector_stream_connected": 0,
        "collector_stream_events": 5,
        "collector_stream_bytes": 11,
        "collector_stream_max_bytes": 100,
        "collector_stream_max_age_seconds": 3600,
        "collector_stream_oldest_seconds": 3,
    }
