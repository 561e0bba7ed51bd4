"""Messages that are published, and what the servers say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.stream import AwayError, FullError, RefusedError
from collector.stream.asking import ApiError, read_answer
from collector.stream.wire import MESSAGE_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.stream.asking import Asker

TRIES: Final = 10
"""How often the servers may object to a message before it is taken for refused: with the pauses of
who tries again, that takes longer than a cluster needs to elect who leads it."""

MAX_REMEMBERED: Final = 1000
"""Of how many messages it is known how often they were tried."""

# nats-server's server/errors.json. The stream could not store it, as its text says: most often for
# one of its own bounds ("maximum bytes exceeded").
_NOT_STORED: Final = 10077
_BOUND: Final = "maximum "

# The servers, or the account, have no room for it.
_SHORT: Final = frozenset({10002, 10023, 10028, 10047})

# Longer than the stream takes, its headers too, or meant for another stream.
_REFUSED: Final = frozenset({10054, 10060, 10097})

# As those of HTTP: nobody leads the stream, or it took too long.
_AWAY: Final = frozenset({408, 503})


class ObjectionError(AwayError):
    """The servers did not take a message, for a reason that may be its own; the stream is there.

    Attributes:
        is_lasting: whether they say that it is the message's.
    """

    def __init__(self, text: str, *, is_lasting: bool) -> None:
        super().__init__(text)
        self.is_lasting = is_lasting


class Publisher:
    """Publishes messages, and knows which of them the servers object to again and again.

    Args:
        asker: asks the servers.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._objections: dict[str, int] = {}

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """Store a message, as `collector.stream.Stream.publish`.

        Raises:
            ObjectionError: beside what is raised there.
        """
        answer = await self._asker.ask(subject, body, dict(headers))
        identifier = headers.get(MESSAGE_ID, "")
        try:
            check_stored(answer.data)
        except ObjectionError as error:
            if error.is_lasting and self._is_last_try(identifier):
                raise RefusedError(str(error)) from error
            raise
        self._objections.pop(identifier, None)

    def _is_last_try(self, identifier: str) -> bool:
        tries = self._objections.pop(identifier, 0) + 1
        if tries >= TRIES:
            return True
        self._objections[identifier] = tries
        if len(self._objections) > MAX_REMEMBERED:
            del self._objections[next(iter(self._objections))]
        return False


def check_stored(body: bytes) -> None:
    """See that an answer to a message says that it is stored, now or before.

    Raises:
        FullError, RefusedError or AwayError, also ObjectionError: it was not stored.
    """
    try:
        int(read_answer(body)["seq"])  # its number, which each message has that is stored
    except ApiError as error:
        text = str(error)
        if error.number == _NOT_STORED:
            raise FullError(text, is_bound=text.startswith(_BOUND)) from error
        if error.number in _SHORT:
            raise FullError(text, is_bound=False) from error
        if error.number in _REFUSED:
            raise RefusedError(text) from error
        if error.code in _AWAY:
            raise AwayError(text) from error
        raise ObjectionError(text, is_lasting=400 <= error.code < 500) from error
    except (LookupError, TypeError, ValueError) as error:
        raise AwayError("the servers' answer cannot be read") from error
