"""What is allowed and probably not meant."""

from pathlib import Path

import pytest
import yaml

from collector.config import parse, warnings

FILE = str(Path(__file__))
LISTENER = {"name": "l", "transport": "tcp", "port": 5514}
INTAKE = {"name": "i", "parser": "cybereason", "key": "k"}
SINK = {"name": "default", "url": "https://siem.example/ingest"}
MINIMAL = {"listeners": [LISTENER], "intakes": [INTAKE], "sinks": [SINK]}


def settings(*, listener=None, intake=None, sink=None, **more):
    """Return a minimal configuration with more settings."""
    return {
        "listeners": [LISTENER | (listener or {})],
        "intakes": [INTAKE | (intake or {})],
        "sinks": [SINK | (sink or {})],
        **more,
    }


def warned(tree):
    return [
        str(warning)
        for warning in warnings(parse(yaml.safe_dump(tree), source="c.yaml", environ={}))
    ]


def test_a_usual_configuration_has_no_warnings():
    """Nor has one on loopback without keys."""
    assert warned(MINIMAL) == []
    keyless = settings(listener={"intake": "i", "host": "::1"}, intake={"key": ""})
    assert warned(keyless) == []


def stream(**more):
    return settings(spool={"type": "jetstream", "servers": "nats://localhost", **more})


def test_a_stream_of_three_servers_is_no_warning():
    assert warned(stream()) == []


@pytest.mark.parametrize(
    ("spool", "problem"),
    [
        (
            {"replicas": 1},
            (
                "replicas: what a server holds is lost with it; with 3 servers and replicas, one "
                "may be"
            ),
        ),
        ({"replicas": 4}, "replicas: of 4 servers no more may be lost than of 3"),
        (
            {"max_age": "7d"},
            "max_age: the servers delete events that wait for longer, and no account knows of them",
        ),
    ],
)
def test_a_stream_that_may_lose_what_it_holds_is_a_warning(spool, problem):
    """By accident, or since settings ask for it."""
    assert warned(stream(**spool)) == [f"spool.{problem}"]


def test_a_secret_of_servers_in_plain_text_is_a_warning(tmp_path):
    """But for loopback, and where TLS is asked for."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    servers = ["nats://a", "tls://b", "nats://127.0.0.1"]
    token = {"servers": servers, "token_file": str(secret)}
    password = {"servers": servers, "user": "me", "password_file": str(secret)}
    way = "is sent in plain text, and so are events; use tls:// or spool.tls"
    assert warned(stream(**token)) == [f"spool.servers[0]: the token {way}"]
    assert warned(stream(**password)) == [f"spool.servers[0]: the password {way}"]
    assert warned(stream(**token, tls={"ca_file": FILE})) == []
    assert warned(stream(servers=servers)) == []


def test_a_keyless_intake_open_to_all_is_a_warning():
    """On each listener that has it, unless that limits who may send."""
    tree = settings(listener={"intake": "i"}, intake={"key": None})
    tree["listeners"] += [
        LISTENER | {"name": "m", "port": 1, "intake": "i", "allowed_sources": ["10.0.0.0/8"]},
        LISTENER | {"name": "n", "port": 2, "intake": "i", "host": "127.0.0.1"},
        LISTENER | {"name": "o", "port": 3},
    ]
    assert warned(tree) == [
        (
            "intakes[0]: has no key, and listener 'l' (tcp 0.0.0.0) takes its messages from any "
            "address; allowed_sources there limits them"
        )
    ]


def test_a_keyless_intake_of_those_who_may_write_to_a_socket_is_no_warning():
    """Nor is one of those who have a certificate; one that may be left out does not count."""
    path = {"transport": "unix", "port": "", "path": "/run/s", "intake": "i"}
    assert warned(settings(listener=path, intake={"key": ""})) == []
    tls = {"cert_file": FILE, "key_file": FILE, "client_ca_file": FILE}
    listener = {"intake": "i", "tls": tls}
    assert warned(settings(listener=listener, intake={"key": ""})) == []
    tls["require_client_cert"] = False
    assert len(warned(settings(listener=listener, intake={"key": ""}))) == 1


def test_sources_that_a_datagram_can_forge_are_a_warning():
    """Where other machines can send one, and the intake has no key besides."""
    tree = settings(listener={"transport": "udp"}, intake={"key": "", "sources": "10.0.0.1"})
    tree["listeners"] += [
        LISTENER | {"name": "m"},
        LISTENER | {"name": "n", "transport": "udp", "port": 2},
        LISTENER | {"name": "o", "transport": "udp", "port": 3, "host": "127.0.0.1"},
    ]
    assert warned(tree) == [
        (
            "intakes[0].sources: whoever reaches listener 'l' or 'n' (udp) can forge these "
            "addresses; a key keeps others out"
        )
    ]
    tree["intakes"][0]["key"] = "k"
    assert warned(tree) == []


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_everybody_as_a_proxy_is_a_warning(network):
    """Nobody's address is known then."""
    tree = settings(listener={"proxy_protocol": ["10.0.0.0/8", network]})
    assert warned(tree) == [
        (
            f"listeners[0].proxy_protocol[1]: {network} is everybody, who may then say that they "
            "are somebody else"
        )
    ]


