"""Listeners for connections: who gets in, by what way, and what becomes of them at a change."""

import asyncio
import socket
import ssl
import struct
from pathlib import Path

import pytest
import structlog

from collector.listeners import entrances, streams
from collector.metrics import ListenerStats
from tests.unit.listeners.conftest import burst, ended, until

PROXY = ", proxy_protocol: [127.0.0.1]"
SENDER = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 514\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"
V2_SENDER = V2 + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 1]) + b"\x04\xd2\x02\x02"
V2_LOCAL = V2 + b"\x20\0\0\0"
MANY = ", max_connections: 5000, max_connections_per_source: 5000"


def trusting(authority, issued=None):
    """Return what a sender needs for TLS."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    if issued is not None:
        context.load_cert_chain(issued.cert_file, issued.key_file)
    return {"ssl": context, "server_hostname": "localhost"}


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def is_warm(running, stats):
    """Have one connection served, so that the loop has opened all that it opens for itself."""
    _, writer = await running.connect()
    await until(lambda: stats.connections)
    reset(writer)
    await until(lambda: not stats.connections)
    stats.connections_rejected.clear()


def reset(writer):
    """Break a connection off, so that its other side sees an error."""
    connected = writer.transport.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# Behind a proxy.


@pytest.mark.parametrize("header", [SENDER, V2_SENDER], ids=["version 1", "version 2"])
@pytest.mark.parametrize("octets", [1, 5, 13, 1000])
async def test_a_header_names_the_sender_in_whatever_pieces_it_comes(
    serving, pipeline, stats, header, octets
):
    """What follows it, also in the same piece, is data."""
    async with serving(PROXY) as running:
        _, writer = await running.connect()
        data = header + b"5 hello"
        for start in range(0, len(data), octets):
            writer.write(data[start : start + octets])
            await asyncio.sleep(0.001)
        await pipeline.until(lambda: pipeline.fed)
        assert pipeline.fed == [(b"hello", "192.0.2.7")]
        assert stats.octets == len(b"5 hello")
        assert stats.connections_rejected == {}


@pytest.mark.parametrize("header", [V2_LOCAL, b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
async def test_a_proxy_may_speak_for_itself(serving, pipeline, header):
    """As in its health checks: its own address counts."""
    async with serving(PROXY) as running:
        _, writer = await running.connect()
        writer.write(header + b"5 hello")
        await pipeline.until(lambda: pipeline.fed)
        assert pipeline.fed == [(b"hello", "127.0.0.1")]


@pytest.mark.parametrize("data", [b"5 hello", b"<13>hello\n", b"\x16\x03\x01\x02\0\x01", b""])
async def test_a_proxy_without_a_header_is_refused(serving, pipeline, stats, data):
    """Whoever it speaks for would be taken for the proxy."""
    async with serving(PROXY) as running:
        reader, writer = await running.connect()
        writer.write(data)
        writer.write_eof()
        assert await ended(reader)
        await until(lambda: stats.connections == 0)
        assert stats.connections_rejected == {"proxy_header": 1}
        assert pipeline.fed == []


async def test_a_header_must_come_in_time(serving, stats, monkeypatch):
    """Half of one is not enough."""
    monkeypatch.setattr(streams, "PROXY_HEADER_SECONDS", 0.05)
    with structlog.testing.capture_logs() as lines:
        async with serving(PROXY) as running:
            reader, writer = await running.connect()
            writer.write(SENDER[:10])
            assert await ended(reader)
            await until(lambda: stats.connections == 0)
    assert stats.connections_rejected == {"proxy_header": 1}
    assert lines[0]["problem"] == "no header in time"


async def test_a_header_from_anyone_else_is_data(serving, pipeline):
    """Else anybody could say to be anybody."""
    async with serving(", proxy_protocol: [192.0.2.0/24]") as running:
        _, writer = await running.connect()
        writer.write(SENDER)
        await pipeline.until(lambda: pipeline.fed)
        assert pipeline.fed == [(SENDER.removesuffix(b"\r\n"), "127.0.0.1")]


async def test_the_networks_that_may_send_are_compared_with_the_address_that_is_carried(
    serving, pipeline, stats
):
    """The proxy's own does not matter."""
    async with serving(PROXY + ", allowed_sources: [192.0.2.0/24]") as running:
        _, allowed = await running.connect()
        allowed.write(SENDER + b"5 hello")
        await pipeline.until(lambda: pipeline.fed)
        reader, other = await running.connect()
        other.write(SENDER.replace(b"192.0.2.7", b"198.51.100.7") + b"5 hello")
        assert await ended(reader)
        assert pipeline.fed == [(b"hello", "192.0.2.7")]
        assert stats.connections_rejected == {"source_not_allowed": 1}


