"""Intakes made of settings."""

from collections import Counter
from types import SimpleNamespace

import pytest

from collector import drift
from collector.board import Board, Post
from collector.config import parse
from collector.deliveries import Deliveries
from collector.intakes import IntakeMaker, masker_of, read_keys
from collector.ledger import Ledger
from collector.metrics import IntakeStats, Stats
from collector.routing import peer_address
from collector.settings.files import FileError
from collector.spool.building import shares
from collector.spool.memory import MemorySpool
from collector.syslog.message import KeyName
from tests.peers import require_kernel

LISTENERS = """
listeners:
  - {name: bound, transport: udp, host: 127.0.0.1, port: 0, intake: one}
  - {name: free, transport: tcp, host: 127.0.0.1, port: 0}
"""
SINKS = """
sinks:
  - {name: a, url: "http://127.0.0.1/"}
  - {name: b, url: "http://127.0.0.1/", format: elasticsearch, index: logs}
"""


@pytest.fixture
async def made():
    """Return what makes a router of the settings of intakes, in YAML."""
    started = []

    async def make(intakes, *, sinks=SINKS, post=None, **more):
        config = parse(f"{LISTENERS}\nintakes: {intakes}\n{sinks}", source="test", environ={})
        stats = Stats(Ledger(), intakes={i.name: IntakeStats(i.name) for i in config.intakes})
        spool = MemorySpool(1 << 20, shares(config), stats.ledger)
        await spool.start()
        deliveries = Deliveries(spool, stats, None, None)
        deliveries.adopt(deliveries.plan(config.sinks, config.intakes, shares(config)))
        started.append(deliveries)
        watches = drift.watches(config, stats, {})
        post = post or Post.alone()
        maker = IntakeMaker(config, deliveries, stats, watches, KeyName(), post, **more)
        return SimpleNamespace(
            router=maker.router(read_keys(config)), stats=stats, watches=watches, config=config
        )

    yield make
    for deliveries in started:
        await deliveries.stop()


async def test_each_key_leads_to_its_intake_and_is_known_by_its_place(made):
    """Two at a time while one replaces the other."""
    world = await made(
        "[{name: one, parser: raw, key: [new, old]}, {name: two, parser: raw, key: k}]"
    )
    by_key = world.router.by_key
    found = {key: (slot.intake.name, slot.slot) for key, slot in by_key.items()}
    assert found == {"new": ("one", 0), "old": ("one", 1), "k": ("two", 0)}
    assert by_key["new"].intake is by_key["old"].intake is world.router.by_name["one"]


async def test_the_keys_of_all_intakes_are_masked(made):
    """And whatever stands where settings say that keys are."""
    world = await made(
        "[{name: one, parser: raw, key: [new-1, old-1]}, {name: two, parser: raw, key: k-2}]"
    )
    masker = masker_of(world.config, read_keys(world.config))
    assert masker.mask(b'new-1 old-1 k-2 [SEKOIA@53288 intake_key="x"]') == (
        b'*** *** *** [SEKOIA@53288 intake_key="***"]'
    )


async def test_without_a_key_the_listener_decides_then_the_sender(made):
    """As far as settings say so."""
    router = (
        await made("[{name: one, parser: raw}, {name: two, parser: raw, sources: [192.0.2.0/24]}]")
    ).router
    near, far = peer_address("192.0.2.1"), peer_address("198.51.100.1")
    assert router.without_key("bound", near) is router.by_name["one"]
    assert router.without_key("free", near) is router.by_name["two"]
    assert router.without_key("free", far) is None


async def test_keys_in_files_are_read_each_time(tmp_path, made):
    """A file that holds none now is named."""
    file = tmp_path / "key"
    file.write_text("first\n")
    world = await made(f"[{{name: one, parser: raw, key_file: {file}}}]")
    assert [*world.router.by_key] == ["first"]
    file.write_text("second\n")
    assert read_keys(world.config) == {"one": ("second",)}
    file.write_text("")
    with pytest.raises(FileError, match=str(file)):
        read_keys(world.config)


async def test_events_go_to_the_sinks_of_their_intake_in_the_form_of_each(made):
    """All of them unless some are named."""
    world = await made("[{name: one, parser: raw}, {name: two, parser: raw, key: k, sinks: [b]}]")
    outlets = {
        name: [outlet.batcher.sink for outlet in intake.outlets]
        for name, intake in world.router.by_name.items()
    }
    assert outlets == {"one": ["a", "b"], "two": ["b"]}
    plain, elastic = world.router.by_name["one"].outlets
    assert (plain.intake, plain.document_of) == ("one", None)
    assert elastic.document_of is not None


async def test_an_intake_counts_and_looks_for_what_is_new_under_its_name(made):
    world = await made("[{name: one, parser: cybereason}]")
    intake = world.router.by_name["one"]
    assert intake.stats is world.stats.intakes["one"]
    assert intake.watch is world.watches["one"]


async def test_what_is_beyond_an_intake_goes_by_its_settings(made):
    """By default there is no limit, and what cannot be parsed is forwarded."""
    world = await made(
        "[{name: one, parser: raw},"
        " {name: two, parser: raw, key: a, on_parse_error: dead_letter,"
        " max_rate: {events_per_second: 5}},"
        " {name: three, parser: raw, key: b,"
        " max_rate: {events_per_second: 5, when_over: dead_letter}}]"
    )
    one, two, three = (world.router.by_name[name] for name in ("one", "two", "three"))
    assert (one.limit, one.keep_excess, one.keep_unparsed, one.select) == (None, False, False, None)
    assert two.limit is not None
    assert (two.keep_excess, two.keep_unparsed) == (False, True)
    assert three.keep_excess


async def test_one_of_several_workers_keeps_rates_with_the_others(made):
    """By what all are granted."""
    intakes = "[{name: one, parser: raw, key: a, max_rate: {events_per_second: 5}}]"
    board = Board.alone()
    board.column("granted:one").value = 7
    world = await made(intakes, post=Post(1, 2, board))
    limit = world.router.by_name["one"].limit
    assert [limit.admit(0.0) for _ in range(9)].count(True) == 7
    assert board.column("admitted:one").value == 7


async def test_messages_of_known_shapes_are_translated_unless_that_is_switched_off(made):
    """Their headers too, where the intake shows them."""
    require_kernel()
    intakes = (
        "[{name: one, parser: cybereason, key: a},"
        " {name: two, parser: raw, key: b, envelope: [syslog]}]"
    )
    found = (await made(intakes)).router.by_name
    assert [found[name].translator.takes_runs for name in ("one", "two")] == [True, False]
    found = (await made(intakes, uses_kernel=False)).router.by_name
    assert [found[name].translator for name in ("one", "two")] == [None, None]


async def test_filters_take_the_outlets_that_get_an_event(made):
    """The copies that go nowhere are counted."""
    world = await made(
        "[{name: one, parser: raw, drop: [{name: noise, field: message, equals: noise}]}]"
    )
    intake, counted = world.router.by_name["one"], Counter()
    assert [*intake.select({"message": "news"}, counted)] == [*intake.outlets]
    assert [*intake.select({"message": "noise"}, counted)] == []
    assert counted == {"filter:noise": 2}
