"""Rule tables worked out for a shape."""

import json
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import PARSERS, PROFILES
from collector.parsers.conditions import equals, none_of, present, starts_with
from collector.parsers.convert import collected, conversion, fields_of, iso_date, long
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table
from collector.parsers.paths import steps
from collector.parsers.shapes.evaluation import (
    Computation,
    Constant,
    Copy,
    Leaf,
    TextCopy,
    evaluate,
    leaves,
)
from collector.parsers.shapes.json_outline import outline_of
from collector.parsers.shapes.outline import UnfitError
from collector.parsers.vendor import Vendor
from tests.peers import require_kernel
from tests.shapes import Pair, json_value, read_message

SEEDS = st.integers(0, 2**32 - 1)


def table_of(*rules, inferred=()):
    return Table("tried", rules, inferred)


def outlined(table, message):
    read = frozenset(tuple(steps(path)) for path in table.read_paths())
    return outline_of(orjson.dumps(message), read)


def evaluated(*rules, inferred=(), families=(), **message):
    table = table_of(*rules, inferred=inferred)
    return evaluate(table, "ecs", outlined(table, message), families)


def fields_by_name(found):
    return {".".join(path): field for path, field in found.fields.items()}


@conversion("keyword")
def _first_word(value):
    return value.split()[0] if isinstance(value, str) and value.split() else None


@conversion("keyword", joint=True)
def _both(one, other):
    return f"{one}/{other}" if one or other else None


@fields_of({"*": "keyword"})
def _counted(value):
    if not isinstance(value, str):
        return None
    return {f"n{number}": word for number, word in enumerate(value.split())} or None


def test_what_is_copied_needs_no_operation():
    """Constants neither."""
    found = evaluated(
        Rule("a.text", "t"), Rule("a.number", "n", long), Rule("k", constant=("x",)), t="x", n=5
    )
    assert found.operations == []
    assert [type(field) for field in found.fields.values()] == [Copy, Copy, Constant]
    assert [(field.slot, field.way) for field in [*found.fields.values()][:2]] == [
        (0, "QUOTED"),
        (1, "BARE"),
    ]


def test_the_text_of_a_message_is_copied():
    """Step by step."""
    assert evaluated(Rule("message", WHOLE_INPUT), t=1).fields == {("message",): TextCopy()}


def test_what_is_not_there_yields_nothing():
    """Null neither."""
    assert evaluated(Rule("a", "t"), Rule("b", "u", _first_word), u=None).fields == {}


def test_conversions_without_a_way_are_operations():
    """They yield something for every message of the shape."""
    found = evaluated(Rule("a", "t", _first_word), t="x y")
    assert fields_by_name(found) == {"a": Leaf(0, 1)}
    function = found.operations[0].function
    assert function("p q") == ("p", b'"p"')
    assert function("  ") is None


def test_conversions_that_yield_nothing_go_on_doing_so():
    """Else the field would be missing."""
    found = evaluated(Rule("a", "t", _first_word), t="  ")
    assert found.fields == {}
    assert found.operations[0].function("x") is None


def test_several_fields_are_the_same_ones_in_all_messages():
    """In the same order."""
    found = evaluated(Rule("a.*", "t", _counted), t="x y")
    assert fields_by_name(found) == {"a.n0": Leaf(0, 1), "a.n1": Leaf(0, 2)}
    function = found.operations[0].function
    assert function("p q") == ({"n0": "p", "n1": "q"}, b'"p"', b'"q"')
    assert function("p") is None


def test_a_field_that_is_replaced_yields_something_all_the_same():
    """Where it stands in the event follows from the first rule that sets it."""
    found = evaluated(Rule("a", "t", iso_date), Rule("a", "u"), t="2026-01-02T03:04:05Z", u="x")
    assert fields_by_name(found)["a"].slot == 1
    assert found.operations[0].function("no date") is None


