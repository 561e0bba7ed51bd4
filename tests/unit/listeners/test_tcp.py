"""Connections."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import structlog

from collector.listeners.tcp import TcpListener


@pytest.fixture
def accepting(pipeline, router, stats, listener_settings):
    @asynccontextmanager
    async def accept(more=""):
        listener = TcpListener(listener_settings("tcp", more), pipeline, router, stats)
        await listener.start()
        writers = []

        async def connect():
            reader, writer = await asyncio.open_connection(*listener.address)
            writers.append(writer)
            return reader, writer

        try:
            yield listener, connect
        finally:
            for writer in writers:
                writer.close()
            await listener.stop()

    return accept


async def ended(reader):
    """Wait for the daemon to end the connection, in whatever way."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_frames_of_both_kinds_arrive_from_one_connection(accepting, pipeline, stats):
    """What is left at the end of the stream is a message too."""
    async with accepting() as (_, connect):
        _, writer = await connect()
        writer.write(b"3 one4 t\nwothree\r\nfour")
        await pipeline.until(lambda: len(pipeline.fed) == 3)
        assert stats.connections == 1
        writer.close()
        await pipeline.until(lambda: len(pipeline.fed) == 4)
        await until(lambda: stats.connections == 0)
    assert pipeline.fed == [(frame, "127.0.0.1") for frame in (b"one", b"t\nwo", b"three", b"four")]
    assert stats.octets == 22


async def test_an_unfinished_count_is_kept_as_such_at_the_end(accepting, pipeline):
    """Half a counted frame is no message, but what came of it may say something."""
    async with accepting() as (_, connect):
        _, writer = await connect()
        writer.write(b"10 half")
        writer.close()
        await pipeline.until(lambda: pipeline.incomplete)
    assert pipeline.incomplete == [(b"half", "127.0.0.1")]
    assert (pipeline.fed, pipeline.rejected) == ([], [])


async def test_oversize_frames_are_rejected_where_set(accepting, pipeline):
    """Each is counted, the connection goes on."""
    async with accepting(", max_message_bytes: 1KiB, when_oversize: reject") as (_, connect):
        _, writer = await connect()
        writer.write(b"x" * 5000 + b"\n" + b"1025 " + b"y" * 1025 + b"2 ok")
        await pipeline.until(lambda: pipeline.fed)
    assert pipeline.frames == [b"ok"]
    assert [reason for reason, _ in pipeline.rejected] == ["oversize", "oversize"]


async def test_connections_beyond_the_limit_are_refused(accepting, stats):
    """A place that becomes free is given away again."""
    async with accepting(", max_connections: 2") as (_, connect):
        _, first = await connect()
        await connect()
        await until(lambda: stats.connections == 2)
        reader, _ = await connect()
        assert await ended(reader)
        assert stats.connections_rejected == {"max_connections": 1}
        first.close()
        await until(lambda: stats.connections == 1)
        await connect()
        await until(lambda: stats.connections == 2)
        assert stats.connections_rejected == {"max_connections": 1}


async def test_connections_of_one_source_are_limited(accepting, stats):
    """One sender cannot take all places."""
    async with accepting(", max_connections_per_source: 1") as (_, connect):
        await connect()
        await until(lambda: stats.connections == 1)
        reader, _ = await connect()
        assert await ended(reader)
        assert stats.connections_rejected == {"max_connections_per_source": 1}


async def test_foreign_networks_are_refused(accepting, pipeline, stats):
    """What they send is not read."""
    async with accepting(", allowed_sources: [192.0.2.0/24]") as (_, connect):
        reader, writer = await connect()
        writer.write(b"1 x")
        assert await ended(reader)
    assert stats.connections_rejected == {"source_not_allowed": 1}
    assert (stats.connections, stats.octets, pipeline.fed) == (0, 0, [])


async def test_a_frame_must_end_in_time(accepting, pipeline, stats):
    """Octets that trickle in do not buy more time; text that was there is a message."""
    async with accepting(", frame_timeout: 100ms") as (_, connect):
        reader, writer = await connect()
        _, idle = await connect()

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


async def test_frames_that_follow_one_another_each_have_their_time(accepting, pipeline, stats):
    """A connection that always holds part of a frame is not slow."""
    async with accepting(", frame_timeout: 200ms") as (_, connect):
        _, writer = await connect()
        for _ in range(20):
            writer.write(b"begin")
            await asyncio.sleep(0.03)
            writer.write(b"end\n")
        await pipeline.until(lambda: len(pipeline.fed) >= 20)
    assert pipeline.frames == [b"beginend"] * 20
    assert stats.connections_rejected == {}


