"""Connections to a collector, and what is said where there is none."""

import re
import socket
import ssl

import pytest

from collector.certificates import TlsError
from collector.sending.connections import (
    TlsFiles,
    connect_datagrams,
    connect_stream,
    explanation,
)
from tests.certificates import Authority
from tests.receivers import read_all, serving, tls_context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def refusal(files, issued, *, host="127.0.0.1", client_ca_file=None, serve=None):
    """Return what is said about a connection that a collector with a certificate does not take."""
    context = tls_context(issued, client_ca_file=client_ca_file)
    with (
        serving(serve or read_all([]), context) as port,
        pytest.raises(OSError) as caught,  # noqa: PT011 - what it says is the result
        connect_stream(host, port, files.context()) as stream,
    ):
        stream.end()
    return explanation(caught.value, host)


def test_a_stream_without_tls_is_tcp():
    """What is sent arrives, and the end is waited for."""
    received = []
    with serving(read_all(received)) as port, connect_stream("localhost", port, None) as stream:
        stream.send(b"text")
        stream.end()
    assert received == [b"text"]


def test_a_stream_with_tls_is_encrypted(authority):
    """With a certificate that the given authority has signed for the name that is called."""
    received = []
    context = TlsFiles(ca_file=authority.ca_file).context()
    with (
        serving(read_all(received), tls_context(authority.server())) as port,
        connect_stream("localhost", port, context) as stream,
    ):
        stream.send(b"text")
        stream.end()
    assert received == [b"text"]


def test_a_certificate_can_be_shown(authority):
    """To a collector that wants one; its key may be in the same file."""
    received = []
    issued = authority.issue("sender.example", name="sender")
    for files in (
        TlsFiles(authority.ca_file, issued.cert_file, issued.key_file),
        TlsFiles(authority.ca_file, issued.combined_file),
    ):
        context = tls_context(authority.server(), client_ca_file=authority.ca_file)
        with (
            serving(read_all(received), context) as port,
            connect_stream("127.0.0.1", port, files.context()) as stream,
        ):
            stream.send(b"text")
            stream.end()
    assert received == [b"text", b"text"]


def test_a_collector_that_answers_takes_no_syslog(authority):
    """It is something else: what was sent is not counted as taken."""

    def answer(connection):
        connection.recv(65_536)
        connection.sendall(b"0 serverclose 0\n")
        read_all([])(connection)

    for server, context in (
        (None, None),
        (tls_context(authority.server()), TlsFiles(ca_file=authority.ca_file).context()),
    ):
        with (
            serving(answer, server) as port,
            connect_stream("127.0.0.1", port, context) as stream,
        ):
            stream.send(b"text")
            with pytest.raises(ConnectionError, match="it takes no syslog over TCP"):
                stream.end()


def test_a_collector_that_is_unknown_is_not_trusted(authority, stranger):
    """Unless nothing is verified."""
    assert refusal(TlsFiles(ca_file=authority.ca_file), stranger.server()) == (
        "the collector's certificate cannot be trusted (unable to get local issuer certificate): "
        "give the certificate of the authority that signed it as --ca-file; --insecure sends "
        "without verifying it"
    )
    received = []
    with (
        serving(read_all(received), tls_context(stranger.server())) as port,
        connect_stream("127.0.0.1", port, TlsFiles(verify=False).context()) as stream,
    ):
        stream.send(b"text")
        stream.end()
    assert received == [b"text"]


def test_the_authorities_of_the_system_are_trusted_by_default(stranger):
    """Ours is none of them."""
    assert "cannot be trusted" in refusal(TlsFiles(), stranger.server())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_must_be_for_the_name_that_is_called(authority, host):
    """A host name or an address."""
    other = authority.issue("other.example", "192.0.2.1", name="other")
    assert refusal(TlsFiles(ca_file=authority.ca_file), other, host=host) == (
        f"the collector's certificate is not for {host}: give --to a name that the certificate "
        "holds; --insecure sends without verifying it"
    )


