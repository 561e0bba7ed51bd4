"""Looking at the streams from outside of a daemon: nothing is made, checked or changed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from collector.stream import AwayError
from collector.stream.asking import ApiError, Asker
from collector.stream.letters import StreamLetters
from collector.stream.link import Link
from collector.stream.topology import stream_info
from collector.stream.wire import LETTERS_SUFFIX, events_by_sink, letters_by_reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from collector.config import SpoolSettings
    from collector.stream import Letters
    from collector.stream.link import GuardedClient

# How long a server has to let us in.
PATIENCE_SECONDS: Final = 5.0


class Onlooker:
    """What can be seen of the streams.

    Args:
        asker: asks the servers.
        stream: the name of that of batches.

    Attributes:
        letters: the stream of dead letters.
    """

    def __init__(self, asker: Asker, stream: str) -> None:
        self._asker = asker
        self._stream = stream
        self.letters: Letters = StreamLetters(asker, stream)

    async def waiting(self) -> dict[str, int]:
        """Return how many events wait for each sink.

        Raises:
            AwayError: the servers do not say.
        """
        return events_by_sink(self._stream, await self._subjects(self._stream))

    async def letter_counts(self) -> dict[str, int]:
        """Return how many dead letters there are, by reason.

        Raises:
            AwayError: the servers do not say.
        """
        subjects = await self._subjects(self._stream + LETTERS_SUFFIX)
        return letters_by_reason(self._stream, subjects)

    async def last_letter(self) -> int:
        """Return the highest sequence that a dead letter ever had.

        Raises:
            AwayError: the servers do not say.
        """
        return int((await self._state(self._stream + LETTERS_SUFFIX)).get("last_seq") or 0)

    async def _subjects(self, name: str) -> dict[str, int]:
        """Return how many messages of each subject a stream has."""
        return dict((await self._state(name)).get("subjects") or {})

    async def _state(self, name: str) -> dict[str, Any]:
        try:
            info = await stream_info(self._asker, name)
        except ApiError as error:
            raise AwayError(f"stream {name}: {error}") from error
        state: dict[str, Any] = info.get("state") or {}
        return state


@asynccontextmanager
async def looking_on(
    settings: SpoolSettings, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Onlooker]:
    """Connect to one of the servers for as long as this context lasts.

    Args:
        settings: of the spool.
        patience: for how many seconds to try; no longer than until each server has been tried.

    Raises:
        AwayError: no server lets us in; the text says why.
    """
    asker = Asker()
    tried = asyncio.Event()
    problems: list[str] = []

    async def connected(client: GuardedClient) -> None:
        await asker.bind(client)
        problems.clear()
        tried.set()

    def lost(problem: str) -> None:
        asker.unbind(problem)
        problems.append(problem)
        if len(problems) >= len(settings.servers):
            tried.set()

    link = Link(settings, "collector", on_up=connected, on_down=lost, on_error=asker.forbid)
    connecting = asyncio.create_task(link.run(), name="looking on")
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await tried.wait()
        if problems or not tried.is_set():
            raise AwayError("; ".join(problems) or "no answer in time")
        yield Onlooker(asker, settings.stream)
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
