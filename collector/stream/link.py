"""The connection to the servers, made again whenever it is lost.

nats-py's own reconnecting is not used: a failed TLS handshake makes it hang, and a server that
closes the connection with an error, as when a permission is withdrawn, ends it for good. So each
attempt has a client of its own, for one server, and the servers take turns.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from typing import TYPE_CHECKING, Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol import parser

from collector.certificates import in_words
from collector.settings.files import FileError
from collector.stream.access import credentials, inbox_prefix, tls_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.msg import Msg

    from collector.config import SpoolSettings

CONNECT_SECONDS: Final = 2
"""How long each step of an attempt may take."""

ATTEMPT_SECONDS: Final = 5.0
"""How long an attempt may take."""

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
"""How long nothing is tried once each server has been, or after a connection that did not last:
twice as long each time."""

STEADY_SECONDS: Final = 5.0
"""How long a connection must have lasted for the next to be tried at once when it is lost."""

# A server that hangs, or whose machine is gone, is known by the third ping that it does not answer.
PING_SECONDS: Final = 2
UNANSWERED_PINGS: Final = 2

# Servers take a subject with any octet but these as a word of it. nats-py's patterns end a word at
# a form feed or a vertical tab too, so that who publishes one would end the connection of whoever
# is to get it, again and again.
_WORD: Final = rb"([^ \t\r\n]+)[ \t]+"
parser.MSG_RE = re.compile(
    rb"\AMSG[ \t]+" + _WORD + rb"([0-9]+)[ \t]+(" + _WORD + rb")?([0-9]+)\r\n"
)
parser.HMSG_RE = re.compile(
    rb"\AHMSG[ \t]+" + _WORD + rb"([0-9]+)[ \t]+(" + _WORD + rb")?([0-9]+)[ \t]+([0-9]+)\r\n"
)

# What OpenSSL calls the alerts of a server that does not take our certificate, or misses one.
_CERTIFICATE_ALERT: Final = re.compile(r"ALERT_.*CERTIFICATE|ALERT_UNKNOWN_CA")

log = structlog.get_logger(__name__)


class CertificateWantedError(nats.errors.Error):
    """The server refuses our certificate, or wants one."""

    def __str__(self) -> str:
        return "it refuses our certificate, or wants one (spool.tls.cert_file)"


class GuardedClient(Client):
    """A client for one connection, which speaks TLS where that is asked for.

    nats-py would go on in plain text, credentials included, with a server that offers no TLS. And
    it would hear nothing any more, without a word, once a message has headers or a subject that it
    cannot read, which whoever may publish decides.

    Attributes:
        lost: set once the connection is of no use.
        cause: what was heard last of why; None while nothing was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lost = asyncio.Event()
        self.cause: BaseException | None = None

    @property
    def refusal(self) -> str:
        """What was heard last of why it is of no use, for people; empty while nothing was."""
        return "" if self.cause is None else describe(self.cause)

    def hear(self, error: BaseException) -> None:
        """Learn why it is of no use.

        A server that checks certificates lets a handshake of TLS 1.3 succeed before it looks at
        ours, so that what comes of it may be no more than that the connection is gone.
        """
        is_new = self._reading_task is None  # not let in yet
        if is_new and self._server_info.get("tls_verify") and _may_be_about_us(error):
            error = CertificateWantedError()
        self.cause = error

    @property
    def server_name(self) -> str:
        """The name of the server it is connected to."""
        return str(self._server_info.get("server_name", ""))

    @property
    def is_clustered(self) -> bool:
        """Whether the server it is connected to is one of a cluster."""
        return bool(self._server_info.get("cluster"))

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Read what the server says of itself; before anything is sent."""
        if initial_connection and "tls" in self.options and not info.get("tls_required"):
            raise nats.errors.SecureConnWantedError
        await super()._process_info(info, initial_connection)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        """Read headers; of those that are broken, the lines that can be read."""
        try:
            return await super()._process_headers(headers)
        except Exception:  # noqa: BLE001 - whatever others wrote makes nats-py raise
            return self._parse_header_lines((headers or b"").partition(b"\r\n")[2])

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Make a message; what of its subject is not UTF-8 is replaced."""
        readable = subject.decode(errors="replace").encode()
        message: Msg = super()._build_message(sid, readable, reply, data, headers)
        return message

    async def settle(self) -> None:
        """Wait until the server has dealt with what was published, its objections included.

        Raises:
            nats.errors.Error: the connection is lost, or there is no answer.
        """
        await self._flush_pending(force_flush=True)  # or nats-py's ping would go before it
        await self.flush()

    def watch(self) -> None:
        """See from now on, while it is connected, that messages are read; or have it be lost."""
        if self._reading_task is None:
            self._unread()
        else:
            self._reading_task.add_done_callback(self._unread)

    def _unread(self, _: object = None) -> None:
        self.leave("what the server sends cannot be read")

    def leave(self, why: str) -> None:
        """Have it be of no use from now on, unless it is closed already."""
        if not self.lost.is_set():
            self.cause = nats.errors.Error(why)
            self.lost.set()
            self.abandon()

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """Begin to close, whoever asks for it; it can take as long as the other side likes."""
        if self._err is not None:
            self.hear(self._err)
        self.lost.set()
        try:
            await super()._close(status, do_cbs)
        except (OSError, RuntimeError):  # uvloop raises either where it is written to
            await self._close_unsent(status, do_cbs)
        except asyncio.CancelledError:
            await self._close_unsent(status, do_cbs)
            raise

    async def _close_unsent(self, status: int, do_cbs: bool) -> None:
        """Close what nats-py leaves open where it cannot send what is pending: subscriptions.

        It does that once, on the way from any other state to closed.
        """
        self.abandon()
        self._pending, self._pending_data_size = [], 0
        self._status = Client.DISCONNECTED
        await super()._close(status, do_cbs)

    def abandon(self) -> None:
        """Close the socket, with what was not sent yet."""
        writer = self._writer()
        if writer is not None:
            writer.transport.abort()  # close() waits for the other side

    def _writer(self) -> asyncio.StreamWriter | None:
        if not isinstance(self._transport, TcpTransport):
            return None
        return self._transport._io_writer  # noqa: SLF001 - there is no other way to it


