"""Programs: the layout of an event, with a place for what differs."""

import orjson
import pytest

from collector.parsers import PARSERS, build
from collector.parsers.shapes import compiled
from collector.parsers.shapes.evaluation import evaluate
from collector.parsers.shapes.fields import leaves
from collector.parsers.shapes.programs import Place, layout_of, program_of
from tests.peers import require_kernel
from tests.shapes import samples

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


@pytest.mark.parametrize("vendor", ["cybereason", "harfanglab"])
def test_a_layout_has_the_fields_of_the_event_in_their_order(vendor):
    """What is the same in all events of the shape stands there as it is."""
    for text in samples(vendor):
        known, event = PARSERS[vendor], build(vendor)(text)
        outline = known.outline(text)
        evaluated = evaluate(known.table, "documented", outline, known.families)
        layout = layout_of(event, evaluated.fields)
        assert [path for path, _ in leaves(layout)] == [path for path, _ in leaves(event)]
        for (path, value), (_, held) in zip(leaves(event), leaves(layout), strict=True):
            assert held in (value, Place(path))


def test_a_program_writes_what_was_added_and_replaced():
    """A place that the operator's constant has taken is not written."""
    [text, *_] = samples("cybereason")
    known, event = PARSERS["cybereason"], build("cybereason")(text)
    outline = known.outline(text)
    evaluated = evaluate(known.table, "documented", outline, known.families)
    layout = layout_of(event, evaluated.fields)
    mine = "the id"
    layout["message"] = "mine"
    layout["event"]["id"] = mine
    tree = kernel.Tree(orjson.loads, lambda value: value)
    program = program_of(outline, evaluated, layout, (mine,))
    steps = [
        (step.literal, int(step.kind), step.octets if step.fixed else None)
        for step in outline.steps
    ]
    tree.add(steps, program)
    written = tree.translate(text.encode(), (b'"1"', None, None, None))
    event["message"] = "mine"
    event["event"]["id"] = "1"
    assert written == orjson.dumps(event)
