"""The supervisor's listeners."""

from collector.listeners.entrances import SocketEntrance
from collector.systemd import InheritedSockets
from collector.workers.accepting import Dealers, DealtConnections, DealtSockets
from collector.workers.datagrams import DatagramSockets, DealtDatagrams
from collector.workers.dealing import Dealing


async def test_listeners_are_opened_as_they_are_dealt(listener_settings, stats):
    """An entrance for connections, sockets for datagrams."""
    sockets, dealers = DealtSockets(InheritedSockets([]), 2), Dealers(Dealing([]))
    streams, datagrams = listener_settings(), listener_settings("udp")
    entrance, bound = [await sockets.open(settings, []) for settings in (streams, datagrams)]
    assert isinstance(entrance, SocketEntrance)
    assert isinstance(bound, DatagramSockets)
    one = dealers(entrance, streams, None, stats, None)
    other = dealers(bound, datagrams, None, stats, None)
    assert isinstance(one, DealtConnections)
    assert isinstance(other, DealtDatagrams)
    assert {one.address[0], other.address[0]} == {"127.0.0.1"}
    await one.stop()
    await other.stop()
