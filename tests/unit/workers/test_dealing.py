"""Which worker gets a connection."""

import os
import socket
from contextlib import asynccontextmanager
from functools import partial

import pytest
import structlog

from collector.listeners import entrances
from collector.listeners.entrances import SocketEntrance
from collector.listeners.sockets import bind, listen
from collector.workers.accepting import Dealers
from collector.workers.dealing import Dealing
from tests.unit.listeners.conftest import burst, until

NO_FILES = "cannot accept connections, no worker may have more open files"
FULL = {
    "listeners": "all",
    "reason": "no worker may have more open files, connections wait until one is closed",
}
MANY = ", max_connections: 5000, max_connections_per_source: 5000"
PROXY = ", proxy_protocol: [127.0.0.1]"


class Worker:
    """Takes connections as long as the test says so."""

    def __init__(self, number):
        self.number = number
        self.is_running = True
        self.can_take = True
        self.room = 5000
        self.is_hindered = False
        self.told = []
        self.descriptors = []

    def tell(self, message, descriptor=-1):
        self.told.append(message)
        if descriptor >= 0:
            self.descriptors.append(descriptor)

    @property
    def numbers(self):
        return [message["number"] for message in self.told if message["kind"] == "connection"]


class World:
    """Workers, and a listener whose connections they get."""

    def __init__(self, entrance, dealing, workers):
        self.entrance = entrance
        self.dealing = dealing
        self.workers = workers
        self.address = entrance.address
        self._senders = []

    async def connect(self, count=1):
        """Connect senders, and wait until all are dealt."""
        for wanted in range(self.dealt + 1, self.dealt + count + 1):
            self._senders.append(socket.create_connection(self.address))
            await until(partial(self._have_dealt, wanted))

    def _have_dealt(self, count):
        return self.dealt >= count

    @property
    def dealt(self):
        return sum(len(worker.numbers) for worker in self.workers)

    @property
    def connections(self):
        return [self.dealing.connections(worker) for worker in self.workers]

    def hear(self, worker, kind, number, **more):
        self.dealing.hear(worker, {"kind": kind, "number": number, **more})

    def close(self):
        for item in self._senders:
            item.close()
        for worker in self.workers:
            for descriptor in worker.descriptors:
                os.close(descriptor)


@pytest.fixture
def dealing_world(listener_settings, stats):
    """Return what runs a listener for two workers."""

    @asynccontextmanager
    async def run(more=""):
        settings = listener_settings(more=more)
        bound = await bind(settings.host, settings.port, socket.SOCK_STREAM)
        listen(bound)
        workers = [Worker(number) for number in range(2)]
        dealing = Dealing(workers)
        entrance = SocketEntrance(bound, settings)
        listener = Dealers(dealing)(entrance, settings, None, stats, None)
        dealing.gate.join([listener])
        listener.start()
        world = World(entrance, dealing, workers)
        try:
            yield world
        finally:
            world.close()
            await listener.stop()

    return run


async def test_the_worker_with_the_fewest_connections_gets_the_next(dealing_world):
    """The first of them where they have as many."""
    async with dealing_world() as world:
        world.dealing.look()
        await world.connect(4)
        one, other = world.workers
        assert (one.numbers, other.numbers) == ([0, 2], [1, 3])
        world.hear(other, "left", 1)
        world.hear(other, "left", 3)
        await world.connect(2)
        assert (one.numbers, other.numbers) == ([0, 2], [1, 3, 4, 5])
        assert world.connections == [2, 2]


async def test_a_connection_is_handed_over_with_what_is_known_of_it(dealing_world):
    """The supervisor keeps no descriptor of its own."""
    async with dealing_world() as world:
        world.dealing.look()
        await world.connect()
        (worker, _) = world.workers
        (message,) = worker.told
        assert message == {
            "kind": "connection",
            "place": [int(socket.SOCK_STREAM), "127.0.0.1:0", "l"],
            "number": 0,
            "peer": "127.0.0.1",
            "is_proxied": False,
        }
        with socket.socket(fileno=worker.descriptors.pop()) as handed:
            assert handed.getsockname() == world.address


async def test_nobody_is_accepted_while_no_worker_takes_connections(dealing_world):
    """Those who connect wait in the kernel, a burst of them too."""
    async with dealing_world(MANY) as world:
        with burst(world.address, 50):
            for worker in world.workers:
                worker.can_take = False
            world.dealing.look()
            assert world.dealt == 0
            world.workers[1].can_take = True
            world.dealing.look()
            await until(lambda: world.dealt == 50)
            assert world.connections == [0, 50]


async def test_accepting_stops_at_once_when_the_last_worker_takes_no_more(dealing_world):
    """Within a burst."""

    class Full(Worker):
        def tell(self, message, descriptor=-1):
            super().tell(message, descriptor)
            self.can_take = len(self.told) < 3

    async with dealing_world(MANY) as world:
        for worker in world.workers:
            worker.__class__ = Full
        with burst(world.address, 20):
            world.dealing.look()
            await until(lambda: world.dealt == 6)
            assert world.dealing.gate.closed
            for worker in world.workers:
                worker.__class__, worker.can_take = Worker, True
            world.dealing.look()
            await until(lambda: world.dealt == 20)


