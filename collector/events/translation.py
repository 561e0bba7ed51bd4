"""The event of a message straight from its octets, where the shape of the message is known.

A translator begins with nothing. What it cannot translate is read the general way, and now and then
one of these messages is shown to it: its shape is worked out, tried, and kept if what comes out is,
octet by octet, what the general way makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.events.envelope import Arrival, Receipt
from collector.identity import ID_OCTETS
from collector.parsers import cef, repairs
from collector.parsers.base import ParseError
from collector.parsers.shapes.codes import Kind
from collector.parsers.shapes.compiled import IS_THERE
from collector.parsers.shapes.evaluation import evaluate
from collector.parsers.shapes.fields import Constant, leaves
from collector.parsers.shapes.outline import UnfitError
from collector.parsers.shapes.programs import layout_of, program_of

if IS_THERE:
    from collector.parsers.shapes import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.events.envelope import Finish
    from collector.parsers import Event, Parser, Profile, Vendor
    from collector.parsers.shapes.evaluation import Evaluated
    from collector.parsers.shapes.kernel import Tree
    from collector.parsers.shapes.outline import Outline, Step

HeaderOf = Callable[[Arrival], Mapping[str, Any]]
"""Reads the fields of a message's syslog header."""

MAX_OCTETS: Final = 64 * 1024
"""Of a message whose shape is worked out."""

# What is kept takes some 25 MB at most; when there is more, all is forgotten and learned again.
MAX_SHAPES: Final = 256
MAX_NODES: Final = 16_384
MAX_LITERALS: Final = 4 * 1024 * 1024  # octets

# To work out a shape takes as long as to read a hundred messages, at most. So after the first ones
# it is done for one of so many that could not be translated: whatever is sent, it adds no more than
# a fifth to what they cost.
FIRST_SHAPES: Final = 64
MISSES_PER_SHAPE: Final = 512

MAX_TAIL: Final = 16 * 1024
"""Octets of structured data that are compared; behind any header they are read as a whole."""

_WORDS_OF_HEADER: Final = 6  # before the structured data

_NOTED: Final = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
_RECEIPT: Final = Receipt(_NOTED, "2026-01-02T03:04:05.678901Z", UTC, "192.0.2.1")
_ARRIVAL: Final = Arrival("0123456789abcdef0123456789abcdef", b"", (), _RECEIPT, {"priority": 13})
_ADDED: Final = (_ARRIVAL.identifier, _RECEIPT.created, _RECEIPT.peer, _ARRIVAL.syslog)
_OPTIONAL: Final = {2: "source", 3: "syslog"}  # of what is added, by its name in `log`
_ENVELOPE: Final = tuple(orjson.dumps(added) for added in _ADDED)


