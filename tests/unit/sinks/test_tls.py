"""TLS towards sinks: whom it trusts, what it shows."""

import ssl

import pytest

from collector.certificates import TlsError
from collector.config import SinkTls
from collector.sinks.tls import client_context
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def sink(authority):
    """The context of a sink that asks for a certificate."""
    issued = authority.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca_file)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def shake_hands(client, server, name="localhost"):
    """Have two contexts speak to each other in memory; return what the server sees."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    while waiting:
        session = waiting.pop(0)
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(session)
    return theirs


def test_a_sink_without_settings_is_verified_by_default():
    """By aiohttp's own context."""
    assert client_context(None) is True


def test_empty_settings_mean_the_systems_authorities(sink):
    """Of which the one in these tests is none."""
    context = client_context(SinkTls())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(context, sink)


def test_the_authorities_of_a_file_are_trusted(authority, sink):
    """TLS 1.2 is the oldest version."""
    context = client_context(SinkTls(ca_file=authority.ca_file))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert shake_hands(context, sink).getpeercert() is None


def test_only_the_authorities_of_the_file_are_trusted(authority):
    """Not the system's beside them."""
    assert client_context(SinkTls(ca_file=authority.ca_file)).cert_store_stats()["x509"] == 1


def test_the_name_of_a_sink_is_verified(authority, sink):
    """Its certificate is for localhost."""
    context = client_context(SinkTls(ca_file=authority.ca_file))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(context, sink, "elsewhere.example")


@pytest.mark.parametrize("verify", [True, False])
def test_the_collectors_own_certificate_is_shown(authority, sink, verify):
    """To sinks that ask for it."""
    own = authority.issue("collector.example", name="own")
    settings = SinkTls(
        ca_file=authority.ca_file, cert_file=own.cert_file, key_file=own.key_file, verify=verify
    )
    shown = shake_hands(client_context(settings), sink).getpeercert()
    assert shown["subjectAltName"] == (("DNS", "collector.example"),)


def test_nothing_is_verified_where_settings_say_so(sink):
    """Neither authority nor name."""
    shake_hands(client_context(SinkTls(verify=False)), sink, "elsewhere.example")


@pytest.mark.parametrize("setting", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_cannot_be_used_is_named_with_its_setting(authority, tmp_path, setting):
    """It may have changed since the settings were read."""
    own = authority.issue("collector.example", name="own")
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("wrong")
    settings = SinkTls(
        ca_file=authority.ca_file, cert_file=own.cert_file, key_file=own.key_file
    ).model_copy(update={setting: wrong})
    with pytest.raises(TlsError, match=f"^{setting}: {wrong} holds no "):
        client_context(settings)
