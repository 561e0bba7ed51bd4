"""The kernel by itself: what it takes for a value, and what it writes of one.

Wherever it writes something, Python's way of the same is the measure; where it does not, that way
is taken, so nothing has to be written.
"""

from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.events.translation import Translator
from collector.parsers import cef
from collector.parsers.convert import boolean, collected, distinct, epoch_ms, ip, iso_date, number
from collector.parsers.shapes import compiled
from collector.syslog.message import KeyName, envelope
from tests.peers import require_kernel
from tests.shapes import TEXTS, VALUES, cef_value

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel

NO_ENVELOPE = (None, None, None, None)
SEEDS = st.integers(0, 2**32 - 1)
JSON_TEXTS = st.one_of(st.sampled_from(TEXTS), st.text(max_size=20))


if compiled.IS_THERE:
    # What stands before and behind a value.
    ENDS = {
        kernel.FIELD: (b"a=", b" b="),
        kernel.FIELD_AS_IS: (b"a=", b" b="),
        kernel.TEXT: (b'"', b'"'),
    }


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


def learn(tree, kind, *pieces, operations=(), constant=None, ends=None):
    """Have a tree know one shape: a value of a kind between two signs."""
    before, behind = ends or ENDS.get(kind, (b"<", b">"))
    program = kernel.Program([kind, kernel.END], [*operations], [*pieces])
    tree.add([(before, kind, constant), (behind, kernel.END, None)], program)


def empty():
    """Return a tree that knows nothing."""
    return kernel.Tree(orjson.loads, cef.unescape)


def tree(kind, *pieces, **how):
    """Return a tree that knows one shape."""
    made = empty()
    learn(made, kind, *pieces, **how)
    return made


def translate(tree, octets):
    return tree.translate(octets, NO_ENVELOPE)


def written(kind, way, octets, *, quoted=False, convert=None):
    """Return what is written of a value."""
    quote = b'"' if quoted else b""
    begin = kernel.Piece(quote, way, 0, 0, convert)
    end = kernel.Piece(quote, kernel.CONSTANT)
    before, behind = ENDS.get(kind, (b"<", b">"))
    return translate(tree(kind, begin, end), before + octets + behind)


def loaded(octets):
    """Return what octets are as JSON, in a list; nothing if they are none."""
    try:
        return [orjson.loads(octets)]
    except orjson.JSONDecodeError:
        return []


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_json(value):
    """What is taken for one, the general way reads without repair."""
    if translate(tree(kernel.VALUE), b"<%b>" % value.encode()) is not None:
        assert loaded(value.encode())


@given(SEEDS)
def test_any_value_is_json(seed):
    """Also one that is damaged."""
    random = Random(seed)
    value = random.choice(VALUES)
    at = random.randrange(len(value) + 1)
    value = value[:at] + random.choice(("", *' \t\n"\\,:[]{}0-.e9', "null")) + value[at + 1 :]
    if translate(tree(kernel.VALUE), b"<%b>" % value.encode()) is not None:
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
    assert translate(tree(kernel.VALUE), b"<%b>" % value) == b""


@pytest.mark.parametrize("kind", ["TEXT", "INTEGER", "BOOLEAN"])
@given(SEEDS)
def test_scalars_are_written_as_orjson_does(kind, seed):
    """A text in its one form, a number and a boolean as they are."""
    random = Random(seed)
    number_of = getattr(kernel, kind)
    quoted = kind == "TEXT"
    octets = orjson.dumps(random.choice(TEXTS)) if quoted else random.choice(VALUES).encode()
    if quoted and random.random() < 0.5:
        octets = random.choice([value for value in VALUES if value[0] == '"']).encode()
    octets = octets[1:-1] if quoted else octets
    found = written(number_of, kernel.QUOTED, octets, quoted=quoted)
    if found is not None:
        [value] = loaded(b'"%b"' % octets if quoted else octets)
        assert found == orjson.dumps(value)
        assert value != ""


