"""What a worker receives from."""

import asyncio
import socket
from ipaddress import ip_address

import pytest

from collector.listeners.entrances import Visitor
from collector.listeners.opening import Place
from collector.metrics import ListenerStats
from collector.workers.handing import HandedSockets

PEER = ip_address("192.0.2.1")
SENDER = ip_address("192.0.2.7")


@pytest.fixture
def settings(listener_settings):
    return listener_settings()


class World:
    """A worker's sockets, what it tells, and who was let in."""

    def __init__(self):
        self.told = []
        self.visitors = []
        self.sockets = HandedSockets(self.told.append)
        self.given_up = []
        self._others = []

    async def entrance(self, settings):
        entrance = await self.sockets.open(settings, [])
        entrance.open(self.visitors.append, settings, ListenerStats("l"))
        return entrance

    def visitor(self, *, is_proxied=False):
        connected, other = socket.socketpair()
        self._others.append(other)
        visitor = Visitor(connected, PEER, is_proxied)
        visitor.give_up = lambda: self.given_up.append(visitor)
        return visitor

    def close(self):
        for visitor in self.visitors:
            visitor.connected.close()
        for other in self._others:
            other.close()


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


async def test_a_connection_comes_in_at_its_place_until_it_ends(world, settings):
    """Its end is told to the supervisor, once."""
    entrance = await world.entrance(settings)
    visitor = world.visitor()
    world.sockets.let_in(Place.of(settings), 7, visitor)
    assert world.visitors == [visitor]
    assert world.told == []
    entrance.leave(visitor)
    assert world.told == [{"kind": "left", "number": 7}]
    assert world.sockets.numbers == {}


async def test_a_connection_whose_listener_has_gone_is_closed(world, settings):
    """It was on its way when the settings changed."""
    entrance = await world.entrance(settings)
    entrance.close()
    visitor = world.visitor()
    world.sockets.let_in(Place.of(settings), 7, visitor)
    assert world.visitors == []
    assert visitor.connected.fileno() == -1
    assert world.told == [{"kind": "left", "number": 7}]


async def test_another_listener_may_open_the_same_entrance(world, settings):
    """As one that speaks another protocol: what came in before is counted out all the same."""
    entrance = await world.entrance(settings)
    first, second = world.visitor(), world.visitor()
    world.sockets.let_in(Place.of(settings), 1, first)
    entrance.shut()
    others = []
    entrance.open(others.append, settings, ListenerStats("l"))
    world.sockets.let_in(Place.of(settings), 2, second)
    assert (world.visitors, others) == ([first], [second])
    entrance.leave(first)
    entrance.leave(second)
    assert [message["number"] for message in world.told] == [1, 2]
    second.connected.close()


@pytest.mark.parametrize("refusal", [None, "max_connections_per_source"])
async def test_who_comes_through_a_proxy_may_enter_if_the_supervisor_says_so(
    world, settings, refusal
):
    """Only there all connections of a sender are known."""
    entrance = await world.entrance(settings)
    visitor = world.visitor(is_proxied=True)
    world.sockets.let_in(Place.of(settings), 7, visitor)
    asking = asyncio.ensure_future(entrance.enter(visitor, SENDER))
    await asyncio.sleep(0)
    assert world.told == [{"kind": "enter", "number": 7, "sender": "192.0.2.7"}]
    world.sockets.hear({"kind": "entered", "number": 7, "refusal": refusal})
    assert await asking == refusal
    assert visitor.sender == (SENDER if refusal is None else None)


async def test_who_waits_for_its_sender_may_be_given_up(world, settings):
    """What the supervisor says of a connection that has gone meanwhile is nothing to do."""
    entrance = await world.entrance(settings)
    visitor = world.visitor()
    world.sockets.let_in(Place.of(settings), 7, visitor)
    entrance.await_sender(visitor)
    world.sockets.hear({"kind": "end", "number": 7})
    assert world.given_up == [visitor]
    entrance.heard_sender(visitor)
    entrance.leave(visitor)
    world.sockets.hear({"kind": "end", "number": 7})
    world.sockets.hear({"kind": "entered", "number": 7, "refusal": None})
    assert world.given_up == [visitor]
    assert [message["kind"] for message in world.told] == ["awaited", "awaited", "left"]
    assert [message.get("is_awaited") for message in world.told] == [True, False, None]


async def test_a_listener_for_datagrams_gets_the_socket_that_was_handed_over(
    world, listener_settings
):
    """What no listener asks for is closed; one without a socket of its own hears nothing."""
    settings = listener_settings("udp")
    mine, rest = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    world.sockets.keep(Place.of(settings), mine)
    world.sockets.keep(Place(socket.SOCK_DGRAM, "127.0.0.1:1", ""), rest)
    with await world.sockets.open(settings, []) as found:
        assert found is mine
    world.sockets.close_rest()
    assert rest.fileno() == -1
    with await world.sockets.open(settings, []) as deaf, pytest.raises(BlockingIOError):
        deaf.recv(1)
