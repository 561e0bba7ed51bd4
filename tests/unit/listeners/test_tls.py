"""TLS of listeners: what is spoken, why a handshake fails, who a certificate is for."""

import asyncio
import socket
import ssl
from contextlib import suppress

import pytest

from collector.certificates import TlsError
from collector.config import ListenerTls
from collector.listeners.tls import (
    REASONS,
    is_allowed,
    names_refused,
    peer_names,
    refusal,
    server_context,
)
from tests.certificates import Authority

TLS_1_1 = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def other(directory):
    return Authority(directory, "other")


@pytest.fixture
def tls_settings(authority):
    """Return a function that makes settings; with `asking`, those of the clients' authority."""
    server = authority.server()

    def make(asking=False, **more):
        if asking:
            more["client_ca_file"] = authority.ca_file
        return ListenerTls(cert_file=server.cert_file, key_file=server.key_file, **more)

    return make


class Established(asyncio.Protocol):
    """Remembers the session of a handshake that succeeded, and ends the connection."""

    def __init__(self):
        self.version = self.names = None

    def connection_made(self, transport):
        session = transport.get_extra_info("ssl_object")
        self.version = session.version()
        self.names = peer_names(session.getpeercert() or {})
        transport.close()


async def meet(settings, client, timeout=60):
    """Let a client, which is given a socket, meet a listener's context as listeners use it.

    Returns:
        The session of a handshake that succeeded, else its refusal.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    talking = asyncio.create_task(asyncio.to_thread(client, theirs))
    established = Established()
    try:
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: established,
            ours,
            ssl=server_context(settings),
            ssl_handshake_timeout=timeout,
        )
    except OSError as error:
        return refusal(error)
    else:
        return established
    finally:
        await talking


def client(ca_file, *, issued=None, name="localhost", ciphers=None, versions=()):
    """Return a client that speaks TLS until the other side ends it."""
    context = ssl.create_default_context(cafile=ca_file)
    if issued is not None:
        context.load_cert_chain(issued.cert_file, issued.key_file)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if versions:
        context.minimum_version, context.maximum_version = versions

    def talk(connected):
        # Whatever becomes of it is looked at on the other side.
        with (
            connected,
            suppress(OSError),
            context.wrap_socket(connected, server_hostname=name) as session,
        ):
            session.recv(1)

    return talk


def plain(data):
    """Return a client that sends so many octets and no more."""

    def talk(connected):
        with connected, suppress(OSError):
            connected.sendall(data)
            connected.shutdown(socket.SHUT_WR)
            connected.recv(1)

    return talk


def silent(connected):
    """Say nothing for as long as the other side listens."""
    with connected, suppress(OSError):
        connected.recv(1)


ONLY_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
ONLY_1_3 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
VERSIONS = pytest.mark.parametrize("versions", [ONLY_1_2, ONLY_1_3], ids=["TLS 1.2", "TLS 1.3"])


# What is spoken.


@pytest.mark.parametrize(
    ("minimum", "versions", "spoken"),
    [
        ("1.2", (), "TLSv1.3"),
        ("1.2", ONLY_1_2, "TLSv1.2"),
        ("1.3", (), "TLSv1.3"),
    ],
)
async def test_the_newest_common_version_is_spoken(
    tls_settings, authority, minimum, versions, spoken
):
    """TLS 1.2 and up, or 1.3 alone."""
    settings = tls_settings(min_version=minimum)
    session = await meet(settings, client(authority.ca_file, versions=versions))
    assert session.version == spoken


def test_ciphers_have_forward_secrecy_and_authenticate(tls_settings):
    """RFC 9325, section 4.2; nothing anonymous, nothing with a shared key."""
    for cipher in server_context(tls_settings()).get_ciphers():
        assert cipher["aead"]
        assert cipher["protocol"] == "TLSv1.3" or (
            cipher["kea"] == "kx-ecdhe" and cipher["auth"] in {"auth-rsa", "auth-ecdsa"}
        )


def test_no_ticket_is_left_unread_by_senders_that_never_read(tls_settings):
    """Closing with unread data resets a connection and loses what was written last."""
    context = server_context(tls_settings())
    assert context.num_tickets == 0
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION


async def test_a_chain_is_shown_whole(directory, authority):
    """Clients know the root alone."""
    issued = Authority(directory, "between", parent=authority).server()
    settings = ListenerTls(cert_file=issued.cert_file, key_file=issued.key_file)
    assert (await meet(settings, client(authority.ca_file))).version == "TLSv1.3"


@pytest.mark.parametrize(
    ("more", "mode"),
    [
        ({}, ssl.CERT_NONE),
        ({"asking": True}, ssl.CERT_REQUIRED),
        ({"asking": True, "require_client_cert": True}, ssl.CERT_REQUIRED),
        ({"asking": True, "require_client_cert": False}, ssl.CERT_OPTIONAL),
    ],
)
def test_certificates_of_senders_are_asked_for_as_settings_say(tls_settings, more, mode):
    """Required where there is an authority and nothing else is said."""
    assert server_context(tls_settings(**more)).verify_mode is mode


@VERSIONS
async def test_a_sender_with_a_certificate_is_known_by_its_names(tls_settings, authority, versions):
    """Of either version."""
    issued = authority.issue("Edr.Example", "192.0.2.1", name="client")
    talk = client(authority.ca_file, issued=issued, versions=versions)
    assert (await meet(tls_settings(asking=True), talk)).names == ["edr.example", "192.0.2.1"]


async def test_an_optional_certificate_may_be_absent(tls_settings, authority):
    """There are no names, then."""
    settings = tls_settings(asking=True, require_client_cert=False)
    assert (await meet(settings, client(authority.ca_file))).names == []


@pytest.mark.parametrize("setting", ["cert_file", "key_file", "client_ca_file"])
def test_a_file_that_cannot_be_used_is_named_with_its_setting(tls_settings, tmp_path, setting):
    """It may have changed since the settings were read."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("wrong")
    settings = tls_settings(asking=True).model_copy(update={setting: wrong})
    with pytest.raises(TlsError, match=f"^{setting}: {wrong} holds no "):
        server_context(settings)


