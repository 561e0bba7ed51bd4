"""Where connections come in: how many may, and who."""

import errno
import os

import structlog

from collector.listeners import entrances
from tests.unit.listeners.conftest import burst, ended, until

MANY = ", max_connections: 5000, max_connections_per_source: 5000"


async def test_connections_beyond_the_limit_are_refused(serving, stats):
    """A place that becomes free is given away again."""
    async with serving(", max_connections: 2") as running:
        _, first = await running.connect()
        await running.connect()
        await until(lambda: stats.connections == 2)
        reader, _ = await running.connect()
        assert await ended(reader)
        assert stats.connections_rejected == {"max_connections": 1}
        first.close()
        await until(lambda: stats.connections == 1)
        await running.connect()
        await until(lambda: stats.connections == 2)
        assert stats.connections_rejected == {"max_connections": 1}


async def test_connections_of_one_source_are_limited(serving, stats):
    """One sender cannot take all places."""
    async with serving(", max_connections_per_source: 1") as running:
        _, first = await running.connect()
        await until(lambda: stats.connections == 1)
        reader, _ = await running.connect()
        assert await ended(reader)
        assert stats.connections_rejected == {"max_connections_per_source": 1}
        first.close()
        await until(lambda: stats.connections == 0)
        await running.connect()
        await until(lambda: stats.connections == 1)


async def test_foreign_networks_are_refused(serving, pipeline, stats):
    """What they send is not read."""
    async with serving(", allowed_sources: [192.0.2.0/24]") as running:
        reader, writer = await running.connect()
        writer.write(b"1 x")
        assert await ended(reader)
        assert stats.connections_rejected == {"source_not_allowed": 1}
        assert (stats.connections, stats.octets, pipeline.fed) == (0, 0, [])


async def test_a_burst_of_plain_connections_is_let_in_whole(serving, pipeline, stats, monkeypatch):
    """They wait for nothing, so that none of them is in the way of another."""
    monkeypatch.setattr(entrances, "MAX_OPENINGS", 10)
    async with serving(MANY) as running:
        with burst(running.address, 100) as senders:
            for number, sender in enumerate(senders):
                sender.send(b"%d\n" % number)
            await pipeline.until(lambda: len(pipeline.fed) == 100)
            assert sorted(map(int, pipeline.frames)) == [*range(100)]
            assert (stats.connections, stats.connections_rejected) == (100, {})


async def test_accepting_goes_on_once_there_are_files_again(serving, pipeline, stats, monkeypatch):
    """Those who connect meanwhile wait in the kernel; the log says what is wrong."""
    monkeypatch.setattr(entrances, "EXHAUSTED_SECONDS", 0.01)
    failures = []

    class Exhausted:
        """The socket of a process that has no file left, three times."""

        def __init__(self, bound):
            self._bound = bound

        def accept(self):
            if len(failures) < 3:
                failures.append(errno.EMFILE)
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self._bound.accept()

        def __getattr__(self, name):
            return getattr(self._bound, name)

    with structlog.testing.capture_logs() as lines:
        async with serving() as running:
            running.listener.source.socket = Exhausted(running.listener.source.socket)
            _, writer = await running.connect()
            writer.write(b"1 x")
            await pipeline.until(lambda: pipeline.fed)
    assert failures == [errno.EMFILE] * 3
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("cannot accept connections, it is tried again", "error")
    ]
    assert (lines[0]["listener"], lines[0]["problem"]) == ("l", "Too many open files")
    assert stats.connections_rejected == {}


async def test_rejections_are_reported_at_a_bounded_rate(serving, stats):
    """All are counted, the first is logged with its reason and sender."""
    with structlog.testing.capture_logs() as lines:
        async with serving(", allowed_sources: [192.0.2.0/24]") as running:
            for _ in range(20):
                reader, _ = await running.connect()
                assert await ended(reader)
    assert stats.connections_rejected == {"source_not_allowed": 20}
    assert lines == [
        {
            "event": "connection rejected",
            "log_level": "warning",
            "listener": "l",
            "peer": "127.0.0.1",
            "reason": "source_not_allowed",
        }
    ]
