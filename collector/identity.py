"""128-bit identifiers for events: sortable, or derived from what was sent."""

from __future__ import annotations

from hashlib import blake2b

TAIL_BITS = 80
ID_OCTETS = 16


class IdSource:
    """Gives every event an id that sorts by time of receipt.

    An id is 32 hexadecimal digits: 48 bits of milliseconds since 1970, then 80 bits that begin at
    random and count up, so that two processes started at once do not meet.

    Args:
        seed: 80 random bits.
    """

    def __init__(self, seed: int) -> None:
        self._tail = seed % (1 << TAIL_BITS)
        self._head = 0

    def reserve(self, count: int, milliseconds: int) -> int:
        """Return the first of `count` consecutive ids, as a number.

        A clock that goes back does not: ids of one source never sort before earlier ones.
        """
        self._head = max(self._head, milliseconds)
        if self._tail + count >= 1 << TAIL_BITS:
            self._tail = 0
            self._head += 1
        first = (self._head << TAIL_BITS) + self._tail
        self._tail += count
        return first


def as_text(identifier: int) -> str:
    """Return an id as it is written in `event.id`."""
    return f"{identifier:032x}"


def content_id(intake: str, frame: bytes) -> str:
    """Return the id that follows from what was sent: the same message has the same id again.

    Args:
        intake: name of the intake.
        frame: the message as it came, header included.
    """
    digest = blake2b(intake.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(frame)
    return digest.hexdigest()
