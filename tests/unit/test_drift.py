"""What a watch keeps of new things, how much it looks at, and what it shows."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from collector import drift, samples
from collector.drift import (
    MAX_ENTRIES,
    MAX_FIELD,
    MAX_SAMPLE,
    MAX_TEXT,
    OTHER,
    PARTS,
    SAVED,
    DriftWatch,
    masked,
)
from collector.ledger import Ledger
from collector.metrics import IntakeStats, Stats
from collector.parsers import PARSERS, ParseError, Vendor
from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.mapping import Rule, Table

SECOND = 1_000_000_000
NOW = 1_760_000_000 * SECOND
RULES = (Rule("a", "a"), Rule("n", "n", long), Rule("x", constant="1", when=equals("kind", "old")))


def decode(raw):
    try:
        return raw, json.loads(raw), ()
    except ValueError:
        raise ParseError("not_json", "not JSON") from None


VENDOR = Vendor(Table("t", RULES), decode, families=("kind",))


def watch(**options):
    return DriftWatch("edr", VENDOR, **{"counts": Counter(), **options})


def shown(*watches):
    return drift.status(watches)


def test_each_new_thing_is_listed_once_with_its_count_and_times():
    """In all watches together, what was seen last comes first."""
    counts = Counter()
    one, other = watch(counts=counts), DriftWatch("b", VENDOR, counts=Counter())
    one.examine('{"a": "x", "new": "Secret-12"}', NOW)
    other.examine('{"n": "many"}', NOW + SECOND)
    one.examine('{"kind": "old", "new": 7}', NOW + 2 * SECOND)
    one.examine('{"kind": "young"}', NOW + 3 * SECOND)
    assert shown(one, other) == [
        {
            "intake": "edr",
            "kind": "family",
            "field": "kind=young",
            "count": 1,
            "sample": "text xxxxx",
            "first_seen": "2025-10-09T08:53:23+00:00",
            "last_seen": "2025-10-09T08:53:23+00:00",
        },
        {
            "intake": "edr",
            "kind": "field",
            "field": "new",
            "count": 2,
            "sample": "text xxxxxx-99",
            "first_seen": "2025-10-09T08:53:20+00:00",
            "last_seen": "2025-10-09T08:53:22+00:00",
        },
        {
            "intake": "b",
            "kind": "type",
            "field": "n",
            "count": 1,
            "sample": "text xxxx",
            "first_seen": "2025-10-09T08:53:21+00:00",
            "last_seen": "2025-10-09T08:53:21+00:00",
        },
    ]
    assert counts == {"new": 2, "kind=young": 1}


def test_what_is_known_and_what_cannot_be_parsed_is_nothing_new():
    """A pipeline_error event says what is wrong with the latter."""
    quiet = watch()
    for text in ('{"a": "x", "n": 1, "kind": "old"}', "no JSON", ""):
        quiet.examine(text, NOW)
    assert shown(quiet) == []


def test_a_message_that_is_too_long_is_not_examined():
    """So it takes none of the time in which others are."""
    one = watch()
    longest = '{"new": 1}'.ljust(MAX_TEXT)
    one.examine(longest + " ", NOW)
    assert (shown(one), one.due) == ([], 0)
    one.examine(longest, NOW)
    assert [entry["field"] for entry in shown(one)] == ["new"]


def test_a_sample_that_is_null_gives_way_to_a_value():
    """And that one stays."""
    one = watch()
    for value in ("null", '"a1"', '"bb"'):
        one.examine(f'{{"new": {value}}}', NOW)
        if value == "null":
            assert [entry["sample"] for entry in shown(one)] == ["null"]
    assert [(entry["sample"], entry["count"]) for entry in shown(one)] == [("text x9", 3)]


def test_types_of_familiar_messages_are_known_from_the_start():
    """So that a change is noticed that came while the daemon was stopped."""
    new = watch(familiar=['{"a": "text"}'])
    new.examine('{"a": 5}', NOW)
    assert [(entry["kind"], entry["field"]) for entry in shown(new)] == [("type", "a")]


def test_entries_are_bounded():
    """What comes after counts together, in the list and in the metric."""
    counts = Counter()
    full = watch(counts=counts)
    for n in range(MAX_ENTRIES + 10):
        full.examine(f'{{"new{n}": {n}}}', NOW)
    full.examine('{"new0": 1, "n": "many"}', NOW)
    listed = {(entry["kind"], entry["field"]): entry["count"] for entry in shown(full)}
    assert len(listed) == MAX_ENTRIES + 2
    assert listed["field", OTHER] == 10
    assert listed["type", OTHER] == 1
    assert listed["field", "new0"] == 2
    assert counts[OTHER] == 11
    assert len(counts) == MAX_ENTRIES + 1


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a\x1b[31m\r\n\u202eb", "a?[31m???b"),
        ("x" * 50_000, "x" * (MAX_FIELD - 1) + "…"),
        ("", "(empty)"),
        ("Größe", "Größe"),
        ("[red]a[/red]", "[red]a[/red]"),
    ],
    ids=["control", "long", "empty", "letters", "markup"],
)
def test_names_are_shown_so_that_they_can_do_no_harm(name, field):
    """In the list, in the metric and in the log alike."""
    counts = Counter()
    with structlog.testing.capture_logs() as lines:
        one = watch(counts=counts)
        one.examine(json.dumps({name: 1}), NOW)
    assert [entry["field"] for entry in shown(one)] == [field]
    assert counts == {field: 1}
    assert [line["field"] for line in lines] == [field]


def test_so_are_the_names_of_kinds():
    """Which are values of the sender."""
    one = watch()
    one.examine(json.dumps({"kind": "\x1b" + "k" * 50_000}), NOW)
    assert [entry["field"] for entry in shown(one)] == ["kind=?" + "k" * (MAX_FIELD - 7) + "…"]


def test_the_log_tells_of_each_kind_at_a_bounded_rate():
    """The list tells everything."""
    with structlog.testing.capture_logs() as lines:
        one = watch()
        for n in range(100):
            one.examine(f'{{"new{n}": 1, "n": "many"}}', NOW)
    assert sorted((line["kind"], line["intake"]) for line in lines) == [
        ("field", "edr"),
        ("type", "edr"),
    ]


@pytest.mark.parametrize(
    ("value", "sample"),
    [
        ("Alice 42 / DOM\\bob@x.y", "text xxxxx 99 / xxx\\xxx@x.x"),
        ("naïve ٣ 😀", "text xxxxx x x"),
        ("a\nb\x1b[31m\0", "text x?x?[99x?"),
        ("é" * 1000, "text " + "x" * (MAX_SAMPLE - 1) + "…"),
        ("z" * MAX_SAMPLE, "text " + "x" * MAX_SAMPLE),
        (-12.5, "number -99.9"),
        (2**63, "number " + "9" * 19),
        (True, "boolean"),
        (None, "null"),
        ([1, "secret"], "list of 2"),
        ({"secret": "x"}, "object of 1"),
    ],
    ids=repr,
)
def test_a_sample_tells_type_and_shape_of_a_value_and_not_what_it_says(value, sample):
    """Letters are x, digits 9."""
    assert masked(value) == sample


@given(st.text())
def test_no_letter_or_digit_of_a_text_comes_through(text):
    """Nothing but x, 9 and signs of ASCII."""
    sample = masked(text).removeprefix("text ")
    assert {*sample} <= {*"x9…"} | {chr(n) for n in range(32, 127) if not chr(n).isalnum()}


AT_ONCE = SAVED // PARTS


class Timer:
    """Says that each message takes as long to examine as the test wants."""

    def __init__(self, nanoseconds):
        self.each = nanoseconds
        self._calls = 0

    def __call__(self):
        self._calls += 1
        return self._calls // 2 * self.each


def examined(one, times, text='{"new": 1}'):
    """Offer a message at each of these times, as the pipeline does; count what is examined."""
    count = 0
    for now in times:
        if now >= one.due:
            one.examine(text, now)
            count += 1
    return count


@pytest.mark.parametrize("each", [10_000, 50_000, 1_000_000])
def test_examining_takes_its_part_of_the_time_and_no_more(each):
    """What was saved at once, and then its part, however many messages there are."""
    one = watch(timer=Timer(each))
    at_once = examined(one, [NOW] * 10_000)
    assert at_once == AT_ONCE // each + 1
    minute = range(NOW, NOW + 60 * SECOND, SECOND // 1000)
    count = examined(one, minute)
    assert count * each == pytest.approx(60 * SECOND / PARTS, rel=0.05)
    assert examined(one, [NOW + 1000 * SECOND] * 10_000) == at_once


def test_time_that_was_not_used_is_saved():
    """A second of silence is worth a second's part."""
    one = watch(timer=Timer(100_000))
    examined(one, [NOW] * 10_000)
    assert examined(one, [NOW + SECOND] * 10_000) == SECOND // PARTS // 100_000


