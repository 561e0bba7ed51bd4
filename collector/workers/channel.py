"""What the supervisor and a worker tell each other, and the sockets that go with it.

A message is a JSON object, with its length before it, on a stream socket between the two; one
descriptor may come along with its first octet (unix(7), SCM_RIGHTS). Sending never waits: what the
other side does not read yet is kept, and whoever has a choice looks at `is_congested` before.

A process that has as many descriptors as it may have gets no more: the kernel drops what came along
and says so (recvmsg(2), MSG_CTRUNC). The message arrives without it then. All that a user has on
the way between processes may be as many, too (unix(7), ETOOMANYREFS): then sending waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from array import array
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

Message = dict[str, Any]

# Length of the message in octets, and whether a descriptor comes with it.
_HEAD: Final = struct.Struct("=I?")

MAX_OCTETS: Final = 64 * 1024 * 1024
"""Of a message: settings may have a megabyte, metrics of many sources some more."""

MAX_QUEUED: Final = 32
"""Messages that wait to be sent, beyond which a channel is congested; each may hold a file open."""

AGAIN_SECONDS: Final = 0.05
"""Before it is tried again to send a descriptor where too many are on the way."""

_READ_OCTETS: Final = 256 * 1024
_READS_PER_WAKE: Final = 64
_DESCRIPTOR: Final = array("i").itemsize
# More than one would be against the rules, and is closed.
_ANCILLARY: Final = socket.CMSG_SPACE(4 * _DESCRIPTOR)
# In the place of a descriptor that the kernel has dropped.
_LOST: Final = -1


@dataclass(slots=True)
class _Outgoing:
    """A message on its way.

    Attributes:
        data: what of it is not sent yet.
        descriptor: goes with the next octet; -1 for none.
    """

    data: memoryview
    descriptor: int


class Channel:
    """One end of it.

    Args:
        connected: the socket, which this owns from now on.
        receive: is called for each message, with the descriptor that came along, which is then the
            receiver's; -1 if there was none, or it was lost on the way.
        ended: is called once when the other side is gone, or does not keep to the rules.
        relieved: is called when it is no longer congested.
    """

    def __init__(
        self,
        connected: socket.socket,
        receive: Callable[[Message, int], None],
        ended: Callable[[], None],
        relieved: Callable[[], None] = lambda: None,
    ) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._receive = receive
        self._ended = ended
        self._relieved = relieved
        self._loop = asyncio.get_running_loop()
        self._outgoing: deque[_Outgoing] = deque()
        self._held = bytearray()
        self._descriptors: deque[int] = deque()
        self._is_open = True
        self._was_congested = False
        self._again: asyncio.TimerHandle | None = None
        self._loop.add_reader(connected, self._read)

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known."""
        return self._is_open

    @property
    def is_congested(self) -> bool:
        """Whether the other side is slow to read; also when it is gone."""
        return not self._is_open or len(self._outgoing) > MAX_QUEUED

    def send(self, message: Message, descriptor: int = -1) -> None:
        """Send a message; one to whom is gone goes nowhere.

        Args:
            message: as JSON can hold it.
            descriptor: goes along, and is closed here once it is sent, or cannot be; -1 for none.
        """
        if not self._is_open:
            _close(descriptor)
            return
        body = orjson.dumps(message)
        head = _HEAD.pack(len(body), descriptor >= 0)
        self._outgoing.append(_Outgoing(memoryview(head + body), descriptor))
        self._was_congested |= self.is_congested
        if len(self._outgoing) == 1:
            self._write()

    def finish(self) -> None:
        """Take what the other side has said last, which is gone; then close."""
        if self._is_open:
            self._read()
        self.close()

    def close(self) -> None:
        """Close; what waits is not sent."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        if self._again is not None:
            self._again.cancel()
        self._socket.close()
        for outgoing in self._outgoing:
            _close(outgoing.descriptor)
        for descriptor in self._descriptors:
            _close(descriptor)
        self._outgoing.clear()
        self._descriptors.clear()

    # Sending.

    def _write(self) -> None:
        """Send what can be sent now, and have the rest sent later."""
        try:
            while self._outgoing:
                self._send_some(self._outgoing[0])
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._write)
            return
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:
                self._loop.remove_writer(self._socket)  # there is room for octets all the time
                self._again = self._loop.call_later(AGAIN_SECONDS, self._write)
            else:
                self._end()
            return
        self._loop.remove_writer(self._socket)
        if self._was_congested:
            self._was_congested = False
            self._relieved()

    def _send_some(self, outgoing: _Outgoing) -> None:
        ancillary = []
        if outgoing.descriptor >= 0:
            rights = array("i", [outgoing.descriptor])
            ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, rights))
        sent = self._socket.sendmsg([outgoing.data], ancillary)
        _close(outgoing.descriptor)
        outgoing.descriptor = -1
        outgoing.data = outgoing.data[sent:]
        if not outgoing.data:
            self._outgoing.popleft()

    # Receiving.

    def _read(self) -> None:
        """Take what has come, up to the bound of a wake-up."""
        for _ in range(_READS_PER_WAKE):
            try:
                has_more = self._receive_some()
            except BlockingIOError:
                return
            except OSError:
                has_more = False
            if not has_more:
                self._end()
                return
            self._take_messages()
            if not self._is_open:
                return

    def _receive_some(self) -> bool:
        """Take what the kernel gives at once; say whether the other side is still there.

        Raises:
            BlockingIOError: there is nothing now.
            OSError: the other side is gone.
        """
        data, ancillary, flags, _ = self._socket.recvmsg(
            _READ_OCTETS, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
        )
        came = array("i")
        for _, kind, rights in ancillary:
            if kind == socket.SCM_RIGHTS:
                came.frombytes(rights[: len(rights) - len(rights) % _DESCRIPTOR])
        if flags & socket.MSG_CTRUNC and not came:
            came.append(_LOST)  # the kernel gives those of one message at a time
        self._descriptors.extend(came)
        self._held += data
        return bool(data)

    def _take_messages(self) -> None:
        """Hand on the messages that are whole."""
        while self._is_open:
            try:
                taken = self._next_message()
            except ValueError:
                self._end()
                return
            if taken is None:
                return
            self._receive(*taken)

    def _next_message(self) -> tuple[Message, int] | None:
        """Take the next message out, and its descriptor; None if it is not whole yet.

        Raises:
            ValueError: it is no JSON, longer than it may be, or its descriptor was never sent.
        """
        held = self._held
        if len(held) < _HEAD.size:
            return None
        length, has_descriptor = _HEAD.unpack_from(held)
        if length > MAX_OCTETS or (has_descriptor and not self._descriptors):
            raise ValueError("against the rules")
        end = _HEAD.size + length
        if len(held) < end:
            return None
        with memoryview(held) as view, view[_HEAD.size : end] as body:
            message = orjson.loads(body)
        del held[:end]
        return message, self._descriptors.popleft() if has_descriptor else -1

    def _end(self) -> None:
        self.close()
        self._ended()


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        with suppress(OSError):
            os.close(descriptor)
