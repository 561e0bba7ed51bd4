"""What listeners receive from; `test_listening` has more of it, with listeners."""

import pytest

from collector.config import parse
from collector.listeners.opening import Place


def settings_of(listener):
    text = f"""
listeners: [{{{listener if "name:" in listener else f"name: l, {listener}"}}}]
intakes: [{{name: i, parser: raw, key: k}}]
sinks: [{{name: s, url: "http://127.0.0.1/"}}]
"""
    return parse(text, source="test", environ={}).listeners[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("transport: tcp, port: 514", "transport: relp, port: 514, intake: i"),
        ("transport: tcp, port: 514", "name: other, transport: tcp, port: 514"),
        ("transport: tcp, port: 0", "transport: tcp, port: 0, framing: lf"),
        ("transport: unix, path: /run/s", "name: other, transport: unix, path: /run/s"),
    ],
)
def test_listeners_in_one_place_can_follow_one_another(one, other):
    """Whatever they are called, and speak."""
    assert Place.of(settings_of(one)) == Place.of(settings_of(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("transport: tcp, port: 514", "transport: udp, port: 514"),
        ("transport: tcp, port: 514", "transport: tcp, port: 515"),
        ("transport: tcp, port: 514", "transport: tcp, host: 127.0.0.1, port: 514"),
        ("transport: tcp, port: 0", "name: other, transport: tcp, port: 0"),
        ("transport: unix, path: /run/s", "transport: unix-datagram, path: /run/s"),
    ],
)
def test_others_are_elsewhere(one, other):
    """With port 0, each has a port of its own."""
    assert Place.of(settings_of(one)) != Place.of(settings_of(other))
