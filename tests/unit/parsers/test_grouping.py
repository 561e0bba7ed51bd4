"""Which rules stand under one `if`."""

from collector.parsers.conditions import absent, equals, present
from collector.parsers.convert import fields_of
from collector.parsers.grouping import blocks
from collector.parsers.mapping import Rule, Table

ONE, OTHER = equals("k", "1"), equals("l", "1")


def shape(table):
    """Return the blocks as (condition, [(condition within, [target])])."""
    return [
        (
            block.when and str(block.when),
            [
                (when and str(when), [rule.target for rule in rules])
                for when, rules in block.parts()
            ],
        )
        for block in blocks(table, "ecs")
    ]


def test_rules_with_one_condition_come_together():
    """Those that always apply are one block too."""
    table = Table(
        "toy",
        (
            Rule("a", "s"),
            Rule("b", "s", when=ONE),
            Rule("c", "s"),
            Rule("d", "s", when=OTHER),
            Rule("e", "s", when=ONE),
        ),
    )
    assert shape(table) == [
        (None, [(None, ["a", "c"])]),
        ("k=1", [(None, ["b", "e"])]),
        ("l=1", [(None, ["d"])]),
    ]


def test_they_do_not_where_another_row_with_the_target_is_between():
    """Also where one of them sets all fields of an object."""
    whole = fields_of({"*": "keyword"})(dict)
    table = Table(
        "toy",
        (
            Rule("o.a", "s", when=ONE),
            Rule("o.*", "s", whole, when=OTHER),
            Rule("o.a", "t", when=ONE),
            Rule("p", "t", when=ONE),
        ),
    )
    assert shape(table) == [
        ("k=1", [(None, ["o.a"])]),
        ("l=1", [(None, ["o.*"])]),
        ("k=1", [(None, ["o.a", "p"])]),
    ]


def test_conditions_that_begin_alike_share_the_beginning():
    """What is left of each is decided within."""
    table = Table(
        "toy",
        (
            Rule("a", "s", when=ONE),
            Rule("b", "s", when=ONE & present("s")),
            Rule("c", "s", when=ONE & OTHER & present("t")),
        ),
    )
    assert shape(table) == [
        ("k=1", [(None, ["a"]), ("s is present", ["b"]), ("l=1 and t is present", ["c"])])
    ]


def test_inferred_rules_stay_in_their_order():
    """A group ends where one of its rows sets what its condition reads."""
    free = absent("t")
    table = Table(
        "toy",
        (Rule("s", "s"),),
        (
            Rule("u", "s", when=free),
            Rule("t", "s", when=free),
            Rule("v", "s", when=free),
            Rule("w", "s"),
            Rule("x", "s", when=free),
        ),
    )
    assert [targets for _, parts in shape(table)[1:] for _, targets in parts] == [
        ["u", "t"],
        ["v"],
        ["w"],
        ["x"],
    ]
