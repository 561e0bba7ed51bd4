"""What holds of connections whatever they speak: time, room, pauses. They speak syslog here."""

import asyncio
import gc
import socket
import ssl
import weakref
from contextlib import suppress

import pytest

from collector.listeners import connections
from collector.listeners.buffers import Buffers
from tests.unit.listeners.conftest import check_times, ended, until

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


# Time.


async def test_a_frame_must_end_in_time(serving, pipeline, stats):
    """Octets that trickle in do not buy more time; text that was there is a message."""
    async with serving(", frame_timeout: 100ms") as running:
        reader, writer = await running.connect()
        _, idle = await running.connect()

        async def trickle():
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        assert await ended(reader)
        trickling.cancel()
        await pipeline.until(lambda: pipeline.fed)
        assert set(pipeline.frames[0]) == {ord("x")}
        assert stats.connections_rejected == {"frame_timeout": 1}
        idle.write(b"4 idle")
        await pipeline.until(lambda: b"idle" in pipeline.frames)


async def test_frames_that_follow_one_another_each_have_their_time(serving, pipeline, stats):
    """A connection that always holds part of a frame is not slow."""
    async with serving(", frame_timeout: 1s") as running:
        _, writer = await running.connect()
        for _ in range(20):
            writer.write(b"begin")
            await asyncio.sleep(0.03)
            writer.write(b"end\nbegin")
            await asyncio.sleep(0.03)
            writer.write(b"end\n")
        await pipeline.until(lambda: len(pipeline.fed) >= 40)
    assert pipeline.frames == [b"beginend"] * 40
    assert stats.connections_rejected == {}


async def test_silence_is_no_fault_unless_set(serving, stats):
    """With idle_timeout a silent connection is ended."""
    async with serving(", idle_timeout: 100ms") as running:
        reader, _ = await running.connect()
        assert await ended(reader)
    assert stats.connections_rejected == {"idle_timeout": 1}


async def test_times_that_were_changed_hold_for_connections_that_are_there(serving, stats):
    """They look at the settings of their listener."""
    async with serving() as running:
        reader, _ = await running.connect()
        await until(lambda: stats.connections)
        running.reconfigure(", idle_timeout: 100ms")
        assert await ended(reader)
    assert stats.connections_rejected == {"idle_timeout": 1}


async def test_silence_within_a_handshake_is_not_that_of_a_connection(
    serving, pipeline, stats, tls, authority
):
    """It has a time of its own, however long it lasts."""
    async with serving(tls() + ", idle_timeout: 10m") as running:
        plain = socket.create_connection(running.address)
        plain.setblocking(False)
        await until(lambda: stats.connections)
        check_times(running.listener, asyncio.get_running_loop().time() + 3600)
        context = ssl.create_default_context(cafile=authority.ca_file)
        secure = {"ssl": context, "server_hostname": "localhost"}
        _, writer = await asyncio.open_connection(sock=plain, **secure)
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        writer.close()
    assert stats.connections_rejected == {}


async def test_a_frame_that_is_rejected_for_its_length_has_ended_too(serving, stats):
    """The time of the next one is its own, though neither becomes a message."""
    more = ", max_message_bytes: 1KiB, when_oversize: reject, frame_timeout: 10m"
    begin, end = b"3000 " + b"x" * 2000, b"x" * 1000
    async with serving(more) as running:
        _, writer = await running.connect()
        writer.write(begin)
        await until(lambda: stats.octets == len(begin))
        first_began_before = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        writer.write(end + begin)
        await until(lambda: stats.octets == len(begin + end + begin))
        check_times(running.listener, first_began_before + 600.01)
        assert stats.connections_rejected == {}
        check_times(running.listener, first_began_before + 3600)
        assert stats.connections_rejected == {"frame_timeout": 1}


async def test_who_does_not_take_part_in_the_end_of_tls_is_not_waited_for(
    serving, stats, tls, authority, monkeypatch
):
    """The connection was ended by us, and its sender neither reads nor closes."""
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.1)
    async with serving(tls() + ", frame_timeout: 100ms") as running:
        with await asyncio.to_thread(silent_after, running.address, authority, b"unfinished"):
            await until(lambda: stats.connections_rejected == {"frame_timeout": 1})
            await until(lambda: stats.connections == 0)


