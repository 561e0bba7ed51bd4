"""Every word for a refusal, each brought about by a sender at a listener that runs."""

import asyncio
import select
import socket
import ssl
from contextlib import suppress

import pytest

from collector.listeners import connections, entrances, reasons
from collector.listeners.buffers import Buffers
from tests.unit.listeners.conftest import SECONDS, until

ONLY_1_1 = (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)
ONLY_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def plain(data=b"", count=1, is_over=False):
    """Return a sender that connects so often, sends something, and waits for the end."""

    def send(address, _authorities):
        senders = [socket.create_connection(address) for _ in range(count)]
        for sender in senders:
            with suppress(OSError):
                sender.sendall(data)
                if is_over:
                    sender.shutdown(socket.SHUT_WR)
        senders[-1 if count > 1 else 0].settimeout(0.2)
        with suppress(OSError):
            senders[-1].recv(1)
        for sender in senders:
            sender.close()

    return send


def unread(data):
    """Return a sender that reads nothing until its connection is broken off.

    It has hardly room for answers, so that they are in the way soon: until then a message that it
    has begun is waited for, and no longer than answers are.
    """

    def send(address, _authorities):
        with suppress(OSError), socket.socket() as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sender.connect(address)
            sender.sendall(data)
            broken = select.poll()
            broken.register(sender, 0)
            broken.poll(1000 * SECONDS)

    return send


def encrypted(issue=None, *, ciphers=None, versions=(), trusts=True):
    """Return a sender over TLS.

    Args:
        issue: called with the authority and a stranger, returns its certificate.
        ciphers: what it offers.
        versions: the oldest and the newest that it speaks.
        trusts: whether it knows who signed the listener's certificate.
    """

    def send(address, authorities):
        context = ssl.create_default_context(cafile=authorities[0 if trusts else 1].ca_file)
        if issue is not None:
            issued = issue(*authorities)
            context.load_cert_chain(issued.cert_file, issued.key_file)
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if versions:
            context.minimum_version, context.maximum_version = versions
        with (
            suppress(OSError),
            socket.create_connection(address) as connected,
            context.wrap_socket(connected, server_hostname="localhost") as session,
        ):
            session.recv(1)

    return send


def of(name):
    """Return what issues a certificate with a name."""
    return lambda authority, _: authority.issue(name, name="sender")


PLAIN, TLS, RELP = "plain", "tls", "relp"
HELLO = b"\x16\x03\x01\x02\0\x01"
ASKING = ", client_ca_file: {ca}"
# How: the listener, its further settings (those of TLS for TLS), the sender.
WAYS = {
    "source_not_allowed": (PLAIN, ", allowed_sources: [192.0.2.0/24]", plain()),
    "max_connections": (PLAIN, ", max_connections: 1", plain(count=2)),
    "max_connections_per_source": (PLAIN, ", max_connections_per_source: 1", plain(count=2)),
    "max_handshakes": (TLS, "", plain(count=3)),
    "proxy_header": (PLAIN, ", proxy_protocol: [127.0.0.1]", plain(b"<13>hello\n")),
    "tls_on_plain_port": (PLAIN, "", plain(HELLO)),
    "relp_protocol": (RELP, "", plain(b"<13>hello\n")),
    "answers_unread": (RELP, ", frame_timeout: 500ms", unread(b"2 unknown 0\n" * 400_000)),
    "frame_timeout": (PLAIN, ", frame_timeout: 20ms", plain(b"part")),
    "idle_timeout": (PLAIN, ", idle_timeout: 20ms", plain()),
    "max_buffered_bytes": (PLAIN, "", plain(b"x" * 2000)),
    "settings_changed": (PLAIN, "", plain(b"hello\n")),
    "tls_name_not_allowed": (
        TLS,
        ASKING + ", allowed_names: [a.example]",
        encrypted(of("b.example")),
    ),
    "tls_plain_text": (TLS, "", plain(b"<13>hello\n")),
    "tls_version": (TLS, "", encrypted(ciphers="ALL:@SECLEVEL=0", versions=ONLY_1_1)),
    "tls_no_shared_cipher": (
        TLS,
        "",
        encrypted(ciphers="ECDHE-ECDSA-AES128-SHA256", versions=ONLY_1_2),
    ),
    "tls_no_client_certificate": (TLS, ASKING, encrypted()),
    "tls_unknown_ca": (
        TLS,
        ASKING,
        encrypted(lambda _, stranger: stranger.issue("a.example", name="sender")),
    ),
    "tls_certificate_expired": (
        TLS,
        ASKING,
        encrypted(lambda authority, _: authority.expired("a.example")),
    ),
    "tls_certificate_invalid": (
        TLS,
        ASKING,
        encrypted(lambda authority, _: authority.not_yet_valid("a.example")),
    ),
    "tls_refused_by_peer": (TLS, "", encrypted(trusts=False)),
    "tls_error": (TLS, "", plain(bytes.fromhex("1603010005ff00000100"))),
    "handshake_timeout": (TLS, ", handshake_timeout: 100ms", plain()),
    "handshake_aborted": (TLS, "", plain(HELLO, is_over=True)),
}

OF_WORKERS = {reasons.NO_WORKER, reasons.OPEN_FILES}


def test_every_reason_is_told_from_the_start_and_has_its_way_here():
    """`ALL` is what the metrics export; two are of workers alone."""
    words = {value for name, value in vars(reasons).items() if name.isupper() and name != "ALL"}
    assert words < set(reasons.ALL)
    assert set(reasons.ALL) == {*words, *reasons.tls.REASONS} == {*WAYS, *OF_WORKERS}
    assert len(reasons.ALL) == len(set(reasons.ALL))


@pytest.fixture
def authorities(authority, stranger):
    """Return who signed the listener's certificate, and somebody else."""
    return authority, stranger


@pytest.mark.usefixtures("quick_drain")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("reason", WAYS)
async def test_each_reason_is_counted_once_for_the_sender_it_is_about(
    serving, tls, authorities, monkeypatch, reason
):
    """And for no other reason; no connection is left."""
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.2)
    if reason == "max_handshakes":
        monkeypatch.setattr(entrances, "MAX_OPENINGS", 2)
    kind, more, send = WAYS[reason]
    if kind == TLS:
        more = tls(more.format(ca=authorities[0].ca_file))
    transport = "relp" if kind == RELP else "tcp"
    async with serving(more, transport=transport, buffers=Buffers(1000)) as running:
        sending = asyncio.create_task(asyncio.to_thread(send, running.address, authorities))
        if reason == "settings_changed":
            await until(lambda: running.stats.octets)
            running.reconfigure(", allowed_sources: [192.0.2.0/24]")
        await until(lambda: running.stats.connections_rejected[reason])
        if reason != "max_handshakes":  # whose other senders are ended for reasons of their own
            assert +running.stats.connections_rejected == {reason: 1}
        await sending
        await until(lambda: running.stats.connections == 0)
    assert running.stats.connections_rejected[reason] == 1
