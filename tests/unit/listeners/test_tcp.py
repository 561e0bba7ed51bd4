"""Syslog on connections: what becomes a message."""

import pytest
import structlog

from tests.unit.listeners.conftest import until


@pytest.mark.parametrize("transport", ["tcp", "unix"])
async def test_frames_of_both_kinds_arrive_from_one_connection(serving, pipeline, stats, transport):
    """What is left at the end of the stream is a message too; local senders have no address."""
    async with serving(transport=transport) as running:
        _, writer = await running.connect()
        writer.write(b"3 one4 t\nwothree\r\nfour")
        await pipeline.until(lambda: len(pipeline.fed) == 3)
        assert stats.connections == 1
        writer.close()
        await pipeline.until(lambda: len(pipeline.fed) == 4)
        await until(lambda: stats.connections == 0)
    peer = {"tcp": "127.0.0.1", "unix": ""}[transport]
    assert pipeline.fed == [(frame, peer) for frame in (b"one", b"t\nwo", b"three", b"four")]
    assert stats.octets == 22


async def test_an_unfinished_count_is_kept_as_such_at_the_end(serving, pipeline):
    """Half a counted frame is no message, but what came of it may say something."""
    async with serving() as running:
        _, writer = await running.connect()
        writer.write(b"10 half")
        writer.close()
        await pipeline.until(lambda: pipeline.incomplete)
    assert pipeline.incomplete == [(b"half", "127.0.0.1")]
    assert (pipeline.fed, pipeline.rejected) == ([], [])


async def test_oversize_frames_are_rejected_where_set(serving, pipeline):
    """Each is counted, the connection goes on."""
    async with serving(", max_message_bytes: 1KiB, when_oversize: reject") as running:
        _, writer = await running.connect()
        writer.write(b"x" * 5000 + b"\n" + b"1025 " + b"y" * 1025 + b"2 ok")
        await pipeline.until(lambda: pipeline.fed)
    assert pipeline.frames == [b"ok"]
    assert [reason for reason, _ in pipeline.rejected] == ["oversize", "oversize"]


async def test_an_oversize_frame_that_is_not_ended_is_rejected_at_the_end(serving, pipeline):
    """A line is one, whatever ends it."""
    async with serving(", max_message_bytes: 1KiB, when_oversize: reject") as running:
        _, writer = await running.connect()
        writer.write(b"x" * 5000)
        writer.close()
        await pipeline.until(lambda: pipeline.rejected)
    assert pipeline.rejected == [("oversize", "127.0.0.1")]
    assert pipeline.fed == []


async def test_a_framing_mismatch_is_named_once_per_connection(serving, pipeline):
    """The text is passed on all the same."""
    with structlog.testing.capture_logs() as lines:
        async with serving(", framing: octet-counted") as running:
            _, writer = await running.connect()
            writer.write(b"<13>one\n<13>two\n")
            await pipeline.until(lambda: len(pipeline.fed) == 2)
            writer.write(b"<13>three\n")
            await pipeline.until(lambda: len(pipeline.fed) == 3)
    assert [line["event"] for line in lines] == ["framing mismatch"]
    assert lines[0]["problem"].startswith("octet count expected, got ")


async def test_framing_mismatches_of_many_senders_are_one_line_per_period(serving, pipeline):
    """Else as many lines as there are senders, or as one can pretend to be."""
    more = ", framing: octet-counted, proxy_protocol: [127.0.0.1]"
    with structlog.testing.capture_logs() as lines:
        async with serving(more) as running:
            for number in range(20):
                _, writer = await running.connect()
                writer.write(b"PROXY TCP4 192.0.2.%d 192.0.2.99 1 1\r\n<13>one\n" % number)
            await pipeline.until(lambda: len(pipeline.fed) == 20)
    assert len({peer for _, peer in pipeline.fed}) == 20
    assert [line["event"] for line in lines] == ["framing mismatch"]


async def test_other_framing_holds_within_a_connection(serving, pipeline):
    """At once between two messages."""
    async with serving(", framing: lf") as running:
        _, writer = await running.connect()
        writer.write(b"3 a\n")
        await pipeline.until(lambda: pipeline.fed)
        running.reconfigure(", framing: octet-counted")
        writer.write(b"3 b\nc")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
    assert pipeline.frames == [b"3 a", b"b\nc"]


async def test_other_framing_lets_a_message_end_as_it_began(serving, pipeline, stats):
    """Nothing of it is lost, and the next one is cut the new way."""
    async with serving(", framing: octet-counted") as running:
        _, writer = await running.connect()
        writer.write(b"5 a\nb")
        await until(lambda: stats.octets == 5)
        running.reconfigure(", framing: nul")
        writer.write(b"\nc")
        await pipeline.until(lambda: pipeline.fed)
        writer.write(b"1 \nd\0")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
    assert pipeline.frames == [b"a\nb\nc", b"1 \nd"]


async def test_other_bounds_hold_from_the_next_message_on(serving, pipeline):
    """In connections that are open for months."""
    async with serving(", max_message_bytes: 1KiB, when_oversize: reject") as running:
        _, writer = await running.connect()
        writer.write(b"x" * 2000 + b"\n")
        await pipeline.until(lambda: pipeline.rejected)
        running.reconfigure(", max_message_bytes: 2KiB")
        writer.write(b"x" * 2000 + b"\n")
        await pipeline.until(lambda: pipeline.fed)
    assert pipeline.frames == [b"x" * 2000]