def silent_after(address, authority, data):
    """Connect over TLS, send something, and never read."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    plain = socket.create_connection(address)
    encrypted = context.wrap_socket(
        plain, server_hostname="localhost", do_handshake_on_connect=True
    )
    encrypted.sendall(data)
    return encrypted


# Room.


async def test_what_all_connections_hold_is_bounded(serving, pipeline, stats):
    """The one whose large message has been unfinished for the longest goes."""
    buffers = Buffers(100_000)
    async with serving(buffers=buffers) as running:
        readers = []
        for number in range(3):
            reader, writer = await running.connect()
            writer.write(b"60000 " + b"%d" % number * 40_000)
            readers.append(reader)
            await until(lambda: stats.octets == (number + 1) * 40_006)  # noqa: B023 - called here
        assert await ended(readers[0])
        await pipeline.until(lambda: pipeline.incomplete)
        assert stats.connections_rejected == {"max_buffered_bytes": 1}
        assert buffers.octets == 80_000
        assert pipeline.incomplete == [(b"0" * 40_000, "127.0.0.1")]
    assert buffers.octets == 0


async def test_one_that_is_ended_for_room_lets_go_at_once(serving, stats, tls, authority):
    """Its sender could make the end of TLS last."""
    buffers = Buffers(10_000)
    async with serving(tls(), buffers=buffers) as running:
        with await asyncio.to_thread(silent_after, running.address, authority, b"x" * 10_001):
            await until(lambda: stats.connections_rejected == {"max_buffered_bytes": 1})
            await until(lambda: stats.connections == 0)
    assert buffers.octets == 0


async def test_nothing_is_held_of_connections_that_are_gone(serving, stats):
    """Nor of a message that has ended."""
    buffers = Buffers(100_000)
    async with serving(buffers=buffers) as running:
        _, one = await running.connect()
        _, other = await running.connect()
        one.write(b"unfinished")
        other.write(b"unfinished")
        await until(lambda: buffers.octets == 20)
        one.write(b"\n")
        await until(lambda: buffers.octets == 10)
        other.close()
        await until(lambda: stats.connections == 1)
        assert buffers.octets == 0


async def test_the_memory_of_connections_that_are_gone_is_free_at_once(
    serving, stats, tls, authority
):
    """Plain, over TLS, or ended within the handshake: none waits for circles to be looked for."""
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    for more, encryption, reason in (
        ("", {}, None),
        (tls(), {"ssl": trusting, "server_hostname": "localhost"}, None),
        (tls(), {}, "handshake_aborted"),
    ):
        async with serving(more) as running:
            made = remembered(running.listener)
            gc.disable()
            try:
                for _ in range(5):
                    _, writer = await running.connect(**encryption)
                    writer.close()
                await until(lambda made=made: len(made) == 5)
                await until(lambda: stats.connections == 0)
                await until(lambda made=made: all(connection() is None for connection in made))
            finally:
                gc.enable()
        assert reason is None or stats.connections_rejected == {reason: 5}


def remembered(listener):
    """Return a list that gets a weak reference to each connection of a listener from now on."""
    made, make = [], listener._protocol

    def making(*arguments):
        connection = make(*arguments)
        made.append(weakref.ref(connection))
        return connection

    listener._protocol = making
    return made


# Pauses.


async def test_a_paused_listener_reads_nothing(serving, pipeline):
    """Connections made meanwhile wait too; nothing is lost."""
    async with serving() as running:
        _, before = await running.connect()
        before.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        running.listener.pause()
        _, after = await running.connect()
        before.write(b"1 b")
        after.write(b"1 c")
        await asyncio.sleep(0.1)
        assert pipeline.frames == [b"a"]
        running.listener.resume()
        await pipeline.until(lambda: len(pipeline.fed) == 3)
    assert sorted(pipeline.frames) == [b"a", b"b", b"c"]


async def test_a_paused_listener_reads_nothing_over_tls(serving, pipeline, tls, authority):
    """Though it does read what handshakes need."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    secure = {"ssl": context, "server_hostname": "localhost"}
    async with serving(tls()) as running:
        _, before = await running.connect(**secure)
        running.listener.pause()
        _, after = await running.connect(**secure)
        before.write(b"1 b")
        after.write(b"1 c")
        await asyncio.sleep(0.1)
        assert pipeline.frames == []
        running.listener.resume()
        await pipeline.until(lambda: len(pipeline.fed) == 2)


