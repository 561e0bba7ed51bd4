"""Datagrams."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
import structlog

from collector.listeners import udp
from collector.listeners.sockets import address_of, bind, bind_path
from collector.listeners.udp import DatagramListener
from collector.metrics import ListenerStats
from collector.routing import Router
from collector.syslog.framing import CutFrame


@pytest.fixture
def listening(pipeline, router, stats, listener_settings):
    """Return what makes a listener, which is not started."""

    async def listen(more="", *, transport="udp", host="127.0.0.1"):
        settings = listener_settings(transport, more)
        if settings.path is not None:
            bound = bind_path(settings.path, settings.mode, socket.SOCK_DGRAM)
        else:
            bound = await bind(host, settings.port, socket.SOCK_DGRAM)
        return DatagramListener(bound, settings, pipeline=pipeline, router=router, stats=stats)

    return listen


@pytest.fixture
def receiving(listening):
    """Return what runs a listener and connects a sender to it."""

    @asynccontextmanager
    async def receive(more="", **options):
        listener = await listening(more, **options)
        listener.start()
        try:
            with socket.socket(listener.socket.family, socket.SOCK_DGRAM) as sender:
                sender.connect(address_of(listener.socket))
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


async def test_one_that_has_stopped_can_be_stopped_again(receiving, stats):
    """As when a stop is hurried whose other listeners still read; what is known of it stays."""
    async with receiving() as (listener, sender):
        sender.send(b"x")
        await listener.stop()
        dropped = stats.kernel_drops()
        await listener.stop()
        assert stats.kernel_drops() == dropped == 0


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
async def test_where_the_socket_does_not_say_the_table_of_sockets_does(host, listening, stats):
    """Both say the same of one socket; a socket that is in no table is unknown."""
    listener = await listening(", receive_buffer: 4KiB", host=host)
    listener.pause()
    listener.start()
    with socket.socket(listener.socket.family, socket.SOCK_DGRAM) as sender:
        for _ in range(500):
            sender.sendto(b"x" * 1000, address_of(listener.socket))
    assert udp.drops_in_table(listener.socket) == stats.kernel_drops() > 0
    listener.socket.close()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        assert udp.drops_in_table(other) is None


async def test_drops_are_those_of_the_socket_that_came_last(listening, stats):
    """A listener that has moved to another port is stopped on its former one after that."""
    former, present = await listening(), await listening(", receive_buffer: 4KiB")
    former.start()
    present.pause()
    present.start()
    await former.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(500):
            sender.sendto(b"x" * 1000, address_of(present.socket))
    assert stats.kernel_drops() > 0
    await present.stop()


async def test_a_receive_buffer_the_kernel_does_not_grant_names_the_sysctl(receiving, monkeypatch):
    """The operator is told what to raise."""
    monkeypatch.setattr(DatagramListener, "_granted", lambda _: 212_992)
    with structlog.testing.capture_logs() as lines:
        async with receiving(", receive_buffer: 1MiB"):
            pass
    assert len(lines) == 1
    assert "net.core.rmem_max" in lines[0]["event"]
    assert (lines[0]["wanted"], lines[0]["granted"]) == (1 << 20, 212_992)


# Over a unix socket.


async def test_local_senders_have_no_address(receiving, pipeline, stats):
    """Nor does the kernel drop anything of theirs: it makes them wait."""
    async with receiving(transport="unix-datagram") as (_, sender):
        sender.send(b"hello\n")
        await pipeline.until(lambda: pipeline.fed)
        assert stats.kernel_drops() is None
    assert pipeline.fed == [(b"hello", "")]


async def test_a_local_sender_that_has_a_path_is_not_taken_by_its_name(
    receiving, pipeline, tmp_path
):
    """It may choose any."""
    async with receiving(transport="unix-datagram") as (listener, _):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as named:
            named.bind(str(tmp_path / "192.0.2.1"))
            named.sendto(b"hello", address_of(listener.socket))
            await pipeline.until(lambda: pipeline.fed)
    assert pipeline.fed == [(b"hello", "")]


async def test_a_local_datagram_may_be_longer_than_any_over_udp(receiving, pipeline):
    """Up to the bound of messages; beyond it is cut, and known to be."""
    more = ", max_message_bytes: 100KiB"
    async with receiving(more, transport="unix-datagram") as (_, sender):
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sender.send(b"x" * 102_400)
        sender.send(b"y" * 102_401)
        await pipeline.until(lambda: len(pipeline.fed) == 2)
    assert pipeline.frames == [b"x" * 102_400, b"y" * 102_400]
    assert [type(frame) for frame in pipeline.frames] == [bytes, CutFrame]


# Other settings.


async def test_other_settings_hold_from_the_next_datagram_on(
    receiving, pipeline, stats, listener_settings
):
    """Messages count for the new name and go to the new intake, bounds are the new ones."""
    async with receiving(", max_message_bytes: 1KiB, when_oversize: reject") as (listener, sender):
        sender.send(b"one")
        await pipeline.until(lambda: pipeline.fed)
        renamed = ListenerStats("other")
        settings = listener_settings("udp", ", max_message_bytes: 2KiB")
        router = Router([], keys={}, bound={"other": "another"}, sources=[])
        listener.reconfigure(settings.model_copy(update={"name": "other"}), router, renamed)
        sender.send(b"x" * 2000)
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        assert pipeline.frames == [b"one", b"x" * 2000]
        assert pipeline.intakes == ["bound to l", "another"]
        assert (stats.octets, renamed.octets) == (3, 2000)
        assert renamed.kernel_drops() == 0


async def test_a_sender_that_may_no_longer_send_is_rejected(
    receiving, pipeline, router, stats, listener_settings
):
    """Though it was known."""
    async with receiving() as (listener, sender):
        sender.send(b"one")
        await pipeline.until(lambda: pipeline.fed)
        narrow = listener_settings("udp", ", allowed_sources: [192.0.2.0/24]")
        listener.reconfigure(narrow, router, stats)
        sender.send(b"two")
        await pipeline.until(lambda: pipeline.rejected)
    assert pipeline.frames == [b"one"]
    assert pipeline.rejected == [("source_not_allowed", "127.0.0.1")]


async def test_a_larger_receive_buffer_is_asked_for_when_settings_do(
    receiving, router, stats, listener_settings
):
    """Of the socket that is there."""
    async with receiving(", receive_buffer: 8KiB") as (listener, _):
        before = listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        wanted = listener_settings("udp", ", receive_buffer: 2MiB")
        listener.reconfigure(wanted, router, stats)
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > before
