"""Rule tables worked out for a shape."""

import json
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import PARSERS, PROFILES
from collector.parsers.convert import conversion, iso_date
from collector.parsers.mapping import Rule
from collector.parsers.paths import steps
from collector.parsers.shapes.fields import Copy, Leaf
from collector.parsers.shapes.json_outline import outline_of
from collector.parsers.vendor import Vendor
from tests.peers import require_kernel
from tests.shapes import Pair, json_value, read_message
from tests.tables import both, counted, evaluated, fields_by_name, first_word, table_of

SEEDS = st.integers(0, 2**32 - 1)


def test_what_is_not_there_yields_nothing():
    """Null neither."""
    assert evaluated(Rule("a", "t"), Rule("b", "u", first_word), u=None).fields == {}


def test_a_field_that_is_replaced_yields_something_all_the_same():
    """Where it stands in the event follows from the first rule that sets it."""
    found = evaluated(Rule("a", "t", iso_date), Rule("a", "u"), t="2026-01-02T03:04:05Z", u="x")
    assert fields_by_name(found)["a"].slot == 1
    assert found.operations[0].function("no date") is None


def test_what_is_no_object_may_be_one_in_another_message():
    """Which is of another shape then."""
    found = evaluated(Rule("a", "o.t"), o=[1])
    assert found.fields == {}
    assert found.operations[0].function({"t": "x"}) is None
    assert found.operations[0].function([2]) is not None


def test_what_is_not_in_a_list_may_be_in_another():
    """Which is of another shape then."""
    for entries in ([], [{}], [{"t": None}], [5]):
        found = evaluated(Rule("a", "o[0].t"), o=entries)
        assert found.fields == {}
        assert found.operations[0].function([{"t": "x"}]) is None
        assert found.operations[0].function([{"u": "x"}]) is not None


def test_inferred_fields_leave_those_that_are_there():
    """Each name below the target counts."""
    inferred = (Rule("a.*", "b", counted),)
    found = evaluated(Rule("a.n0", "t"), Rule("b", "t"), inferred=inferred, t="x y")
    assert isinstance(fields_by_name(found)["a.n0"], Copy)
    assert fields_by_name(found)["a.n1"] == Leaf(0, 2)


@pytest.mark.parametrize("vendor", ["cybereason", "harfanglab"])
@pytest.mark.parametrize("profile", PROFILES)
def test_conversions_of_values_that_are_not_there_yield_nothing(vendor, profile):
    """What is in a list may be null: it is looked for in each message."""
    table = PARSERS[vendor].table
    for rule in table.rows(profile):
        if not rule.convert.joint and any("[0]" in source for source in rule.sources):
            assert rule.convert.function(None) is None, rule


@pytest.mark.parametrize("profile", PROFILES)
@given(SEEDS)
def test_messages_of_every_family_come_out_as_the_general_way_has_them(profile, seed):
    """Fields that rules read, there or not, with any values."""
    require_kernel()
    random = Random(seed)
    pair = Pair("harfanglab", profile)
    messages = [read_message(random) for _ in range(6)]
    for message in messages:
        pair.learn([message.write()])
        varied = message.copy()
        for holder in varied.all():
            holder.pairs = [
                (name, json_value(random) if isinstance(value, str) else value)
                for name, value in holder.pairs
            ]
        pair.learn([varied.write(), message.write()])


def vendor_of(*rules):
    """Return a vendor of JSON messages with rules of its own."""
    table = table_of(*rules)
    read = frozenset(tuple(steps(path)) for path in table.read_paths())

    def decode(raw):
        return raw, orjson.loads(raw), ()

    return Vendor(table, decode, outline=lambda text: outline_of(text.encode(), read))


@pytest.mark.parametrize(
    ("rules", "learned", "other"),
    [
        pytest.param(
            [Rule("a", ("t", "u"), both)], {"t": "x", "u": "y"}, {"u": "x", "t": "y"}, id="order"
        ),
        pytest.param(
            [Rule("a", "o", conversion("keyword")(json.dumps))],
            {"o": {"p": "x"}},
            {"o": {"q": "x"}},
            id="names in an object",
        ),
        pytest.param(
            [Rule("a", "t", conversion("keyword")(repr))],
            {"t": "5"},
            {"t": 5},
            id="kind",
        ),
        pytest.param([Rule("a", ("t", "u"), both)], {"t": "x"}, {"u": "x"}, id="what is not there"),
    ],
)
def test_what_is_remembered_is_of_the_same_values(rules, learned, other):
    """The same octets mean something else elsewhere."""
    require_kernel()
    pair = Pair(vendor_of(*rules), "ecs")
    messages = [orjson.dumps(message).decode() for message in (learned, other)]
    pair.learn(messages)
    for message in messages * 2:
        assert pair.translates(message)
