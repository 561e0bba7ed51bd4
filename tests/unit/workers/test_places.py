"""Places of listeners in messages."""

import socket

from collector.listeners.opening import Place
from collector.workers.places import as_json, read_place


def test_a_place_is_the_same_after_it_was_told():
    place = Place(socket.SOCK_DGRAM, "[::1]:514", "name")
    assert read_place(as_json(place)) == place
