"""The supervisor's side of listeners: what comes in is dealt to workers."""

import os
import socket
from contextlib import asynccontextmanager
from functools import partial

import pytest
import structlog

from collector.listeners import entrances
from collector.listeners.entrances import SocketEntrance
from collector.listeners.opening import Place
from collector.listeners.sockets import address_of, bind, listen
from collector.systemd import InheritedSockets
from collector.workers.accepting import (
    DatagramSockets,
    Dealers,
    Dealing,
    DealtSockets,
    as_json,
    read_place,
)
from tests.unit.listeners.conftest import burst, until

MANY = ", max_connections: 5000, max_connections_per_source: 5000"
PROXY = ", proxy_protocol: [127.0.0.1]"


class Worker:
    """Takes connections as long as the test says so."""

    def __init__(self, number):
        self.number = number
        self.can_take = True
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


def test_a_place_is_the_same_after_it_was_told():
    place = Place(socket.SOCK_DGRAM, "[::1]:514", "name")
    assert read_place(as_json(place)) == place


# Connections.


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


# Datagrams.


async def datagram_socket(host="127.0.0.1"):
    return await bind(host, 0, socket.SOCK_DGRAM)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
async def test_each_worker_has_a_socket_at_the_same_address(host):
    """Every datagram comes to one of them."""
    bound = await datagram_socket(host)
    sockets = DatagramSockets(bound, 3)
    own = [sockets.of_worker(number) for number in range(3)]
    assert bound in own
    assert len({address_of(item) for item in own}) == 1
    target = address_of(bound)[1]
    family = bound.family
    received = []
    for number in range(60):
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"%d" % number, ("127.0.0.1" if host[0] == "1" else "::1", target))
    for item in own:
        try:
            while True:
                received.append(int(item.recv(9)))
        except BlockingIOError:
            continue
    assert sorted(received) == [*range(60)]
    sockets.close()
    assert all(item.fileno() == -1 for item in own)


async def test_nobody_else_can_take_the_address_while_it_is_bound():
    """Though a socket of our own could."""
    bound = await datagram_socket()
    sockets = DatagramSockets(bound, 2)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        pytest.raises(OSError, match="in use"),
    ):
        other.bind(address_of(bound))
    sockets.close()


async def test_a_path_is_read_by_one_worker(tmp_path):
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(tmp_path / "s"))
    sockets = DatagramSockets(bound, 3)
    assert [sockets.of_worker(number) for number in range(3)].count(None) == 2
    sockets.close()


async def test_where_no_more_sockets_can_be_bound_one_worker_reads():
    """The log says so: the daemon is slower than it might be, and loses nothing."""

    class Foreign(socket.socket):
        """One that another user has bound."""

        def setsockopt(self, *_):
            raise PermissionError(1, "Operation not permitted")

    bound = await datagram_socket()
    foreign = Foreign(fileno=bound.detach())
    with structlog.testing.capture_logs() as lines:
        sockets = DatagramSockets(foreign, 2)
    assert [sockets.of_worker(number) for number in range(2)].count(None) == 1
    assert lines[0]["event"] == "datagrams cannot be dealt to all workers"
    assert lines[0]["problem"] == "Operation not permitted"
    sockets.close()


async def test_listeners_are_opened_as_they_are_dealt(listener_settings):
    """An entrance for connections, sockets for datagrams."""
    sockets = DealtSockets(InheritedSockets([]), 2)
    entrance = await sockets.open(listener_settings(), [])
    datagrams = await sockets.open(listener_settings("udp"), [])
    assert isinstance(entrance, SocketEntrance)
    assert isinstance(datagrams, DatagramSockets)
    entrance.close()
    datagrams.close()
