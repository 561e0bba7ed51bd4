"""What commands see of the streams that daemons share (`spool.type: jetstream`).

Where the servers are away, a command goes on without what they hold, and says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import typer

from collector.commands import access
from collector.roles import STREAM
from collector.spool.looking import FIRST_NUMBER, look_through
from collector.stream import AwayError
from collector.stream.wire import FOREIGN_LETTER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from collector.config import Config
    from collector.spool import Letter
    from collector.spool.letters import Choice
    from collector.stream.onlooking import Onlooker

_T = TypeVar("_T")


def has_stream(config: Config) -> bool:
    """Say whether what waits and dead letters may be in a stream."""
    return config.spool.type == STREAM


class Count(NamedTuple):
    """Dead letters of the stream that are meant.

    Attributes:
        by_reason: how many.
        standing: the highest number that any had; what comes later has a higher one.
    """

    by_reason: Counter[str]
    standing: int


def each_letter(config: Config, choice: Choice, see: Callable[[Letter], None]) -> bool:
    """Show each dead letter of the stream that is meant, in order; say whether all could be.

    All of the stream is read, bodies and all: nobody but who reads a letter knows its intake and
    sink, or when it was set aside.
    """

    async def look(onlooker: Onlooker) -> bool:
        async with aclosing(_letters(onlooker, config, choice)) as letters:
            async for letter in letters:
                see(letter)
        return True

    return _look(config, look) or False


def first_letters(config: Config, choice: Choice, most: int) -> tuple[list[Letter], int]:
    """Return the first dead letters of the stream that are meant, and how many are.

    The rest is read only where the servers cannot count it.
    """
    found: list[Letter] = []
    total = 0

    async def look(onlooker: Onlooker) -> None:
        nonlocal total
        async with aclosing(_letters(onlooker, config, choice)) as letters:
            async for letter in letters:
                total += 1
                if total <= most:
                    found.append(letter)
                elif _is_counted(choice):
                    total = _asked(await onlooker.letter_counts(), choice).total()
                    break

    _look(config, look)
    return found, total


def count_letters(config: Config, choice: Choice) -> Count | None:
    """Return how many dead letters of the stream are meant; None if nobody says.

    Those that it holds now were set aside before now, whatever the clocks of others are.
    """

    async def look(onlooker: Onlooker) -> Count:
        standing = FIRST_NUMBER + await onlooker.last_letter()
        if _is_counted(choice):
            return Count(_asked(await onlooker.letter_counts(), choice), standing)
        found = Counter[str]()
        meant = replace(choice, standing=standing)
        async with aclosing(_letters(onlooker, config, meant)) as letters:
            async for letter in letters:
                found[letter.reason] += 1
        return Count(found, standing)

    return _look(config, look)


def _is_counted(choice: Choice) -> bool:
    """Say whether the servers count what is meant: they do by reason."""
    return choice.as_dict().keys() <= {"reason", "until"} and choice.reason != FOREIGN_LETTER


def _asked(counts: Mapping[str, int], choice: Choice) -> Counter[str]:
    asked = counts if choice.reason is None else {choice.reason}
    return +Counter({reason: counts.get(reason, 0) for reason in asked})


async def _letters(onlooker: Onlooker, config: Config, choice: Choice) -> AsyncGenerator[Letter]:
    """Yield the dead letters of the stream that are meant, in order, with a progress bar."""
    counts = await onlooker.letter_counts()
    if not counts:
        return  # where there is no such stream, nobody answers what is asked of it
    total = sum(counts.values()) if choice.numbers is None else len(choice.numbers)
    with access.progress() as bar:
        task = bar.add_task("reading the stream", total=total)
        looking = look_through(
            onlooker.letters,
            config.spool.stream,
            choice,
            on_look=lambda: bar.advance(task),
        )
        async with aclosing(looking):
            async for letter in looking:
                yield letter


def waiting(config: Config) -> Counter[str] | None:
    """Return how many events of the stream wait for each sink; None if nobody says."""

    async def look(onlooker: Onlooker) -> Counter[str]:
        return Counter(await onlooker.waiting())

    return _look(config, look)


def _look(config: Config, look: Callable[[Onlooker], Awaitable[_T]]) -> _T | None:
    """Look at the streams; None if there are none, or they are away."""
    if not has_stream(config):
        return None
    # Other types of spool need not these libraries.
    from collector.stream.onlooking import looking_on  # noqa: PLC0415

    async def connected() -> _T:
        async with looking_on(config.spool) as onlooker:
            return await look(onlooker)

    try:
        return asyncio.run(connected())
    except AwayError as error:
        typer.echo(f"without what the stream {config.spool.stream} holds: {error}", err=True)
        return None