async def test_silence_is_no_fault_unless_set(accepting, stats):
    """With idle_timeout a silent connection is ended."""
    async with accepting(", idle_timeout: 1s") as (_, connect):
        reader, _ = await connect()
        assert await ended(reader)
    assert stats.connections_rejected == {"idle_timeout": 1}


async def test_a_paused_listener_reads_nothing(accepting, pipeline):
    """Connections made meanwhile wait too; nothing is lost."""
    async with accepting() as (listener, connect):
        _, before = await connect()
        before.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        listener.pause()
        _, after = await connect()
        before.write(b"1 b")
        after.write(b"1 c")
        await asyncio.sleep(0.1)
        assert pipeline.frames == [b"a"]
        listener.resume()
        await pipeline.until(lambda: len(pipeline.fed) == 3)
    assert sorted(pipeline.frames) == [b"a", b"b", b"c"]


async def test_a_pause_does_not_count_against_senders(accepting, pipeline, stats):
    """A frame whose rest we did not read is not late."""
    async with accepting(", frame_timeout: 100ms") as (listener, connect):
        _, writer = await connect()
        writer.write(b"4 ab")
        await until(lambda: stats.octets == 4)
        listener.pause()
        writer.write(b"cd")
        await asyncio.sleep(0.3)
        listener.resume()
        await pipeline.until(lambda: pipeline.fed)
    assert pipeline.frames == [b"abcd"]
    assert stats.connections_rejected == {}


async def test_a_connection_waits_for_the_sink_its_messages_go_to(accepting, pipeline):
    """One that has not sent anything meanwhile does not."""
    async with accepting() as (_, connect):
        _, waiting = await connect()
        _, other = await connect()
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
    accepting, pipeline, gate_first
):
    """Whichever of them goes on first."""
    async with accepting() as (listener, connect):
        _, writer = await connect()
        pipeline.gate.close()
        writer.write(b"1 a")
        await pipeline.until(lambda: pipeline.fed)
        listener.pause()
        writer.write(b"1 b")
        go_on = [pipeline.gate.open, listener.resume]
        for step in go_on if gate_first else reversed(go_on):
            await asyncio.sleep(0.05)
            assert pipeline.frames == [b"a"]
            step()
        await pipeline.until(lambda: len(pipeline.fed) == 2)


async def test_waiting_for_a_sink_does_not_count_against_senders(accepting, pipeline, stats):
    """A frame whose rest we did not read is not late; its time begins anew."""
    async with accepting(", frame_timeout: 100ms") as (_, connect):
        _, writer = await connect()
        pipeline.gate.close()
        writer.write(b"1 a4 bc")
        await pipeline.until(lambda: pipeline.fed)
        writer.write(b"de")
        await asyncio.sleep(0.3)
        pipeline.gate.open()
        await pipeline.until(lambda: len(pipeline.fed) == 2)
    assert pipeline.frames == [b"a", b"bcde"]
    assert stats.connections_rejected == {}


async def test_a_connection_that_ends_while_it_waits_is_forgotten(
    pipeline, router, stats, listener_settings
):
    """The gate that opens later finds nobody; what had been read is passed on."""
    listener = TcpListener(listener_settings("tcp"), pipeline, router, stats)
    await listener.start()
    _, writer = await asyncio.open_connection(*listener.address)
    pipeline.gate.close()
    writer.write(b"1 aline")
    await pipeline.until(lambda: pipeline.fed)
    await listener.stop()
    assert pipeline.frames == [b"a", b"line"]
    assert stats.connections == 0
    pipeline.gate.open()
    assert stats.connections == 0
    writer.close()


async def test_a_framing_mismatch_is_named_once_per_connection(accepting, pipeline):
    """The text is passed on all the same."""
    with structlog.testing.capture_logs() as lines:
        async with accepting(", framing: octet-counted") as (_, connect):
            _, writer = await connect()
            writer.write(b"<13>one\n<13>two\n")
            await pipeline.until(lambda: len(pipeline.fed) == 2)
            writer.write(b"<13>three\n")
            await pipeline.until(lambda: len(pipeline.fed) == 3)
    assert [line["event"] for line in lines] == ["framing mismatch"]
    assert lines[0]["problem"].startswith("octet count expected, got ")


async def test_stopping_reads_what_was_sent_and_tells_the_sender(
    pipeline, router, stats, listener_settings
):
    """The sender sees the end of the stream; what it sends until then still gets in."""
    listener = TcpListener(listener_settings("tcp"), pipeline, router, stats)
    await listener.start()
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(b"1 a")
    await pipeline.until(lambda: pipeline.fed)
    stopping = asyncio.create_task(listener.stop())
    assert await reader.read() == b""
    writer.write(b"1 b")
    await stopping
    writer.close()
    assert pipeline.frames == [b"a", b"b"]
    assert stats.connections == 0
