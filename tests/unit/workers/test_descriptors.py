"""How many connections there are descriptors for."""

import resource

import pytest

from collector.config import parse
from collector.refusals import RefusedError
from collector.workers import descriptors


@pytest.fixture
def config():
    return parse(
        """
listeners:
  - {name: l, transport: udp, host: 127.0.0.1, port: 0}
  - {name: m, transport: unix-datagram, path: /run/m}
  - {name: n, transport: tcp, host: 127.0.0.1, port: 0}
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


@pytest.mark.parametrize("files", ["missing", "not a directory"])
def test_where_the_system_does_not_tell_what_is_open_some_are_taken_to_be(
    config, tmp_path, monkeypatch, files
):
    """And a socket for each listener that reads datagrams, however many connections there are."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (128, 128))
    (tmp_path / "not a directory").touch()
    untold = descriptors.UNTOLD + 2
    assert descriptors.room(6, config, tmp_path / files) == 128 - untold - 7 - 24


def test_where_there_is_none_for_a_single_connection_it_is_said_how_many_are_needed(
    config, tmp_path, monkeypatch
):
    for number in range(16):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (42, 42))
    descriptors.check(6, config, tmp_path)
    assert descriptors.room(6, config, tmp_path) == 1
    monkeypatch.setattr(resource, "getrlimit", lambda _: (41, 41))
    with pytest.raises(RefusedError, match=r"may have 41 open files, and needs 42 .*LimitNOFILE"):
        descriptors.check(6, config, tmp_path)


def test_the_system_tells_what_is_open(config):
    """A file more is a connection less."""
    before = descriptors.room(0, config)
    with descriptors.OPEN.parent.joinpath("status").open():
        assert descriptors.room(0, config) == before - 1
