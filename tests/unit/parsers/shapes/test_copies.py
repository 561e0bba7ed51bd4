"""What the kernel writes by itself."""

from collector.parsers.convert import collected, iso_date, long
from collector.parsers.mapping import WHOLE_INPUT, Rule
from collector.parsers.shapes.codes import Way
from collector.parsers.shapes.fields import Constant, Copy, Leaf, TextCopy
from tests.tables import evaluated, fields_by_name


def test_what_is_copied_needs_no_operation():
    """Constants neither."""
    found = evaluated(
        Rule("a.text", "t"), Rule("a.number", "n", long), Rule("k", constant=("x",)), t="x", n=5
    )
    assert found.operations == []
    assert [type(field) for field in found.fields.values()] == [Copy, Copy, Constant]
    assert [(field.slot, field.way) for field in [*found.fields.values()][:2]] == [
        (0, Way.QUOTED),
        (1, Way.BARE),
    ]


def test_the_text_of_a_message_is_copied():
    """Step by step."""
    assert evaluated(Rule("message", WHOLE_INPUT), t=1).fields == {("message",): TextCopy()}


def test_lists_of_texts_are_written_from_their_slots():
    """Unless one of them is no text."""
    rule = Rule("a", ("t", "u"), collected)
    assert fields_by_name(evaluated(rule, t="x", u="y"))["a"].slots == (0, 1)
    assert fields_by_name(evaluated(rule, t="x", u=[1]))["a"] == Leaf(0, 1)


def test_a_field_that_is_written_shows_itself_whether_there_is_one():
    """What shows it otherwise is at hand."""
    found = evaluated(Rule("a", "t", iso_date), t="2026-01-02T03:04:05Z")
    assert found.operations == []
    assert found.checks["a",].function("no date") is None
    assert found.checks["a",].function("2026-01-02T03:04:05Z") is not None