async def test_connections_are_limited_by_the_address_that_is_carried(serving, pipeline, stats):
    """One sender behind the proxy does not keep the others out."""
    async with serving(PROXY + ", max_connections_per_source: 1") as running:
        for sender in (SENDER, SENDER, SENDER.replace(b"2.7", b"2.8")):
            _, writer = await running.connect()
            writer.write(sender + b"5 hello")
            await asyncio.sleep(0)
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        await until(lambda: stats.connections == 2)
        assert {peer for _, peer in pipeline.fed} == {"192.0.2.7", "192.0.2.8"}
        assert stats.connections_rejected == {"max_connections_per_source": 1}


async def test_a_mapped_address_that_is_carried_is_an_ipv4_address(serving, pipeline):
    """Networks are written for IPv4."""
    async with serving(PROXY) as running:
        _, writer = await running.connect()
        writer.write(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n5 hello")
        await pipeline.until(lambda: pipeline.fed)
        assert pipeline.fed == [(b"hello", "192.0.2.7")]


async def test_the_header_of_a_proxy_comes_before_tls(serving, pipeline, tls, authority):
    """As HAProxy sends it where it passes TLS through."""
    async with serving(PROXY + tls()) as running:
        with socket.create_connection(running.address) as connected:
            connected.sendall(V2_SENDER)
            connected.setblocking(False)
            _, writer = await asyncio.open_connection(sock=connected, **trusting(authority))
            writer.write(b"5 hello")
            await pipeline.until(lambda: pipeline.fed)
            writer.transport.abort()
    assert pipeline.fed == [(b"hello", "192.0.2.7")]


# Within TLS.


async def test_messages_come_over_tls(serving, pipeline, stats, tls, authority):
    """As over a plain connection, what is left at the end too."""
    async with serving(tls()) as running:
        _, writer = await running.connect(**trusting(authority))
        writer.write(b"3 onetwo\nthree")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        assert stats.connections == 1
        writer.close()
        await pipeline.until(lambda: len(pipeline.fed) == 3)
        await until(lambda: stats.connections == 0)
    assert pipeline.fed == [(frame, "127.0.0.1") for frame in (b"one", b"two", b"three")]
    assert stats.connections_rejected == {}


async def test_a_large_message_comes_over_tls_whole(serving, pipeline, tls, authority):
    """Reading pauses after each part of it."""
    message = b"x" * 250_000
    async with serving(tls()) as running:
        _, writer = await running.connect(**trusting(authority))
        for _ in range(8):
            writer.write(b"%d %b" % (len(message), message))
        await pipeline.until(lambda: len(pipeline.fed) == 8)
    assert pipeline.frames == [message] * 8


async def test_only_senders_with_an_allowed_name_get_in(serving, pipeline, stats, tls, authority):
    """Their certificate is valid, but it is somebody else's."""
    more = f", client_ca_file: {authority.ca_file}, allowed_names: ['*.edr.example']"
    one, other = (authority.issue(f"one.{name}", name=name) for name in ("edr.example", "example"))
    with structlog.testing.capture_logs() as lines:
        async with serving(tls(more)) as running:
            _, writer = await running.connect(**trusting(authority, one))
            writer.write(b"3 one")
            await pipeline.until(lambda: pipeline.fed)
            reader, writer = await running.connect(**trusting(authority, other))
            writer.write(b"5 other")
            assert await ended(reader)
            await until(lambda: stats.connections == 1)
    assert pipeline.frames == [b"one"]
    assert stats.connections_rejected == {"tls_name_not_allowed": 1}
    assert lines[0]["problem"] == "the sender's certificate is for one.example"


async def test_a_handshake_must_end_in_time(serving, stats, tls):
    """Also where nothing is sent at all."""
    async with serving(tls(", handshake_timeout: 100ms")) as running:
        reader, _ = await running.connect()
        assert await ended(reader)
        await until(lambda: stats.connections == 0)
        assert stats.connections_rejected == {"handshake_timeout": 1}


async def test_unfinished_handshakes_keep_nobody_out(
    serving, pipeline, tls, authority, monkeypatch
):
    """Each beyond the bound ends the oldest, also when many come at once."""
    monkeypatch.setattr(entrances, "MAX_OPENINGS", 16)
    async with serving(MANY + tls()) as running:
        with burst(running.address, 100):
            await until(lambda: running.stats.connections_rejected["max_handshakes"] == 84)
            await until(lambda: running.stats.connections == 16)
            _, writer = await running.connect(**trusting(authority))
            writer.write(b"5 hello")
            await pipeline.until(lambda: pipeline.fed)
            assert running.stats.connections == 16
            assert running.stats.connections_rejected == {"max_handshakes": 85}


@pytest.mark.parametrize("more", [", max_connections: 4", PROXY + ", max_connections: 4"])
async def test_unfinished_handshakes_do_not_take_the_last_places(
    serving, pipeline, tls, authority, more
):
    """The bound of all connections is below that of handshakes; those established stay."""
    async with serving(more + tls()) as running:
        _, established = await open_encrypted(running, authority, more)
        await until(lambda: running.stats.connections == 1)
        established.write(b"3 one")
        await pipeline.until(lambda: pipeline.fed)
        with burst(running.address, 10):
            await until(lambda: running.stats.connections_rejected["max_connections"] == 7)
            _, writer = await open_encrypted(running, authority, more)
            writer.write(b"3 two")
            await pipeline.until(lambda: len(pipeline.fed) == 2)
            established.write(b"5 three")
            await pipeline.until(lambda: len(pipeline.fed) == 3)
            assert running.stats.connections == 4
            assert running.stats.connections_rejected["max_handshakes"] == 1


async def test_who_may_not_enter_ends_nobodys_handshake(serving, pipeline, stats, tls, authority):
    """Though every place is taken, by a sender that is within it."""
    more = ", max_connections: 1, allowed_sources: [127.0.0.1/32]"
    async with serving(more + tls()) as running:
        waiting = socket.create_connection(running.address)
        waiting.setblocking(False)
        await until(lambda: stats.connections == 1)
        for _ in range(3):
            with socket.create_connection(running.address, source_address=("127.0.0.9", 0)):
                pass
        await until(lambda: stats.connections_rejected == {"source_not_allowed": 3})
        _, writer = await asyncio.open_connection(sock=waiting, **trusting(authority))
        writer.write(b"5 hello")
        await pipeline.until(lambda: pipeline.fed)
        writer.close()
    assert stats.connections_rejected == {"source_not_allowed": 3}


async def test_a_source_that_has_all_its_places_ends_nobodys_handshake(
    serving, pipeline, stats, tls, authority
):
    """Its own neither: the next connection is refused for being one too many."""
    more = ", max_connections: 2, max_connections_per_source: 1"
    async with serving(more + tls()) as running:
        _, established = await running.connect(**trusting(authority))
        established.write(b"3 one")
        await pipeline.until(lambda: pipeline.fed)
        waiting = socket.create_connection(running.address, source_address=("127.0.0.9", 0))
        waiting.setblocking(False)
        await until(lambda: stats.connections == 2)
        reader, _ = await running.connect()
        assert await ended(reader)
        _, writer = await asyncio.open_connection(sock=waiting, **trusting(authority))
        writer.write(b"5 other")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        writer.close()
    assert stats.connections_rejected == {"max_connections_per_source": 1}


async def open_encrypted(running, authority, more):
    """Connect as a sender would, through the proxy if there is one."""
    connected = socket.create_connection(running.address)
    if PROXY in more:
        connected.sendall(V2_SENDER)
    connected.setblocking(False)
    return await asyncio.open_connection(sock=connected, **trusting(authority))


@pytest.mark.parametrize("way", ["reset", "end", "stop", "bound"])
async def test_handshakes_that_break_leave_no_file_open(serving, stats, tls, monkeypatch, way):
    """200 of them, ended by either side."""
    if way == "bound":
        monkeypatch.setattr(entrances, "MAX_OPENINGS", 4)
    async with serving(MANY + tls()) as running:
        await is_warm(running, stats)
        before = open_files()
        senders = [await running.connect() for _ in range(200)]
        for _, writer in senders:
            writer.write(b"\x16\x03\x01")
        if way == "bound":
            await until(lambda: stats.connections_rejected["max_handshakes"] == 196)
        else:
            await until(lambda: stats.connections == 200)
        if way == "stop":
            await running.listener.stop()
        for _, writer in senders:
            reset(writer) if way == "reset" else writer.close()
        await until(lambda: stats.connections == 0)
        await until(lambda: open_files() <= before)


@pytest.mark.parametrize("way", ["reset", "stop"])
async def test_headers_that_break_off_leave_no_file_open(serving, stats, way):
    """As handshakes that do."""
    async with serving(MANY + PROXY) as running:
        await is_warm(running, stats)
        before = open_files()
        senders = [await running.connect() for _ in range(200)]
        for _, writer in senders:
            writer.write(SENDER[:20])
        await until(lambda: stats.connections == 200)
        if way == "stop":
            await running.listener.stop()
        for _, writer in senders:
            reset(writer)
        await until(lambda: stats.connections == 0)
        await until(lambda: open_files() <= before)


# How much is read at a time.


async def test_the_more_connections_there_are_the_less_each_reads_at_a_time(
    serving, stats, monkeypatch
):
    """A turn of the loop is shared; it is not cut into pieces that are not worth a call."""
    monkeypatch.setattr(streams, "MIN_READ_OCTETS", 100)
    monkeypatch.setattr(streams, "TURN_OCTETS", 400)
    async with serving() as running:
        rooms = [len(running.listener.room(1000))]
        for number in range(1, 6):
            await running.connect()
            await until(lambda number=number: stats.connections == number)
            rooms.append(len(running.listener.room(1000)))
    assert rooms == [400, 400, 200, 133, 100, 100]


async def test_a_read_is_no_longer_than_its_connection_can_deal_with(serving):
    """However much the listener has room for."""
    async with serving() as running:
        assert len(running.listener.room(10)) == 10


async def test_a_read_is_bounded_however_few_connections_there_are(serving, pipeline, monkeypatch):
    """What is longer comes in several, and nothing is lost between them."""
    monkeypatch.setattr(streams, "MAX_READ_OCTETS", 64)
    monkeypatch.setattr(streams, "MIN_READ_OCTETS", 64)
    async with serving() as running:
        _, writer = await running.connect()
        writer.write(b"".join(b"message %d\n" % number for number in range(100)))
        await pipeline.until(lambda: len(pipeline.frames) == 100)
        assert len(running.listener.room(1000)) == 64
    assert pipeline.frames == [b"message %d" % number for number in range(100)]


# The end.


async def test_stopping_reads_what_was_sent_and_tells_the_sender(serving, pipeline, stats):
    """The sender sees the end of the stream; what it sends until then still gets in."""
    async with serving() as running:
        reader, writer = await running.connect()
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        stopping = asyncio.create_task(running.listener.stop())
        assert await reader.read() == b""
        writer.write(b"1 b")
        await stopping
        assert pipeline.frames == [b"a", b"b"]
        assert stats.connections == 0


@pytest.mark.parametrize("is_accepted", [False, True])
@pytest.mark.parametrize("more", ["", PROXY])
async def test_stopping_reads_what_came_from_those_who_are_not_let_in_yet(
    serving, pipeline, stats, more, is_accepted
):
    """They have connected, so that what they sent has arrived for all that they can know."""
    async with serving(MANY + more) as running:
        with burst(running.address, 100) as senders:
            for number, sender in enumerate(senders):
                sender.send((SENDER if more else b"") + b"%d\n" % number)
            if is_accepted:
                running.listener.source.take_rest()
            await running.listener.stop()
        assert {int(frame) for frame in pipeline.frames} == {*range(100)}
        assert stats.connections == 0


async def test_stopping_ends_connections_over_tls_too(serving, pipeline, stats, tls, authority):
    """One whose sender never reads, and one that is within its handshake."""
    async with serving(tls()) as running:
        _, writer = await running.connect(**trusting(authority))
        writer.write(b"1 apart")
        await pipeline.until(lambda: pipeline.fed)
        await running.connect()
        await until(lambda: stats.connections == 2)
        await running.listener.stop()
        assert stats.connections == 0
    assert pipeline.frames == [b"a", b"part"]


@pytest.mark.parametrize("is_encrypted", [False, True])
async def test_stopping_a_paused_listener_ends_those_who_are_not_let_in_yet(
    serving, stats, tls, is_encrypted
):
    """Plain connections wait until something is read again, handshakes for their senders."""
    async with serving(tls() if is_encrypted else "") as running:
        running.listener.pause()
        with burst(running.address, 5):
            await until(lambda: stats.connections == 5)
            await running.listener.stop()
            assert stats.connections == 0


async def test_a_socket_that_was_handed_over_stays_open(serving, pipeline, stats):
    """Somebody else accepts on it; the connections that are there are served to their end."""
    async with serving() as running:
        _, writer = await running.connect()
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        bound = running.listener.hand_over().socket
        await running.connect()
        writer.write(b"1 b")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        await running.listener.stop()
        with bound:
            waiting, _ = bound.accept()
            waiting.close()
    assert stats.connections == 0


# Other settings.


async def test_connections_that_fit_go_on_under_other_settings(serving, pipeline, stats):
    """Their messages count for the listener's new name and go to its new intake."""
    async with serving() as running:
        _, writer = await running.connect()
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        renamed = ListenerStats("other")
        running.reconfigure(", allowed_sources: [127.0.0.1]", renamed)
        writer.write(b"1 b")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        assert pipeline.intakes == ["bound to l", "bound to other"]
        assert (stats.octets, renamed.octets) == (3, 3)
        assert (stats.connections, renamed.connections) == (0, 1)
        assert renamed.connections_rejected == {}
    assert (stats.connections, renamed.connections) == (0, 0)


async def test_listeners_that_swap_their_names_keep_their_counts(serving):
    """Each takes its connections along."""
    one, other = ListenerStats("one"), ListenerStats("other")
    async with serving() as first, serving() as second:
        first.reconfigure(stats=one)
        second.reconfigure(stats=other)
        for running in (first, second, second):
            await running.connect()
        await until(lambda: (one.connections, other.connections) == (1, 2))
        first.reconfigure(stats=other)
        second.reconfigure(stats=one)
        assert (one.connections, other.connections) == (2, 1)
    assert (one.connections, other.connections) == (0, 0)


@pytest.mark.usefixtures("quick_drain")
async def test_a_sender_that_may_no_longer_send_is_ended(serving, pipeline, stats):
    """What it sent before it could know gets in."""
    async with serving() as running:
        reader, writer = await running.connect()
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        running.reconfigure(", allowed_sources: [192.0.2.0/24]")
        writer.write(b"1 b")
        assert await ended(reader)
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        await until(lambda: stats.connections == 0)
        assert stats.connections_rejected == {"settings_changed": 1}


@pytest.mark.usefixtures("quick_drain")
@pytest.mark.parametrize("way", ["on", "off", "names", "authority"])
async def test_connections_end_where_they_would_not_be_let_in_as_they_were(
    serving, tls, authority, stranger, way
):
    """Who shows whatever is asked for now is let in again."""
    before, now = {
        "on": ("", tls()),
        "off": (tls(), ""),
        "names": (
            tls(f", client_ca_file: {authority.ca_file}"),
            tls(f", client_ca_file: {authority.ca_file}, allowed_names: [b.example]"),
        ),
        "authority": (
            tls(f", client_ca_file: {stranger.ca_file}, require_client_cert: false"),
            tls(f", client_ca_file: {authority.ca_file}, require_client_cert: false"),
        ),
    }[way]
    first = second = trusting(authority)
    if way == "names":
        names = ("a.example", "b.example")
        first, second = (trusting(authority, authority.issue(it, name=it)) for it in names)
    async with serving(before) as running:
        reader, writer = await running.connect(**first if before else {})
        writer.write(b"1 a")
        await running.pipeline.until(lambda: running.pipeline.fed)
        running.reconfigure(now)
        assert await ended(reader)
        assert running.stats.connections_rejected == {"settings_changed": 1}
        _, writer = await running.connect(**second if now else {})
        writer.write(b"1 b")
        await running.pipeline.until(lambda: len(running.pipeline.fed) == 2)


async def test_connections_outlive_a_change_of_names_that_leaves_theirs(serving, tls, authority):
    """Who is added to those that are let in costs the others nothing."""
    ours = f", client_ca_file: {authority.ca_file}, allowed_names: [a.example"
    async with serving(tls(f"{ours}]")) as running:
        shown = trusting(authority, authority.issue("a.example", name="a"))
        _, writer = await running.connect(**shown)
        writer.write(b"1 a")
        await running.pipeline.until(lambda: running.pipeline.fed)
        running.reconfigure(tls(f"{ours}, b.example]"))
        writer.write(b"1 b")
        await running.pipeline.until(lambda: len(running.pipeline.fed) == 2)
    assert running.stats.connections_rejected == {}


async def test_connections_outlive_the_certificate_they_began_with(
    serving, pipeline, stats, tls, authority
):
    """Those that come later are shown the new one."""
    async with serving(tls()) as running:
        _, before = await running.connect(**trusting(authority))
        before.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        running.reconfigure(tls())
        _, after = await running.connect(**trusting(authority))
        shown = [w.get_extra_info("ssl_object").getpeercert(True) for w in (before, after)]
        assert shown[0] != shown[1]
        before.write(b"1 b")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        assert stats.connections_rejected == {}


async def test_a_handshake_under_former_settings_lets_nobody_in(
    serving, pipeline, stats, tls, authority
):
    """It had begun when another authority was trusted."""
    async with serving(tls()) as running:
        connected = socket.create_connection(running.address)
        connected.setblocking(False)
        await until(lambda: stats.connections == 1)
        more = tls(f", client_ca_file: {authority.ca_file}, require_client_cert: false")
        running.reconfigure(more)
        reader, writer = await asyncio.open_connection(sock=connected, **trusting(authority))
        writer.write(b"1 a")
        assert await ended(reader)
        await until(lambda: stats.connections == 0)
        assert stats.connections_rejected == {"settings_changed": 1}
        assert pipeline.fed == []