# Why a handshake fails.


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"<34>1 2003-10-11T22:14:15.003Z a b c d - hi\n", "what the sender sent is not TLS"),
        (b"47 <34>1 2003-10-11T22:14:15.003Z a b c d - hi", "what the sender sent is not TLS"),
        (b"1 open 16 relp_version=0\n\n", "what the sender sent is not TLS"),
        (b"\0" * 100, "what the sender sent is not TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "the sender sent an HTTP request in plain text"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "the sender sent an HTTP request in plain text"),
    ],
)
async def test_plain_text_is_told_from_tls(tls_settings, data, problem):
    """Whatever it is."""
    assert await meet(tls_settings(), plain(data)) == ("tls_plain_text", problem)


@pytest.mark.parametrize(
    "data", [b"", b"\x16\x03\x01\x02\0\x01"], ids=["at once", "within a message"]
)
async def test_a_handshake_that_the_sender_ends_is_aborted(tls_settings, data):
    """As port scans and health checks do."""
    reason, problem = await meet(tls_settings(), plain(data))
    assert reason == "handshake_aborted"
    assert problem == "the sender ended the connection within the handshake"


async def test_a_handshake_that_does_not_go_on_times_out(tls_settings):
    """After the time that settings say."""
    reason, problem = await meet(tls_settings(), silent, timeout=0.01)
    assert (reason, problem) == ("handshake_timeout", "the handshake took too long")


async def test_what_only_begins_as_tls_does_is_an_error(tls_settings):
    """OpenSSL's own words say which."""
    reason, problem = await meet(tls_settings(), plain(bytes.fromhex("1603010005ff00000100")))
    assert (reason, problem) == ("tls_error", "the handshake failed: unexpected message")


NO_VERSION = ("tls_version", "the sender speaks no version of TLS that is accepted")


@TLS_1_1
async def test_tls_1_1_is_refused(tls_settings, authority):
    """RFC 8996."""
    versions = (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)
    talk = client(authority.ca_file, ciphers="ALL:@SECLEVEL=0", versions=versions)
    assert await meet(tls_settings(), talk) == NO_VERSION


