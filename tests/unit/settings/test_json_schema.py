"""The JSON schema of declared settings."""

from datetime import UTC, tzinfo
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import Field

from collector.settings.checking import Settings
from collector.settings.json_schema import json_schema
from collector.settings.kinds import LABEL, TIMEZONE, OneOrMany, duration, size, whole


class Wheel(Settings):
    """One of the wheels."""

    radius: Annotated[int, size(1, 1024)] = 1024
    """How large it is."""


class Cart(Settings):
    """The whole."""

    name: Annotated[str, LABEL]
    """Its name."""
    speed: Annotated[int, whole(1, 9)] = 3
    """How fast it is."""
    rest: Annotated[float, duration("1s", "1h")] | None = None
    """How long it rests."""
    zone: Annotated[tzinfo, TIMEZONE] = UTC
    """Where it is."""
    wheels: Annotated[tuple[Wheel, ...], Field(min_length=1)] = (Wheel(),)
    """Its wheels."""
    spare: Wheel = Wheel()
    """Another wheel."""
    loads: Annotated[tuple[Literal["hay", "wood"], ...], OneOrMany()] = ("hay",)
    """What it carries."""
    marks: dict[str, Annotated[str, LABEL]] = Field(default_factory=dict)
    """What is written on it."""


SCHEMA = json_schema(Cart)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_a_valid_schema():
    """Of the dialect it names."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_help_and_defaults_are_told_as_a_user_writes_them():
    """Sizes and durations with their unit, mappings by their own settings."""
    properties = SCHEMA["properties"]
    assert properties["speed"] == {
        "description": "How fast it is.",
        "default": 3,
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 9},
            {"type": "string", "pattern": "^[0-9]{1,12}$", "description": "1 to 9"},
            {"$ref": "#/$defs/Unwritten"},
        ],
    }
    assert properties["rest"]["default"] is None
    assert properties["zone"]["default"] == "UTC"
    assert properties["spare"] == {
        "description": "Another wheel.",
        "anyOf": [{"$ref": "#/$defs/Wheel"}, {"$ref": "#/$defs/Unwritten"}],
    }
    assert SCHEMA["$defs"]["Wheel"]["properties"]["radius"]["default"] == "1KiB"


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "a"},
        {"name": "a", "speed": "3", "rest": "5m", "loads": "hay", "spare": {"radius": "1KiB"}},
        {"name": "a", "speed": "", "rest": None, "loads": ["hay", ""], "wheels": [{"radius": ""}]},
        {"name": "${NAME}", "speed": "${SPEED:-3}", "wheels": [{"radius": "${R}KiB"}]},
        {"name": "a", "marks": {"x": "y", "z": "${Z:-}"}},
    ],
)
def test_what_may_be_written_is_valid(settings):
    """Values, what counts as not written, and what the environment fills in."""
    VALIDATOR.validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"name": "a b"},
        {"name": "a", "sped": 3},
        {"name": "a", "speed": 10},
        {"name": "a", "speed": "fast"},
        {"name": "a", "rest": 5},
        {"name": "a", "rest": "5"},
        {"name": "a", "wheels": []},
        {"name": "a", "wheels": [{"radius": "1XB"}]},
        {"name": "a", "wheels": [{"spokes": 5}]},
        {"name": "a", "loads": ["coal"]},
        {"name": "a", "marks": {"x": "a b"}},
    ],
)
def test_what_is_wrong_in_itself_is_invalid(settings):
    """An editor can say so."""
    assert not VALIDATOR.is_valid(settings)
