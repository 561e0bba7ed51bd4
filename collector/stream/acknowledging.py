"""What is said of deliveries: acknowledgements, which are repeated until the servers have them.

An acknowledgement that is lost costs a request: the message is delivered again, and perhaps to
another member. It is lost where the connection is, and where the consumer has no leader, which is
so for some seconds after that died. The servers take one of any earlier delivery as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from collector.stream import AwayError
from collector.stream.asking import ForbiddenError
from collector.stream.ending import end, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from collector.stream import Stored
    from collector.stream.asking import Asker

ACK: Final = b"+ACK"
NAK: Final = b"-NAK"
IN_PROGRESS: Final = b"+WPI"

CONFIRM_SECONDS: Final = 2.0
"""How long the servers' word that they have an acknowledgement is waited for."""

GIVE_UP_SECONDS: Final = 600.0
"""After how long it is not repeated any more."""

LONGEST_PAUSE_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.25


class Acknowledger:
    """Says what is said of deliveries.

    Args:
        asker: what publishes it.
        on_failure: is called if a mistake of ours has kept something from being said.
    """

    def __init__(self, asker: Asker, on_failure: Callable[[], None]) -> None:
        self._asker = asker
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def ack(self, reply: str, on_answer: Callable[[ForbiddenError | None], None]) -> None:
        """Acknowledge a delivery, by the subject that came with it.

        Args:
            reply: the subject.
            on_answer: is called each time that the servers do not permit that, with the error; and
                with None when they have heard it.
        """
        self._begin(self._acknowledge(reply, on_answer))

    def tell(self, reply: str, word: bytes) -> None:
        """Say something else of a delivery, which the servers hear or not."""
        self._begin(self._asker.tell(reply, word))

    async def close(self, seconds: float) -> None:
        """Say no more, once what was said has arrived or that takes longer than some seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        await end(tuple(self._tasks))

    def _begin(self, saying: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(saying, name="stream: acknowledgement")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        watch(task, self._on_failure)

    async def _acknowledge(
        self, reply: str, on_answer: Callable[[ForbiddenError | None], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + GIVE_UP_SECONDS, FIRST_PAUSE_SECONDS
        while loop.time() < until:
            try:
                await self._asker.ask(reply, ACK, seconds=CONFIRM_SECONDS)
            except AwayError as error:
                if isinstance(error, ForbiddenError):
                    on_answer(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                on_answer(None)
                return


class AckedDelivery:
    """A message that was delivered, as `collector.stream.Delivery` has it.

    Args:
        stored: the message.
        reply: the subject that came with it.
        acknowledger: says what is said of it.
        on_answer: is told what becomes of its acknowledgement, as `Acknowledger.ack` has it.
    """

    __slots__ = ("_acknowledger", "_on_answer", "_reply", "stored")

    def __init__(
        self,
        stored: Stored,
        reply: str,
        acknowledger: Acknowledger,
        on_answer: Callable[[ForbiddenError | None], None],
    ) -> None:
        self.stored = stored
        self._reply = reply
        self._acknowledger = acknowledger
        self._on_answer = on_answer

    def ack(self) -> None:
        """Have it deleted."""
        self._acknowledger.ack(self._reply, self._on_answer)

    def nak(self, delay: float) -> None:
        """Have it delivered again in so many seconds."""
        after = b" " + orjson.dumps({"delay": round(delay * 1e9)}) if delay > 0 else b""
        self._acknowledger.tell(self._reply, NAK + after)

    def in_progress(self) -> None:
        """Show that it is being dealt with."""
        self._acknowledger.tell(self._reply, IN_PROGRESS)
