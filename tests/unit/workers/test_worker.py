"""A worker, told things by a supervisor that the test plays; at work it is a process of its own."""

import asyncio
import os
import socket
from types import SimpleNamespace

import pytest
import structlog

from collector import __version__
from collector.board import Board
from collector.ledger import Ledger
from collector.metrics import Stats
from collector.refusals import RefusedError
from collector.workers import worker
from collector.workers.channel import Channel
from collector.workers.worker import Worker
from tests.unit.listeners.conftest import until


class Stage:
    """A worker that has not started, and what it says."""

    def __init__(self):
        mine, theirs = socket.socketpair()
        self.said = []
        self.channel = Channel(mine, lambda message, _: self.said.append(message), lambda: None)
        self.worker = Worker(theirs)

    async def said_of(self, kind):
        await until(lambda: any(message["kind"] == kind for message in self.said))
        return next(message for message in self.said if message["kind"] == kind)


@pytest.fixture
async def stage():
    made = Stage()
    yield made
    made.channel.close()
    made.worker._channel.close()


class Service:
    """What a worker runs, as far as settings and the end are concerned."""

    failed = False

    def __init__(self):
        self.stats = Stats(Ledger())
        self.may_prepare = asyncio.Event()
        self.may_prepare.set()
        self.prepared = []
        self.adopted = []
        self.discarded = []
        self.ended_by = []

    async def prepare(self, document):
        await self.may_prepare.wait()
        self.prepared.append(document)
        return SimpleNamespace(config=document)

    def discard(self, prepared):
        self.discarded.append(prepared.config)

    def adopt(self, prepared):
        self.adopted.append(prepared.config)

    async def settle(self):
        pass

    async def stop(self):
        self.ended_by.append("stop")

    async def wind_down(self):
        self.ended_by.append("wind_down")


@pytest.fixture
async def started(stage, monkeypatch):
    """Return a stage whose worker has started; its settings are names."""
    monkeypatch.setattr(worker.settings, "build", lambda document, **_: document)
    monkeypatch.setattr(worker.descriptors, "room", lambda connections, _: 100 + connections)
    monkeypatch.setattr(worker.descriptors, "check", lambda *_: None)
    monkeypatch.setattr(stage.worker, "_configure_logs", lambda _: None)
    stage.service = stage.worker._service = Service()
    stage.worker._board = Board.alone()
    return stage


def prepare(stage, course):
    """Have a worker prepare settings that are called as their number."""
    more = {"document": str(course), "sha256": f"sha {course}", "columns": {}}
    stage.channel.send({"kind": "prepare", "course": course, "question": course, **more})


@pytest.mark.parametrize("kind", ["stop", "adopt"])
async def test_a_worker_that_winds_down_says_so_first(stage, kind):
    """Whether it was asked to or fails, as where it is to go by settings that it does not have."""
    stage.channel.send({"kind": kind, "course": 0, "question": 0})
    assert await stage.worker.ended() == 1
    assert await stage.said_of("leaving")


async def test_a_worker_of_another_version_does_not_start(stage):
    """As when the package was replaced while the daemon runs."""
    board = os.memfd_create("test")
    stage.channel.send({"kind": "start", "number": 3, "version": "0", "question": 5}, board)
    answer = await stage.said_of("answer")
    assert answer["question"] == 5
    assert answer["problem"] == (
        f"worker has version {__version__}, its supervisor 0: restart the daemon"
    )
    assert await stage.worker.ended() == 1


async def test_a_connection_that_is_lost_on_the_way_is_told(stage):
    """The log says so at a bounded rate, and the worker goes on."""
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            stage.worker._receive({"kind": "connection", "number": number}, -1)
    await until(lambda: len(stage.said) == 3)
    assert stage.said == [{"kind": "lost", "number": number} for number in range(3)]
    assert [line["lost"] for line in logs] == ["connection"]
    assert not stage.worker._stop_asked.is_set()


async def test_a_worker_that_misses_what_it_needs_ends(stage):
    """Its successor gets all anew."""
    with structlog.testing.capture_logs() as logs:
        stage.worker._receive({"kind": "socket", "place": [2, "127.0.0.1:514", "a"]}, -1)
    assert [line["lost"] for line in logs] == ["socket"]
    assert await stage.worker.ended() == 1


async def test_settings_that_are_prepared_are_gone_by(started):
    """Those of the number that is named, or a mistake was made and the worker ends."""
    prepare(started, 0)
    assert (await started.said_of("answer"))["problem"] == ""
    started.channel.send({"kind": "adopt", "course": 0, "question": 10})
    await until(lambda: len(started.said) == 3)
    assert started.said[1] == {"kind": "room", "connections": 100}
    assert started.service.adopted == ["0"]
    assert started.service.stats.config_sha256 == "sha 0"
    prepare(started, 1)
    started.channel.send({"kind": "adopt", "course": 2, "question": 11})
    started.service.fail = lambda: None
    await started.said_of("answer")
    await until(started.worker._stop_asked.is_set)
    assert started.service.adopted == ["0"]


async def test_settings_that_add_a_socket_too_many_are_refused(started):
    """The worker goes on; settings that need no such socket are prepared."""
    with structlog.testing.capture_logs():
        started.worker._receive({"kind": "socket", "place": [2, "127.0.0.1:514", "a"]}, -1)
    prepare(started, 0)
    answer = await started.said_of("answer")
    assert "no descriptor left for another socket" in answer["problem"]
    assert not started.worker._stop_asked.is_set()
    started.said.clear()
    prepare(started, 1)
    assert (await started.said_of("answer"))["problem"] == ""
    assert started.service.prepared == ["1"]


async def test_settings_that_there_are_too_few_descriptors_for_are_refused(started, monkeypatch):
    def refuse(connections, config):
        raise RefusedError(f"{connections} {config}")

    monkeypatch.setattr(worker.descriptors, "check", refuse)
    prepare(started, 7)
    assert (await started.said_of("answer"))["problem"] == "0 7"
    assert started.service.prepared == []


async def test_settings_that_are_ready_too_late_are_let_go_of(started):
    """The supervisor has given them up; what it wants next is another matter."""
    started.service.may_prepare.clear()
    prepare(started, 0)
    started.channel.send({"kind": "discard", "course": 0})
    prepare(started, 1)
    answer = await started.said_of("answer")
    assert answer["question"] == 1
    assert "prepares other settings still" in answer["problem"]
    started.channel.send({"kind": "discard", "course": 1})
    await until(lambda: started.worker._wanted is None)
    started.service.may_prepare.set()
    await until(lambda: started.service.discarded)
    prepare(started, 2)
    await until(lambda: len(started.said) == 2)
    started.channel.send({"kind": "discard", "course": 1})
    started.channel.send({"kind": "adopt", "course": 2, "question": 12})
    await until(lambda: started.service.adopted)
    assert started.service.adopted == ["2"]
    assert started.service.discarded == ["0"]


async def test_settings_that_are_given_up_are_let_go_of(started):
    prepare(started, 0)
    await started.said_of("answer")
    started.channel.send({"kind": "discard", "course": 0})
    await until(lambda: started.service.discarded)
    assert started.service.discarded == ["0"]


@pytest.mark.parametrize(("kind", "way", "code"), [("stop", "stop", 0), ("hurry", "wind_down", 1)])
async def test_a_worker_ends_as_it_is_told_to(started, kind, way, code):
    """At once where it is to hurry, though nobody has told it to stop before."""
    started.channel.send({"kind": kind})
    assert await started.worker.ended() == code
    assert started.service.ended_by == [way]
    await started.said_of("farewell")
