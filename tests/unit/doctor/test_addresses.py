"""NAT in front of a container."""

import pytest

from collector.doctor.addresses import on_addresses
from tests.unit.doctor.conftest import KEY, config_of, machine

BRIDGED = machine(container="Docker", is_bridged=True)


def found(config, here=BRIDGED, status=None):
    return {item.where: item.level for item in on_addresses(config, here, status)}


def seen(*sources):
    entries = [{"source": source, "at": "2026-01-01T00:00:00+00:00"} for source in sources]
    return {"intakes": [{"name": "edr", "last_seen": entries}]}


def test_outside_of_containers_nothing_is_said():
    assert found(config_of(), machine()) == {}


def test_a_container_with_a_network_of_its_own_is_noted():
    assert found(config_of()) == {"": "note"}


@pytest.mark.parametrize(
    ("intake", "where"),
    [
        ({"sources": "192.0.2.0/24"}, "intakes[0].sources"),
        ({"expect_every": "1h"}, "intakes[0].expect_every"),
        ({"envelope": "source"}, "intakes[0].envelope"),
    ],
)
def test_what_goes_by_addresses_is_a_warning(intake, where):
    config = config_of(intakes=[{"name": "edr", "parser": "raw", "key": KEY, **intake}])
    assert found(config) == {where: "warning"}


def test_a_listener_that_lets_some_in_goes_by_addresses(listener):
    assert found(listener(allowed_sources=["192.0.2.0/24"])) == {
        "listeners[0].allowed_sources": "warning"
    }


def test_the_gateway_among_those_who_may_send_lets_everybody_in(listener):
    findings = list(on_addresses(listener(allowed_sources="172.16.0.0/12"), BRIDGED, None))
    assert [item.level for item in findings] == ["warning", "warning"]
    assert "the gateway 172.17.0.1 is among them" in findings[1].found


def test_a_daemon_that_sees_the_gateway_alone_is_told_so():
    """NAT at work, wherever we are."""
    assert found(config_of(), machine(), seen("172.17.0.1")) == {"intakes": "warning"}
    assert found(config_of(), machine(), seen("172.17.0.1", "192.0.2.1")) == {}
    assert found(config_of(), machine(), seen()) == {}