@pytest.mark.parametrize(
    "octets", [b"", b"\\ud83d", b"\\ude00", b"\\ud83d\\u0041", b"\\x", b"a\nb", b"\\"]
)
def test_no_texts(octets):
    """Empty ones, lone halves, unknown escapes, control characters."""
    assert written(kernel.TEXT, kernel.QUOTED, octets) is None


@pytest.mark.parametrize(
    "octets", [b"-0", b"01", b"1.0", b"1e1", b"1E1", b"", b"-", b"+1", b"1" * 19]
)
def test_no_integers(octets):
    """What is not written as everybody writes it."""
    assert written(kernel.INTEGER, kernel.BARE, octets) is None


CONVERSIONS = {"WHOLE": number, "FLAG": boolean, "EPOCH": epoch_ms, "DATE": iso_date, "ADDRESS": ip}


@pytest.mark.parametrize("way", CONVERSIONS)
@given(st.one_of(st.sampled_from(TEXTS), st.text("0123456789-+:.TZtz ", min_size=1, max_size=32)))
def test_a_way_writes_what_its_conversion_yields(way, text):
    """Or nothing, and the conversion is asked."""
    octets = orjson.dumps(text)[1:-1]
    found = written(kernel.TEXT, getattr(kernel, way), octets)
    if found is not None:
        assert found == orjson.dumps(CONVERSIONS[way](text))


@given(
    st.dates().map(str),
    st.times().map(str),
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+01:00", "", "Zx", "0Z", "0000Z"]),
)
def test_every_date_is_written_as_its_conversion_does(date, time, zone):
    """With any fraction."""
    text = f"{date}T{time}{zone}"
    found = written(kernel.TEXT, kernel.DATE, text.encode())
    assert found is None or found == orjson.dumps(iso_date(text))


@given(st.one_of(st.integers(0, 10**15 - 1), st.integers(253402300799000, 253402300801000)))
def test_every_time_in_milliseconds_is_written_as_its_conversion_does(milliseconds):
    """To the end of the year 9999."""
    found = written(kernel.TEXT, kernel.EPOCH, b"%d" % milliseconds)
    expected = epoch_ms(milliseconds)
    assert found == (None if expected is None else orjson.dumps(expected))


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
    assert written(kernel.TEXT, getattr(kernel, way), text.encode()) is not None


def test_a_conversion_is_asked_where_the_way_is_not_known():
    """With the value; if it yields nothing, there is no event."""
    asked = []

    def convert(value):
        asked.append(value)
        return None if value == "no" else b"5"

    assert written(kernel.TEXT, kernel.WHOLE, b"\\u0034", convert=convert) == b"5"
    assert written(kernel.TEXT, kernel.WHOLE, b"no", convert=convert) is None
    assert asked == ["4", "no"]


@given(SEEDS)
def test_a_field_is_what_the_parser_says(seed):
    """Its end, and its escapes undone."""
    value = cef_value(Random(seed))
    text = f"CEF:0|V|P|1|3|N|5|a={value} b="
    found = written(kernel.FIELD, kernel.UNESCAPED, value.encode(), quoted=True)
    if found is not None:
        parts = cef.split(text)
        assert (list(parts.keys), parts.tags) == (["a", "b"], ())
        assert found == orjson.dumps(cef.unescape(parts.values[0]))
        assert value not in ("", "-", "None")


@given(st.text('a"\\=|nr\n\x01é', min_size=1, max_size=12))
def test_the_octets_of_a_field_are_written_as_orjson_does(value):
    """With its escapes, which are escaped once more."""
    found = written(kernel.FIELD_AS_IS, kernel.RAW, value.encode(), quoted=True)
    assert found is None or found == orjson.dumps(value)


@given(st.text('a"\\=|nr', min_size=1, max_size=12))
def test_quotes_are_left_out(value):
    """Unless nothing is left."""
    found = written(kernel.FIELD, kernel.UNQUOTED, value.encode())
    if found is not None:
        assert found == orjson.dumps(cef.unescape(value).replace('"', ""))
        assert found != b'""'


