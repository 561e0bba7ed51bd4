"""Datagrams."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
import structlog

from collector.listeners import udp
from collector.listeners.udp import UdpListener
from collector.routing import Router
from collector.syslog.framing import CutFrame


@pytest.fixture
def receiving(pipeline, router, stats, listener_settings):
    @asynccontextmanager
    async def receive(more=""):
        listener = UdpListener(listener_settings("udp", more), pipeline, router, stats)
        await listener.start()
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.connect(listener.address)
                yield listener, sender
        finally:
            await listener.stop()

    return receive


async def test_a_datagram_is_a_message(receiving, pipeline, stats):
    """Trailing line ends and NULs are no part of it; an empty one is none."""
    async with receiving() as (_, sender):
        for datagram in (b"one\n", b"\r\n\0", b"", b"two \0", b"line\nfeed"):
            sender.send(datagram)
        await pipeline.until(lambda: len(pipeline.fed) == 3)
    assert pipeline.fed == [(frame, "127.0.0.1") for frame in (b"one", b"two ", b"line\nfeed")]
    assert stats.octets == 4 + 3 + 0 + 5 + 9


async def test_a_datagram_beyond_the_bound_is_cut(receiving, pipeline):
    """The frame says so by its class."""
    async with receiving(", max_message_bytes: 1KiB") as (_, sender):
        sender.send(b"x" * 1025)
        sender.send(b"y" * 1024)
        await pipeline.until(lambda: len(pipeline.fed) == 2)
    assert pipeline.frames == [b"x" * 1024, b"y" * 1024]
    assert [type(frame) for frame in pipeline.frames] == [CutFrame, bytes]


async def test_a_datagram_beyond_the_bound_is_rejected_where_set(receiving, pipeline):
    """Its neighbours are served."""
    async with receiving(", max_message_bytes: 1KiB, when_oversize: reject") as (_, sender):
        sender.send(b"x" * 1025)
        sender.send(b"y" * 1024)
        await pipeline.until(lambda: pipeline.fed and pipeline.rejected)
    assert pipeline.frames == [b"y" * 1024]
    assert pipeline.rejected == [("oversize", "127.0.0.1")]


async def test_the_largest_datagram_is_taken_whole(receiving, pipeline):
    """65,507 octets is what UDP over IPv4 can carry."""
    async with receiving() as (_, sender):
        sender.send(b"x" * 65_507)
        await pipeline.until(lambda: pipeline.fed)
    assert pipeline.frames == [b"x" * 65_507]


async def test_other_networks_are_rejected(receiving, pipeline):
    """They are counted, not passed on."""
    async with receiving(", allowed_sources: [192.0.2.0/24]") as (_, sender):
        sender.send(b"x")
        await pipeline.until(lambda: pipeline.rejected)
    assert pipeline.rejected == [("source_not_allowed", "127.0.0.1")]
    assert pipeline.fed == []


async def test_a_paused_listener_leaves_datagrams_to_the_kernel(receiving, pipeline):
    """They are there when it resumes."""
    async with receiving() as (listener, sender):
        listener.pause()
        for number in range(10):
            sender.send(b"%d" % number)
        probe = sender.getsockname()
        assert probe
        assert pipeline.fed == []
        listener.resume()
        await pipeline.until(lambda: len(pipeline.fed) == 10)
    assert pipeline.frames == [b"%d" % number for number in range(10)]


async def test_a_listener_waits_for_the_sink_its_datagrams_went_to(receiving, pipeline):
    """One socket, one queue: those for other sinks wait as well."""
    async with receiving() as (_, sender):
        pipeline.gate.close()
        sender.send(b"first")
        await pipeline.until(lambda: pipeline.fed)
        sender.send(b"second")
        await asyncio.sleep(0.1)
        assert pipeline.frames == [b"first"]
        pipeline.gate.open()
        await pipeline.until(lambda: len(pipeline.fed) == 2)


@pytest.mark.parametrize("gate_first", [True, False])
async def test_a_listener_reads_on_when_neither_a_sink_nor_the_spool_holds_it_back(
    receiving, pipeline, gate_first
):
    """Whichever of them goes on first."""
    async with receiving() as (listener, sender):
        pipeline.gate.close()
        sender.send(b"first")
        await pipeline.until(lambda: pipeline.fed)
        listener.pause()
        sender.send(b"second")
        go_on = [pipeline.gate.open, listener.resume]
        for step in go_on if gate_first else reversed(go_on):
            await asyncio.sleep(0.05)
            assert pipeline.frames == [b"first"]
            step()
        await pipeline.until(lambda: len(pipeline.fed) == 2)


async def test_stopping_while_a_sink_is_full_takes_what_the_kernel_holds(receiving, pipeline):
    """The gate that opens later finds nobody."""
    async with receiving() as (_, sender):
        pipeline.gate.close()
        sender.send(b"first")
        await pipeline.until(lambda: pipeline.fed)
        sender.send(b"second")
    pipeline.gate.open()
    assert pipeline.frames == [b"first", b"second"]


async def test_stopping_takes_what_the_kernel_still_holds(receiving, pipeline):
    """More than one wake-up's worth."""
    count = 3 * udp.MAX_DATAGRAMS_PER_WAKE
    async with receiving() as (listener, sender):
        listener.pause()
        for _ in range(count):
            sender.send(b"x")
    assert len(pipeline.fed) == count


async def test_what_the_kernel_drops_is_counted(receiving, stats):
    """Also after the socket is closed; a listener that never started knows nothing."""
    assert stats.kernel_drops() is None
    async with receiving(", receive_buffer: 4KiB") as (listener, sender):
        listener.pause()
        for _ in range(500):
            sender.send(b"x" * 1000)
        dropped = stats.kernel_drops()
        assert 0 < dropped < 500
    assert stats.kernel_drops() == dropped


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_where_the_socket_does_not_say_the_table_of_sockets_does(
    host, stats, listener_settings
):
    """Both say the same of one socket; a socket that is in no table is unknown."""
    settings = listener_settings("udp", ", receive_buffer: 4KiB").model_copy(update={"host": host})
    listener = UdpListener(settings, None, Router([], {}, {}, []), stats)
    await listener.start()
    listener.pause()
    with socket.socket(listener._socket.family, socket.SOCK_DGRAM) as sender:
        for _ in range(500):
            sender.sendto(b"x" * 1000, listener.address)
    assert udp.drops_in_table(listener._socket) == stats.kernel_drops() > 0
    listener._socket.close()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        assert udp.drops_in_table(other) is None


async def test_a_receive_buffer_the_kernel_does_not_grant_names_the_sysctl(receiving, monkeypatch):
    """The operator is told what to raise."""
    monkeypatch.setattr(UdpListener, "_granted", lambda _: 212_992)
    with structlog.testing.capture_logs() as lines:
        async with receiving(", receive_buffer: 1MiB"):
            pass
    assert len(lines) == 1
    assert "net.core.rmem_max" in lines[0]["event"]
    assert (lines[0]["wanted"], lines[0]["granted"]) == (1 << 20, 212_992)
