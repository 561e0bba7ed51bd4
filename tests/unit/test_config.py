"""The configuration as a whole: declarations, files, warnings, schema and example."""

import json
import re
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collector.config import (
    Config,
    ConfigError,
    ListenerTls,
    SinkTls,
    SpoolSettings,
    build,
    files_of_connections,
    load,
    parse,
    referenced_files,
    schema,
    warnings,
)
from collector.parsers import PARSERS
from collector.roles import Role
from collector.settings.checking import child, declared
from collector.settings.json_schema import help_of
from collector.settings.substitution import substitute
from tests.accounts import SOMEBODY

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config" / "collector.yaml"
SCHEMA = ROOT / "config" / "schema.json"

LISTENER = {"name": "l", "transport": "tcp", "port": 5514}
INTAKE = {"name": "i", "parser": "cybereason", "key": "k"}
SINK = {"name": "default", "url": "https://siem.example/ingest"}
FILE = str(Path(__file__))
TLS = {"cert_file": FILE, "key_file": FILE}
STREAM = {"type": "jetstream", "servers": ["nats://localhost:4222"]}
OTHER_SPOOLS = ("servers", "stream", "replicas", "local_max_bytes", "ack_wait")
"""Settings of the other type that have a value where they are not written."""
MINIMAL = {"listeners": [LISTENER], "intakes": [INTAKE], "sinks": [SINK]}


def settings(*, listener=None, intake=None, sink=None, **more):
    """Return a minimal configuration with more settings."""
    return {
        "listeners": [LISTENER | (listener or {})],
        "intakes": [INTAKE | (intake or {})],
        "sinks": [SINK | (sink or {})],
        **more,
    }


def read(tree, environ=None):
    return parse(yaml.safe_dump(tree), source="c.yaml", environ=environ or {})


def told(tree, environ=None):
    """Return the problems of a configuration as an operator sees them, without the file name."""
    with pytest.raises(ConfigError) as caught:
        read(tree, environ)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("c.yaml: ") for line in lines)
    return [line.removeprefix("c.yaml: ") for line in lines]


# Defaults and values.


def test_defaults_are_those_of_the_interface():
    """Sizes in bytes, durations in seconds."""
    config = read(MINIMAL)
    assert json.loads(config.model_dump_json()) == {
        "listeners": [
            {
                "name": "l",
                "transport": "tcp",
                "host": "0.0.0.0",
                "port": 5514,
                "path": None,
                "mode": "0660",
                "intake": None,
                "framing": "auto",
                "timezone": "UTC",
                "max_message_bytes": "256KiB",
                "when_oversize": "truncate",
                "allowed_sources": [],
                "max_connections": 1024,
                "max_connections_per_source": 128,
                "idle_timeout": None,
                "frame_timeout": "30s",
                "receive_buffer": "8MiB",
                "proxy_protocol": [],
                "tls": None,
            }
        ],
        "intakes": [
            {
                "name": "i",
                "parser": "cybereason",
                "key": ["**********"],
                "key_file": [],
                "sources": [],
                "profile": "documented",
                "on_parse_error": "forward",
                "timestamp_fallback": True,
                "envelope": ["received"],
                "fields": {},
                "drop": [],
                "max_rate": None,
                "expect_every": None,
                "sinks": ["all"],
            }
        ],
        "sinks": [
            {
                "name": "default",
                "url": "https://siem.example/ingest",
                "format": "ndjson",
                "payload": "event",
                "index": "logs-edr.{intake}-default",
                "splunk": {
                    "index": None,
                    "source": None,
                    "sourcetype": "collector:{intake}",
                    "host": "event",
                },
                "only": [],
                "headers": {},
                "auth": None,
                "compression": "gzip",
                "batch": {"max_events": 1000, "max_bytes": "1MiB", "max_wait": "200ms"},
                "concurrency": 4,
                "timeout": "30s",
                "retry": {"initial": "500ms", "max": "1m", "give_up_after": None},
                "spool": {"max_bytes": None, "when_full": None},
                "tls": None,
                "proxy": None,
            }
        ],
        "routing": {
            "structured_data_id": "SEKOIA@53288",
            "parameter": "intake_key",
            "on_unknown": "dead_letter",
        },
        "identity": "received",
        "spool": {
            "type": "sqlite",
            "path": "/var/lib/collector",
            "max_bytes": None,
            "when_full": "block",
            "synchronous": "full",
            "servers": [],
            "stream": "collector",
            "replicas": 3,
            "local_max_bytes": "1GiB",
            "max_age": None,
            "ack_wait": "30s",
            "credentials_file": None,
            "user": None,
            "password_file": None,
            "token_file": None,
            "tls": None,
        },
        "dead_letters": {
            "max_bytes": "1GiB",
            "max_age": "30d",
            "unknown_intake_max_bytes": "64MiB",
        },
        "admin": {
            "host": "127.0.0.1",
            "port": 9514,
            "token_file": None,
            "open": ["metrics", "health"],
        },
        "logging": {"level": "info", "format": "json"},
        "workers": 1,
        "shutdown_grace": "8s",
        "max_buffered_bytes": "64MiB",
    }


def models(model=Config):
    """Walk the declarations."""
    yield model
    for field in model.model_fields.values():
        below = child(field)
        if below is not None:
            yield from models(below)


def test_every_default_is_accepted():
    """A default that is written out changes nothing."""
    config = read(MINIMAL)
    written = json.loads(config.model_dump_json())
    del written["listeners"][0]["receive_buffer"], written["listeners"][0]["mode"]  # not of tcp
    del written["sinks"][0]["index"], written["sinks"][0]["splunk"]  # of other formats
    for name in OTHER_SPOOLS:
        del written["spool"][name]
    written["intakes"][0]["key"] = "k"
    assert read(written) == config


def test_every_setting_has_help():
    """It goes into the schema."""
    for model in models():
        assert model.__doc__
        texts = help_of(model)
        for name in model.model_fields:
            assert texts[name], f"{model.__name__}.{name}"


def test_values_are_ready_for_use():
    """Bytes, seconds, networks, keys."""
    config = read(
        settings(
            listener={"allowed_sources": ["10.0.0.0/8"], "idle_timeout": "5m"},
            intake={"key": ["k1", "k2"], "sources": "192.0.2.7", "sinks": "default"},
            sink={"batch": {"max_wait": 0}, "headers": {"X-Site": "paris"}},
        )
    )
    (listener,), (intake,), (sink,) = config.listeners, config.intakes, config.sinks
    assert listener.allowed_sources == (ip_network("10.0.0.0/8"),)
    assert listener.idle_timeout == 300.0
    assert listener.max_message_bytes == 262_144
    assert intake.read_keys() == ("k1", "k2")
    assert intake.sources == (ip_network("192.0.2.7"),)
    assert intake.sinks == ("default",)
    assert sink.batch.max_wait == 0.0
    assert sink.headers["X-Site"].get_secret_value() == "paris"
    assert not sink.is_inbox