def test_a_message_that_takes_long_is_paid_for():
    """Nothing is examined for four hundred times as long."""
    one = watch(timer=Timer(SECOND))
    assert examined(one, [NOW] * 10) == 1
    paid = NOW - SAVED + PARTS * SECOND
    assert examined(one, range(NOW, paid, SECOND)) == 0
    assert examined(one, range(paid, paid + 10 * SECOND, SECOND)) == 1


def test_a_message_that_is_not_examined_changes_nothing():
    """What a watch is not shown it does not count."""
    one = watch(timer=Timer(1_000_000))
    examined(one, [NOW] * 10_000)
    assert shown(one)[0]["count"] == AT_ONCE // 1_000_000 + 1


def test_a_watch_that_fails_costs_no_message():
    """It says so, at a bounded rate, and goes on."""

    def broken(raw):
        if raw == "broken":
            raise RecursionError
        return decode(raw)

    one = DriftWatch("edr", Vendor(VENDOR.table, broken), counts=Counter())
    with structlog.testing.capture_logs() as lines:
        one.examine("broken", NOW)
        one.examine("broken", NOW)
        one.examine('{"new": 1}', NOW)
    assert [line["log_level"] for line in lines] == ["error", "warning"]
    assert len(shown(one)) == 1


def watches_of(*parsers):
    """Make the watches of a daemon with an intake for each parser."""
    stats = Stats(Ledger(), intakes={parser: IntakeStats(parser) for parser in parsers})
    intakes = tuple(SimpleNamespace(name=parser, parser=parser) for parser in parsers)
    return drift.watches(SimpleNamespace(intakes=intakes), stats, {}), stats


