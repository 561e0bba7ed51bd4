"""Where values end: what is taken for one, and what is not."""

from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import cef
from collector.parsers.shapes import compiled
from collector.parsers.shapes.codes import Kind, Way
from tests.peers import require_kernel
from tests.shapes import VALUES, cef_value
from tests.trees import loaded, translate, tree, written

if compiled.IS_THERE:
    pass

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_json(value):
    """What is taken for one, the general way reads without repair."""
    if translate(tree(Kind.VALUE), b"<%b>" % value.encode()) is not None:
        assert loaded(value.encode())


@given(SEEDS)
def test_any_value_is_json(seed):
    """Also one that is damaged."""
    random = Random(seed)
    value = random.choice(VALUES)
    at = random.randrange(len(value) + 1)
    value = value[:at] + random.choice(("", *' \t\n"\\,:[]{}0-.e9', "null")) + value[at + 1 :]
    if translate(tree(Kind.VALUE), b"<%b>" % value.encode()) is not None:
        assert loaded(value.encode())


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"0",
            b"-1",
            b"1.5",
            b"-0.0",
            b"null",
            b"true",
            b"false",
            b'""',
            b'"a\\"b"',
            b"[]",
            b"{}",
        ),
        *(
            b"[1, 2]",
            b'{ "a" : [ { } ] }',
            b'"\\ud83d\\ude00"',
            b"1" * 300,
            "é".encode().join([b'"'] * 2),
        ),
    ],
)
def test_ordinary_values_are_taken(value):
    """Or nothing would be quick."""
    assert translate(tree(Kind.VALUE), b"<%b>" % value) == b""


@pytest.mark.parametrize(
    "octets", [b"", b"\\ud83d", b"\\ude00", b"\\ud83d\\u0041", b"\\x", b"a\nb", b"\\"]
)
def test_no_texts(octets):
    """Empty ones, lone halves, unknown escapes, control characters."""
    assert written(Kind.TEXT, Way.QUOTED, octets) is None


@pytest.mark.parametrize(
    "octets", [b"-0", b"01", b"1.0", b"1e1", b"1E1", b"", b"-", b"+1", b"1" * 19]
)
def test_no_integers(octets):
    """What is not written as everybody writes it."""
    assert written(Kind.INTEGER, Way.BARE, octets) is None


@given(SEEDS)
def test_a_field_is_what_the_parser_says(seed):
    """Its end, and its escapes undone."""
    value = cef_value(Random(seed))
    text = f"CEF:0|V|P|1|3|N|5|a={value} b="
    found = written(Kind.FIELD, Way.UNESCAPED, value.encode(), quoted=True)
    if found is not None:
        parts = cef.split(text)
        assert (list(parts.keys), parts.tags) == (["a", "b"], ())
        assert found == orjson.dumps(cef.unescape(parts.values[0]))
        assert value not in ("", "-", "None")
