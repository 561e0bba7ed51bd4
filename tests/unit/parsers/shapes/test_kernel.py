"""The kernel: shapes that are known, programs, and what is remembered."""

import orjson
import pytest

from collector.parsers.shapes import compiled
from collector.parsers.shapes.codes import Argument, Kind, Way
from tests.peers import require_kernel
from tests.trees import NO_ENVELOPE, empty, learn, translate, tree, written

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


def test_a_conversion_is_asked_where_the_way_is_not_known():
    """With the value; if it yields nothing, there is no event."""
    asked = []

    def convert(value):
        asked.append(value)
        return None if value == "no" else b"5"

    assert written(Kind.TEXT, Way.WHOLE, b"\\u0034", convert=convert) == b"5"
    assert written(Kind.TEXT, Way.WHOLE, b"no", convert=convert) is None
    assert asked == ["4", "no"]


def remembering(tree, function, identity, **how):
    """Have a tree know a shape whose event is what a function of a text returns."""
    operation = kernel.Operation(function, [(Argument.SLOT, 0)], (0,), identity)
    leaf = kernel.Piece(b"", Way.LEAF, 0, 1)
    learn(tree, Kind.TEXT, leaf, operations=[operation], **how)


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
    learn(made, Kind.VALUE, kernel.Piece(b"any", Way.CONSTANT))
    learn(made, Kind.INTEGER, kernel.Piece(b"integer", Way.CONSTANT))
    assert translate(made, b"<1>") == b"integer"
    assert translate(made, b"<1.5>") == b"any"


def test_a_value_that_belongs_to_the_shape_comes_first():
    """Any other value goes on elsewhere."""
    made = empty()
    learn(made, Kind.TEXT, kernel.Piece(b"this", Way.CONSTANT), constant=b"a")
    learn(made, Kind.TEXT, kernel.Piece(b"other", Way.CONSTANT))
    found = [translate(made, message) for message in (b'"a"', b'"b"', b'""')]
    assert found == [b"this", b"other", None]


def test_literals_and_nodes_are_counted():
    """They are what memory goes to."""
    made = tree(Kind.VALUE, kernel.Piece(b"xyz", Way.CONSTANT))
    assert (made.nodes, made.octets) == (3, 5)


def test_a_piece_of_the_envelope_has_to_be_there():
    """A sender without an address has no event that shows it."""
    made = tree(Kind.VALUE, kernel.Piece(b"x", Way.ENVELOPE, 2))
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
    program = kernel.Program([Kind[kind] for kind in kinds.split()], [], [])
    with pytest.raises(ValueError, match="steps"):
        empty().add([(at, Kind[kind], fixed) for at, kind, fixed in steps], program)


def operation(*arguments, depends=(0,)):
    return kernel.Operation(lambda *_: None, [*arguments], depends, b"")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ([Kind.MARK] * (kernel.MAX_SLOTS + 1), [], []),
        lambda: ([max(Kind) + 1], [], []),
        lambda: ([Kind.TEXT], [], [kernel.Piece(b"", max(Way) + 1)]),
        lambda: ([Kind.TEXT], [], [kernel.Piece(b"", Way.RAW, 1)]),
        lambda: ([Kind.TEXT], [], [kernel.Piece(b"", Way.RAW, -1)]),
        lambda: ([Kind.TEXT], [], [kernel.Piece(b"", Way.LEAF, 0, 1)]),
        lambda: ([Kind.TEXT], [], [kernel.Piece(b"", Way.ENVELOPE, 4)]),
        lambda: ([Kind.TEXT], [], [kernel.Piece(b"", Way.LISTED, 0, 0, None, (1,))]),
        lambda: ([Kind.TEXT], [], [kernel.Piece(b"", Way.LISTED, 0, 0, None, (0,) * 17)]),
        lambda: ([Kind.TEXT], [operation((Argument.SLOT, 1))], []),
        lambda: ([Kind.TEXT], [operation((Argument.RESULT, 0))], []),
        lambda: ([Kind.TEXT], [operation((Argument.SPAN, 0, 1))], []),
        lambda: ([Kind.TEXT] * 2, [operation((Argument.SPAN, 1, 0))], []),
        lambda: ([Kind.TEXT], [operation((Argument.SLOT, 0), depends=(1,))], []),
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
