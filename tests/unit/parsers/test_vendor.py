"""One record of a vendor is all a parser is made of: a vendor that does not exist."""

import pytest

from collector.parsers.base import ParseError
from collector.parsers.convert import keywords
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table
from collector.parsers.vendor import Vendor


def decode(raw):
    """Read `key=value;key=value`, with a mark for what is damaged."""
    if "=" not in raw:
        raise ParseError("not_toy", "not a toy message")
    tags = ("repaired:end",) if raw.endswith("!") else ()
    return raw, dict(pair.split("=", 1) for pair in raw.rstrip("!").split(";")), tags


TOY = Vendor(
    Table(
        "toy",
        (
            Rule("message", WHOLE_INPUT),
            Rule("host.name", "host", profile="documented"),
            Rule("host.hostname", "host", profile="ecs"),
            Rule("tags", "marks", keywords),
        ),
        flat=True,
    ),
    decode,
)


def test_a_message_is_decoded_and_mapped():
    """In the shape of the profile."""
    assert TOY.parser("ecs")("host=a;b=c") == {
        "message": "host=a;b=c",
        "host": {"hostname": "a"},
    }
    assert TOY.parser("documented")("host=a")["host"] == {"name": "a", "hostname": "a"}


def test_repairs_are_tags_of_the_event():
    """Of this event only."""
    parse = TOY.parser("ecs")
    event = parse("host=a!")
    assert event["tags"] == ["repaired:end"]
    event["tags"].append("more")
    assert parse("host=a!")["tags"] == ["repaired:end"]
    assert "tags" not in parse("host=a")
    assert parse("marks=one!")["tags"] == ["one", "repaired:end"]


def test_what_cannot_be_decoded_is_a_parse_error():
    """Which the parser hands on."""
    with pytest.raises(ParseError, match="not a toy message"):
        TOY.parser("ecs")("nothing")