@given(st.lists(JSON_TEXTS.filter(bool), min_size=1, max_size=16))
def test_lists_are_written_as_their_conversions_yield_them(texts):
    """In order, or sorted and each once."""
    for way, conversion in ((kernel.LISTED, collected), (kernel.SORTED, distinct)):

        def convert(values, conversion=conversion):
            return orjson.dumps(conversion(*values))

        made = empty()
        slots = tuple(range(len(texts)))
        program = kernel.Program(
            [*([kernel.TEXT] * len(texts)), kernel.END],
            [],
            [kernel.Piece(b"", way, 0, 0, convert, slots)],
        )
        begins = [b'"', *[b'","'] * (len(texts) - 1)]
        steps = [(literal, kernel.TEXT, None) for literal in begins]
        made.add([*steps, (b'"', kernel.END, None)], program)
        found = translate(made, b",".join(map(orjson.dumps, texts)))
        assert found == orjson.dumps(conversion(*texts))


def remembering(tree, function, identity, **how):
    """Have a tree know a shape whose event is what a function of a text returns."""
    operation = kernel.Operation(function, [(kernel.SLOT, 0)], (0,), identity)
    leaf = kernel.Piece(b"", kernel.LEAF, 0, 1)
    learn(tree, kernel.TEXT, leaf, operations=[operation], **how)


def test_results_are_remembered():
    """By what they follow from, unless that is long."""
    asked = []

    def function(value):
        asked.append(value)
        return value, orjson.dumps(len(value))

    made = empty()
    remembering(made, function, b"one")
    texts = ["abc", "x" * 193, "abc", "x" * 193]
    assert [translate(made, orjson.dumps(text)) for text in texts] == [b"3", b"193"] * 2
    assert asked == ["abc", "x" * 193, "x" * 193]


def test_shapes_share_what_is_remembered():
    """Where operations are the same."""
    made = empty()
    remembering(made, lambda value: (value, b"1"), b"one")
    remembering(made, lambda value: (value, b"2"), b"one", ends=(b"<", b'"'))
    remembering(made, lambda value: (value, b"3"), b"other", ends=(b"=", b'"'))
    assert [translate(made, message) for message in (b'"a"', b'<a"', b'=a"')] == [b"1", b"1", b"3"]


def test_what_is_remembered_is_bounded():
    """Whatever comes, in however many shapes."""
    made = empty()
    for shape in range(40):
        remembering(made, lambda value: (value, b"1"), b"%d" % shape, ends=(b"%d:" % shape, b'"'))
    for number_of in range(1000):
        for shape in range(40):
            assert translate(made, b'%d:%d"' % (shape, number_of)) == b"1"
    assert 0 < made.results <= 16_384


def test_shapes_of_one_outline_are_tried_one_after_the_other():
    """Up to a few; the oldest goes."""
    made = empty()
    for wanted in range(20):

        def only(value, wanted=wanted):
            return (value, b"%d" % wanted) if value == str(wanted) else None

        remembering(made, only, b"%d" % wanted)
    assert [translate(made, b'"%d"' % number_of) for number_of in (19, 12, 11)] == [
        b"19",
        b"12",
        None,
    ]


def test_a_value_is_tried_last():
    """Else it would hide every shape whose value has a kind."""
    made = empty()
    learn(made, kernel.VALUE, kernel.Piece(b"any", kernel.CONSTANT))
    learn(made, kernel.INTEGER, kernel.Piece(b"integer", kernel.CONSTANT))
    assert translate(made, b"<1>") == b"integer"
    assert translate(made, b"<1.5>") == b"any"


def test_a_value_that_belongs_to_the_shape_comes_first():
    """Any other value goes on elsewhere."""
    made = empty()
    learn(made, kernel.TEXT, kernel.Piece(b"this", kernel.CONSTANT), constant=b"a")
    learn(made, kernel.TEXT, kernel.Piece(b"other", kernel.CONSTANT))
    found = [translate(made, message) for message in (b'"a"', b'"b"', b'""')]
    assert found == [b"this", b"other", None]