def test_what_an_intake_adds_and_drops_is_ready_for_use():
    """Zones, fields nested as in events, filters whose values are texts."""
    config = read(
        settings(
            listener={"timezone": "Europe/Paris"},
            intake={
                "profile": "ecs",
                "envelope": ["syslog", "source"],
                "timestamp_fallback": "${FALLBACK}",
                "fields": {"labels.site": "paris", "labels": {"floor": 3}, "tags": "edr"},
                "drop": [
                    {"name": "a", "field": "event.code", "equals": 4624},
                    {"name": "b", "field": "event.code", "in": [1, "${CODE}", True]},
                    {"name": "c", "field": "event.code", "prefix": "46"},
                    {"name": "d", "field": "event.code", "exists": False},
                ],
            },
            sink={"only": [{"name": "a", "field": "event.kind", "in": "alert"}]},
        ),
        {"FALLBACK": "false", "CODE": "x"},
    )
    (listener,), (intake,), (sink,) = config.listeners, config.intakes, config.sinks
    assert listener.timezone == ZoneInfo("Europe/Paris")
    assert (intake.profile, intake.envelope) == ("ecs", ("syslog", "source"))
    assert intake.timestamp_fallback is False
    assert intake.fields == {"labels": {"site": "paris", "floor": 3}, "tags": "edr"}
    tests = [(item.equals, item.in_, item.prefix, item.exists) for item in intake.drop]
    assert tests == [
        ("4624", (), None, None),
        (None, ("1", "x", "true"), None, None),
        (None, (), "46", None),
        (None, (), None, False),
    ]
    assert sink.only[0].in_ == ("alert",)


def test_a_part_of_the_envelope_may_stand_alone_and_none_is_enough():
    """The default is the time of receipt."""
    parts = ["source", [], "", ["received", "received"]]
    read_as = [("source",), (), ("received",), ("received", "received")]
    for written, expected in zip(parts, read_as, strict=True):
        assert read(settings(intake={"envelope": written})).intakes[0].envelope == expected


def test_every_parser_is_accepted():
    """Those of the registry."""
    for parser in PARSERS:
        assert read(settings(intake={"parser": parser})).intakes[0].parser == parser
    choices = schema()["$defs"]["IntakeSettings"]["properties"]["parser"]["anyOf"][0]
    assert choices == {"type": "string", "enum": list(PARSERS)}


def test_an_intake_goes_to_all_sinks_or_to_those_it_names():
    """In the order of the file."""
    tree = settings(intake={"sinks": ["c", "a"]})
    tree["intakes"] += [
        {"name": name, "parser": "raw", "key": f"key {name}", "sinks": sinks}
        for name, sinks in (("j", "all"), ("k", ["b", "all"]), ("l", "b"))
    ]
    tree["sinks"] = [{"name": name, "url": "inbox:"} for name in "abc"]
    config = read(tree)
    reached = ["".join(sink.name for sink in config.sinks_of(i)) for i in config.intakes]
    assert reached == ["ac", "abc", "abc", "b"]


@pytest.mark.parametrize(
    ("spool", "bound"),
    [
        ({}, 10 << 30),
        ({"type": "memory"}, 256 << 20),
        ({"max_bytes": "1MiB"}, 1 << 20),
        ({"type": "memory", "max_bytes": "64KiB"}, 64 << 10),
        (STREAM, 1 << 30),
        (STREAM | {"max_bytes": "50GiB", "local_max_bytes": "2GiB"}, 2 << 30),
    ],
)
def test_how_much_may_wait_depends_on_what_holds_it(spool, bound):
    """Unless it is written; memory may be as small as one likes. With a stream it is the file."""
    assert read(settings(spool=spool)).spool.bound == bound


@pytest.mark.parametrize(("given", "bound"), [({}, 10 << 30), ({"max_bytes": "50GiB"}, 50 << 30)])
def test_how_much_a_stream_holds_is_another_bound_than_that_of_the_file(given, bound):
    """On each server."""
    assert read(settings(spool=STREAM | given)).spool.stream_bound == bound


def test_a_stream_is_reached_with_credentials_and_tls(tmp_path):
    """Files are checked, and known as those that settings refer to."""
    credentials, authorities = tmp_path / "credentials", tmp_path / "ca.pem"
    credentials.write_text(SOMEBODY)
    authorities.write_text("x")
    spool = STREAM | {
        "servers": "tls://nats.example",
        "credentials_file": str(credentials),
        "tls": {"ca_file": str(authorities)},
    }
    config = read(settings(spool=spool))
    assert config.spool.servers == ("tls://nats.example",)
    assert referenced_files(config) == (credentials, authorities)
    assert files_of_connections(config) == {credentials, authorities}