def test_an_expired_certificate_is_none(authority):
    """It is to be renewed."""
    expired = authority.expired("127.0.0.1")
    assert refusal(TlsFiles(ca_file=authority.ca_file), expired) == (
        "the collector's certificate has expired: renew it; --insecure sends without verifying it"
    )


def test_a_collector_that_wants_a_certificate_says_so(authority):
    """After the handshake, with TLS 1.3."""
    said = refusal(
        TlsFiles(ca_file=authority.ca_file), authority.server(), client_ca_file=authority.ca_file
    )
    assert said == ("the collector wants a client certificate: give --cert-file and --key-file")


def test_a_collector_that_does_not_know_our_authority_says_so(authority, stranger):
    """Its alert is what is shown."""
    ours = stranger.issue("sender.example", name="sender")
    said = refusal(
        TlsFiles(authority.ca_file, ours.cert_file, ours.key_file),
        authority.server(),
        client_ca_file=authority.ca_file,
    )
    assert said == "the collector does not know the authority that signed our certificate"


def test_a_port_without_tls_is_told_from_one_with(authority):
    """It answers something else, or ends the connection."""

    def answer(connection):
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        read_all([])(connection)

    for serve, said in (
        (answer, "no TLS is spoken on that port"),
        (
            lambda connection: connection.recv(65_536),
            "the collector ended the connection within the TLS handshake",
        ),
    ):
        with serving(serve) as port, pytest.raises(ssl.SSLError) as caught:
            connect_stream("127.0.0.1", port, TlsFiles(ca_file=authority.ca_file).context())
        assert explanation(caught.value, "127.0.0.1") == said


def test_other_reasons_are_given_in_the_words_of_the_system():
    """Of OpenSSL or the kernel."""
    failure = ssl.SSLError(1, "[SSL] x")
    failure.reason = "BAD_ECPOINT"
    assert explanation(failure, "h") == "TLS failed: bad ecpoint"
    assert explanation(ConnectionRefusedError(111, "Connection refused"), "h") == (
        "Connection refused"
    )
    assert explanation(TimeoutError("timed out"), "h") == "timed out"
    assert explanation(BrokenPipeError(32, "Broken pipe"), "h") == (
        "the collector has ended the connection (Broken pipe)"
    )


def test_files_that_cannot_be_used_are_named(authority, tmp_path):
    """With what is wrong with them."""
    issued, other = authority.server("one"), authority.server("two")
    empty = tmp_path / "empty.pem"
    empty.touch()
    missing = tmp_path / "missing.pem"
    for files, problem in (
        (TlsFiles(ca_file=empty), f"ca_file: {empty} holds no certificate"),
        (TlsFiles(ca_file=missing), f"ca_file: {missing} cannot be read"),
        (
            TlsFiles(cert_file=issued.cert_file),
            f"key_file: {issued.cert_file} holds no private key",
        ),
        (
            TlsFiles(cert_file=issued.cert_file, key_file=other.key_file),
            f"key_file: {other.key_file} does not belong to the first certificate",
        ),
    ):
        with pytest.raises(TlsError, match=re.escape(problem)):
            files.context()


def test_a_collector_that_is_not_there_is_an_error():
    """The command says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
    with pytest.raises(ConnectionRefusedError):
        connect_stream(host, port, None)


def test_datagrams_go_to_one_address():
    """Whatever family it is of."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::1", 0))
        server.settimeout(30)
        with connect_datagrams("::1", server.getsockname()[1]) as connection:
            connection.send(b"text")
        assert server.recv(100) == b"text"


def test_a_collector_that_breaks_tls_off_has_not_read_to_the_end(authority):
    """With TLS 1.3 it refuses a sender after the handshake, mostly without a word."""

    def serve(connection):
        while connection.recv(100):  # what is not read would reset the connection
            pass
        raise ConnectionError("ends without a word")

    with (
        serving(serve, tls_context(authority.server())) as port,
        connect_stream("127.0.0.1", port, TlsFiles(ca_file=authority.ca_file).context()) as stream,
    ):
        stream.send(b"5 hello")
        with pytest.raises(ConnectionError, match="it may want a client certificate"):
            stream.end()
