"""Rule tables as data."""

import pytest

from collector.parsers.conditions import equals
from collector.parsers.convert import fields_of, ip, keywords, long
from collector.parsers.mapping import Rule, Table, select, under

A, B = equals("a", "1"), equals("b", "2")


@pytest.mark.parametrize(
    ("rule", "field_type"),
    [
        (Rule("t", "s"), "keyword"),
        (Rule("t", "s", long), "long"),
        (Rule("t", "s", keywords), "array of keyword"),
        (Rule("t", constant="x"), "keyword"),
        (Rule("t", constant=("x",)), "array of keyword"),
        (Rule("t", "s", keywords, ecs_type="array of ip"), "array of ip"),
    ],
)
def test_the_type_of_a_field_is_said_once(rule, field_type):
    """By the conversion, by the constant, or by the row itself."""
    assert rule.field_type == field_type


def test_a_rule_has_one_source_or_several_or_none():
    """None for a constant."""
    assert Rule("t", "a.b").sources == ("a.b",)
    assert Rule("t", ("a", "b")).sources == ("a", "b")
    assert Rule("t", constant="x").sources == ()


@pytest.mark.parametrize("wrong", [{}, {"source": "s", "constant": "x"}])
def test_a_rule_has_either_a_source_or_a_constant(wrong):
    """Anything else is a mistake in a table."""
    with pytest.raises(ValueError, match="rule for t: either a source or a constant"):
        Rule("t", **wrong)


def test_under_adds_a_condition_to_each_rule():
    """To what they may have already."""
    one, other = under(A, Rule("t", "s"), Rule("u", "s", when=B))
    assert (one.when, other.when) == (A, A & B)


DOCUMENTED = Rule("t", "d", profile="documented")
ECS = Rule("t", "e", profile="ecs")
BOTH = Rule("t", "b")


@pytest.mark.parametrize(
    ("rules", "documented", "ecs"),
    [
        ([BOTH, ECS, DOCUMENTED], [BOTH, ECS, DOCUMENTED], [BOTH, ECS]),
        ([BOTH, DOCUMENTED, ECS], [BOTH, ECS, DOCUMENTED], [BOTH, ECS]),
        ([DOCUMENTED, BOTH, ECS], [ECS, DOCUMENTED, BOTH], [BOTH, ECS]),
        ([ECS, BOTH], [ECS, BOTH], [ECS, BOTH]),
    ],
)
def test_in_profile_documented_its_rows_win_over_those_of_ecs(rules, documented, ecs):
    """Rows of both profiles keep their place; profile `ecs` has no documented row."""
    assert select(rules, "documented") == documented
    assert select(rules, "ecs") == ecs


def test_rows_that_move_keep_their_order_and_others_their_place():
    """Only rows with the same target are concerned."""
    other = Rule("u", "o", profile="ecs")
    second = Rule("t", "f", profile="ecs")
    assert select([other, DOCUMENTED, ECS, second, other], "documented") == [
        other,
        ECS,
        second,
        DOCUMENTED,
        other,
    ]


@pytest.mark.parametrize(
    ("ecs", "documented", "kept"),
    [
        (Rule("t", "s", ip, profile="ecs"), Rule("t", "s", profile="documented"), False),
        (
            Rule("t", constant=("x",), profile="ecs"),
            Rule("t", constant="x", profile="documented"),
            False,
        ),
        (Rule("t", "s", when=A, profile="ecs"), Rule("t", "s", profile="documented"), True),
        (Rule("u", "s", profile="ecs"), Rule("t", "s", profile="documented"), True),
    ],
)
def test_the_same_field_in_its_other_shape_is_left_out(ecs, documented, kept):
    """Same target, source and condition: the documented row always wins."""
    assert (ecs in select([documented, ecs], "documented")) is kept
    assert select([documented, ecs], "ecs") == [ecs]


def test_profile_ecs_has_rows_of_its_own():
    """Those that read the input run after `rules`, those that read the output last of all."""
    inferred, detection = Rule("i", "t", profile="ecs"), Rule("d", constant="x")
    table = Table("toy", (BOTH, ECS), (inferred,), (detection,), ecs_rules=(DOCUMENTED,))
    assert table.rows("ecs") == [BOTH, ECS, DOCUMENTED]
    assert table.inferred_rows("ecs") == [inferred, detection]
    assert table.all_rows("ecs") == [*table.rows("ecs"), inferred, detection]
    assert table.rows("documented") == [BOTH, ECS]
    assert table.inferred_rows("documented") == [inferred]


def test_inferred_rows_have_only_sources_that_can_be_set():
    """They are written for all vendors; one without any source left is none."""
    table = Table(
        "toy",
        (Rule("a", "x"), Rule("open.*", "y", fields_of({"*": "keyword"})(dict))),
        (Rule("b", ("a", "never")), Rule("c", "never"), Rule("d", ("c", "open.x", "b"))),
    )
    assert [(rule.target, rule.sources) for rule in table.inferred_rows("ecs")] == [
        ("b", ("a",)),
        ("d", ("open.x", "b")),
    ]
