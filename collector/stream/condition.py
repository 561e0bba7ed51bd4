"""How a consumer does, and what of it somebody has to do something about.

The servers may refuse it, or not permit what is needed for it: that is told at once, and until they
show that it works. They may show no sign of life: that is told when it has lasted for longer than
they need to elect who leads it. That they, or the stream, are away is told of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from collector.logs import Reports
from collector.stream import MismatchError, topology
from collector.stream.asking import ApiError, ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS: Final = 30.0
"""For how long it is no problem that nothing comes: a server that is gone is given up within ten
seconds, and an election takes some more."""

log = structlog.get_logger(__name__)


class Condition:
    """How the consumer of one sink does.

    Args:
        stream: the name of the stream.
        name: of the consumer.
        clock: what gives seconds.
    """

    def __init__(self, stream: str, name: str, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._name = name
        self._clock = clock
        self._refusal = ""  # why nothing comes until somebody does something about it
        self._quiet_since = clock()  # that nothing has come although something is due
        self._lack = ""  # why, if that is long ago
        self._unheard = ""  # why acknowledgements do not count
        self._reports = Reports(log)

    @property
    def problem(self) -> str:
        """Why nothing comes, or why what comes stays in the stream; for people."""
        reason = self._refusal or self._lack
        nothing_comes = f"nothing comes from the stream: {reason}" if reason else ""
        return "; ".join(filter(None, (nothing_comes, self._unheard)))

    def be_patient(self) -> None:
        """Take it for no problem for a while that nothing comes, as nothing could."""
        self._quiet_since, self._lack = self._clock(), ""

    def lives(self) -> None:
        """Learn that the servers have a request for messages."""
        self._refusal = ""
        self.be_patient()

    def failed(self, error: Exception) -> None:
        """Learn that nothing comes, from what was raised."""
        match error:
            case ForbiddenError():
                self.forbidden(error.subject)
            case MismatchError():
                self._refused(str(error))
            # What is wrong with the servers, and not with what they were asked, mostly passes.
            case ApiError() if 400 <= error.code < 500 and error.number != topology.NO_STREAM:
                self._refused(str(error))
            case _:
                self.missed(str(error))

    def forbidden(self, subject: str) -> None:
        """Learn that the servers do not let us publish what is needed for messages to come."""
        self._refused(f"{subject} is not permitted")

    def missed(self, reason: str) -> None:
        """Learn that nothing came this time."""
        log.debug("no messages come", consumer=self._name, error=reason)
        if self._clock() - self._quiet_since < PATIENCE_SECONDS:
            return
        if not self._lack:
            log.warning("nothing comes from the stream", consumer=self._name, error=reason)
        self._lack = reason

    def acknowledged(self, error: ForbiddenError | None) -> None:
        """Learn that an acknowledgement was heard, or that none is permitted."""
        if error is None:
            self._unheard = ""
            return
        reason = f"$JS.ACK.{self._stream}.{self._name}.> is not permitted"
        self._unheard = f"what is delivered stays in the stream and comes again: {reason}"
        self._reports.error(
            "unheard", "the servers refuse acknowledgements", consumer=self._name, error=reason
        )

    def _refused(self, reason: str) -> None:
        self._refusal = reason
        self._reports.error(
            "refused", "the servers refuse a consumer", consumer=self._name, error=reason
        )
