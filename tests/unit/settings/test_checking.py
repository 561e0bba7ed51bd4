"""Settings held against their declaration."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, SecretStr

from collector.settings.checking import Settings, check, child, declared
from collector.settings.kinds import LABEL, SECRET, OneOrMany, whole
from collector.settings.problems import Problem


class Lock(Settings):
    """A mapping with a secret."""

    holds_secrets: ClassVar[bool] = True

    code: Annotated[SecretStr, SECRET] | None = None
    """The code."""


class Door(Settings):
    """An entry of a list."""

    name: Annotated[str, LABEL]
    """Its name."""
    side: Literal["left", "right"]
    """Where it is."""
    width: Annotated[int, whole(1, 9)] = 2
    """How wide it is."""
    lock: Lock | None = None
    """How it is locked."""
    in_: Annotated[tuple[Annotated[str, LABEL], ...], Field(alias="in")] = ()
    """The walls it is in."""
    signs: dict[str, str | None] = Field(default_factory=dict)
    """What is written on it."""

    @classmethod
    def as_written(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find signs that say nothing."""
        signs = written.get("signs")
        if isinstance(signs, dict) and None in signs.values():
            yield Problem("signs", "says nothing")

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find narrow doors with a lock."""
        if "lock" in written and written.get("width") == 1:
            yield Problem("width", "too narrow for a lock")
            yield Problem("", "cannot be built")


class House(Settings):
    """The whole."""

    doors: Annotated[tuple[Door, ...], Field(min_length=1, max_length=13)]
    """Its doors."""
    tags: Annotated[tuple[Annotated[str, LABEL], ...], OneOrMany()] = ()
    """Its tags."""
    notes: dict[Annotated[str, LABEL], Annotated[str, LABEL]] = Field(default_factory=dict)
    """Notes."""


DOOR = {"name": "front", "side": "left"}
ACCEPTED = "name, side, width, lock, in, signs"


def problems(tree, known=()):
    settings, found = check(House, tree, known)
    assert (settings is None) == bool(found)
    return [str(problem) for problem in found]


def test_settings_without_problem_are_read():
    """What is blank is at its default."""
    settings, found = check(House, {"doors": [{**DOOR, "width": None, "lock": {"code": ""}}]})
    assert found == []
    assert settings == House(doors=(Door(name="front", side="left"),))
    assert settings.doors[0].width == 2
    assert settings.doors[0].lock is None


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({}, [f"doors: is missing; accepted: a list of mappings with {ACCEPTED}"]),
        ({"doors": []}, ["doors: is empty; accepted: at least 1"]),
        ({"doors": [DOOR] * 14}, ["doors: has too many entries; accepted: at most 13"]),
        ({"doors": DOOR}, ["doors: a mapping where a list is expected"]),
        ({"doors": ["front"]}, ["doors[0]: a text where a mapping is expected"]),
        (
            {"doors": [{}, {"width": 1}]},  # an entry without anything is not there
            [
                "doors[0].name: is missing; accepted: 1 to 64 letters, digits, '_', '.' and '-'",
                "doors[0].side: is missing; accepted: left, right",
            ],
        ),
        (
            {"doors": [{**DOOR, "side": "up"}]},
            ["doors[0].side: 'up' is not one of the choices; accepted: 'left' or 'right'"],
        ),
        (
            {"doors": [{**DOOR, "side": "rigth"}]},
            [
                (
                    "doors[0].side: 'rigth' is not one of the choices (did you mean 'right'?); "
                    "accepted: 'left' or 'right'"
                ),
            ],
        ),
        (
            {"doors": [{**DOOR, "width": 10}]},
            ["doors[0].width: 10 is too large; accepted: 1 to 9"],
        ),
        (
            {"doors": [{**DOOR, "widht": 1}]},
            ["doors[0].widht: unknown setting 'widht'; did you mean 'width'?"],
        ),
        (
            {"doors": [{**DOOR, "zzz": ""}]},  # a blank setting must be a known one too
            [f"doors[0].zzz: unknown setting 'zzz'; accepted: {ACCEPTED}"],
        ),
        (
            {"doors": [DOOR], "tags": "a b"},
            ["tags: 'a b' is not a name; accepted: 1 to 64 letters, digits, '_', '.' and '-'"],
        ),
        (
            {"doors": [DOOR], "tags": ["a", "b c"]},
            ["tags[1]: 'b c' is not a name; accepted: 1 to 64 letters, digits, '_', '.' and '-'"],
        ),
        ({"doors": [DOOR], "notes": "a"}, ["notes: a text where a mapping is expected"]),
        (
            {"doors": [DOOR], "notes": {"a\nb": "c"}},
            [r"notes.…: 'a\nb' is not a name; accepted: 1 to 64 letters, digits, '_', '.' and '-'"],
        ),
        (
            {"doors": [{**DOOR, "width": 1, "lock": {"code": "x"}}]},
            ["doors[0].width: too narrow for a lock", "doors[0]: cannot be built"],
        ),
    ],
)
def test_each_problem_is_told_with_its_path(tree, told):
    """In an operator's words."""
    assert problems(tree) == told