def test_literals_and_nodes_are_counted():
    """They are what memory goes to."""
    made = tree(kernel.VALUE, kernel.Piece(b"xyz", kernel.CONSTANT))
    assert (made.nodes, made.octets) == (3, 5)


def test_a_piece_of_the_envelope_has_to_be_there():
    """A sender without an address has no event that shows it."""
    made = tree(kernel.VALUE, kernel.Piece(b"x", kernel.ENVELOPE, 2))
    assert made.translate(b"<1>", (None, None, b'"p"', None)) == b'x"p"'
    assert made.translate(b"<1>", NO_ENVELOPE) is None


@pytest.mark.parametrize(
    ("kinds", "steps"),
    [
        ("MARK", [(b"", "MARK", None)]),
        ("END", [(b"", "MARK", None)]),
        ("MARK END", [(b"", "END", None)]),
        ("END END", [(b"", "END", None)] * 2),
    ],
)
def test_steps_are_those_of_the_program(kinds, steps):
    """And lead to the end."""
    program = kernel.Program([getattr(kernel, kind) for kind in kinds.split()], [], [])
    with pytest.raises(ValueError, match="steps"):
        empty().add([(at, getattr(kernel, kind), fixed) for at, kind, fixed in steps], program)


def operation(*arguments, depends=(0,)):
    return kernel.Operation(lambda *_: None, [*arguments], depends, b"")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ([kernel.MARK] * (kernel.MAX_SLOTS + 1), [], []),
        lambda: ([kernel.TEXT], [], [kernel.Piece(b"", kernel.RAW, 1)]),
        lambda: ([kernel.TEXT], [], [kernel.Piece(b"", kernel.RAW, -1)]),
        lambda: ([kernel.TEXT], [], [kernel.Piece(b"", kernel.LEAF, 0, 1)]),
        lambda: ([kernel.TEXT], [], [kernel.Piece(b"", kernel.ENVELOPE, 4)]),
        lambda: ([kernel.TEXT], [], [kernel.Piece(b"", kernel.LISTED, 0, 0, None, (1,))]),
        lambda: ([kernel.TEXT], [], [kernel.Piece(b"", kernel.LISTED, 0, 0, None, (0,) * 17)]),
        lambda: ([kernel.TEXT], [operation((kernel.SLOT, 1))], []),
        lambda: ([kernel.TEXT], [operation((kernel.RESULT, 0))], []),
        lambda: ([kernel.TEXT], [operation((kernel.SPAN, 0, 1))], []),
        lambda: ([kernel.TEXT] * 2, [operation((kernel.SPAN, 1, 0))], []),
        lambda: ([kernel.TEXT], [operation((kernel.SLOT, 0), depends=(1,))], []),
    ],
)
def test_a_program_asks_for_what_is_there(make):
    """Or it would read what is not its own."""
    with pytest.raises(ValueError, match="is none of"):
        kernel.Program(*make())


def test_an_event_does_not_ask_for_another():
    """It would be written over."""
    made = empty()
    asked = []

    def function(value):
        asked.append(translate(made, b'"y"'))
        return value, b"1"

    remembering(made, function, b"one")
    assert (translate(made, b'"x"'), asked) == (b"1", [None])


def test_large_messages_are_written_whole():
    """16 MiB, all of which has to be escaped; the room for it is given back."""
    value = b"\\\\" * (8 * 1024 * 1024)
    found = written(kernel.FIELD_AS_IS, kernel.RAW, value, quoted=True)
    assert found == b'"%b"' % (value * 2)


