"""What only the content of certificates tells."""

import time

import pytest

from collector.commands.certificates import problems, warnings
from collector.config import parse
from tests.certificates import Authority


def config_of(listener_tls="", sink_tls=""):
    """Return settings with TLS at both ends, as far as it is written."""
    text = f"""
listeners:
  - {{name: plain, transport: udp, port: 1}}
  - {{name: l, transport: tcp, port: 1{listener_tls}}}
intakes: [{{name: i, parser: raw, key: k}}]
sinks: [{{name: s, url: "https://siem.example/"{sink_tls}}}]
"""
    return parse(text, source="test", environ={})


def tls_of(issued, other=None):
    """Return the setting that names a certificate, and a key that may be another's."""
    return f", tls: {{cert_file: {issued.cert_file}, key_file: {(other or issued).key_file}}}"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ca")


def test_settings_without_tls_have_nothing_to_be_found():
    """Nor is anything read."""
    config = config_of()
    assert (problems(config), warnings(config, time.time())) == ([], [])


def test_certificates_that_can_be_used_are_no_problem(authority):
    """At either end."""
    tls = tls_of(authority.server())
    config = config_of(tls, tls)
    assert (problems(config), warnings(config, time.time())) == ([], [])


def test_the_key_of_another_certificate_is_a_problem_at_either_end(authority):
    """The setting and the file are named."""
    one, other = authority.server(), authority.issue("other.example", name="other")
    found = problems(config_of(tls_of(one, other), tls_of(other, one)))
    assert [problem.path for problem in found] == [
        "listeners[1].tls.key_file",
        "sinks[0].tls.key_file",
    ]
    assert str(other.key_file) in found[0].message


def test_a_certificate_that_has_ended_is_a_warning(authority):
    """Peers refuse it, which the daemon cannot see."""
    tls = tls_of(authority.expired("old.example"))
    config = config_of(tls, tls)
    assert problems(config) == []
    found = warnings(config, time.time())
    paths = ["listeners[1].tls.cert_file", "sinks[0].tls.cert_file"]
    assert [warning.path for warning in found] == paths
    assert all("expired on" in warning.message for warning in found)


def test_a_certificate_that_ends_within_days_is_a_warning(authority):
    """There has to be time to get a new one."""
    config = config_of(tls_of(authority.server()))
    years = 50 * 365 * 86400.0
    assert [warning.path for warning in warnings(config, time.time() + years)] == [
        "listeners[1].tls.cert_file"
    ]
