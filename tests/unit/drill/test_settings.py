"""The settings of the private daemon: nothing of the user's own is touched, no secret is needed."""

import os
from types import SimpleNamespace

import pytest
import yaml

from collector.drill import settings
from collector.settings.problems import ConfigError
from collector.settings.units import GIB

SINK = "http://127.0.0.1:9"
USERS = """
listeners:
  - {name: syslog, transport: udp, host: "::", port: 514, allowed_sources: [10.0.0.0/8]}
  - {name: bound, transport: tcp, port: "${PORT}", intake: edr, framing: lf}
intakes:
  - {name: edr, parser: cybereason, key_file: /nowhere/key, max_rate: {events_per_second: 5}}
  - {name: other, parser: raw, key: "${OTHER_KEY}", sinks: [lake]}
sinks:
  - name: siem
    url: ${SINK_URL}
    format: ${SINK_FORMAT:-ndjson}
    auth: {bearer: {token_file: /nowhere/token}}
    headers: {X-Site: very-secret}
    tls: {ca_file: /nowhere/ca.pem}
    proxy: http://user:very-secret@proxy.example
    batch: {max_events: 7}
  - {name: lake, url: "https://lake.example/in", only: [{name: a, field: event.kind, exists: true}]}
spool: {type: memory, max_bytes: 1MiB, path: /var/lib/collector}
admin: {host: 0.0.0.0, token_file: /nowhere/admin}
shutdown_grace: 3s
"""


LOCAL = """
  - {name: answered, transport: relp, port: 2514, proxy_protocol: [10.0.0.1], tls: {cert_file: /no}}
  - {name: local, transport: unix, path: /run/s, mode: 0600, framing: nul, max_connections: 3}
  - {name: datagrams, transport: unix-datagram, path: /run/d, receive_buffer: 1MiB}
  - {name: tls, transport: tcp, port: 6514, tls: {cert_file: /no, key_file: /no}}
"""


@pytest.fixture
def tree(tmp_path):
    file = tmp_path / "users.yaml"
    file.write_text(USERS)
    read, source = settings.read(file)
    assert source == str(file)
    return settings.private(read, directory=tmp_path, sink_url=SINK)


def checked(tree, transport="tcp", environ=os.environ):
    return settings.checked(tree, source="test", transport=transport, environ=environ)


def test_everything_listens_on_loopback_on_ports_of_its_own_for_everybody_there(tree):
    config = checked(tree)
    assert [(item.host, item.port, item.allowed_sources) for item in config.listeners] == [
        ("127.0.0.1", 0, ()),
        ("127.0.0.1", 0, ()),
    ]
    assert (config.admin.host, config.admin.port) == ("127.0.0.1", 0)
    assert config.admin.token_file is None


def test_what_a_drill_cannot_send_over_becomes_what_it_can(tmp_path):
    file = tmp_path / "users.yaml"
    file.write_text(USERS.replace("intakes:", f"{LOCAL}\nintakes:", 1))
    read, _ = settings.read(file)
    config = checked(settings.private(read, directory=tmp_path, sink_url=SINK))
    _, _, answered, local, datagrams, tls = config.listeners
    listeners = [answered, local, datagrams, tls]
    assert [item.transport for item in listeners] == ["tcp", "tcp", "udp", "tcp"]
    assert {(item.host, item.port, item.path, item.tls) for item in listeners} == {
        ("127.0.0.1", 0, None, None)
    }
    assert answered.proxy_protocol == ()
    assert (local.framing, local.max_connections) == ("nul", 3)
    assert datagrams.receive_buffer == 2**20


def test_every_sink_is_the_private_one_and_else_as_it_was(tree):
    siem, lake = checked(tree).sinks
    assert (siem.url, lake.url) == (f"{SINK}/0", f"{SINK}/1")
    assert (siem.auth, siem.headers, siem.tls, siem.proxy) == (None, {}, None, None)
    assert siem.batch.max_events == 7
    assert [item.name for item in lake.only] == ["a"]


def test_intakes_have_keys_of_their_own_and_are_else_as_they_were(tree):
    edr, other = checked(tree).intakes
    assert [edr.read_keys(), other.read_keys()] == [("drill-key-0",), ("drill-key-1",)]
    assert edr.max_rate.events_per_second == 5
    assert other.sinks == ("lake",)


def test_the_spool_is_in_the_directory_of_the_drill_with_its_bound(tree, tmp_path):
    config = checked(tree)
    assert config.spool.path == str(tmp_path / "spool")
    assert (config.spool.type, config.spool.bound) == ("memory", 2**20)
    assert config.shutdown_grace == 3.0


def test_no_variable_is_looked_up_where_settings_are_written(tree, tmp_path):
    file = settings.write(tree, tmp_path)
    assert "${SINK_FORMAT:-ndjson}" in file.read_text()
    assert "secret" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_listener_is_added_where_none_has_the_transport(tree):
    del tree["listeners"][1]
    assert settings.target(checked(tree, "udp"), "udp").name == "syslog"
    assert settings.target(checked(tree, "tcp"), "tcp").name == "drill"


def test_the_next_start_has_the_ports_of_this_one(tree):
    settings.keep_ports(tree, [11, 12], 13)
    config = checked(tree)
    assert [listener.port for listener in config.listeners] == [11, 12]
    assert config.admin.port == 13


def test_settings_that_are_wrong_are_told_with_their_path(tree):
    tree["sinks"][0]["format"] = "xml"
    tree["sinks"].append("not a mapping")
    with pytest.raises(ConfigError) as caught:
        checked(tree)
    assert [problem.path for problem in caught.value.problems] == ["sinks[0].format", "sinks[2]"]


def test_settings_without_an_intake_leave_nothing_to_try(tree):
    tree["intakes"] = []
    tree["listeners"][1].pop("intake")
    with pytest.raises(ConfigError, match="nothing to try out"):
        checked(tree)


def test_the_embedded_default_makes_no_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree, source = settings.read(None)
    config = checked(settings.private(tree, directory=tmp_path, sink_url=SINK))
    assert source == "embedded default"
    assert [intake.name for intake in config.intakes] == ["cybereason", "harfanglab"]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_less_room_than_the_spool_may_take_is_told(tree, tmp_path, monkeypatch):
    usage = SimpleNamespace(free=3 * GIB)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert list(settings.notes(tree, checked(tree), tmp_path)) == []
    tree["spool"] = {"type": "sqlite"}
    (note,) = settings.notes(tree, checked(tree), tmp_path)
    assert "has room for 3GiB only, spool.max_bytes is 10GiB" in note


def test_a_stream_that_others_share_is_not_touched(tree, tmp_path):
    """The private daemon has a file, as large as that which would stand in for the stream."""
    tree["spool"] = {
        "type": "jetstream",
        "servers": ["nats://nats-1:4222"],
        "token_file": "/nowhere",
        "max_bytes": "1TiB",
        "local_max_bytes": "2MiB",
        "when_full": "drop",
    }
    private = settings.private(tree, directory=tmp_path, sink_url=SINK)
    assert private["spool"] == {
        "path": str(tmp_path / "spool"),
        "max_bytes": "2MiB",
        "when_full": "drop",
    }
    (note,) = settings.notes(tree, checked(private), tmp_path)
    assert note == "the private daemon keeps events in a file of its own and touches no stream"


def test_settings_come_back_from_the_file_as_they_were(tree, tmp_path):
    tree["intakes"][0]["fields"] = {"labels.number": "0123", "labels.date": "2026-01-02"}
    assert yaml.safe_load(settings.write(tree, tmp_path).read_text()) == tree
