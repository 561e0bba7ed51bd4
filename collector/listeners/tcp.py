"""Syslog on connections: frames of RFC 6587, over TCP, TLS (RFC 5425) and unix sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.listeners.connections import Connection
from collector.syslog.framing import Framer

if TYPE_CHECKING:
    import asyncio

    from collector.listeners.streams import StreamListener
    from collector.pipeline import Pipeline
    from collector.routing import Address


class SyslogConnection(Connection):
    """Cuts what one sender sends into frames.

    Args:
        listener: which let it in.
        peer: the sender's address; None on a socket of this machine.
        pipeline: takes the frames.
    """

    def __init__(self, listener: StreamListener, peer: Address | None, pipeline: Pipeline) -> None:
        super().__init__(listener, peer)
        self._pipeline = pipeline
        self._framer = self._new_framer()
        self._is_framer_old = False
        self._mismatch_reported = False

    def _new_framer(self) -> Framer:
        settings = self._listener.settings
        return Framer(
            settings.framing,
            max_message_bytes=settings.max_message_bytes,
            when_oversize=settings.when_oversize,
        )

    @property
    def _partial(self) -> bool:
        return self._framer.partial

    @property
    def _octets_held(self) -> int:
        return self._framer.held

    def _receive(self, data: bytes) -> bool:
        framer = self._framer
        frames = framer.feed(data)
        if frames:
            self._waiting.add(self._pipeline.feed(frames, self.origin))
        has_ended_one = bool(frames or framer.oversize)
        if framer.oversize or framer.mismatch:
            self._report()
        if self._is_framer_old:
            self.follow_settings()
        return has_ended_one

    def _finish(self) -> None:
        frames = self._framer.close()
        if frames:
            self._pipeline.feed(frames, self.origin)
        if self._framer.incomplete is not None:
            self._pipeline.keep_incomplete(self._framer.incomplete, self.origin)
        self._report()

    def _close(self, transport: asyncio.Transport) -> None:
        """Close; where TLS is spoken, at once.

        There the orderly end takes an answer. Until it comes uvloop reads on, and throws away what
        it reads; and most senders do not look for an end, but go on until they cannot.
        """
        if self.encrypted is None:
            transport.close()
        else:
            transport.abort()

    def follow_settings(self) -> None:
        """Cut by other settings from the next frame on."""
        self._is_framer_old = self._framer.partial
        if not self._is_framer_old:
            self._framer = self._new_framer()

    def _report(self) -> None:
        """Account for frames that were too long, and name the first that was framed otherwise."""
        framer = self._framer
        if framer.oversize:
            self._pipeline.reject(self.origin, "oversize", framer.oversize)
            framer.oversize = 0
        if framer.mismatch is not None and not self._mismatch_reported:
            self._mismatch_reported = True
            self._listener.reports.warning(
                "framing_mismatch",
                "framing mismatch",
                listener=self._listener.settings.name,
                peer=self.origin.peer,
                problem=framer.mismatch,
            )