async def test_a_pause_does_not_count_against_senders(serving, pipeline, stats):
    """A frame whose rest we did not read is not late."""
    async with serving(", frame_timeout: 200ms") as running:
        _, writer = await running.connect()
        writer.write(b"4 ab")
        await until(lambda: stats.octets == 4)
        running.listener.pause()
        writer.write(b"cd")
        await asyncio.sleep(0.5)
        running.listener.resume()
        await pipeline.until(lambda: pipeline.fed)
    assert pipeline.frames == [b"abcd"]
    assert stats.connections_rejected == {}


async def test_a_connection_waits_for_the_sink_its_messages_go_to(serving, pipeline):
    """One that has not sent anything meanwhile does not."""
    async with serving() as running:
        _, waiting = await running.connect()
        _, other = await running.connect()
        pipeline.gate.close()
        waiting.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        waiting.write(b"1 b")
        other.write(b"1 c")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        await asyncio.sleep(0.1)
        assert pipeline.frames == [b"a", b"c"]
        pipeline.gate.open()
        await pipeline.until(lambda: len(pipeline.fed) == 3)
        other.write(b"1 d")
        await pipeline.until(lambda: len(pipeline.fed) == 4)
    assert pipeline.frames == [b"a", b"c", b"b", b"d"]


@pytest.mark.parametrize("gate_first", [True, False])
async def test_a_connection_reads_on_when_neither_its_sink_nor_the_listener_waits(
    serving, pipeline, gate_first
):
    """Whichever of them goes on first."""
    async with serving() as running:
        _, writer = await running.connect()
        pipeline.gate.close()
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        running.listener.pause()
        writer.write(b"1 b")
        go_on = [pipeline.gate.open, running.listener.resume]
        for step in go_on if gate_first else reversed(go_on):
            await asyncio.sleep(0.05)
            assert pipeline.frames == [b"a"]
            step()
        await pipeline.until(lambda: len(pipeline.fed) == 2)


async def test_waiting_for_a_sink_does_not_count_against_senders(serving, pipeline, stats):
    """A frame whose rest we did not read is not late; its time begins anew."""
    async with serving(", frame_timeout: 200ms") as running:
        _, writer = await running.connect()
        pipeline.gate.close()
        writer.write(b"1 a4 bc")
        await pipeline.until(lambda: pipeline.fed)
        writer.write(b"de")
        await asyncio.sleep(0.5)
        pipeline.gate.open()
        await pipeline.until(lambda: len(pipeline.fed) == 2)
    assert pipeline.frames == [b"a", b"bcde"]
    assert stats.connections_rejected == {}


async def test_a_connection_that_ends_while_it_waits_is_forgotten(serving, pipeline, stats):
    """The gate that opens later finds nobody; what had been read is passed on."""
    async with serving() as running:
        _, writer = await running.connect()
        pipeline.gate.close()
        writer.write(b"1 aline")
        await pipeline.until(lambda: pipeline.fed)
        await running.listener.stop()
        assert pipeline.frames == [b"a", b"line"]
        assert stats.connections == 0
        pipeline.gate.open()
        assert stats.connections == 0


LITTLE = [b"%d" % number for number in range(100)]
MUCH = [b"much" * 250] * 300


@pytest.mark.parametrize("messages", [LITTLE, MUCH], ids=["little", "much"])
@pytest.mark.parametrize("end", ["FIN", "close_notify"])
async def test_what_was_sent_over_tls_before_the_end_gets_in(
    serving, tls, authority, messages, end
):
    """Though TLS is read ahead of us, and what was read lost when the connection is."""
    async with serving(tls()) as running:
        for _ in range(5):
            with await asyncio.to_thread(over_tls, running.address, authority) as sender:
                await asyncio.to_thread(end_after, sender, messages, end)
                await until(lambda: running.stats.connections == 0)
        assert running.pipeline.frames == messages * 5
        assert running.pipeline.incomplete == []


@pytest.mark.parametrize("pauses", ["listener", "sink"])
@pytest.mark.parametrize("messages", [LITTLE, MUCH], ids=["little", "much"])
@pytest.mark.parametrize("end", ["FIN", "close_notify"])
async def test_what_was_sent_over_tls_before_the_end_gets_in_after_a_pause(
    serving, tls, authority, *, pauses, messages, end
):
    """The end of little is seen within the pause; of much, most is still in the kernel then."""
    async with serving(tls()) as running:
        pipeline = running.pipeline
        with await asyncio.to_thread(over_tls, running.address, authority) as sender:
            if pauses == "listener":
                running.listener.pause()
            else:
                pipeline.gate.close()
                sender.sendall(b"first\n")
                await pipeline.until(lambda: pipeline.fed)
                pipeline.fed.clear()
            await asyncio.to_thread(end_after, sender, messages, end)
            if messages is LITTLE:
                await until(lambda: running.stats.connections == 0)
            running.listener.resume() if pauses == "listener" else pipeline.gate.open()
            await until(lambda: running.stats.connections == 0)
        assert pipeline.frames == messages