def translator(
    vendor: Vendor,
    profile: Profile,
    parse: Parser,
    finish: Finish,
    header_of: HeaderOf | None = None,
) -> Translator | None:
    """Make the translator of an intake; see `Translator`.

    Returns:
        None where the kernel was not built, or the messages have no shapes.
    """
    if not IS_THERE or vendor.outline is None:
        return None
    return Translator(vendor, profile, parse, finish, header_of)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is learned of a sample.

    Attributes:
        outline: the sample, taken apart.
        fixed: the slots whose values belong to the shape besides those of the outline.
        program: how its event is written.
    """

    outline: Outline
    fixed: set[int]
    program: kernel.Program

    def add_to(self, tree: Tree) -> None:
        """Have a tree know it."""
        steps = [
            (step.literal, step.kind, step.octets if self._is_fixed(at) else None)
            for at, step in enumerate(self.outline.steps)
        ]
        tree.add(steps, self.program)

    def variant(self) -> bytes:
        """Return another message of the shape, all of whose values are others where they may be."""
        return b"".join(
            step.literal + (step.octets if self._is_fixed(at) else _varied(step))
            for at, step in enumerate(self.outline.steps)
        )

    def _is_fixed(self, at: int) -> bool:
        return self.outline.steps[at].fixed or at in self.fixed


class Translator:
    """Translates the messages of one intake.

    Args:
        vendor: what is known of the messages.
        profile: the shape of the events.
        parse: the vendor's parser for the profile.
        finish: completes an event; of a given `Arrival` nothing but what is in an `Envelope` may
            matter to it.
        header_of: reads the fields of the syslog header; None where they are not wanted.

    Attributes:
        shapes: how many are known.
        takes_runs: whether it takes frames, without their headers being read.
    """

    def __init__(
        self,
        vendor: Vendor,
        profile: Profile,
        parse: Parser,
        finish: Finish,
        header_of: HeaderOf | None = None,
    ) -> None:
        self._vendor = vendor
        self._profile = profile
        self._parse = parse
        self._finish = finish
        self._header_of = header_of
        self.takes_runs = header_of is None
        self._adds = _parts_of(finish)
        self._credit = FIRST_SHAPES * MISSES_PER_SHAPE
        self._forget()

    def _forget(self) -> None:
        self.shapes = 0
        self._tree: Tree = _tree()

    def translate(self, message: bytes, arrival: Arrival) -> bytes | None:
        """Return the event of a message as JSON; None where its shape is not known.

        Args:
            message: UTF-8 that was not repaired.
            arrival: how it came.
        """
        fields = self._header_of(arrival) if self._header_of else None
        header = orjson.dumps(fields) if fields else None
        identifier = b'"%b"' % arrival.identifier.encode()
        envelope = identifier, *_added(arrival.receipt), header
        event = self._tree.translate(message, envelope)
        # Where a part is not there, it is no fault of the message.
        if event is None and None not in {envelope[part] for part in self._adds}:
            self._missed(message)
        return event

    def translate_run(
        self,
        frames: Sequence[bytes],
        first: int,
        tail: bytes,
        number: int,
        receipt: Receipt,
    ) -> list[bytes]:
        """Return the events of frames one after the other, up to the first that has to be read.

        Args:
            frames: syslog messages.
            first: the position of the first that is translated.
            tail: what their headers end with, see `tail_of`.
            number: the id of the first event; those that follow count up.
            receipt: how they came.
        """
        created, peer = _added(receipt)
        identifier = number.to_bytes(ID_OCTETS)
        return self._tree.translate_run(frames, first, tail, identifier, created, peer)

    def _missed(self, message: bytes) -> None:
        """Take note of a message that was not translated, and learn its shape if it is time to."""
        self._credit += 1
        if self._credit < MISSES_PER_SHAPE or len(message) > MAX_OCTETS:
            return
        self._credit = min(self._credit - MISSES_PER_SHAPE, FIRST_SHAPES * MISSES_PER_SHAPE)
        with suppress(UnfitError):  # such as it are read the general way
            self._learn(message)

    @staticmethod
    def fits(frame: bytes, tail: bytes) -> bool:
        """Say whether the header of a frame ends as that of another.

        Then it has the same key, and its text begins right there: a blank ends the structured data
        (RFC 5424 section 6), so that nothing of what follows belongs to it.

        Args:
            frame: a syslog message.
            tail: the structured data of the other, with the blank behind it.
        """
        return frame.__class__ is bytes and kernel.after_tail(frame, tail) >= 0

    @staticmethod
    def tail_of(frame: bytes, text: str) -> bytes:
        """Return the structured data of a frame with the blank behind it, see `fits`.

        Args:
            frame: a syslog message.
            text: what is its text.

        Returns:
            The octets; none where the header is not that of RFC 5424, or its end cannot be told so.
        """
        octets = text.encode()
        words = frame.split(b" ", _WORDS_OF_HEADER)
        if not octets or not frame.endswith(octets) or len(words) <= _WORDS_OF_HEADER:
            return b""
        end = len(frame) - len(octets)
        tail = frame[len(frame) - len(words[-1]) : end]
        is_ended = tail == b"- " or (tail.endswith(b"] ") and len(tail) <= MAX_TAIL)
        return tail if is_ended and kernel.after_tail(frame, tail) == end else b""

    def _learn(self, message: bytes) -> None:
        shape = self._shape(message.decode())
        trial = _tree()
        shape.add_to(trial)
        for sample in (message, shape.variant()):
            found = trial.translate(sample, _ENVELOPE)
            if found != self._general(sample) and (found is not None or sample is message):
                raise UnfitError("translated into another event")
        tree = self._tree
        if self.shapes >= MAX_SHAPES or tree.nodes >= MAX_NODES or tree.octets >= MAX_LITERALS:
            self._forget()
        shape.add_to(self._tree)
        self.shapes += 1

    def _general(self, message: bytes) -> bytes | None:
        try:
            event = self._parse(message.decode())
        except ParseError:
            return None
        self._finish(event, _ARRIVAL)
        return orjson.dumps(event)

    def _shape(self, text: str) -> _Shape:
        if self._vendor.outline is None:
            raise UnfitError("messages without shapes")
        try:
            outline, event = self._vendor.outline(text), self._parse(text)
        except (ParseError, ValueError) as error:
            raise UnfitError("a message that cannot be parsed as it is") from error
        evaluated = evaluate(self._vendor.table, self._profile, outline, self._vendor.families)
        if not {path for path, _ in leaves(event)} == evaluated.fields.keys():
            raise UnfitError("other fields than the event has")
        layout = self._layout(event, evaluated)
        program = program_of(outline, evaluated, layout, _ADDED)
        return _Shape(outline, evaluated.fixed, program)

    def _layout(self, event: Event, evaluated: Evaluated) -> dict[str, Any]:
        """Return the finished event with a `Place` for each value that is not always the same."""
        tags = evaluated.fields.get(("tags",))
        if tags is not None and not isinstance(tags, Constant):
            raise UnfitError("tags that differ")
        if any(map(repairs.name_of, event.get("tags", ()))):
            raise UnfitError("read with repairs")
        layout = layout_of(event, evaluated.fields)
        self._finish(layout, _ARRIVAL)
        return layout


def _parts_of(finish: Finish) -> set[int]:
    """Return which parts of an envelope, of those that may not be there, events have."""
    event: Event = {}
    finish(event, _ARRIVAL)
    log = event.get("log", {})
    return {part for part, name in _OPTIONAL.items() if name in log}


_NEXT: Final = bytes.maketrans(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    b"bcdefghijklmnopqrstuvwxyzaBCDEFGHIJKLMNOPQRSTUVWXYZA1234567891",
)
_FREE: Final = {Kind.TEXT, Kind.FIELD, Kind.FIELD_AS_IS, Kind.INTEGER}


def _varied(step: Step) -> bytes:
    """Return another value of the same kind, or the same one where it has escapes."""
    return (
        step.octets
        if b"\\" in step.octets or step.kind not in _FREE
        else step.octets.translate(_NEXT)
    )


def _added(receipt: Receipt) -> tuple[bytes, bytes | None]:
    """Return the time of receipt and the sender's address as JSON; None where it has none."""
    return b'"%b"' % receipt.created.encode(), orjson.dumps(receipt.peer) if receipt.peer else None


def _tree() -> Tree:
    return kernel.Tree(orjson.loads, cef.unescape)
