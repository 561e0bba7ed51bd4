"""RELP on connections: a message is answered once it is safe, and not before."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from collector import __version__
from collector.listeners.connections import Connection
from collector.listeners.reasons import ANSWERS_UNREAD, RELP_PROTOCOL
from collector.syslog.relp import SERVER_CLOSE, Session

if TYPE_CHECKING:
    from collector.durability import Durability
    from collector.listeners.streams import StreamListener
    from collector.pipeline import Pipeline
    from collector.routing import Address

SOFTWARE: Final = f"collector,{__version__}"

# librelp keeps 128 commands unanswered by default; a client with a larger window waits for us.
MAX_UNANSWERED: Final = 4096


class RelpConnection(Connection):
    """Speaks RELP with one sender.

    A frame that the connection breaks off is not received: it has not been answered, so that its
    sender keeps it.

    Args:
        listener: which let it in.
        peer: the sender's address.
        pipeline: takes the messages.
        durability: tells when they are safe.
    """

    def __init__(
        self,
        listener: StreamListener,
        peer: Address | None,
        pipeline: Pipeline,
        durability: Durability,
    ) -> None:
        super().__init__(listener, peer)
        settings = listener.settings
        self._pipeline = pipeline
        self._durability = durability
        self._clogged_at: float | None = None
        self._session = Session(
            max_message_bytes=settings.max_message_bytes,
            when_oversize=settings.when_oversize,
            software=SOFTWARE,
        )

    def follow_settings(self) -> None:
        """Take on other bounds from the next message on."""
        settings = self._listener.settings
        self._session.change_bounds(settings.max_message_bytes, settings.when_oversize)

    @property
    def _partial(self) -> bool:
        return self._session.partial

    @property
    def _octets_held(self) -> int:
        return self._session.held

    @property
    def owes_answers(self) -> bool:
        """Whether the sender still waits for answers that are to come soon."""
        return self._session.unanswered > 0

    @property
    def _is_stopped(self) -> bool:
        """Whether answers are to go out before more is read; nothing is at the end."""
        session = self._session
        is_over = self._is_leaving or session.ended or session.broken is not None
        return is_over or self._clogged_at is not None or session.unanswered >= MAX_UNANSWERED

    def _receive(self, data: bytes) -> bool:
        session = self._session
        before, unanswered = session.messages, session.unanswered
        messages = session.feed(data)
        has_ended_one = session.unanswered > unanswered
        if session.oversize:
            self._pipeline.reject(self.origin, "oversize", session.oversize)
            session.oversize = 0
        if messages:
            rejected: list[int] = []
            self._waiting.add(self._pipeline.feed(messages, self.origin, rejected))
            for position in rejected:
                session.refuse(before + position)
            self._durability.when_safe(partial(self._safe, session.messages))
        if session.broken is not None:
            problem = session.broken
            self._listener.count_rejected(RELP_PROTOCOL, self.peer, problem)
        self._answer()
        return has_ended_one

    def _read_rest(self) -> None:
        """Do nothing: what has not been answered is still the sender's."""

    def _finish(self) -> None:
        """Do nothing: what has not been answered is still the sender's."""

    def _safe(self, before: int) -> None:
        """Answer the messages before an ordinal: they are safe."""
        was_stopped = self._is_stopped
        self._session.accept(before)
        if self._closed_at is None:
            self._answer()
            if was_stopped and not self._is_stopped:
                self.resume()

    def _answer(self) -> None:
        """Send the answers that are due; close after the last."""
        transport, session = self._transport, self._session
        if transport is None or transport.is_closing():
            return
        answers = session.answers()
        if answers:
            transport.write(answers)
        if not session.unanswered and (
            self._is_leaving or session.ended or session.broken is not None
        ):
            if not session.ended:  # then the answers end with it
                transport.write(SERVER_CLOSE)
            self.close()

    def announce_end(self) -> None:
        """Read no more, and close once all that was read is answered."""
        self._is_leaving = True
        if self.is_made:
            self.pause()
            self._answer()

    def pause_writing(self) -> None:
        """Read no more from a sender that does not read its answers."""
        self._clogged_at = self._loop.time()
        self._follow()

    def resume_writing(self) -> None:
        """Read again."""
        self._clogged_at = None
        self.resume()

    def check_time(self, now: float) -> None:
        """Close the connection too if its answers were not read for too long."""
        patience = self._listener.settings.frame_timeout
        if self._clogged_at is not None and now - self._clogged_at > patience:
            self.end(ANSWERS_UNREAD)
        super().check_time(now)
