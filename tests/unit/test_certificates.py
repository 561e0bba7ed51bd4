"""Certificates and keys in files: what can be loaded, and what is said of what cannot."""

import os
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from collector.certificates import (
    MAX_PEM_OCTETS,
    TlsError,
    Validity,
    load_authorities,
    load_identity,
    validity,
)
from tests.certificates import Authority, Issued


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def issued(authority):
    return authority.server()


@pytest.fixture
def context():
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def identity_problem(context, issued):
    with pytest.raises(TlsError) as caught:
        load_identity(context, issued.cert_file, issued.key_file)
    return str(caught.value)


def test_a_certificate_and_its_key_are_loaded(context, issued):
    """OpenSSL has compared the two by then."""
    load_identity(context, issued.cert_file, issued.key_file)


def test_a_certificate_and_its_key_may_be_in_one_file(context, issued):
    """As HAProxy wants them."""
    load_identity(context, issued.combined_file, issued.combined_file)
    assert validity(issued.combined_file) == validity(issued.cert_file)


@pytest.mark.parametrize("kind", ["expired", "not_yet_valid"])
def test_a_certificate_that_is_not_valid_now_is_loaded(context, authority, kind):
    """A daemon that does not start would be worse than one whose senders complain."""
    issued = getattr(authority, kind)("localhost")
    load_identity(context, issued.cert_file, issued.key_file)


def test_an_encrypted_key_is_refused_without_a_question(context, issued):
    """OpenSSL would open the terminal and wait."""
    encrypted = Issued(issued.cert_file, issued.encrypted_key_file("pässphrase"))
    assert identity_problem(context, encrypted) == (
        f"key_file: {encrypted.key_file} is encrypted; accepted: a key without a passphrase"
    )


def test_a_key_of_another_certificate_is_refused(context, issued, authority):
    """Both files are named."""
    other = authority.issue("other.example", name="other")
    assert identity_problem(context, Issued(issued.cert_file, other.key_file)) == (
        f"key_file: {other.key_file} does not belong to the first certificate in {issued.cert_file}"
    )


def test_a_chain_in_the_wrong_order_is_refused(context, tmp_path, issued, authority):
    """The key is that of the last certificate, then."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(authority.ca_file.read_bytes() + issued.cert_file.read_bytes())
    assert "does not belong to the first certificate in" in identity_problem(
        context, Issued(chain, issued.key_file)
    )


def test_files_that_were_confused_are_refused(context, issued):
    """The first that is wrong is named."""
    assert identity_problem(context, Issued(issued.key_file, issued.cert_file)) == (
        f"cert_file: {issued.key_file} holds no certificate in PEM form"
    )
    assert identity_problem(context, Issued(issued.cert_file, issued.cert_file)) == (
        f"key_file: {issued.cert_file} holds no private key in PEM form"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no certificate in PEM form"),
        (b"\x30\x82\x01\x0a", "holds no certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\n", "holds a certificate that cannot be read"),
        (
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            "holds a certificate that cannot be read",
        ),
        (b"x" * (MAX_PEM_OCTETS + 1), f"is longer than {MAX_PEM_OCTETS} bytes"),
    ],
)
def test_a_file_without_certificate_is_refused(context, tmp_path, issued, content, reason):
    """Wherever a certificate is asked for."""
    file = tmp_path / "wrong.pem"
    file.write_bytes(content)
    assert identity_problem(context, Issued(file, issued.key_file)) == f"cert_file: {file} {reason}"
    with pytest.raises(TlsError, match=rf"^client_ca_file: .* {reason}$"):
        load_authorities(context, "client_ca_file", file)
    with pytest.raises(TlsError, match=rf"^cert_file: .* {reason}$"):
        validity(file)


def test_a_key_that_cannot_be_read_is_refused(context, tmp_path, issued):
    """Nothing of it is told."""
    file = tmp_path / "key.pem"
    file.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    problem = identity_problem(context, Issued(issued.cert_file, file))
    assert problem == f"key_file: {file} holds a private key that cannot be read"


def test_files_that_cannot_be_opened_are_refused(context, tmp_path, issued):
    """A pipe would be waited for."""
    missing, pipe = tmp_path / "missing.pem", tmp_path / "pipe"
    os.mkfifo(pipe)
    assert identity_problem(context, Issued(missing, issued.key_file)) == (
        f"cert_file: {missing} cannot be read: No such file or directory"
    )
    assert identity_problem(context, Issued(issued.cert_file, pipe)) == (
        f"key_file: {pipe} is not a regular file"
    )


def test_an_error_names_setting_file_and_reason(tmp_path):
    """So that it can be shown at the setting, too."""
    error = TlsError("ca_file", tmp_path, "is wrong")
    assert (error.setting, error.path, error.reason) == ("ca_file", tmp_path, "is wrong")
    assert str(error) == f"ca_file: {tmp_path} is wrong"


def test_the_first_certificate_to_end_decides_how_long_a_file_is_valid(tmp_path, authority):
    """A chain is worth as much as its weakest link."""
    short = authority.issue("a.example", name="short", valid_days=(-3, 5))
    long = authority.issue("a.example", name="long", valid_days=(-2, 50))
    both = tmp_path / "both.pem"
    both.write_bytes(long.cert_file.read_bytes() + short.cert_file.read_bytes())
    assert validity(both) == Validity(
        not_before=validity(long.cert_file).not_before,
        not_after=validity(short.cert_file).not_after,
    )


def test_validity_is_told_in_seconds_since_1970(authority):
    """To the second, as certificates have it."""
    begin = validity(authority.issue("a.example", name="a", valid_days=(-2, 5)).cert_file)
    expected = datetime.now(UTC) - timedelta(days=2)
    assert abs(begin.not_before - expected.timestamp()) < 60
    assert begin.not_after - begin.not_before == timedelta(days=7).total_seconds()


@pytest.mark.parametrize(
    ("now", "flaw"),
    [
        (999_999_999, "is not valid before 2001-09-09 01:46:40 UTC"),
        (1_000_000_000, None),
        (2_000_000_000, None),
        (2_000_000_001, "expired on 2033-05-18 03:33:20 UTC"),
    ],
)
def test_a_flaw_is_told_of_certificates_that_are_not_valid(now, flaw):
    """Both ends are included (RFC 5280, section 4.1.2.5)."""
    assert Validity(1_000_000_000.0, 2_000_000_000.0).flaw(now) == flaw