def over_tls(address, authority):
    """Connect over TLS."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    return context.wrap_socket(socket.create_connection(address), server_hostname="localhost")


def end_after(sender, messages, end):
    """Send lines and end that side of the connection at once, the last line by that.

    The socket stays open: with RST, as it follows what its sender leaves unread, some may be lost.
    """
    sender.sendall(b"\n".join(messages))
    sender.setblocking(False)
    if end == "close_notify":
        with suppress(ssl.SSLWantReadError):
            sender.unwrap()
    sender.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("pauses", ["listener", "sink"])
async def test_a_pause_bounds_what_is_taken_of_each_sender_over_tls(
    serving, pipeline, tls, authority, pauses
):
    """About a read is decrypted ahead, whatever the sender has to say."""
    async with serving(tls()) as running:
        # What the kernel takes besides is little then.
        running.listener.source.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if pauses == "listener":
            running.listener.pause()
        else:
            pipeline.gate.close()
        taken = await asyncio.to_thread(taken_over_tls, running.address, authority)
    assert 0 < taken < 128 * 1024


def taken_over_tls(address, authority):
    """Connect and send for as long as anything is taken; return how many octets were."""
    taken = 0
    context = ssl.create_default_context(cafile=authority.ca_file)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        plain.connect(address)
        with context.wrap_socket(plain, server_hostname="localhost") as encrypted:
            encrypted.settimeout(0.5)
            with suppress(TimeoutError):
                while taken < 1024 * 1024:
                    taken += encrypted.send(b"a message\n" * 100)
    return taken


# Mistakes of senders.


async def test_tls_on_a_plain_port_is_named(serving, pipeline, stats):
    """The octets of a handshake are no message."""
    async with serving() as running:
        reader, writer = await running.connect()
        writer.write(CLIENT_HELLO)
        assert await ended(reader)
    assert stats.connections_rejected == {"tls_on_plain_port": 1}
    assert (pipeline.fed, pipeline.incomplete) == ([], [])


async def test_only_the_beginning_of_a_connection_can_be_a_handshake(serving, pipeline, stats):
    """Later it is part of a message."""
    async with serving() as running:
        _, writer = await running.connect()
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        writer.write(CLIENT_HELLO + b"\n")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
    assert stats.connections_rejected == {}


async def test_what_comes_after_the_end_of_a_connection_is_not_read(serving, pipeline, stats):
    """It was ended for what came before."""
    async with serving(", frame_timeout: 100ms") as running:
        reader, writer = await running.connect()
        writer.write(b"part")
        assert await ended(reader)
        writer.write(b" of a message\nanother\n")
        await until(lambda: stats.connections == 0)
    assert pipeline.frames == [b"part"]


async def test_one_busy_connection_leaves_the_others_their_turn(serving, pipeline):
    """A read, then whoever else has sent something."""
    async with serving() as running:
        _, busy = await running.connect()
        _, other = await running.connect()
        busy.write(b"%d %b" % (1000, b"x" * 1000) * 2000)
        other.write(b"1 y")
        await pipeline.until(lambda: b"y" in pipeline.frames)
        assert pipeline.frames.index(b"y") < 1500
        await pipeline.until(lambda: len(pipeline.fed) == 2001)


# How much is read at once.


@pytest.mark.parametrize(
    ("a_long_turn", "octets"), [(-1.0, connections.LEAST_READ_OCTETS), (1e9, 256 * 1024)]
)
async def test_what_is_read_at_once_follows_from_how_long_the_last_read_took(
    serving, pipeline, monkeypatch, a_long_turn, octets
):
    """Short messages are many in a read, and others wait for all of them."""
    monkeypatch.setattr(connections, "LONG_TURN_SECONDS", a_long_turn)
    async with serving() as running:
        _, writer = await running.connect()
        for number in range(1, 10):
            writer.write(b"message\n")
            await pipeline.until(lambda number=number: len(pipeline.frames) == number)
        (connection,) = running.listener._connections
        assert len(connection.get_buffer(-1)) == octets