async def test_the_connections_of_a_worker_that_is_gone_are_counted_out(dealing_world, stats):
    """Their places are free, and what is heard of them later is of no account."""
    async with dealing_world(", max_connections: 4") as world:
        world.dealing.look()
        await world.connect(4)
        one = world.workers[0]
        one.can_take = False
        world.dealing.forget(one)
        assert world.connections == [0, 2]
        world.hear(one, "left", 0)
        await world.connect(2)
        assert world.connections == [0, 4]
        with socket.create_connection(world.address):
            await until(lambda: stats.connections_rejected == {"max_connections": 1})


async def test_a_worker_speaks_for_its_own_connections_only(dealing_world):
    async with dealing_world() as world:
        world.dealing.look()
        await world.connect(2)
        one, other = world.workers
        world.hear(one, "left", other.numbers[0])
        world.hear(one, "left", 99)
        assert world.connections == [1, 1]


async def test_senders_behind_a_proxy_have_their_places_over_all_workers(dealing_world):
    """Each worker asks for those it hears of."""
    async with dealing_world(f"{PROXY}, max_connections_per_source: 2") as world:
        world.dealing.look()
        await world.connect(4)
        for number in range(4):
            worker = world.workers[number % 2]
            sender = "192.0.2.8" if number == 3 else "192.0.2.7"
            world.hear(worker, "enter", number, sender=sender)
        answers = [
            (message["number"], message["refusal"])
            for worker in world.workers
            for message in worker.told
            if message["kind"] == "entered"
        ]
        assert sorted(answers) == [
            (0, None),
            (1, None),
            (2, "max_connections_per_source"),
            (3, None),
        ]
        world.hear(world.workers[0], "left", 0)
        world.hear(world.workers[0], "enter", 2, sender="192.0.2.7")
        assert world.workers[0].told[-1] == {"kind": "entered", "number": 2, "refusal": None}


async def test_the_oldest_that_waits_for_its_sender_is_given_up(dealing_world, monkeypatch):
    """Whichever worker has it; one of whom the sender was heard is safe."""
    monkeypatch.setattr(entrances, "MAX_OPENINGS", 2)
    async with dealing_world() as world:
        world.dealing.look()
        await world.connect(4)
        for number in range(4):
            world.hear(world.workers[number % 2], "awaited", number, is_awaited=True)
            if number == 0:
                world.hear(world.workers[0], "awaited", 0, is_awaited=False)
        ends = [
            message["number"]
            for worker in world.workers
            for message in worker.told
            if message["kind"] == "end"
        ]
        assert ends == [1]


async def test_a_worker_gets_no_more_connections_than_it_has_room_for(dealing_world):
    """The others get them; where none has room nobody is accepted until one has left."""
    async with dealing_world(MANY) as world:
        one, other = world.workers
        one.room, other.room = 2, 5
        with burst(world.address, 20), structlog.testing.capture_logs() as lines:
            world.dealing.look()
            await until(lambda: world.dealt == 7)
            assert world.connections == [2, 5]
            assert world.dealing.gate.closed
            assert world.dealing.degraded() == [FULL]
            for number in one.numbers:
                world.hear(one, "left", number)
            await until(lambda: world.dealt == 9)
            assert world.connections == [2, 5]
            other.room = 100
            world.dealing.look()
            await until(lambda: world.dealt == 20)
        assert world.dealing.degraded() == []
        told = [line for line in lines if line["log_level"] == "error"]
        assert [(line["event"], line["connections"]) for line in told] == [(NO_FILES, 7)]


async def test_workers_that_are_not_there_are_not_said_to_have_no_room(dealing_world):
    async with dealing_world() as world:
        for worker in world.workers:
            worker.can_take, worker.room = False, 0
        with structlog.testing.capture_logs() as lines:
            world.dealing.look()
        assert world.dealing.gate.closed
        assert world.dealing.degraded() == lines == []


async def test_a_worker_that_can_keep_nothing_gets_none_while_others_can(dealing_world):
    """Where all are hindered, each has its part: as in one process, senders wait then."""
    async with dealing_world() as world:
        world.dealing.look()
        one, other = world.workers
        one.is_hindered = True
        await world.connect(3)
        assert world.connections == [0, 3]
        other.is_hindered = True
        await world.connect(3)
        assert world.connections == [3, 3]


async def test_where_none_takes_connections_any_more_one_that_is_there_gets_the_next(dealing_world):
    """Not one that is gone, though it has the fewest."""
    async with dealing_world() as world:
        gone, other = world.workers
        gone.can_take = gone.is_running = False
        world.dealing.look()
        await world.connect()
        other.can_take = False
        await world.connect()
        assert world.connections == [0, 2]
        assert world.dealing.gate.closed


async def test_a_connection_that_no_worker_is_there_for_is_counted(dealing_world, stats):
    """It is closed, its place is free, and those who come next wait."""
    async with dealing_world(", max_connections: 1") as world:
        world.dealing.look()
        for worker in world.workers:
            worker.can_take = worker.is_running = False
        with socket.create_connection(world.address) as sender:
            await until(lambda: stats.connections_rejected == {"no_worker": 1})
            assert sender.recv(1) == b""
        assert world.dealing.gate.closed
        assert world.connections == [0, 0]
        for worker in world.workers:
            worker.can_take = worker.is_running = True
        world.dealing.look()
        await world.connect()
        assert world.connections == [1, 0]


async def test_a_connection_that_a_worker_has_lost_is_counted(dealing_world, stats):
    """Its place is free."""
    async with dealing_world() as world:
        world.dealing.look()
        await world.connect(2)
        world.hear(world.workers[0], "lost", 0)
        assert world.connections == [0, 1]
        assert stats.connections_rejected == {"open_files": 1}
