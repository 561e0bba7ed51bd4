"""Where messages without a key belong, and how peers are compared."""

from ipaddress import ip_address, ip_network
from types import SimpleNamespace

import pytest

from collector.routing import KeySlot, Router, peer_address, within


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_a_peer_is_compared_as_what_it_is(text, address):
    """A socket on `::` gives IPv4 peers a mapped address; scopes do not count."""
    assert peer_address(text) == ip_address(address)


def test_networks_of_both_families_stand_side_by_side():
    """An address is within the networks if one holds it."""
    networks = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
    assert within(ip_address("10.1.2.3"), networks)
    assert within(ip_address("2001:db8::1"), networks)
    assert not within(ip_address("192.0.2.1"), networks)
    assert not within(ip_address("10.1.2.3"), [])


@pytest.fixture
def router():
    return Router(
        [],
        keys={"k": KeySlot("by key")},
        bound={"port": "bound"},
        sources=[(ip_network("10.1.0.0/16"), "narrow"), (ip_network("10.0.0.0/8"), "wide")],
    )


@pytest.mark.parametrize(
    ("listener", "peer", "intake"),
    [
        ("port", "10.1.0.1", "bound"),
        ("port", "192.0.2.1", "bound"),
        ("port", None, "bound"),
        ("open", "10.1.0.1", "narrow"),
        ("open", "10.2.0.1", "wide"),
        ("open", "192.0.2.1", None),
        ("open", "2001:db8::1", None),
        ("open", None, None),
    ],
)
def test_without_a_key_the_listener_decides_then_the_source(router, listener, peer, intake):
    """The first network that fits counts; nothing fits is refused."""
    address = None if peer is None else ip_address(peer)
    assert router.without_key(listener, address) == intake


def test_an_intake_is_found_by_its_name():
    """For what was received by another process, or before a restart."""
    intake = SimpleNamespace(name="edr")
    assert Router([intake], keys={}, bound={}, sources=[]).by_name == {"edr": intake}


def test_a_key_leads_to_its_slot():
    """Which knows the intake, and its place among the keys of the intake."""
    router = Router([], {"old": KeySlot("edr", 0), "new": KeySlot("edr", 1)}, {}, [])
    assert router.by_key["new"] == KeySlot("edr", 1, last_used=None)


def test_a_key_is_one_whatever_becomes_of_it():
    """When it was last used is taken over from the router before; that one stays as it is."""
    former = Router([], {"a": KeySlot("edr", 0, 5.0), "b": KeySlot("edr", 1, 6.0)}, {}, [])
    router = Router([], {"c": KeySlot("edr", 0), "b": KeySlot("other", 0)}, {}, [])
    router.take_over(former)
    assert router.by_key == {"c": KeySlot("edr", 0), "b": KeySlot("other", 0, 6.0)}
    assert former.by_key.keys() == {"a", "b"}