def test_there_is_one_way_to_say_who_we_are_to_the_servers(tmp_path):
    """A password has a user, and a file of credentials holds some."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    file, stream = str(secret), "spool: user and token_file are written together; accepted: one of "
    more = {"token_file": file, "user": "me", "password_file": file}
    assert told(settings(spool=STREAM | more)) == [f"{stream}credentials_file, user, token_file"]
    assert told(settings(spool=STREAM | {"password_file": file})) == [
        "spool.user: is missing; accepted: user and password_file together, or none of them"
    ]
    (problem,) = told(settings(spool=STREAM | {"credentials_file": file}))
    assert problem == (
        f"spool.credentials_file: {file!r} holds no JWT with the seed of its key; accepted: a "
        "readable file with a JWT and a seed, as nsc writes for a user"
    )


def test_what_a_role_does_not_use_is_not_looked_at():
    """No file, and no variable."""
    tree = settings(
        listener={"tls": {"cert_file": "/nowhere/a", "key_file": "/nowhere/b"}},
        sink={
            "url": "https://${SIEM}/",
            "auth": {"bearer": {"token_file": "/nowhere/c"}},
            "headers": {"X-Key": "${KEY}"},
            "proxy": "http://${PROXY}",
            "tls": {"ca_file": "/nowhere/d"},
        },
        spool=STREAM,
    )
    everything = [
        *(f"sinks[0].{name}" for name in ("url", "headers.X-Key", "auth.bearer.token_file")),
        *(f"sinks[0].{name}" for name in ("tls.ca_file", "proxy")),
    ]
    certificates = ["listeners[0].tls.cert_file", "listeners[0].tls.key_file"]
    assert paths(tree, Role.RECEIVE) == set(certificates)
    assert paths(tree, Role.DELIVER) == set(everything)
    assert paths(tree, Role.ALL) == {*everything, *certificates}


def paths(tree, role):
    """Return the settings that are wrong for a role, each once."""
    with pytest.raises(ConfigError) as caught:
        parse(yaml.safe_dump(tree), source="c.yaml", environ={}, role=role)
    return {problem.path for problem in caught.value.problems}


@pytest.mark.parametrize("role", [Role.RECEIVE, Role.DELIVER])
def test_a_part_of_the_work_needs_a_spool_that_is_shared(role):
    """Also where nothing is written of it."""
    assert paths(settings(), role) == {"spool.type"}
    assert paths(settings(spool={"type": "memory"}), role) == {"spool.type"}


def test_a_rate_bounds_an_intake():
    """What is beyond it is dropped by default."""
    rate = read(settings(intake={"max_rate": {"events_per_second": "5000"}})).intakes[0].max_rate
    assert (rate.events_per_second, rate.when_over) == (5000, "drop")


@pytest.mark.parametrize(
    ("listener", "where"),
    [
        ({"transport": "relp", "port": 2514}, ("0.0.0.0", 2514, None, 0o660)),
        ({"transport": "unix", "path": "/run/s"}, ("0.0.0.0", None, Path("/run/s"), 0o660)),
        (
            {"transport": "unix-datagram", "path": "/run/s", "mode": "0666"},
            ("0.0.0.0", None, Path("/run/s"), 0o666),
        ),
    ],
)
def test_a_listener_is_at_a_port_or_at_a_path(listener, where):
    """As its transport has it."""
    (read_listener,) = read(settings() | {"listeners": [{"name": "l", **listener}]}).listeners
    assert (
        read_listener.host,
        read_listener.port,
        read_listener.path,
        read_listener.mode,
    ) == where


def test_a_mode_is_octal_as_chmod_has_it():
    """With quotes and without, though a number in YAML 1.1 is octal after a zero."""
    for written in ("0600", '"0600"', "'600'"):
        text = f"""
listeners: [{{name: l, transport: unix, path: /run/s, mode: {written}}}]
sinks: [{{name: d, url: "inbox:"}}]
"""
        assert parse(text, source="c.yaml", environ={}).listeners[0].mode == 0o600


@pytest.mark.parametrize(
    ("more", "asks"),
    [
        ({}, "no"),
        ({"require_client_cert": "false"}, "no"),
        ({"client_ca_file": FILE}, "required"),
        ({"client_ca_file": FILE, "require_client_cert": True}, "required"),
        ({"client_ca_file": FILE, "require_client_cert": False}, "optional"),
        ({"client_ca_file": FILE, "allowed_names": ["*.example.com", "192.0.2.1"]}, "required"),
    ],
)
def test_senders_are_asked_for_a_certificate_where_there_are_authorities(more, asks):
    """They have to show one unless that is switched off."""
    tls = read(settings(listener={"tls": TLS | more})).listeners[0].tls
    assert tls.asks_for_client_cert == asks


@pytest.mark.parametrize("written", [1.3, "1.3"])
def test_a_version_of_tls_may_be_written_as_a_number(written):
    """As it comes out of YAML without quotes."""
    tls = read(settings(listener={"tls": TLS | {"min_version": written}})).listeners[0].tls
    assert tls.min_version == "1.3"


def test_a_sink_has_tls_and_a_proxy_of_its_own():
    """The proxy's address is a secret, as it holds a password."""
    more = {"tls": {"ca_file": FILE, "verify": False}, "proxy": "http://u:p@proxy.example:3128"}
    sink = read(settings(sink=more)).sinks[0]
    assert (sink.tls.ca_file, sink.tls.cert_file, sink.tls.verify) == (Path(FILE), None, False)
    assert sink.proxy.get_secret_value() == "http://u:p@proxy.example:3128"
    assert "u:p" not in repr(sink)


def test_files_that_settings_refer_to_are_known(tmp_path):
    """Each once, in the order of the settings; sockets and the spool are no such files."""
    files = [str(tmp_path / name) for name in "abcdefghij"]
    for file in files:
        Path(file).write_text(file)
    cert, key, authorities, first, second, token, ca, own, own_key, admin = files
    tls = {"cert_file": cert, "key_file": key, "client_ca_file": authorities}
    config = read(
        {
            "listeners": [
                LISTENER | {"tls": tls},
                {"name": "u", "transport": "unix", "path": "/run/s"},
            ],
            "intakes": [{"name": "i", "parser": "raw", "key_file": [first, second]}],
            "sinks": [
                SINK
                | {
                    "name": name,
                    "auth": {"bearer": {"token_file": token}},
                    "tls": {"ca_file": ca, "cert_file": own, "key_file": own_key},
                }
                for name in ("s", "t")
            ],
            "admin": {"token_file": admin},
        }
    )
    assert referenced_files(config) == tuple(map(Path, files))
    assert referenced_files(read(MINIMAL)) == ()
    assert files_of_connections(config) == set()


def test_the_inbox_is_a_sink():
    """In place of a URL."""
    assert read(settings(sink={"url": "inbox:"})).sinks[0].is_inbox


