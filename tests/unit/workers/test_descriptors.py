"""How many connections there are descriptors for."""

import resource

import pytest

from collector.config import parse
from collector.workers import descriptors


@pytest.fixture
def config():
    return parse(
        """
listeners: [{name: l, transport: udp, host: 127.0.0.1, port: 0}]
intakes: [{name: i, parser: raw, key: k}]
sinks:
  - {name: s, url: "http://127.0.0.1/", concurrency: 5}
  - {name: t, url: "http://127.0.0.1/", concurrency: 2}
""",
        source="test",
        environ={},
    )


@pytest.mark.parametrize(("limit", "room"), [(128, 128 - 10 - 7 - 24), (30, 0)])
def test_some_are_kept_back_for_what_is_no_connection(config, tmp_path, monkeypatch, limit, room):
    """What is open already, requests to sinks, and what is open for a moment."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    for number in range(16):
        (tmp_path / str(number)).touch()
    assert descriptors.KEPT_BACK == 24
    assert descriptors.room(6, config, tmp_path) == room


def test_the_system_tells_what_is_open(config):
    """A file more is a connection less."""
    before = descriptors.room(0, config)
    with descriptors.OPEN.parent.joinpath("status").open():
        assert descriptors.room(0, config) == before - 1
