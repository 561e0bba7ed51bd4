"""Secrets kept in files."""

import base64
import os
from pathlib import Path

import nkeys
import pytest

from collector.settings.secret_files import (
    MAX_CREDENTIALS_OCTETS,
    MAX_SECRET_LENGTH,
    Credentials,
    SecretFileError,
    read_credentials,
    read_secret,
    secret_flaw,
)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b" s3 cret ", " s3 cret "),
        (b"x" * MAX_SECRET_LENGTH, "x" * MAX_SECRET_LENGTH),
        ("clé".encode(), "clé"),
    ],
)
def test_a_secret_is_the_line_of_its_file(tmp_path, content, secret):
    """One line end is none of it; blanks are."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    assert read_secret(file) == secret


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"s3cret\n\n", "holds a line break or another control character"),
        (b"s3cret\nother", "holds a line break or another control character"),
        (b"s3\x00cret", "holds a line break or another control character"),
        (b"s3cret\xff", "is not UTF-8"),
        (b"s3cret" * 1000, "is longer than 4096 characters"),
        (b"s3cret" * 1_000_000, "is longer than 4096 characters"),
    ],
)
def test_a_file_without_usable_secret_is_refused(tmp_path, content, reason):
    """The reason says nothing of the content, and nor does the exception's cause."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(SecretFileError) as caught:
        read_secret(file)
    assert str(caught.value) == f"{file} {reason}"
    assert (caught.value.path, caught.value.reason) == (file, reason)
    assert caught.value.__cause__ is None


def test_a_missing_file_is_refused(tmp_path):
    """With the system's reason."""
    with pytest.raises(SecretFileError, match=r" cannot be read: No such file or directory$"):
        read_secret(tmp_path / "secret")


def test_what_can_be_no_file_name_is_refused():
    """The system has no reason of its own for it."""
    with pytest.raises(SecretFileError, match=r" is no file name$"):
        read_secret(Path("a\0b"))


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    """Opening it would stop the daemon."""
    os.mkfifo(tmp_path / "secret")
    with pytest.raises(SecretFileError, match=r" is not a regular file$"):
        read_secret(tmp_path / "secret")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_file_is_refused(tmp_path):
    """With the system's reason."""
    file = tmp_path / "secret"
    file.touch(mode=0)
    with pytest.raises(SecretFileError, match=r" cannot be read: Permission denied$"):
        read_secret(file)


def test_a_secret_read_again_is_the_new_one(tmp_path):
    """Nothing is remembered."""
    file = tmp_path / "secret"
    file.write_text("old")
    assert read_secret(file) == "old"
    file.write_text("new")
    assert read_secret(file) == "new"


def test_a_usable_secret_has_no_flaw():
    """Any printable text will do."""
    assert secret_flaw("pässwörd with blanks 🔑") is None


ACCOUNT_SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_ACCOUNT).decode()
SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
CREDENTIALS = f"""\
-----BEGIN NATS USER JWT-----
e30.e30-_.e30
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_credentials_are_a_jwt_and_a_seed(tmp_path, line_end):
    """As nsc writes them; neither is looked into."""
    file = tmp_path / "credentials"
    file.write_bytes(CREDENTIALS.replace("\n", line_end).encode())
    assert read_credentials(file) == ("e30.e30-_.e30", SEED)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "holds no JWT with the seed of its key"),
        (CREDENTIALS.replace(SEED, ""), "holds no JWT with the seed of its key"),
        (CREDENTIALS.partition("-----BEGIN USER")[0], "holds no JWT with the seed of its key"),
        (CREDENTIALS.replace(SEED, "SUAAAA"), "holds a seed that cannot be read"),
        (CREDENTIALS.replace(SEED, ACCOUNT_SEED), "holds a seed that cannot be read"),
        (CREDENTIALS.replace(SEED, SEED[:-2]), "holds a seed that cannot be read"),
        (CREDENTIALS.replace(SEED[9:11], SEED[10:8:-1]), "holds a seed that cannot be read"),
        (CREDENTIALS + "\xe9", "is not ASCII"),
        ("x" * (MAX_CREDENTIALS_OCTETS + 1), f"is longer than {MAX_CREDENTIALS_OCTETS} octets"),
    ],
)
def test_a_file_without_both_holds_no_credentials(tmp_path, content, reason):
    """What it holds is not told."""
    file = tmp_path / "credentials"
    file.write_text(content)
    with pytest.raises(SecretFileError) as caught:
        read_credentials(file)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("claims", "span"),
    [
        (b"{}", (0.0, None)),
        (b'{"exp":1700000000}', (0.0, 1_700_000_000.0)),
        (b'{"nbf":1600000000,"exp":0}', (1_600_000_000.0, None)),
        (b'{"exp":"s3cret"}', (0.0, None)),
        (b"[]", (0.0, None)),
        (b"no JSON", (0.0, None)),
    ],
)
def test_a_jwt_says_until_when_it_is_valid(claims, span):
    """One that cannot be read says nothing: servers refuse it."""
    text = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
    assert Credentials(f"e30.{text}.e30", SEED).span() == span
    assert Credentials(text, SEED).span() == (0.0, None)
