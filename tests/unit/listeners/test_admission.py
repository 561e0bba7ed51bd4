"""Who may connect, and how many."""

from ipaddress import ip_address

import pytest

from collector.listeners.admission import Admission
from collector.listeners.reasons import MAX_CONNECTIONS_PER_SOURCE, SOURCE_NOT_ALLOWED

ONE, OTHER = ip_address("192.0.2.1"), ip_address("2001:db8::1")


@pytest.fixture
def admission(listener_settings):
    """Return a function that makes one with further settings."""
    return lambda more="": Admission(listener_settings(more=more))


def test_without_networks_everyone_may_send(admission):
    assert admission().allows(ONE)


def test_with_networks_only_who_is_within_one_may_send(admission):
    """Of either family."""
    narrow = admission(", allowed_sources: [192.0.2.0/24, '2001:db8::/64']")
    assert narrow.allows(ONE)
    assert narrow.allows(OTHER)
    assert not narrow.allows(ip_address("198.51.100.1"))
    assert narrow.enter(ip_address("198.51.100.1")) == SOURCE_NOT_ALLOWED


def test_who_has_no_address_is_on_this_machine_and_may_send(admission):
    """The permissions of the socket say who that is; there is no source to count."""
    narrow = admission(", allowed_sources: [192.0.2.0/24], max_connections_per_source: 1")
    assert narrow.enter(None) is None
    assert narrow.enter(None) is None
    narrow.leave(None)


def test_each_source_has_places_of_its_own(admission):
    """One that leaves makes room, and only for itself."""
    full = admission(", max_connections_per_source: 2")
    assert [full.enter(ONE) for _ in range(3)] == [None, None, MAX_CONNECTIONS_PER_SOURCE]
    assert full.enter(OTHER) is None
    full.leave(OTHER)
    assert full.enter(ONE) == MAX_CONNECTIONS_PER_SOURCE
    full.leave(ONE)
    assert full.enter(ONE) is None


def test_nothing_is_kept_of_sources_that_are_gone(admission):
    """Else a sender with a whole network of addresses could fill the memory."""
    counting = admission()
    for address in (ONE, OTHER):
        counting.enter(address)
        counting.leave(address)
    assert not counting._per_source


def test_there_is_room_below_the_bound(admission):
    """Which may be lowered below what is there."""
    counting = admission(", max_connections: 2")
    counting.connections = 1
    assert not counting.is_full()
    counting.connections = 2
    assert counting.is_full()
    counting.settings = counting.settings.model_copy(update={"max_connections": 1})
    assert counting.is_full()
