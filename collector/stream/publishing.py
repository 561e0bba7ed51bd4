"""Messages that are published, and what the servers say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.stream import AwayError, FullError, RefusedError, StreamError
from collector.stream.aligning import align
from collector.stream.asking import ApiError, read_answer
from collector.stream.wire import MESSAGE_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.stream.asking import Asker

TRIES: Final = 10
"""How often the servers may object to a message before it is taken for refused: with the pauses of
who tries again, that takes longer than a cluster needs to elect who leads it."""

PATIENCE: Final = 10
"""How often the servers may say that a message is on its way before it gets another id: that takes
longer than an election, too, after which they know whether it was stored."""

MAX_REMEMBERED: Final = 1000
"""Of how many messages it is known what has come of them so far."""

# nats-server's server/errors.json. The stream could not store it, as its text says: most often for
# one of its own bounds ("maximum bytes exceeded").
_NOT_STORED: Final = 10077
_BOUND: Final = "maximum "

# The servers, or the account, have no room for it.
_SHORT: Final = frozenset({10002, 10023, 10028, 10047})

# Longer than the stream takes, its headers too, or meant for another stream.
_REFUSED: Final = frozenset({10054, 10060, 10097})

# A message of this id is on its way ("duplicate message id is in process"). Release 2.10.27 gives a
# sequence of 0 instead.
_UNDER_WAY: Final = 10158

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


class UnderWayError(ObjectionError):
    """The servers know the id of a message that they have not stored: it will be, or never was."""

    def __init__(self) -> None:
        super().__init__("the servers have it on its way, or never stored it", is_lasting=False)


@dataclass(slots=True)
class _Course:
    """What has come of a message so far.

    Attributes:
        version: of its id; a new one where the servers may know the last of what they never stored.
        waits: how often they said that it is on its way, with this version.
        objections: how often they objected to it.
    """

    version: int = 0
    waits: int = 0
    objections: int = 0

    def identify(self, identifier: str) -> str:
        """Return the id that a message has now."""
        return f"{identifier}-{self.version}" if self.version else identifier

    def renew(self) -> None:
        self.version += 1
        self.waits = 0


class Publisher:
    """Publishes messages until they are stored, or known not to be.

    nats-server 2.10 knows the id of a message from the moment in which it proposes to store it. If
    that fails, as the stream is full or its leader has no majority, the message is a duplicate of
    nothing for as long as ids are known: it has to get another one. At worst it is stored twice.

    Args:
        asker: asks the servers.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._courses: dict[str, _Course] = {}

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """Store a message, as `collector.stream.Stream.publish`.

        Raises:
            ObjectionError: beside what is raised there.
        """
        identifier = headers.get(MESSAGE_ID, "")
        course = self._courses.pop(identifier, None) or _Course()
        sent = {**headers, MESSAGE_ID: course.identify(identifier)}
        try:
            answer = await self._asker.ask(subject, body, align(subject, sent, body))
            check_stored(answer.data)
        except RefusedError:
            raise
        except StreamError as error:
            self._learn(course, error)
            self._remember(identifier, course)
            raise

    def _learn(self, course: _Course, error: StreamError) -> None:
        """Go by what the servers say, if anything, when the message is published again.

        Raises:
            RefusedError: they have objected to it often enough.
        """
        match error:
            case FullError():
                course.renew()
            case UnderWayError():
                course.waits += 1
                if course.waits >= PATIENCE:
                    course.renew()
            case ObjectionError(is_lasting=True):
                course.objections += 1
                if course.objections >= TRIES:
                    raise RefusedError(str(error)) from error

    def _remember(self, identifier: str, course: _Course) -> None:
        if course != _Course():
            self._courses[identifier] = course
        if len(self._courses) > MAX_REMEMBERED:
            del self._courses[next(iter(self._courses))]


def check_stored(body: bytes) -> None:
    """See that an answer to a message says that it is stored, now or before.

    Raises:
        FullError, RefusedError or AwayError, also ObjectionError: it was not stored.
    """
    try:
        if not int(read_answer(body)["seq"]):  # its number, from 1, if it is stored
            raise UnderWayError
    except ApiError as error:
        text = str(error)
        if error.number == _NOT_STORED:
            raise FullError(text, is_bound=text.startswith(_BOUND)) from error
        if error.number in _SHORT:
            raise FullError(text, is_bound=False) from error
        if error.number in _REFUSED:
            raise RefusedError(text) from error
        if error.number == _UNDER_WAY:
            raise UnderWayError from error
        if error.code in _AWAY:
            raise AwayError(text) from error
        raise ObjectionError(text, is_lasting=400 <= error.code < 500) from error
    except (LookupError, TypeError, ValueError) as error:
        raise AwayError("the servers' answer cannot be read") from error
