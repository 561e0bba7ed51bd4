"""Certificates of listeners, sinks and the stream."""

import time

import pytest

from collector.config import parse
from collector.doctor.certificates import on_certificates, problems, warnings
from tests.certificates import Authority
from tests.unit.doctor.conftest import config_of


def findings(issued, ca_file=None, sink_ca=None):
    tls = {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}
    if ca_file is not None:
        tls["client_ca_file"] = str(ca_file)
    listener = {"name": "l", "transport": "tcp", "port": 0, "tls": tls}
    sink = {"name": "s", "url": "https://siem.example"}
    if sink_ca is not None:
        sink["tls"] = {"ca_file": str(sink_ca)}
    config = config_of(listeners=[listener], sinks=[sink])
    return {item.where: item for item in on_certificates(config, time.time())}


def test_good_ones_are_told_with_their_end(tmp_path):
    authority = Authority(tmp_path)
    found = findings(authority.server(), authority.ca_file, authority.ca_file)
    assert {where: item.level for where, item in found.items()} == {
        "listeners[0].tls.cert_file": "ok",
        "listeners[0].tls.client_ca_file": "ok",
        "sinks[0].tls.ca_file": "ok",
    }
    assert "valid until" in found["listeners[0].tls.cert_file"].found


def test_one_that_has_expired_is_an_error(tmp_path):
    (found,) = findings(Authority(tmp_path).expired("localhost")).values()
    assert found.level == "error"
    assert "expired on" in found.found


def test_one_that_ends_soon_is_a_warning(tmp_path):
    issued = Authority(tmp_path).issue("localhost", name="soon", valid_days=(-1, 3))
    (found,) = findings(issued).values()
    assert found.level == "warning"
    assert "ends on" in found.found


def test_a_key_of_another_certificate_is_an_error(tmp_path):
    authority = Authority(tmp_path)
    one, other = authority.server("one"), authority.server("other")
    one.key_file.write_bytes(other.key_file.read_bytes())
    found = findings(one)
    assert found["listeners[0].tls.key_file"].level == "error"
    assert "does not belong" in found["listeners[0].tls.key_file"].found


def test_authorities_that_are_none_are_an_error(tmp_path):
    authority = Authority(tmp_path)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    found = findings(authority.server(), nonsense)
    assert found["listeners[0].tls.client_ca_file"].level == "error"


def of_stream(**tls):
    """Return what is found of settings of a stream, by its place."""
    spool = {"type": "jetstream", "servers": ["tls://h"], "tls": tls}
    config = config_of(spool=spool)
    return {item.where: item for item in on_certificates(config, time.time())}


def test_what_is_shown_to_the_servers_of_a_stream_is_looked_at(tmp_path):
    authority = Authority(tmp_path)
    issued = authority.expired("collector")
    ours = {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}
    found = of_stream(ca_file=str(authority.ca_file), **ours)
    assert {where: item.level for where, item in found.items()} == {
        "spool.tls.cert_file": "error",
        "spool.tls.ca_file": "ok",
    }
    assert "expired on" in found["spool.tls.cert_file"].found


def test_a_key_that_is_not_that_of_the_certificate_for_the_servers_is_an_error(tmp_path):
    authority = Authority(tmp_path)
    one, other = authority.server("one"), authority.server("other")
    found = of_stream(cert_file=str(one.cert_file), key_file=str(other.key_file))
    assert found["spool.tls.key_file"].level == "error"
    assert "does not belong" in found["spool.tls.key_file"].found


def with_tls(listener_tls="", sink_tls=""):
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
    config = with_tls()
    assert (problems(config), warnings(config, time.time())) == ([], [])


def test_certificates_that_can_be_used_are_no_problem(authority):
    """At either end."""
    tls = tls_of(authority.server())
    config = with_tls(tls, tls)
    assert (problems(config), warnings(config, time.time())) == ([], [])


def test_the_key_of_another_certificate_is_a_problem_at_either_end(authority):
    """The setting and the file are named."""
    one, other = authority.server(), authority.issue("other.example", name="other")
    found = problems(with_tls(tls_of(one, other), tls_of(other, one)))
    assert [problem.path for problem in found] == [
        "listeners[1].tls.key_file",
        "sinks[0].tls.key_file",
    ]
    assert str(other.key_file) in found[0].message


def test_a_certificate_that_has_ended_is_a_warning(authority):
    """Peers refuse it, which the daemon cannot see."""
    tls = tls_of(authority.expired("old.example"))
    config = with_tls(tls, tls)
    assert problems(config) == []
    found = warnings(config, time.time())
    paths = ["listeners[1].tls.cert_file", "sinks[0].tls.cert_file"]
    assert [warning.path for warning in found] == paths
    assert all("expired on" in warning.message for warning in found)


def test_a_certificate_that_ends_within_days_is_a_warning(authority):
    """There has to be time to get a new one."""
    config = with_tls(tls_of(authority.server()))
    years = 50 * 365 * 86400.0
    assert [warning.path for warning in warnings(config, time.time() + years)] == [
        "listeners[1].tls.cert_file"
    ]
