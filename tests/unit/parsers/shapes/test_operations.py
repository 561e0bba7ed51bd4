"""What is computed for each message."""

import pytest

from collector.parsers.mapping import WHOLE_INPUT, Rule
from collector.parsers.shapes.fields import Leaf
from collector.parsers.shapes.operations import Computation
from collector.parsers.shapes.outline import UnfitError
from tests.tables import both, counted, evaluated, fields_by_name, first_word


def test_conversions_without_a_way_are_operations():
    """They yield something for every message of the shape."""
    found = evaluated(Rule("a", "t", first_word), t="x y")
    assert fields_by_name(found) == {"a": Leaf(0, 1)}
    function = found.operations[0].function
    assert function("p q") == ("p", b'"p"')
    assert function("  ") is None


def test_conversions_that_yield_nothing_go_on_doing_so():
    """Else the field would be missing."""
    found = evaluated(Rule("a", "t", first_word), t="  ")
    assert found.fields == {}
    assert found.operations[0].function("x") is None


def test_several_fields_are_the_same_ones_in_all_messages():
    """In the same order."""
    found = evaluated(Rule("a.*", "t", counted), t="x y")
    assert fields_by_name(found) == {"a.n0": Leaf(0, 1), "a.n1": Leaf(0, 2)}
    function = found.operations[0].function
    assert function("p q") == ({"n0": "p", "n1": "q"}, b'"p"', b'"q"')
    assert function("p") is None


def test_joint_conversions_take_all_sources():
    """Those that are not there as None."""
    found = evaluated(Rule("a", ("t", "u"), both), t="x")
    assert fields_by_name(found) == {"a": Leaf(0, 1)}
    assert found.operations[0].function("y")[0] == "y/None"


def test_rules_that_read_the_text_again_have_no_shape():
    """It is not put together for them."""
    with pytest.raises(UnfitError):
        evaluated(Rule("m", WHOLE_INPUT), inferred=(Rule("a", "m", first_word),), t=1)


def test_the_outcome_of_a_computation_is_that_of_the_sample():
    """Its constants stand where they stood."""
    computation = Computation(both.function, ((True, "x"), (False, (str.upper,))), ("value",))
    assert computation("y") == ("x/Y", b'"x/Y"')