def test_a_field_that_is_written_shows_itself_whether_there_is_one():
    """What shows it otherwise is at hand."""
    found = evaluated(Rule("a", "t", iso_date), t="2026-01-02T03:04:05Z")
    assert found.operations == []
    assert found.checks["a",].function("no date") is None
    assert found.checks["a",].function("2026-01-02T03:04:05Z") is not None


def test_joint_conversions_take_all_sources():
    """Those that are not there as None."""
    found = evaluated(Rule("a", ("t", "u"), _both), t="x")
    assert fields_by_name(found) == {"a": Leaf(0, 1)}
    assert found.operations[0].function("y")[0] == "y/None"


def test_lists_of_texts_are_written_from_their_slots():
    """Unless one of them is no text."""
    rule = Rule("a", ("t", "u"), collected)
    assert fields_by_name(evaluated(rule, t="x", u="y"))["a"].slots == (0, 1)
    assert fields_by_name(evaluated(rule, t="x", u=[1]))["a"] == Leaf(0, 1)


def test_values_of_families_belong_to_the_shape():
    """Whether the condition holds or not."""
    for kind in ("x", "y"):
        rule = Rule("a", constant="1", when=equals("t", "x"))
        found = evaluated(rule, families=("t",), t=kind)
        assert (found.fixed, found.operations) == ({0}, [])
        assert bool(found.fields) is (kind == "x")


def test_the_value_that_is_asked_for_belongs_to_the_shape():
    """Every other value is tested."""
    for when, value in ((equals("t", "x"), "x"), (none_of("t", "x", "z"), "x")):
        assert evaluated(Rule("a", constant="1", when=when), t=value).fixed == {0}
    found = evaluated(Rule("a", constant="1", when=equals("t", "x")), t="y")
    assert found.fixed == set()
    assert found.operations[0].function("z") is not None
    assert found.operations[0].function("x") is None


def test_what_is_there_is_so_in_all_messages():
    """Of a kind that cannot be null."""
    found = evaluated(Rule("a", constant="1", when=present("t")), t="x")
    assert (found.fixed, found.operations) == (set(), [])


def test_any_value_may_be_null():
    """So it is tested."""
    found = evaluated(Rule("a", constant="1", when=present("t")), t=1.5)
    assert found.operations[0].function(None) is None


def test_tests_of_one_value_are_made_together():
    """In one operation."""
    rules = [Rule(name, constant="1", when=starts_with("t", name)) for name in "xyz"]
    found = evaluated(*rules, t="x")
    assert len(found.operations) == 1
    assert found.operations[0].function("xx")[0] == (True, False, False)
    assert found.operations[0].function("y") is None


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
    inferred = (Rule("a.*", "b", _counted),)
    found = evaluated(Rule("a.n0", "t"), Rule("b", "t"), inferred=inferred, t="x y")
    assert isinstance(fields_by_name(found)["a.n0"], Copy)
    assert fields_by_name(found)["a.n1"] == Leaf(0, 2)


def test_rules_that_read_the_text_again_have_no_shape():
    """It is not put together for them."""
    with pytest.raises(UnfitError):
        evaluated(Rule("m", WHOLE_INPUT), inferred=(Rule("a", "m", _first_word),), t=1)


def test_the_outcome_of_a_computation_is_that_of_the_sample():
    """Its constants stand where they stood."""
    computation = Computation(_both.function, ((True, "x"), (False, (str.upper,))), ("value",))
    assert computation("y") == ("x/Y", b'"x/Y"')


def test_leaves_are_named_by_the_way_to_them():
    """An object is none."""
    assert [*leaves({"a": {"b": 1, "c": {}}, "d": [2]})] == [(("a", "b"), 1), (("d",), [2])]


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
            [Rule("a", ("t", "u"), _both)], {"t": "x", "u": "y"}, {"u": "x", "t": "y"}, id="order"
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
        pytest.param(
            [Rule("a", ("t", "u"), _both)], {"t": "x"}, {"u": "x"}, id="what is not there"
        ),
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
