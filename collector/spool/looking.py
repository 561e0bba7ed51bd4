"""The way through the stream of dead letters: which there are, and what is no dead letter.

Letters of the stream have numbers of their own, above all that a file gives. What stands there may
have been published by anybody who may do so: what is none of ours is shown as a foreign letter, so
that it can be looked at and deleted.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson

from collector.stream.wire import FOREIGN_LETTER, foreign_letter, is_reason, read_letter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from collector.spool import Letter
    from collector.spool.letters import Choice
    from collector.stream import Letters, Stored

# Above those of all workers, and such that programs that have only doubles can read their sum.
FIRST_NUMBER: Final = 10**15
"""A letter of the stream has its sequence there and so much as its number."""

# Letters that are asked for before the first has come.
MAX_AHEAD: Final = 16

_IDENTIFIER: Final = re.compile("[0-9a-f]{32}")


def identifier_of(letter: Letter, member: str) -> str:
    """Return by which the servers know a letter of a member's file.

    A file that takes the place of a damaged one begins its numbers again: so the time at which the
    letter was set aside is part of it.
    """
    return f"letter-{member}-{letter.number:x}-{round(letter.kept * 1e6):x}"


def is_remote(letter: Letter) -> bool:
    """Say whether a letter stands in the stream."""
    return letter.number > FIRST_NUMBER


def sequence_of(letter: Letter) -> int:
    """Return the sequence of a letter of the stream."""
    return letter.number - FIRST_NUMBER


def letter_of(stream: str, stored: Stored) -> Letter:
    """Return the letter that a message is, a foreign one if it is none of ours.

    Args:
        stream: the name of that of batches.
        stored: the message.
    """
    try:
        letter = read_letter(stream, stored)
        _check(letter)
    except ValueError as error:
        letter = foreign_letter(stored, FOREIGN_LETTER, f"no dead letter of a collector: {error}")
        letter.kept = stored.moment
    letter.number = FIRST_NUMBER + stored.sequence
    return letter


async def look_through(
    letters: Letters,
    stream: str,
    choice: Choice,
    after: int = 0,
    *,
    on_look: Callable[[], object] = lambda: None,
) -> AsyncGenerator[Letter]:
    """Yield the letters of the stream that are meant, in order of their numbers.

    Args:
        letters: the stream.
        stream: the name of that of batches.
        choice: which.
        after: the sequence behind which they stand.
        on_look: is called for each letter that is looked at, whether it is meant or not.

    Raises:
        AwayError: the cluster does not answer.
    """
    if choice.last is not None and choice.last <= FIRST_NUMBER:
        return  # letters of files only
    timeless = replace(choice, until=None)
    places = scan(letters, after) if choice.numbers is None else _picked(letters, choice, after)
    async with aclosing(places):
        async for stored in places:
            on_look()
            letter = letter_of(stream, stored)
            is_standing = letter.number <= (choice.standing or 0)
            if (timeless if is_standing else choice).admits(letter):
                yield letter


async def scan(letters: Letters, after: int) -> AsyncGenerator[Stored]:
    """Yield all that stands behind a sequence, in order, until there is no more.

    Several are asked for at once where they stand close together.
    """
    ahead = 1
    while found := await _behind(letters, after, ahead):
        for stored in found:
            yield stored
        after = found[-1].sequence
        ahead = min(2 * ahead, MAX_AHEAD) if len(found) == ahead else 1


async def _behind(letters: Letters, after: int, ahead: int) -> list[Stored]:
    """Return the first letters behind a sequence, `ahead` of them if there are no gaps."""
    asked = await asyncio.gather(*(letters.next(after + step) for step in range(ahead)))
    found = {stored.sequence: stored for stored in asked if stored is not None}
    return [found[sequence] for sequence in sorted(found)]


async def _picked(letters: Letters, choice: Choice, after: int) -> AsyncGenerator[Stored]:
    """Yield what stands behind a sequence under the numbers of a choice."""
    for number in sorted(choice.numbers or ()):
        sequence = number - FIRST_NUMBER
        if sequence > after:
            stored = await letters.next(sequence - 1)
            if stored is not None and stored.sequence == sequence:
                yield stored


def _check(letter: Letter) -> None:
    """See that a letter is such that it can be shown and replayed.

    Raises:
        ValueError: it is not; the text says why.
    """
    if letter.reason == FOREIGN_LETTER or not is_reason(letter.reason):
        raise ValueError("its reason is none")
    if _IDENTIFIER.fullmatch(letter.identifier) is None:
        raise ValueError("identifier: none of an event")
    if letter.event is not None and not isinstance(orjson.loads(letter.event), dict):
        raise ValueError("the event is no object")
