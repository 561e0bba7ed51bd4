"""JSON messages taken apart."""

import pytest

from collector.parsers.paths import FIRST
from collector.parsers.shapes.json_outline import outline_of
from collector.parsers.shapes.outline import MAX_STEPS, Kind, UnfitError

READ = [("a",), ("o", "b"), ("whole",), ("list", FIRST, "c")]


def steps_of(text):
    return [(step.literal, step.kind, step.octets) for step in outline_of(text, READ).steps]


def values_of(text):
    return {path: source.value for path, source in outline_of(text, READ).sources.items()}


def kind_of(value):
    """Return the kind of what rules read."""
    kinds = [kind for _, kind, _ in steps_of(b'{"a":%b}' % value)[:-1]]
    return kinds[0] if kinds else None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *((b'"x"', Kind.TEXT), (b'"\\n"', Kind.TEXT), (b'""', None), (b"null", None)),
        *((b"0", Kind.INTEGER), (b"-12", Kind.INTEGER), (b"1" * 18, Kind.INTEGER)),
        *((b"1" * 19, Kind.VALUE), (b"-0", Kind.VALUE), (b"1.0", Kind.VALUE), (b"1e3", Kind.VALUE)),
        *((b"true", Kind.BOOLEAN), (b"false", Kind.BOOLEAN), (b"[1]", Kind.VALUE)),
    ],
)
def test_what_rules_read_has_a_kind(value, kind):
    """Null and the empty text belong to the shape."""
    assert kind_of(value) == kind


def test_what_no_rule_reads_is_any_value():
    """Messages that differ there are of one shape."""
    expected = [(b'{"x":', Kind.VALUE, b'{"y":[1,"}"]}'), (b"}", Kind.END, b"")]
    assert steps_of(b'{"x":{"y":[1,"}"]}}') == expected


def test_the_steps_are_the_message():
    """Blanks and line feeds too."""
    text = b' {\n "a" : "x" , "o":{ "b" : 1 },"whole":{"p":{"q":true}},"z":[{}]}\n '
    assert b"".join(literal + octets for literal, _, octets in steps_of(text)) == text


def test_objects_that_are_read_as_a_whole_stand_between_marks():
    """With a slot for each value in them."""
    assert steps_of(b'{"whole":{"p":"q"}}') == [
        (b'{"whole":', Kind.MARK, b""),
        (b'{"p":"', Kind.TEXT, b"q"),
        (b'"}', Kind.MARK, b""),
        (b"}", Kind.END, b""),
    ]
    outline = outline_of(b'{"whole":{"p":"q"}}', READ)
    assert outline.sources["whole",].value == {"p": "q"}
    assert outline.sources["whole",].slots == (1,)


def test_values_are_found_by_their_paths():
    """A list is one value, whatever in it is read."""
    text = b'{"a":5,"o":{"b":null,"x":1},"list":[{"c":2}]}'
    assert values_of(text) == {
        ("a",): 5,
        ("o", "b"): None,
        ("o", "x"): 1,
        ("list",): [{"c": 2}],
    }


@pytest.mark.parametrize(
    "text",
    [
        *(
            b'{"a":1,"a":2}',
            b'{"a":1,"\\u0061":2}',
            b'{"o":{"b":1,"b":1}}',
            b'{"[0]":1}',
            b"[1]",
            b"{",
        ),
        *(b'{"a":1', b'{"a":"x', b'{"x":[1', b'{"a":[[1]', b'{"x":{"y":1}', b"", b"7"),
        b'{"whole":' + b'{"p":' * 20 + b"1" + b"}" * 21,
        b"{" + b",".join(b'"n%d":1' % number for number in range(MAX_STEPS)) + b"}",
    ],
)
def test_of_some_no_shape_is_made(text):
    """Names that come twice, cut ones, deep ones, large ones."""
    with pytest.raises(UnfitError):
        outline_of(text, READ)
