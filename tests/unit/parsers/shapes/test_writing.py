"""What is written of a value.

Wherever the kernel writes something, Python's way of the same is the measure; where it does not,
that way is taken, so nothing has to be written.
"""

from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import cef
from collector.parsers.convert import boolean, collected, distinct, epoch_ms, ip, iso_date, number
from collector.parsers.shapes import compiled
from collector.parsers.shapes.codes import Kind, Way
from tests.peers import require_kernel
from tests.shapes import TEXTS, VALUES
from tests.trees import empty, loaded, translate, written

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel

SEEDS = st.integers(0, 2**32 - 1)

JSON_TEXTS = st.one_of(st.sampled_from(TEXTS), st.text(max_size=20))


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


@pytest.mark.parametrize("kind", ["TEXT", "INTEGER", "BOOLEAN"])
@given(SEEDS)
def test_scalars_are_written_as_orjson_does(kind, seed):
    """A text in its one form, a number and a boolean as they are."""
    random = Random(seed)
    number_of = Kind[kind]
    quoted = kind == "TEXT"
    octets = orjson.dumps(random.choice(TEXTS)) if quoted else random.choice(VALUES).encode()
    if quoted and random.random() < 0.5:
        octets = random.choice([value for value in VALUES if value[0] == '"']).encode()
    octets = octets[1:-1] if quoted else octets
    found = written(number_of, Way.QUOTED, octets, quoted=quoted)
    if found is not None:
        [value] = loaded(b'"%b"' % octets if quoted else octets)
        assert found == orjson.dumps(value)
        assert value != ""


CONVERSIONS = {"WHOLE": number, "FLAG": boolean, "EPOCH": epoch_ms, "DATE": iso_date, "ADDRESS": ip}


@pytest.mark.parametrize("way", CONVERSIONS)
@given(st.one_of(st.sampled_from(TEXTS), st.text("0123456789-+:.TZtz ", min_size=1, max_size=32)))
def test_a_way_writes_what_its_conversion_yields(way, text):
    """Or nothing, and the conversion is asked."""
    octets = orjson.dumps(text)[1:-1]
    found = written(Kind.TEXT, Way[way], octets)
    if found is not None:
        assert found == orjson.dumps(CONVERSIONS[way](text))


@pytest.mark.parametrize(
    ("way", "text"),
    [
        ("WHOLE", "5"),
        ("FLAG", "True"),
        ("EPOCH", "0"),
        ("DATE", "2024-02-29T00:00:00Z"),
        ("ADDRESS", "1.2.3.4"),
    ],
)
def test_ordinary_texts_need_no_conversion(way, text):
    """That is what the ways are for."""
    assert written(Kind.TEXT, Way[way], text.encode()) is not None


@given(st.text('a"\\=|nr\n\x01é', min_size=1, max_size=12))
def test_the_octets_of_a_field_are_written_as_orjson_does(value):
    """With its escapes, which are escaped once more."""
    found = written(Kind.FIELD_AS_IS, Way.RAW, value.encode(), quoted=True)
    assert found is None or found == orjson.dumps(value)


@given(st.text('a"\\=|nr', min_size=1, max_size=12))
def test_quotes_are_left_out(value):
    """Unless nothing is left."""
    found = written(Kind.FIELD, Way.UNQUOTED, value.encode())
    if found is not None:
        assert found == orjson.dumps(cef.unescape(value).replace('"', ""))
        assert found != b'""'


@given(st.lists(JSON_TEXTS.filter(bool), min_size=1, max_size=16))
def test_lists_are_written_as_their_conversions_yield_them(texts):
    """In order, or sorted and each once."""
    for way, conversion in ((Way.LISTED, collected), (Way.SORTED, distinct)):

        def convert(values, conversion=conversion):
            return orjson.dumps(conversion(*values))

        made = empty()
        slots = tuple(range(len(texts)))
        program = kernel.Program(
            [*([Kind.TEXT] * len(texts)), Kind.END],
            [],
            [kernel.Piece(b"", way, 0, 0, convert, slots)],
        )
        begins = [b'"', *[b'","'] * (len(texts) - 1)]
        steps = [(literal, Kind.TEXT, None) for literal in begins]
        made.add([*steps, (b'"', Kind.END, None)], program)
        found = translate(made, b",".join(map(orjson.dumps, texts)))
        assert found == orjson.dumps(conversion(*texts))


def test_large_messages_are_written_whole():
    """16 MiB, all of which has to be escaped; the room for it is given back."""
    value = b"\\\\" * (8 * 1024 * 1024)
    found = written(Kind.FIELD_AS_IS, Way.RAW, value, quoted=True)
    assert found == b'"%b"' % (value * 2)
