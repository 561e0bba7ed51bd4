"""Conditions, decided for a shape."""

from collector.parsers.conditions import equals, none_of, present, starts_with
from collector.parsers.mapping import Rule
from tests.tables import evaluated


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