HEAD = b"<134>1 2026-01-02T03:04:05.678Z host app 12 id "
FREE = st.sampled_from(
    [
        *(
            b"-",
            b"a",
            b"h\xc3\xa9",
            b"\xff",
            b"a\x7f",
            b"a\x01",
            b"",
            b"x" * 1024,
            b"x" * 1025,
            b"[a]",
            b"a b",
        ),
        *(b"<1>", b"1", b'"', b"\xef\xbb\xbf"),
    ]
)
STAMPS = st.sampled_from(
    [
        *(
            b"-",
            b"2026-01-02T03:04:05Z",
            b"2026-01-02T03:04:05.1Z",
            b"2026-01-02T03:04:05.123456789Z",
        ),
        *(
            b"2026-01-02T03:04:05.1234567890Z",
            b"2026-01-02T03:04:05+01:00",
            b"2026-01-02T03:04:05+0100",
        ),
        *(
            b"2026-01-02T03:04:05",
            b"2026-01-02t03:04:05z",
            b"2026-99-99T99:99:99Z",
            b"Jan  2 03:04:05",
            b"--",
        ),
        *(b"2026-01-02T03:04:05.Z", b"2026-01-02T03:04:05,1Z", b"2026-01-02T03:04:05-99:99", b""),
    ]
)
PRIS = st.sampled_from(
    [b"0", b"7", b"13", b"134", b"191", b"192", b"999", b"1000", b"00", b"013", b"", b"-1", b"1a"]
)
DATA = st.sampled_from(
    [
        *(
            b"-",
            b"[a]",
            b'[a b="c"]',
            b'[a b="c"][d e="f"]',
            b'[a b="c" b="d"]',
            b'[a b="\\"\\]\\\\"]',
        ),
        *(
            b'[SEKOIA@53288 intake_key="k"]',
            b'[x y="z"][SEKOIA@53288 intake_key="k"]',
            b'[a b="]"]',
            b"[a b=c]",
        ),
        *(
            b'[a b="c"] [d e="f"]',
            b"--",
            b"",
            b'[SEKOIA@53288 intake_key="k" intake_key="l"]',
            b'[a b="\xff"]',
        ),
    ]
)
TAILS = st.sampled_from(
    [b"text", b" text", b"", b"\xef\xbb\xbftext", b"[a] text", b"<13>1 - - - - - - x", b"7 x", b"]"]
)
BLANKS = st.sampled_from([b" ", b"", b"  ", b"\t"])
VERSIONS = st.sampled_from([b"1 ", b"1", b"2 ", b"1  ", b""])


@st.composite
def frames(draw):
    """Headers of every kind with something behind them, most of them right."""
    words = [draw(st.one_of(st.just(b"w"), FREE)) for _ in range(4)]
    stamp = draw(st.one_of(st.just(b"-"), STAMPS))
    pri = draw(st.one_of(st.just(b"13"), PRIS))
    head = b"<%b>%b%b %b " % (
        pri,
        draw(st.one_of(st.just(b"1 "), VERSIONS)),
        stamp,
        b" ".join(words),
    )
    return head + draw(DATA) + draw(st.one_of(st.just(b" "), BLANKS)) + draw(TAILS)


@given(frames(), frames())
def test_a_header_that_ends_alike_says_the_same(one, other):
    """The same key, and the text begins where the octets end."""
    name = KeyName()
    key, text = envelope(one, name)
    tail = Translator.tail_of(one, text)
    if not tail:
        return
    for frame in (one, other):
        start = kernel.after_tail(frame, tail)
        if start >= 0:
            found_key, found_text = envelope(frame, name)
            assert found_key == key
            assert name.mask(frame[start:]).decode("utf-8", "replace") == found_text or (
                frame[start:].startswith(b"\xef\xbb\xbf")
            )


@pytest.mark.parametrize(
    ("data", "takes"),
    [(b"- ", True), (b'[a b="c"] ', True), (b'[a b="c"]', False), (b"", False)],
)
def test_the_end_of_a_header_is_known_by_a_blank(data, takes):
    """Without one, what follows may belong to it."""
    frame = HEAD + data + b"text"
    tail = Translator.tail_of(frame, envelope(frame, KeyName())[1])
    assert tail == (data if takes else b"")
    assert not takes or kernel.after_tail(frame, tail) == len(frame) - 4