class Link:
    """Keeps a connection to one of the servers.

    Args:
        settings: of the spool.
        name: of the connection, for those who look at the servers.
        on_up: is called with each new connection, first of all.
        on_down: is called when it is lost, or there is none still, with the reason for people.
        on_error: is called with what a server says of us, as that something is not permitted.
    """

    def __init__(
        self,
        settings: SpoolSettings,
        name: str,
        *,
        on_up: Callable[[GuardedClient], Awaitable[None]],
        on_down: Callable[[str], None],
        on_error: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._name = name
        self._on_up = on_up
        self._on_down = on_down
        self._on_error = on_error
        # Several daemons are not all to be connected to the first.
        self._servers = random.sample(settings.servers, len(settings.servers))
        self._pause = FIRST_PAUSE_SECONDS

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            client = await self._connect()
            began = loop.time()
            try:
                await self._on_up(client)
                await client.lost.wait()
            except nats.errors.Error as error:
                client.hear(error)
            finally:
                await _end(client)
            self._on_down(f"the connection was lost: {client.refusal or 'closed'}")
            if loop.time() - began < STEADY_SECONDS:
                await self._rest()
            else:
                self._pause = FIRST_PAUSE_SECONDS

    async def _rest(self) -> None:
        """Try nothing for a while, and for longer the next time."""
        pause = self._pause * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)

    async def _connect(self) -> GuardedClient:
        """Try one server after the other until one lets us in."""
        while True:
            for server in tuple(self._servers):
                client = GuardedClient()
                try:
                    async with asyncio.timeout(ATTEMPT_SECONDS):
                        await self._try(client, server)
                except asyncio.CancelledError:
                    client.abandon()
                    raise
                except Exception as error:  # noqa: BLE001 - whatever servers make nats-py raise
                    client.abandon()
                    _heed_cancellation()
                    # Why nobody is there, nats-py tells only beside.
                    self._on_down(f"{server}: {client.refusal or describe(error)}")
                else:
                    return client
                finally:
                    self._servers.append(self._servers.pop(0))
            await self._rest()

    async def _try(self, client: GuardedClient, server: str) -> None:
        async def on_error(error: Exception) -> None:
            client.hear(error)
            if not isinstance(error, nats.errors.Error | OSError | TimeoutError):
                log.error("a message could not be dealt with, please report it", exc_info=error)
            elif type(error) is nats.errors.Error and client.is_connected:  # a server's own words
                self._on_error(client.refusal)

        await connect(
            client,
            self._settings,
            server,
            name=self._name,
            on_error=on_error,
            seconds=CONNECT_SECONDS,
        )


async def connect(
    client: GuardedClient,
    settings: SpoolSettings,
    server: str,
    *,
    name: str,
    on_error: Callable[[Exception], Awaitable[None]],
    seconds: int,
) -> None:
    """Have a server let a client in, which no other connection was tried with.

    Whatever servers make nats-py raise is raised, and `client.cause` may say why. All of it can
    take longer than `seconds`, and the socket is not closed then.

    Args:
        client: what is to be connected.
        settings: of the spool.
        server: its URL.
        name: of the connection, for those who look at the servers.
        on_error: is called with what is heard beside; it is not to raise.
        seconds: that each step may take.

    Raises:
        nats.errors.Error, OSError, TimeoutError, ValueError or FileError: among others.
    """
    await client.connect(
        [server],
        name=name,
        inbox_prefix=inbox_prefix(settings),
        error_cb=on_error,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=seconds,
        ping_interval=PING_SECONDS,
        max_outstanding_pings=UNANSWERED_PINGS,
        pending_size=0,  # who publishes never waits: how much is under way is bounded there
        tls=tls_context(settings, server),
        **credentials(settings),
    )
    if not client.is_connected or not isinstance(client.max_payload, int):
        raise nats.errors.Error("it does not speak as a server of NATS does")
    client.cause = None
    client.watch()


def _may_be_about_us(error: BaseException) -> bool:
    """Say whether it may be what comes of a certificate of ours that a server does not take."""
    if isinstance(error, ssl.SSLError):
        return bool(_CERTIFICATE_ALERT.search(error.reason or ""))
    return isinstance(error, ConnectionError)


def describe(error: BaseException) -> str:
    """Say for people what went wrong with a connection, without secrets."""
    match error:
        case nats.errors.SecureConnWantedError():
            return "the server offers no TLS"
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case OSError():
            return in_words(error)
        case nats.errors.Error() | FileError():
            return (str(error) or type(error).__name__).removeprefix("nats: ").strip("'\r\n ")
        case _:
            return type(error).__name__


def _heed_cancellation() -> None:
    """End a task that is to end, although nats-py forgot the cancellation.

    It waits with `wait_for`, which in Python 3.11 forgets one that comes as what it waits for is
    done.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _end(client: GuardedClient) -> None:
    """Close a connection, in order where that takes no time."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.close()
    except (TimeoutError, OSError, nats.errors.Error):
        pass  # it is gone, as it was to be
    finally:
        client.abandon()
