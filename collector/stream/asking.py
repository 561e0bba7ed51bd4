"""Questions to the servers: many at a time, each answer to its own.

nats-py's `JetStreamContext` is not used: the future of its `publish_async` is never done where the
answer is an error, and nothing tells who waits that the connection was lost.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import nats.errors
import orjson

from collector.stream import AwayError, RefusedError, StreamError
from collector.stream.link import describe
from collector.stream.wire import size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.client import Client
    from nats.aio.msg import Msg

ANSWER_SECONDS: Final = 5.0
"""How long an answer is waited for."""

DEFAULT_LARGEST: Final = 1024 * 1024 - 1024
"""Octets that a message may have as long as the servers have not said."""

_NO_RESPONDERS: Final = "503"


class NobodyError(AwayError):
    """Nobody there answers to a subject: a stream or a consumer has no leader, or is not there."""


class ForbiddenError(AwayError):
    """The servers do not let us publish under a subject.

    Attributes:
        subject: which.
    """

    def __init__(self, text: str, subject: str) -> None:
        super().__init__(text)
        self.subject = subject


class ApiError(StreamError):
    """The servers refuse what their API was asked.

    Attributes:
        code: as those of HTTP.
        number: which error it is; nats-server's `server/errors.json` has all.
    """

    def __init__(self, code: int, number: int, description: str) -> None:
        super().__init__(f"{description} ({number})")
        self.code = code
        self.number = number


class Asker:
    """Publishes what is answered, over the connection that there is.

    What was asked when the connection is lost fails at once.

    Attributes:
        largest: octets that a message may have, headers included. Of what is longer than they
            accept, servers know only after it has been sent, and close the connection.
    """

    def __init__(self) -> None:
        self.largest = DEFAULT_LARGEST
        self._client: Client | None = None
        self._inbox = ""
        self._numbers = count()
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg]]] = {}

    async def bind(self, client: Client) -> None:
        """Use a connection from now on.

        Raises:
            nats.errors.Error: it is lost already.
        """
        self._inbox = client.new_inbox()
        # Without the bound, beyond which nats-py drops answers.
        await client.subscribe(f"{self._inbox}.*", cb=self._answered, pending_bytes_limit=0)
        self._client = client

    def unbind(self, problem: str) -> None:
        """Use the connection no longer; what was asked is not answered.

        Args:
            problem: why, for people.
        """
        self._client = None
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(AwayError(problem))

    def forbid(self, error: str) -> None:
        """Learn of an error that the servers told; what was asked under its subject fails."""
        for subject, future in self._waiting.values():
            if forbids(error, subject) and not future.done():
                future.set_exception(ForbiddenError(error, subject))

    async def _answered(self, message: Msg) -> None:
        _, future = self._waiting.get(message.subject.rpartition(".")[2], ("", None))
        if future is None or future.done():
            return
        if not message.data and (message.headers or {}).get("Status") == _NO_RESPONDERS:
            future.set_exception(NobodyError("nobody answers"))
        else:
            future.set_result(message)

    async def tell(self, subject: str, body: bytes) -> None:
        """Publish what is not answered; nobody hears of it where the connection is gone."""
        if self._client is not None and self._client.is_connected:
            try:
                await self._client.publish(subject, body)
            except nats.errors.Error:
                return  # the connection was lost

    async def ask(
        self,
        subject: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> Msg:
        """Publish a message and return the answer.

        Args:
            subject: under which.
            body: the message.
            headers: beside it.
            seconds: how long the answer is waited for.

        Raises:
            AwayError: there is no answer, also NobodyError or ForbiddenError; the message may have
                arrived.
            RefusedError: it is too long.
        """
        if size(headers or {}, body) > self.largest:
            raise RefusedError(f"longer than the {self.largest} octets that the servers accept")
        client = self._client
        if client is None or not client.is_connected:
            raise AwayError("not connected")
        token = f"{next(self._numbers):x}"
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = subject, future
        try:
            async with asyncio.timeout(seconds):
                await client.publish(subject, body, f"{self._inbox}.{token}", headers)
                return await future
        except TimeoutError:
            raise AwayError(f"no answer within {seconds:g} seconds") from None
        except nats.errors.Error as error:
            raise AwayError(describe(error)) from error
        finally:
            del self._waiting[token]

    async def api(
        self,
        subject: str,
        request: Mapping[str, Any] | None = None,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> dict[str, Any]:
        """Ask JetStream's API.

        Args:
            subject: what is behind `$JS.API.`.
            request: JSON; None for an empty message.
            seconds: how long the answer is waited for.

        Raises:
            AwayError: there is no answer, or none that can be read.
            ApiError: it is an error.
        """
        body = b"" if request is None else orjson.dumps(request)
        try:
            answer = await self.ask(f"$JS.API.{subject}", body, seconds=seconds)
        except NobodyError as error:
            raise NobodyError("the servers have no JetStream, or nobody leads them") from error
        return read_answer(answer.data)


def forbids(error: str, subject: str) -> bool:
    """Say whether an error that the servers told is that we may not publish under a subject.

    nats-server does not answer what it does not permit, it sends an error of its own
    (`Permissions Violation for Publish to "<subject>"`), which nats-py has in lower case.
    """
    return f'"{subject.lower()}"' in error.lower()


def read_answer(body: bytes) -> dict[str, Any]:
    """Return what an answer of the API says.

    Raises:
        AwayError: it cannot be read.
        ApiError: it is an error.
    """
    try:
        answer = orjson.loads(body)
        error = answer.get("error")
        if error:
            raise ApiError(
                int(error["code"]), int(error.get("err_code", 0)), str(error.get("description", ""))
            )
    except (ValueError, AttributeError, LookupError, TypeError) as unreadable:
        raise AwayError("the servers' answer cannot be read") from unreadable
    return dict(answer)