def test_the_watches_of_a_daemon_share_the_time():
    """Together they take no more than one alone."""
    watches, _ = watches_of(*PARSERS)
    assert [one.parts for one in watches.values()] == [PARTS * 3] * 3
    assert drift.watches(SimpleNamespace(intakes=()), Stats(Ledger()), {}) == {}


def test_a_watch_goes_on_when_settings_change_unless_its_intake_reads_something_else():
    """It knows what it has seen; the time is shared by those that there are now."""
    former, stats = watches_of("cybereason", "harfanglab")
    intakes = (
        SimpleNamespace(name="cybereason", parser="cybereason"),
        SimpleNamespace(name="harfanglab", parser="raw"),
        SimpleNamespace(name="new", parser="raw"),
    )
    stats.intakes["new"] = IntakeStats("new")
    watches = drift.watches(SimpleNamespace(intakes=intakes), stats, former)
    assert watches["cybereason"] is former["cybereason"]
    assert watches["harfanglab"] is not former["harfanglab"]
    assert [one.parts for one in watches.values()] == [PARTS * 3] * 3


def test_the_time_is_measured():
    """By default with the machine's own clock."""
    one = watch()
    one.examine(json.dumps({f"name{n}": n for n in range(3_000)}), NOW)
    took = (one.due - (NOW - SAVED)) / PARTS
    assert 100_000 < took < 30 * SECOND


def test_documented_messages_hold_nothing_new_to_the_watches_of_a_daemon():
    """Those that take any message find nothing in any."""
    watches, stats = watches_of(*PARSERS)
    for vendor in ("cybereason", "harfanglab"):
        for sample in samples.load(vendor):
            watches[vendor].examine(sample.raw, NOW)
            watches["raw"].examine(sample.raw, NOW)
    assert drift.status(watches.values()) == []
    watches["cybereason"].examine("CEF:0|Cybereason|Cybereason|1.0|99|New|5|brandNew=1", NOW)
    assert stats.intakes["cybereason"].unmapped_fields == {
        "brandNew": 1,
        "DeviceEventClassID=99": 1,
    }
    assert not stats.intakes["raw"].unmapped_fields


def test_a_hostile_message_leaves_little_behind():
    """Of three thousand names the first few are kept."""
    one = watch()
    one.examine(json.dumps({f"name{n}": n for n in range(3_000)}), NOW)
    assert len(shown(one)) == 50