@pytest.mark.parametrize("verify", [True, False])
def test_a_sink_whose_certificate_is_not_looked_at_is_a_warning(verify):
    """Anybody could be it."""
    message = (
        "sinks[0].tls.verify: whoever stands in between can pose as the sink; ca_file trusts its "
        "authority"
    )
    assert warned(settings(sink={"tls": {"verify": verify}})) == ([] if verify else [message])


def test_an_intake_known_by_its_sources_is_no_warning():
    """Only those networks can reach it."""
    assert warned(settings(intake={"key": "", "sources": ["10.0.0.0/8"]})) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://siem.example/", ["sinks[0].url: credentials are sent over plain http; use https"]),
        ("https://siem.example/", []),
        ("http://localhost:9200/", []),
        ("http://127.0.0.1/", []),
        ("http://[::1]/", []),
        ("inbox:", []),
    ],
)
def test_credentials_over_plain_http_are_a_warning(url, told):
    """Beyond this machine."""
    assert warned(settings(sink={"url": url, "auth": {"bearer": {"token": "t"}}})) == told
    assert warned(settings(sink={"url": url})) == []


def test_a_kind_for_all_events_is_a_warning():
    """Nothing tells those apart then that could not be parsed."""
    assert warned(settings(intake={"fields": {"event": {"kind": "alert"}}})) == [
        (
            "intakes[0].fields.event.kind: replaces pipeline_error too, by which messages that no "
            "parser reads are known"
        )
    ]


def a_filter(field):
    return {"name": field, "field": field, "exists": True}


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("event.code", True),
        ("cybereason.malop", True),
        ("labels.site", True),
        ("log.source.address", True),
        ("error.code", True),
        ("event.codes", False),
        ("harfanglab.level", False),
        ("log.syslog.hostname", False),
    ],
)
def test_a_filter_of_a_field_that_no_event_has_is_a_warning(field, known):
    """It drops nothing, or everything."""
    more = {"fields": {"labels.site": "paris"}, "envelope": "source"}
    problem = f"no event that comes here has '{field}', as far as is known"
    drop = settings(intake={**more, "drop": [a_filter(field)]})
    assert warned(drop) == ([] if known else [f"intakes[0].drop[0].field: {problem}"])
    only = settings(intake=more, sink={"only": [a_filter("message"), a_filter(field)]})
    assert warned(only) == ([] if known else [f"sinks[0].only[1].field: {problem}"])


def test_a_filter_of_a_sink_may_be_for_one_of_its_intakes():
    """Another sink's are not asked."""
    tree = settings(intake={"sinks": "default"}, sink={"only": [a_filter("harfanglab.level")]})
    tree["sinks"].append(SINK | {"name": "other"})
    tree["intakes"].append({"name": "h", "parser": "harfanglab", "key": "h", "sinks": "other"})
    assert len(warned(tree)) == 1
    tree["intakes"][1]["sinks"] = "all"
    assert warned(tree) == []


@pytest.mark.parametrize(
    ("share", "when_full", "is_told"),
    [
        ({"max_bytes": "1MiB"}, "block", True),
        ({"max_bytes": "1MiB", "when_full": "block"}, "drop", True),
        ({"max_bytes": "1MiB"}, "drop", False),
        ({"max_bytes": "1MiB", "when_full": "drop"}, "block", False),
        ({"when_full": "block"}, "block", False),
        ({}, "block", False),
    ],
)
def test_a_share_for_which_the_senders_of_other_sinks_wait_is_a_warning(share, when_full, is_told):
    """Only where it blocks; intakes that go to that sink alone do not count."""
    tree = settings(sink={"spool": share}, spool={"when_full": when_full})
    tree["sinks"].append(SINK | {"name": "other"})
    tree["intakes"] += [
        {"name": "j", "parser": "raw", "key": "j", "sinks": ["other", "default"]},
        {"name": "k", "parser": "raw", "key": "kk", "sinks": "default"},
        {"name": "l", "parser": "raw", "key": "l", "sinks": "other"},
    ]
    message = (
        "sinks[0].spool: while this share is full, senders of intake 'i' and 'j' wait, and their "
        "other sinks get nothing new either; when_full: drop keeps them going"
    )
    assert warned(tree) == ([message] if is_told else [])


def test_less_room_than_one_message_needs_is_a_warning():
    """Where it comes over a connection."""
    tree = settings(listener={"max_message_bytes": "2MiB"}, max_buffered_bytes="1MiB")
    assert warned(tree) == [
        (
            "max_buffered_bytes: less than max_message_bytes of listener 'l'; a message that long "
            "ends its connection"
        )
    ]
    tree["listeners"][0]["transport"] = "udp"
    assert warned(tree) == []


def test_no_intake_at_all_is_a_warning():
    """It is allowed, to try out a sink's address."""
    tree = {"listeners": [LISTENER], "sinks": [SINK]}
    assert warned(tree) == ["intakes: there is none, so no message is forwarded"]
