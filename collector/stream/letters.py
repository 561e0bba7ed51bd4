"""The stream of dead letters: they stay until somebody deletes them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.stream import AwayError, Stored
from collector.stream.asking import ApiError
from collector.stream.publishing import Publisher
from collector.stream.wire import LETTERS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.msg import Msg

    from collector.stream.asking import Asker

# nats-server's server/errors.json: a sequence that is not there any more, in three places.
_GONE: Final = frozenset({10037, 10043, 10057})

_NOT_FOUND: Final = "404"


class StreamLetters:
    """Reads and writes it, as `collector.stream.Letters` has it.

    Args:
        asker: asks the servers.
        stream: the name of that of batches.
    """

    def __init__(self, asker: Asker, stream: str) -> None:
        self._asker = asker
        self._publisher = Publisher(asker)
        self._stream = stream + LETTERS_SUFFIX

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """Store a dead letter."""
        await self._publisher.publish(subject, headers, body)

    async def next(self, after: int) -> Stored | None:
        """Return the first dead letter behind a sequence; None if there is none.

        Any server that has the stream answers, one that lags behind too.
        """
        request: dict[str, Any] = {"seq": after + 1, "next_by_subj": f"{self._stream}.>"}
        answer = await self._asker.ask(f"$JS.API.DIRECT.GET.{self._stream}", orjson.dumps(request))
        return read_direct(answer)

    async def delete(self, sequence: int) -> bool:
        """Delete one; say whether it was there."""
        # Without `no_erase` the servers would overwrite it first.
        request = {"seq": sequence, "no_erase": True}
        try:
            await self._asker.api(f"STREAM.MSG.DELETE.{self._stream}", request)
        except ApiError as error:
            if error.number in _GONE:
                return False
            raise AwayError(str(error)) from error
        return True


def read_direct(answer: Msg) -> Stored | None:
    """Return the message that DIRECT.GET answers with (NATS ADR-31); None if there is none.

    Raises:
        AwayError: the answer is an error, or cannot be read.
    """
    headers = answer.headers or {}
    if status := headers.get("Status") if "Nats-Sequence" not in headers else None:
        if status == _NOT_FOUND:
            return None
        raise AwayError(f"the servers do not give it: {headers.get('Description', status)}")
    try:
        return Stored(
            int(headers["Nats-Sequence"]),
            headers["Nats-Subject"],
            headers,
            answer.data,
            datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp(),
        )
    except (LookupError, ValueError) as error:
        raise AwayError("the servers' answer cannot be read") from error