async def test_tls_1_2_is_refused_where_settings_ask_for_1_3(tls_settings, authority):
    """Though it is not old."""
    talk = client(authority.ca_file, versions=ONLY_1_2)
    assert await meet(tls_settings(min_version="1.3"), talk) == NO_VERSION


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "ADH"])
async def test_a_sender_with_other_ciphers_is_refused(tls_settings, authority, cipher):
    """librelp without a certificate of its own offers anonymous ones, with GnuTLS."""
    talk = client(authority.ca_file, ciphers=f"{cipher}:@SECLEVEL=0", versions=ONLY_1_2)
    reason, problem = await meet(tls_settings(), talk)
    assert reason == "tls_no_shared_cipher"
    assert problem == "the sender offers no cipher, group or signature that is accepted"


@VERSIONS
async def test_a_sender_without_the_certificate_that_is_required_is_refused(
    tls_settings, authority, versions
):
    """It takes itself for connected for a moment, with TLS 1.3."""
    talk = client(authority.ca_file, versions=versions)
    assert await meet(tls_settings(asking=True), talk) == (
        "tls_no_client_certificate",
        "the sender showed no certificate",
    )


@VERSIONS
@pytest.mark.parametrize("required", [True, False])
async def test_a_certificate_of_another_authority_is_refused(
    tls_settings, authority, other, versions, required
):
    """Also where none is required."""
    talk = client(
        authority.ca_file, issued=other.issue("edr.example", name="client"), versions=versions
    )
    settings = tls_settings(asking=True, require_client_cert=required)
    assert await meet(settings, talk) == (
        "tls_unknown_ca",
        "the sender's certificate is refused: unable to get local issuer certificate",
    )


@VERSIONS
@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("expired", ("tls_certificate_expired", "certificate has expired")),
        ("not_yet_valid", ("tls_certificate_invalid", "certificate is not yet valid")),
    ],
)
async def test_a_certificate_that_is_not_valid_now_is_refused(
    tls_settings, authority, versions, kind, refused
):
    """A clock that is wrong has the same effect."""
    issued = getattr(authority, kind)("edr.example")
    talk = client(authority.ca_file, issued=issued, versions=versions)
    reason, words = refused
    assert await meet(tls_settings(asking=True), talk) == (
        reason,
        f"the sender's certificate is refused: {words}",
    )


@VERSIONS
async def test_a_sender_that_does_not_trust_our_authority_says_so(tls_settings, other, versions):
    """It is the sender's settings, or our certificate, that must change."""
    talk = client(other.ca_file, versions=versions)
    assert await meet(tls_settings(), talk) == (
        "tls_refused_by_peer",
        "the sender does not accept the listener's certificate: unknown ca",
    )


@VERSIONS
async def test_a_sender_that_expects_another_name_says_so(tls_settings, authority, versions):
    """As well as the alert can tell."""
    talk = client(authority.ca_file, name="elsewhere.example", versions=versions)
    assert await meet(tls_settings(), talk) == (
        "tls_refused_by_peer",
        "the sender does not accept the listener's certificate: bad certificate",
    )


async def test_a_sender_that_finds_our_certificate_expired_says_so(authority):
    """It was loaded all the same."""
    issued = authority.expired("localhost", name="expired-server")
    settings = ListenerTls(cert_file=issued.cert_file, key_file=issued.key_file)
    assert await meet(settings, client(authority.ca_file)) == (
        "tls_refused_by_peer",
        "the sender does not accept the listener's certificate: certificate expired",
    )


def with_reason(reason):
    error = ssl.SSLError(1, "[SSL] text (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (with_reason("UNKNOWN_PROTOCOL"), "tls_version"),
        (with_reason("TLSV1_ALERT_PROTOCOL_VERSION"), "tls_version"),
        (with_reason("NO_SUITABLE_SIGNATURE_ALGORITHM"), "tls_no_shared_cipher"),
        (with_reason("TLSV1_ALERT_INSUFFICIENT_SECURITY"), "tls_no_shared_cipher"),
        (with_reason("SSLV3_ALERT_HANDSHAKE_FAILURE"), "tls_refused_by_peer"),
        (with_reason("SSLV3_ALERT_CERTIFICATE_REVOKED"), "tls_refused_by_peer"),
        (with_reason("SOMETHING_NEW"), "tls_error"),
        (with_reason(None), "tls_error"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "handshake_aborted"),
        (ConnectionResetError(104, "Connection reset by peer"), "handshake_aborted"),
        (BrokenPipeError(32, "Broken pipe"), "handshake_aborted"),
        (TimeoutError(110, "Connection timed out"), "handshake_aborted"),
        (ConnectionAbortedError("SSL handshake is taking longer …"), "handshake_timeout"),
        (RuntimeError("unforeseen"), "tls_error"),
    ],
    ids=repr,
)
def test_every_error_has_a_reason(error, reason):
    """Those that take a rare peer, and those that nobody thought of."""
    word, problem = refusal(error)
    assert word == reason
    assert word in REASONS
    assert problem