def test_all_problems_are_told_in_the_order_of_the_declaration():
    """No kind of problem hides another, in the same mapping or elsewhere."""
    tree = {
        "tags": 5,
        "colour": "red",
        "doors": [
            {"name": "a b", "side": "left", "width": 1, "lock": {"code": "x", "kode": "y"}},
            {"side": "up"},
        ],
    }
    assert [problem.partition(":")[0] for problem in problems(tree)] == [
        "colour",
        "doors[0].lock.kode",
        "doors[0].width",
        "doors[0]",
        "doors[0].name",
        "doors[1].name",
        "doors[1].side",
        "tags",
    ]


def test_entries_are_told_in_their_order():
    """Also beyond the ninth, and whatever is wrong with them."""
    tree = {"doors": [{**DOOR, "width": 0}] * 11 + [{**DOOR, "x": 1}] * 2}
    paths = [problem.partition(":")[0] for problem in problems(tree)]
    assert paths == [
        *(f"doors[{index}].width" for index in range(11)),
        *(f"doors[{index}].x" for index in (11, 12)),
    ]


def test_nothing_else_is_told_of_a_value_that_is_known_to_be_wrong():
    """An unset variable is not an unknown choice too."""
    known = [Problem("doors[0].side", "the variable SIDE is not set")]
    tree = {"doors": [{**DOOR, "side": "${SIDE}", "width": 0}]}
    assert problems(tree, known) == [
        "doors[0].side: the variable SIDE is not set",
        "doors[0].width: 0 is too small; accepted: 1 to 9",
    ]


@pytest.mark.parametrize(
    "lock", ["s3cret", ["s3cret"], {"s3cret": 1}, {"s3cret": None}, {"code": {"s3cret": 1}}]
)
def test_a_misplaced_secret_is_not_shown(lock):
    """Not even as the name of a setting."""
    told = problems({"doors": [{**DOOR, "lock": lock}]})
    assert len(told) == 1
    assert told[0].startswith("doors[0].lock")
    assert "s3cret" not in told[0]


def test_settings_cannot_be_changed():
    """They are handed around."""
    settings, _ = check(House, {"doors": [DOOR]})
    with pytest.raises(ValueError, match="frozen"):
        settings.tags = ("a",)


def test_the_model_below_a_setting_is_found():
    """In a list, behind None, or nowhere."""
    assert child(House.model_fields["doors"]) is Door
    assert child(Door.model_fields["lock"]) is Lock
    assert child(Door.model_fields["side"]) is None


def test_a_setting_may_have_a_name_that_python_lacks():
    """It is read, told and written by the name it has in a file."""
    settings, _ = check(House, {"doors": [{**DOOR, "in": ["north"]}]})
    assert settings.doors[0].in_ == ("north",)
    assert settings.model_dump()["doors"][0]["in"] == ("north",)
    assert list(declared(Door)) == ["name", "side", "width", "lock", "in", "signs"]
    assert problems({"doors": [{**DOOR, "in": ["a b"]}]}) == [
        "doors[0].in[0]: 'a b' is not a name; accepted: 1 to 64 letters, digits, '_', '.' and '-'"
    ]
    assert problems({"doors": [{**DOOR, "in_": ["north"]}]}) == [
        "doors[0].in_: unknown setting 'in_'; did you mean 'in'?"
    ]


def test_a_blank_may_be_a_mistake():
    """Where a mapping says so; elsewhere it counts as not written."""
    blank = {**DOOR, "width": None, "signs": {"a": None}}
    assert problems({"doors": [None, blank]}) == ["doors[1].signs: says nothing"]