def test_secrets_are_read_from_their_files_each_time(tmp_path):
    """A mounted secret changes without a signal."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    auths = {
        "basic": {"username": "u", "password_file": str(file)},
        "bearer": {"token_file": str(file)},
        "header": {"name": "X-Key", "value_file": str(file)},
    }
    tree = settings(intake={"key": None, "key_file": str(file)}, admin={"token_file": str(file)})
    tree["sinks"] = [SINK | {"name": name, "auth": {name: auths[name]}} for name in auths]
    config = read(tree)
    basic, bearer, header = (sink.auth for sink in config.sinks)
    for secret in ("first", "second"):
        file.write_text(secret)
        assert config.intakes[0].read_keys() == (secret,)
        assert config.admin.read_token() == secret
        assert basic.basic.read_password() == secret
        assert bearer.bearer.read_token() == secret
        assert header.header.read_value() == secret


def test_each_key_may_have_a_file_of_its_own(tmp_path):
    """While a key changes; in the order of the settings."""
    files = [tmp_path / "new", tmp_path / "old"]
    for file in files:
        file.write_text(f"key {file.name}")
    tree = settings(intake={"key": "", "key_file": list(map(str, files))})
    VALIDATOR.validate(tree)
    assert read(tree).intakes[0].read_keys() == ("key new", "key old")


def test_secrets_may_stand_in_the_settings():
    """Where no file is named."""
    auths = {
        "basic": {"username": "u", "password": "p"},
        "bearer": {"token": "t"},
        "header": {"name": "X-Key", "value": "v"},
    }
    tree = settings()
    tree["sinks"] = [SINK | {"name": name, "auth": {name: auths[name]}} for name in auths]
    config = read(tree)
    assert config.sinks[0].auth.basic.read_password() == "p"
    assert config.sinks[1].auth.bearer.read_token() == "t"
    assert config.sinks[2].auth.header.read_value() == "v"
    assert config.admin.read_token() is None


# Problems.


def test_all_problems_of_a_file_are_told_at_once():
    """Of values, unknown names, unset variables and relations, in the order of the sections."""
    tree = {
        "listeners": [
            {"name": "l", "transport": "udp", "portt": 5514, "framing": "lf", "intake": "cyber"},
            {"name": "l", "transport": "tcp", "port": "${PORT}", "max_connections": "many"},
        ],
        "intakes": [
            {"name": "cyberreason", "parser": "cybereason", "sinks": ["defualt"]},
            {"name": "j", "parser": "raw", "key": "s3cret"},
            {"name": "k", "parser": "raw", "key": "s3cret", "sources": ["10.1.0.0/8"]},
        ],
        "sinks": [{"name": "default", "url": "https://u:s3cret@h", "timeout": 30}],
        "spool": {"type": "redis", "directory": "/var/lib/collector"},
        "threads": 2,
    }
    assert told(tree) == [
        (
            "threads: unknown setting 'threads'; accepted: listeners, intakes, sinks, routing, "
            "identity, spool, dead_letters, admin, logging, workers, shutdown_grace, "
            "max_buffered_bytes"
        ),
        "listeners[0].portt: unknown setting 'portt'; did you mean 'port'?",
        "listeners[0].intake: no intake is named 'cyber'; did you mean 'cyberreason'?",
        (
            "listeners[0].framing: not a setting of a udp listener; accepted with transport: tcp "
            "or unix"
        ),
        "listeners[0].port: is missing; accepted: 0 to 65535",
        "listeners[1].port: the variable PORT is not set; accepted: set it, or ${PORT:-}",
        "listeners[1].name: 'l' is the name of listeners[0] too; accepted: a name used once",
        "listeners[1].max_connections: 'many' is not a whole number; accepted: 1 to 100000",
        "intakes[0].sinks: no sink is named 'defualt'; did you mean 'default'?",
        (
            "intakes[0]: no message can belong to this intake; accepted: a key, a key_file, "
            "sources, or a listener with this intake"
        ),
        "intakes[2].key: the same key as that of intakes[1]; accepted: a key used once",
        (
            "intakes[2].sources[0]: '10.1.0.0/8' has bits beyond its prefix, which is 10.0.0.0/8; "
            "accepted: an address or a network, such as 10.0.0.0/8 or 2001:db8::/32"
        ),
        (
            "sinks[0].url: holds a user name or a password, which belong in auth.basic; "
            "accepted: http://… or https://… without user name and password, or inbox:"
        ),
        (
            "sinks[0].timeout: 30 has no unit; accepted: 100ms to 10m, with a unit (250ms, 30s, "
            "5m, 2h, 1d)"
        ),
        (
            "spool.directory: unknown setting 'directory'; accepted: type, path, max_bytes, "
            "when_full, synchronous, servers, stream, replicas, local_max_bytes, max_age, "
            "ack_wait, credentials_file, user, password_file, token_file, tls"
        ),
        (
            "spool.type: 'redis' is not one of the choices; accepted: 'sqlite', 'memory' or "
            "'jetstream'"
        ),
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"listeners": []}, "listeners: is empty; accepted: at least 1"),
        ({"listeners": None}, "listeners: is missing; accepted: a list of mappings with name, "),
        ({"routing": {"parameter": "a b"}}, "routing.parameter: 'a b' is not a structured-data "),
        ({"shutdown_grace": "2h"}, "shutdown_grace: '2h' is too large; accepted: 0 to 1h, "),
        (
            {"listener": {"transport": "udp", "idle_timeout": "5s"}},
            "listeners[0].idle_timeout: not a setting of a udp listener; accepted with ",
        ),
        (
            {"listener": {"receive_buffer": "1MiB"}},
            "listeners[0].receive_buffer: not a setting of a tcp listener; accepted with ",
        ),
        (
            {"listener": {"transport": "relp", "framing": "lf"}},
            "listeners[0].framing: not a setting of a relp listener; accepted with transport: tcp ",
        ),
        (
            {"listener": {"transport": "unix", "port": "", "path": "/s", "host": "::"}},
            "listeners[0].host: not a setting of a unix listener; accepted with transport: udp, ",
        ),
        (
            {"listener": {"transport": "unix", "path": "/s"}},
            "listeners[0].port: not a setting of a unix listener; accepted with transport: udp, ",
        ),
        (
            {"listener": {"transport": "unix-datagram", "port": ""}},
            "listeners[0].path: is missing; accepted: an absolute path of at most 107 bytes",
        ),
        (
            {"listener": {"transport": "relp", "port": ""}},
            "listeners[0].port: is missing; accepted: 0 to 65535",
        ),
        (
            {"listener": {"path": "/s"}},
            "listeners[0].path: not a setting of a tcp listener; accepted with transport: unix or ",
        ),
        (
            {"listener": {"transport": "udp", "tls": {"cert_file": FILE, "key_file": FILE}}},
            "listeners[0].tls: not a setting of a udp listener; accepted with transport: tcp or ",
        ),
        (
            {"listener": {"transport": "udp", "proxy_protocol": "10.0.0.1"}},
            "listeners[0].proxy_protocol: not a setting of a udp listener; accepted with ",
        ),
        (
            {"listener": {"tls": {"cert_file": FILE}}},
            "listeners[0].tls.key_file: is missing; accepted: a readable file in PEM form",
        ),
        (
            {"listener": {"tls": {"cert_file": "/nowhere", "key_file": FILE}}},
            "listeners[0].tls.cert_file: '/nowhere' cannot be read: No such file or directory; ",
        ),
        (
            {"listener": {"tls": TLS | {"min_version": 1.1}}},
            "listeners[0].tls.min_version: 1.1 is not one of the choices; accepted: 1.2 or 1.3",
        ),
        (
            {"listener": {"tls": TLS | {"allowed_names": "a"}}},
            "listeners[0].tls.allowed_names: of no certificate; accepted with client_ca_file",
        ),
        (
            {"intake": {"expect_every": "500ms"}},
            "intakes[0].expect_every: '500ms' is too small; accepted: 1s to 365d, ",
        ),
        (
            {"intake": {"key": "", "key_file": ["/nowhere"]}},
            "intakes[0].key_file[0]: '/nowhere' cannot be read: No such file or directory; ",
        ),
        (
            {"sink": {"tls": {"cert_file": FILE}}},
            "sinks[0].tls.key_file: is missing; accepted: cert_file and key_file together, or none",
        ),
        (
            {"sink": {"url": "http://h/", "tls": {"verify": False}}},
            "sinks[0].tls: is not used with this url; accepted with an https url",
        ),
        (
            {"sink": {"url": "inbox:", "proxy": "http://h"}},
            "sinks[0].proxy: is not used with url: inbox:; accepted with an http or https url",
        ),
        (
            {"sink": {"proxy": "http://h/path"}},
            "sinks[0].proxy: holds more than the address of a proxy; accepted: http://HOST:PORT ",
        ),
        (
            {"max_buffered_bytes": "64KiB"},
            "max_buffered_bytes: '64KiB' is too small; accepted: 1MiB to 16GiB",
        ),
        (
            {"listener": {"intake": "i"}, "intakes": None},
            "listeners[0].intake: no intake is named 'i'; accepted: none yet",
        ),
        ({"intake": {"sinks": []}}, "intakes[0].sinks: is empty; accepted: at least 1"),
        ({"sink": {"name": "all"}}, "sinks[0].name: 'all' means every sink; accepted: another "),
        (
            {"intake": {"parser": "cyber"}},
            "intakes[0].parser: 'cyber' is not one of the choices (did you mean 'cybereason'?); ",
        ),
        (
            {"intake": {"profile": "ECS"}},
            (
                "intakes[0].profile: 'ECS' is not one of the choices (did you mean 'ecs'?); "
                "accepted: 'documented' or 'ecs'"
            ),
        ),
        (
            {"intake": {"envelope": ["syslog", "header"]}},
            "intakes[0].envelope[1]: 'header' is not one of the choices; accepted: 'syslog', ",
        ),
        (
            {"intake": {"timestamp_fallback": "no"}},
            "intakes[0].timestamp_fallback: 'no' is neither true nor false; accepted: true or ",
        ),
        (
            {"listener": {"timezone": "Paris"}},
            "listeners[0].timezone: 'Paris' is not a time zone of this system; accepted: a name ",
        ),
        (
            {"intake": {"fields": ["labels.site"]}},
            "intakes[0].fields: a list where a mapping is expected; accepted: names of fields ",
        ),
        (
            {"intake": {"fields": {"labels.site": None}}},
            "intakes[0].fields.labels.site: is empty; accepted: a text, a number, true, false, ",
        ),
        (
            {"intake": {"fields": {"event": {"created": "x"}}}},
            "intakes[0].fields.event.created: 'event.created' is set by the collector itself; ",
        ),
        (
            {"intake": {"fields": {"event": 1}}},
            "intakes[0].fields.event: 'event' is an object in these events; accepted: a name ",
        ),
        (
            {"intake": {"fields": {"cybereason.malop.id.x": 1}}},
            "intakes[0].fields.cybereason.malop.id.x: stands below 'cybereason.malop.id', a ",
        ),
        (
            {"intake": {"fields": {"log.syslog": "x"}, "envelope": "syslog"}},
            "intakes[0].fields.log.syslog: 'log.syslog' is an object in these events; accepted: ",
        ),
        (
            {"intake": {"fields": {f"labels.l{number}": 1 for number in range(101)}}},
            "intakes[0].fields: has too many fields; accepted: at most 100",
        ),
        (
            {"intake": {"drop": [{"name": "a", "field": "x", "equals": 1, "exists": True}]}},
            "intakes[0].drop[0]: equals and exists are written together; accepted: one of equals, ",
        ),
        (
            {"intake": {"drop": [{"name": "a", "field": "x"}]}},
            "intakes[0].drop[0]: equals or in or prefix or exists is missing; accepted: one of ",
        ),
        (
            {"intake": {"drop": [{"field": "x", "equals": 1}]}},
            "intakes[0].drop[0].name: is missing; accepted: 1 to 64 letters, digits, ",
        ),
        (
            {"intake": {"drop": [{"name": "a", "field": "x.", "equals": 1}]}},
            "intakes[0].drop[0].field: 'x.' is not a field name; accepted: names joined by dots, ",
        ),
        (
            {"intake": {"drop": [{"name": "a", "field": "x", "in": []}]}},
            "intakes[0].drop[0].in: is empty; accepted: at least 1",
        ),
        (
            {"intake": {"drop": [{"name": "a", "field": "x", "equals": 1}] * 2}},
            "intakes[0].drop[1].name: 'a' is the name of drop[0] too; accepted: a name used once",
        ),
        (
            {"sink": {"only": [{"name": "a", "field": "x", "prefix": "y"}] * 2}},
            "sinks[0].only[1].name: 'a' is the name of only[0] too; accepted: a name used once",
        ),
        (
            {"sink": {"auth": {"basic": {"username": "u"}}}},
            "sinks[0].auth.basic: password or password_file is missing; accepted: one of them",
        ),
        (
            {"sink": {"auth": {"bearer": {"token": "t"}, "header": {"name": "X", "value": "v"}}}},
            "sinks[0].auth: bearer and header are written together; accepted: one of basic, ",
        ),
        (
            {"sink": {"auth": {"header": {"name": "HOST", "value": "v"}}}},
            "sinks[0].auth.header.name: set by the collector itself; accepted: another header",
        ),
        (
            {"sink": {"headers": {"content-TYPE": "x"}}},
            "sinks[0].headers.content-TYPE: set by the collector itself; accepted: other headers",
        ),
        (
            {"sink": {"headers": {"Authorization": "x"}, "auth": {"bearer": {"token": "t"}}}},
            "sinks[0].headers.Authorization: set by auth; accepted: other headers",
        ),
        (
            {"sink": {"headers": {"x": "y"}, "auth": {"header": {"name": "X", "value": "v"}}}},
            "sinks[0].headers.x: set by auth; accepted: other headers",
        ),
        (
            {"sink": {"headers": {"X-A": "x", "x-a": "y"}}},
            "sinks[0].headers.x-a: set by another spelling of the same header; accepted: other ",
        ),
        (
            {"sink": {"retry": {"initial": "5s", "max": "1s"}}},
            "sinks[0].retry.initial: longer than max; accepted: 1ms to 1s, as max is",
        ),
        (
            {"sink": {"retry": {"initial": "5m"}}},
            "sinks[0].retry.initial: longer than max; accepted: 1ms to 1m, as max is",
        ),
        (
            {"intake": {"max_rate": {"when_over": "drop"}}},
            "intakes[0].max_rate.events_per_second: is missing; accepted: 1 to 10000000",
        ),
        (
            {"intake": {"max_rate": 100}},
            "intakes[0].max_rate: a number where a mapping is expected",
        ),
        (
            {"intake": {"on_parse_error": "drop"}},
            "intakes[0].on_parse_error: 'drop' is not one of the choices; accepted: 'forward' or ",
        ),
        (
            {"routing": {"on_unknown": "drop"}},
            "routing.on_unknown: 'drop' is not one of the choices; accepted: 'dead_letter' or ",
        ),
        (
            {"identity": "vendor"},
            "identity: 'vendor' is not one of the choices; accepted: 'received' or 'content'",
        ),
        (
            {"spool": {"max_bytes": "64KiB"}},
            "spool.max_bytes: too little for a file; accepted: 1MiB to 1TiB",
        ),
        (
            {"spool": STREAM | {"max_bytes": "64KiB"}},
            "spool.max_bytes: too little for a stream; accepted: 1MiB to 1TiB",
        ),
        (
            {"spool": {"type": "jetstream"}},
            "spool.servers: is missing; accepted: a list of nats://host:port or tls://host:port",
        ),
        (
            {"spool": STREAM | {"servers": []}},
            "spool.servers: is missing; accepted: a list of nats://host:port or tls://host:port",
        ),
        (
            {"spool": STREAM | {"servers": ["nats://me:s3cret@h:4222"]}},
            "spool.servers[0]: holds a user name, a password or a token, which belong in files; ",
        ),
        (
            {"spool": STREAM | {"servers": ["nats://h:4222/path"]}},
            "spool.servers[0]: holds more than the address of a server; accepted: nats://host:port",
        ),
        (
            {"spool": STREAM | {"servers": ["nats://h", "TLS://H:4222"]}},
            "spool.servers[1]: is the server of servers[0]",
        ),
        (
            {"spool": STREAM | {"servers": ["http://h:4222"]}},
            "spool.servers[0]: is not a complete nats or tls URL; accepted: nats://host:port or ",
        ),
        (
            {"spool": {"replicas": 1}},
            "spool.replicas: not a setting of a sqlite spool; accepted with type: jetstream",
        ),
        (
            {"spool": {"type": "memory", "ack_wait": "30s"}},
            "spool.ack_wait: not a setting of a memory spool; accepted with type: jetstream",
        ),
        (
            {"spool": STREAM | {"replicas": 6}},
            "spool.replicas: 6 is too large; accepted: 1 to 5",
        ),
        (
            {"spool": STREAM | {"stream": "a.b"}},
            "spool.stream: 'a.b' is not a name of a stream; accepted: 1 to 64 letters, digits, ",
        ),
        (
            {"spool": STREAM | {"user": "me"}},
            "spool.password_file: is missing; accepted: user and password_file together, or none ",
        ),
        (
            {"spool": STREAM | {"tls": {"cert_file": FILE}}},
            "spool.tls.key_file: is missing; accepted: cert_file and key_file together, or none ",
        ),
        ({"spool": {"path": ["a"]}}, "spool.path: a list where a text is expected; accepted: the "),
        (
            {"sink": {"spool": {"max_bytes": "1KiB"}}},
            "sinks[0].spool.max_bytes: '1KiB' is too small; accepted: 64KiB to 1TiB",
        ),
        (
            {"dead_letters": {"max_age": "500ms"}},
            "dead_letters.max_age: '500ms' is too small; accepted: 1s to 3650d",
        ),
    ],
)
def test_a_problem_is_told_alone(changes, problem):
    """One line for one mistake."""
    (line,) = told(settings(**changes))
    assert line.startswith(problem)


def test_fields_may_be_what_another_intake_has_as_an_object():
    """What fits depends on the parser, the profile and the envelope."""
    fields = {"cybereason": "x", "log.syslog": "y", "related.user": ["z"]}
    assert read(settings(intake={"parser": "raw", "fields": fields})).intakes[0].fields == {
        "cybereason": "x",
        "log": {"syslog": "y"},
        "related": {"user": ["z"]},
    }


def test_a_key_stands_in_the_settings_or_in_a_file(tmp_path):
    """Not in both."""
    file = tmp_path / "key"
    file.write_text("k2")
    assert told(settings(intake={"key_file": str(file)})) == [
        "intakes[0]: key and key_file are written together; accepted: one of key, key_file"
    ]


def test_settings_of_the_other_transport_may_be_blank():
    """So that one file can serve both."""
    blank = {"framing": None, "idle_timeout": "${IDLE:-}"}
    assert read(settings(listener={"transport": "udp", **blank})).listeners[0].framing == "auto"


def test_an_authorization_header_is_free_without_auth():
    """Some other scheme, say."""
    config = read(settings(sink={"headers": {"Authorization": "Splunk s3cret"}}))
    assert config.sinks[0].headers["Authorization"].get_secret_value() == "Splunk s3cret"


def test_a_file_is_named_in_its_problems(tmp_path):
    """Also where it is no YAML."""
    file = tmp_path / "c.yaml"
    file.write_text("listeners: [\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert caught.value.source == str(file)
    assert str(caught.value).startswith(f"{file}: line 2, column 1: is not valid YAML: ")


def test_a_file_is_read_with_the_environment(tmp_path):
    """Numbers too may come from it."""
    file = tmp_path / "c.yaml"
    tree = settings(listener={"port": "${PORT}"}, intake={"key": "${KEY}"})
    file.write_text(yaml.safe_dump(tree))
    config = load(file, {"PORT": "6514", "KEY": "12345"})
    assert config.listeners[0].port == 6514
    assert config.intakes[0].read_keys() == ("12345",)


def test_plain_data_is_taken_as_it_is():
    """`build` puts no environment in."""
    config = build(settings(intake={"key": "${KEY}$$"}), source="test")
    assert config.intakes[0].read_keys() == ("${KEY}$$",)


NAMES = sorted({name for model in models() for name in declared(model)})
SCALARS = [None, True, -1, 0, 5514, 1.5, float("nan"), "", "a", "tcp", "udp", "inbox:", "a b", "5s"]
TREES = st.recursive(
    st.sampled_from([*SCALARS, 1 << 200]),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(NAMES), below, max_size=5)
    ),
    max_leaves=30,
)


@given(changes=st.dictionaries(st.sampled_from(list(Config.model_fields)), TREES))
def test_values_in_wrong_places_are_told(changes):
    """Whatever they are; nothing else is raised."""
    assert_told(settings() | changes)


@given(listener=TREES, intake=TREES, sink=TREES, auth=TREES)
def test_values_in_wrong_places_of_an_entry_are_told(listener, intake, sink, auth):
    """Also next to entries that are right."""
    tree = settings(sink={"auth": auth})
    for section, entry in (("listeners", listener), ("intakes", intake), ("sinks", sink)):
        first = tree[section][0]
        mixed = first | entry if isinstance(entry, dict) else entry
        tree[section] = [first, mixed]
    assert_told(tree)


def assert_told(tree):
    problems = ()
    try:
        build(tree, source="c.yaml")
    except ConfigError as error:
        problems = error.problems
    for problem in problems:
        assert "\n" not in str(problem)
        assert len(str(problem)) < 500


def test_a_value_is_compared_with_nothing_it_cannot_equal():
    """A list where the transport and the name of a header are expected."""
    auth = {"header": {"name": ["X"], "value": "v"}}
    tree = settings(listener={"transport": ["udp"]}, sink={"auth": auth, "headers": {"X": "y"}})
    assert told(tree) == [
        (
            "listeners[0].transport: a list is not one of the choices; accepted: 'udp', 'tcp', "
            "'relp', 'unix' or 'unix-datagram'"
        ),
        (
            "sinks[0].auth.header.name: a list where a text is expected; accepted: a header name, "
            "such as X-Api-Key"
        ),
    ]


def test_a_number_too_long_for_python_is_told():
    """Hexadecimal digits have no bound of their own."""
    text = yaml.safe_dump(settings(sink={"name": "a"})) + f"admin: {{port: 0x{'f' * 9999}}}"
    with pytest.raises(ConfigError) as caught:
        parse(text, source="c.yaml", environ={})
    assert str(caught.value) == "c.yaml: admin.port: a number is too large; accepted: 0 to 65535"


# Secrets.

S3CRET = "s3cret-0af1"
WRONG = st.sampled_from(
    [
        S3CRET,
        S3CRET + "\n",
        S3CRET * 999,
        [S3CRET],
        [[S3CRET]],
        {S3CRET: S3CRET},
        {S3CRET: None},
        f"https://u:{S3CRET}@h/",
        f"${{{S3CRET}",
        f"Authorization: Bearer {S3CRET}",
    ]
)
WAYS = ["basic", "bearer", "header"]
PARTS = ["username", "password", "password_file", "token", "token_file", "tokn"]
PARTS += ["name", "value", "value_file"]
AUTH = WRONG | st.dictionaries(
    st.sampled_from(WAYS), WRONG | st.dictionaries(st.sampled_from(PARTS), WRONG)
)


FILES = st.dictionaries(st.sampled_from(["cert_file", "key_file", "ca_file"]), WRONG)


@given(
    auth=AUTH,
    headers=WRONG | st.dictionaries(st.just("X"), WRONG),
    key=WRONG,
    url=WRONG,
    files=FILES,
)
def test_no_secret_is_told(auth, headers, key, url, files):
    """Wherever it was misplaced among settings that hold secrets, and with whatever is wrong."""
    tree = settings(
        intake={"key": key, "key_file": [S3CRET]},
        listener={"tls": files},
        sink={"auth": auth, "headers": headers, "url": url, "proxy": url, "tls": files},
        admin={"token_file": S3CRET},
    )
    tree["intakes"].append({"name": "j", "parser": "raw", "key": key})
    assert S3CRET not in "\n".join(told(tree, {S3CRET: S3CRET}))


def test_no_secret_is_in_a_printed_configuration():
    """In whatever way it is printed."""
    tree = settings(
        intake={"key": ["s3cret", "s3cret2"]},
        sink={
            "headers": {"X-Key": "s3cret"},
            "auth": {"basic": {"username": "u", "password": "s3cret"}},
            "proxy": "http://u:s3cret@proxy.example",
        },
    )
    config = read(tree)
    printed = [str(config), repr(config), config.model_dump_json(), str(config.model_dump())]
    assert "s3cret" not in "".join(printed)
    assert config.sinks[0].auth.basic.read_password() == "s3cret"


# Schema and example.


def test_the_schema_in_the_repository_is_current():
    """It is generated from the declarations."""
    current = orjson.dumps(schema(), option=orjson.OPT_INDENT_2) + b"\n"
    assert SCHEMA.read_bytes() == current, "run: collector schema > config/schema.json"


VALIDATOR = jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize(
    ("tree", "valid"),
    [
        (MINIMAL, True),
        (settings(intake={"key": ["a", "b"], "sinks": "all", "sources": "10.0.0.0/8"}), True),
        (settings(listener={"port": "5514", "max_message_bytes": 4096, "idle_timeout": ""}), True),
        (settings(sink={"auth": {"bearer": {"token_file": ""}}, "batch": None}), True),
        (settings(sink={"batch": {"max_wait": 0, "max_bytes": "2MB"}}), True),
        (settings(intake={"max_rate": {"events_per_second": 5}}, identity="content"), True),
        (settings(sink={"spool": {"max_bytes": "1MiB"}}, spool={"type": "memory"}), True),
        (settings(listener={"tls": TLS | {"min_version": 1.3, "allowed_names": ""}}), True),
        (settings(listener={"tls": TLS | {"min_version": 1.1}}), False),
        (settings(listener={"transport": "relp", "proxy_protocol": "10.0.0.1"}), True),
        (settings(intake={"expect_every": "1d"}), True),
        (settings(sink={"proxy": "http://p:3128", "tls": {"verify": "false"}}), True),
        (settings(sink={"proxy": "https://p:3128"}), False),
        (settings(intake={"max_rate": {"when_over": "drop"}}), False),
        (settings(dead_letters={"max_age": 30}), False),
        (settings(intake={"fields": {"labels": {"x": [1, "a"]}, "labels.y": True}}), True),
        (settings(intake={"drop": [{"name": "a", "field": "x", "in": [1, True, "b"]}]}), True),
        (settings(listener={"timezone": "Europe/Paris"}, intake={"envelope": "source"}), True),
        (settings(intake={"drop": [{"name": "a", "field": "x", "is": 1}]}), False),
        (settings(intake={"fields": {"a": [["b"]]}}), False),
        (settings(intake={"parser": "cyber"}), False),
        (settings(listener={"portt": 1}), False),
        (settings(listener={"port": 65536}), False),
        (settings(sink={"timeout": 30}), False),
        (settings(sink={"url": "ftp://h"}), False),
        ({"listeners": [LISTENER]}, False),
    ],
)
def test_the_schema_agrees_with_the_reader(tree, valid):
    """As far as it goes: it does not know relations."""
    assert VALIDATOR.is_valid(tree) == valid
    if valid:
        read(tree)
    else:
        told(tree)


def test_the_example_is_valid_by_the_schema():
    """As it is written, and with the environment put in."""
    tree = yaml.safe_load(EXAMPLE.read_text())
    VALIDATOR.validate(tree)
    filled, problems = substitute(tree, {})
    assert problems == []
    VALIDATOR.validate(filled)


def test_the_example_holds_every_setting_with_a_comment():
    """On its line or on the line above."""
    lines = EXAMPLE.read_text().splitlines()
    for name in NAMES:
        places = [
            number
            for number, line in enumerate(lines)
            if re.match(rf"[#\s]*(- )?{name}:(\s|$)", line)
        ]
        assert places, name
        assert any(
            re.search(r"\S\s+# ", lines[number]) or lines[number - 1].startswith("# ")
            for number in places
        ), name


RATE = "events_per_second|when_over"
OTHER_AUTH = "token|basic|username|password|password_file|header|name|value|value_file"
FILTER = "field|equals|in|prefix|exists"
OTHER_FORMATS = "index|splunk|source|sourcetype|host"


IN_TLS = "|".join({*ListenerTls.model_fields, *SinkTls.model_fields, "tls"})
OTHER_LISTENERS = "transport|port|mode"


def test_what_the_example_shows_commented_out_is_the_default():
    """Switched on, it changes nothing; other formats, other ways to authenticate, the filter, the
    rate, TLS, other listeners and other spools stay out.
    """
    written = EXAMPLE.read_text()
    spools = "|".join(OTHER_SPOOLS)
    others = f"{OTHER_AUTH}|{FILTER}|{RATE}|{OTHER_FORMATS}|{IN_TLS}|{OTHER_LISTENERS}|{spools}"
    pattern = rf"(?m)^( *)# ( *(?!(?:{others}):|path: /run)[a-z_]+:( .*)?)$"
    text, count = re.subn(pattern, r"\1\2", written)
    assert count > 20
    assert parse(text, source="switched on", environ={}) == load(EXAMPLE, {})


def in_the_example(first_line):
    """Return the settings that the example shows commented out from a line on."""
    lines = iter(EXAMPLE.read_text().splitlines())
    first = next(line for line in lines if re.match(rf" *# {first_line}", line))
    place = first.index("#")
    shown = [first[place + 2 :]]
    for line in lines:
        if not line[place:].startswith("#  "):
            break
        shown.append(line[place + 2 :])
    return yaml.safe_load("\n".join(shown))


@pytest.mark.parametrize(
    ("first_line", "model"), [("tls: .*RFC 5425", ListenerTls), ("tls: .*https", SinkTls)]
)
def test_the_tls_that_the_example_shows_is_the_default(first_line, model):
    """But for the certificate of a listener, which has none."""
    tls = {name: value for name, value in in_the_example(first_line)["tls"].items() if value}
    files = TLS if model is ListenerTls else {}
    for name in files:
        assert tls.pop(name).startswith("/etc/collector/tls/")
    assert model(**tls, **files) == model(**files)


def test_the_stream_that_the_example_shows_is_the_default():
    """But for the servers, which nobody knows."""
    written = {name: value for name, value in in_the_example("spool:$")["spool"].items() if value}
    shown = {**written, "type": "jetstream", "tls": None}
    assert len(shown["servers"]) == 3
    defaults = SpoolSettings(type="jetstream", servers=shown["servers"])
    assert SpoolSettings(**shown) == defaults


@pytest.mark.parametrize("name", ["relp", "local"])
def test_the_other_listeners_that_the_example_shows_are_accepted(name):
    """Certificates aside, which are not here."""
    (listener,) = in_the_example(f"- name: {name}")
    if "tls" in listener:
        assert listener.pop("tls").keys() == TLS.keys()
    listener |= {"mode": "0660"} if "mode" in listener else {}
    assert read(settings() | {"listeners": [listener]}).listeners[0].name == name


def test_the_example_is_the_default_of_the_container():
    """With nothing in the environment, everything goes to the inbox."""
    config = load(EXAMPLE, {})
    listeners = [(item.transport, item.host, item.port, item.intake) for item in config.listeners]
    assert listeners == [
        ("udp", "0.0.0.0", 5514, None),
        ("tcp", "0.0.0.0", 5514, None),
        ("tcp", "0.0.0.0", 5515, "cybereason"),
        ("tcp", "0.0.0.0", 5516, "harfanglab"),
    ]
    assert [(item.name, item.parser, item.read_keys()) for item in config.intakes] == [
        ("cybereason", "cybereason", ()),
        ("harfanglab", "harfanglab", ()),
    ]
    (sink,) = config.sinks
    assert (sink.name, sink.is_inbox, sink.format, sink.auth) == ("default", True, "ndjson", None)
    assert (config.admin.host, config.admin.port, config.admin.token_file) == (
        "0.0.0.0",
        9514,
        None,
    )
    assert [warning.path for warning in warnings(config)] == ["intakes[0]", "intakes[1]"]


def test_the_example_takes_keys_sink_and_token_from_the_environment(tmp_path):
    """Keys as values or as files."""
    token, key = tmp_path / "token", tmp_path / "key"
    token.write_text("t\n")
    key.write_text("h\n")
    environ = {
        "CYBEREASON_INTAKE_KEY": "c",
        "HARFANGLAB_INTAKE_KEY_FILE": str(key),
        "SINK_URL": "https://siem.example/",
        "SINK_FORMAT": "ndjson",
        "SINK_TOKEN_FILE": str(token),
        "ADMIN_TOKEN_FILE": str(token),
    }
    config = load(EXAMPLE, environ)
    assert [intake.read_keys() for intake in config.intakes] == [("c",), ("h",)]
    assert config.sinks[0].url == "https://siem.example/"
    assert config.sinks[0].auth.bearer.read_token() == "t"
    assert config.admin.read_token() == "t"
    assert warnings(config) == []
    with pytest.raises(ConfigError, match=r"sinks\[0\]\.format: 'xml' is not one of the choices"):
        load(EXAMPLE, environ | {"SINK_FORMAT": "xml"})
