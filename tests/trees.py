"""Trees of tests: few shapes of one value."""

import orjson

from collector.parsers import cef
from collector.parsers.shapes import compiled
from collector.parsers.shapes.codes import Kind, Way

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel

NO_ENVELOPE = (None, None, None, None)

# What stands before and behind a value.
ENDS = {
    Kind.FIELD: (b"a=", b" b="),
    Kind.FIELD_AS_IS: (b"a=", b" b="),
    Kind.TEXT: (b'"', b'"'),
}


def learn(tree, kind, *pieces, operations=(), constant=None, ends=None):
    """Have a tree know one shape: a value of a kind between two signs."""
    before, behind = ends or ENDS.get(kind, (b"<", b">"))
    program = kernel.Program([kind, Kind.END], [*operations], [*pieces])
    tree.add([(before, kind, constant), (behind, Kind.END, None)], program)


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
    end = kernel.Piece(quote, Way.CONSTANT)
    before, behind = ENDS.get(kind, (b"<", b">"))
    return translate(tree(kind, begin, end), before + octets + behind)


def loaded(octets):
    """Return what octets are as JSON, in a list; nothing if they are none."""
    try:
        return [orjson.loads(octets)]
    except orjson.JSONDecodeError:
        return []