# Who a certificate is for.


def test_only_alternative_names_of_hosts_and_addresses_count():
    """A common name, a mail address or a directory name is no host."""
    certificate = {
        "subject": ((("commonName", "cn.example"),),),
        "subjectAltName": (
            ("DNS", "A.Example."),
            ("email", "a@b.example"),
            ("IP Address", "2001:DB8:0:0:0:0:0:1\n"),
            ("IP Address", "192.0.2.1"),
            ("IP Address", "<invalid>"),
            ("DirName", ((("commonName", "dir.example"),),)),
            ("URI", "https://uri.example"),
            ("DNS", "192.0.2.9"),
            ("DNS", "*.example.com"),
        ),
    }
    assert peer_names(certificate) == ["a.example", "2001:db8::1", "192.0.2.1", "*.example.com"]
    assert peer_names({}) == []


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("a.example", "a.example"),
        ("a.example", "A.EXAMPLE."),
        ("a.example.com", "*.example.com"),
        ("a.example.com", "*.Example.com."),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("*.example.com", "a.example.com"),
        ("*.example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:0DB8:0:0::1"),
    ],
)
def test_a_name_is_allowed(name, allowed):
    """One that is enough, among others."""
    assert is_allowed([name], [allowed])
    assert is_allowed(["x.invalid", name], ["y.invalid", allowed, "192.0.2.7"])


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("a.example", "b.example"),
        ("example.com", "*.example.com"),
        ("a.b.example.com", "*.example.com"),
        ("a.example.com.evil.example", "*.example.com"),
        ("aexample.com", "*.example.com"),
        ("a.example.com", "*"),
        ("a", "*"),
        ("*", "a"),
        ("*", "a.example.com"),
        ("*.com", "a.example.com"),
        ("a*.example.com", "ab.example.com"),
        ("ab.example.com", "a*.example.com"),
        ("b.a.example.com", "b.*.example.com"),
        ("*.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "*.0.2.1"),
        ("192.0.2.1", "192.0.2.2"),
        ("a.example\0.evil.example", "a.example"),
        ("", "a.example"),
    ],
)
def test_a_name_is_not_allowed(name, allowed):
    """A wildcard is a whole leftmost label of a host name and stands for one."""
    assert not is_allowed([name], [allowed])


def test_nobody_is_allowed_without_a_name():
    """Nor is anybody where none is allowed."""
    assert not is_allowed([], ["a.example"])
    assert not is_allowed(["a.example"], [])


def test_it_is_told_whom_a_certificate_names():
    """So that the setting can be completed."""
    names = {"subjectAltName": (("DNS", "a.example"), ("IP Address", "192.0.2.1"))}
    assert names_refused(names) == "the sender's certificate is for a.example, 192.0.2.1"


def test_it_is_told_that_a_common_name_does_not_count():
    """Certificates of old had nothing else."""
    assert names_refused({"subject": ((("commonName", "a.example"),),)}) == (
        "the sender's certificate has no subject alternative name of type DNS or IP;"
        " its common name is not looked at"
    )
    assert names_refused({}) == "the sender showed no certificate"


def test_what_is_told_of_names_is_bounded_and_printable():
    """Whoever signs certificates may write anything into them."""
    hostile = {"subjectAltName": (("DNS", "a\n\x1b[2J'" + "b" * 1000),) * 1000}
    told = names_refused(hostile)
    assert told.startswith("the sender's certificate is for a\\n\\x1b[2j'bbb")
    assert told.endswith(" and 996 more")
    assert told.isprintable()
    assert len(told) < 500
