"""Who we are to the servers: what files hold, read each time, and what is wrong with them."""

import base64
import ssl

import nkeys
import pytest

from collector.certificates import TlsError
from collector.config import SpoolSettings
from collector.settings.files import FileError
from collector.stream.access import credentials, tls_context
from tests.accounts import CREDENTIALS
from tests.certificates import Authority

SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()


def settings(**given):
    """Return settings of a spool."""
    return SpoolSettings.model_construct(
        **{**dict(SpoolSettings(type="jetstream", servers=("nats://a",))), **given}
    )


def test_nobody_asks_who_we_are():
    """Where settings name nothing."""
    assert credentials(settings()) == {}


def test_a_password_and_a_token_are_read_each_time(tmp_path):
    """Whoever changes a file need not restart the daemon."""
    file = tmp_path / "secret"
    for secret in ("one", "two"):
        file.write_text(f"{secret}\n")
        told = credentials(settings(user="u", password_file=file))
        assert told == {"user": "u", "password": secret}
        assert credentials(settings(token_file=file)) == {"token": secret}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_credentials_are_a_jwt_and_a_seed(tmp_path, line_end):
    """As nats-py is given them, whatever else the file holds."""
    file = tmp_path / "user.creds"
    file.write_bytes(
        CREDENTIALS.format(jwt="a.b-c.d_e", seed=SEED).replace("\n", line_end).encode()
    )
    told = credentials(settings(credentials_file=file))["user_credentials"]
    assert "BEGIN NATS USER JWT-----\na.b-c.d_e\n---" in str(told)
    assert f"BEGIN USER NKEY SEED-----\n{SEED}\n---" in str(told)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no JWT with the seed"),
        (b"-----BEGIN NATS USER JWT-----", "holds no JWT with the seed"),
        (b"-----BEGIN NATS USER JWT-----\njwt\n", "holds no JWT with the seed"),
        (CREDENTIALS.format(jwt="", seed=SEED).encode(), "holds no JWT with the seed"),
        (CREDENTIALS.format(jwt="jwt", seed="").encode(), "holds no JWT with the seed"),
        (
            CREDENTIALS.format(jwt="jwt", seed="SUAB-secret").encode(),
            "holds a seed that cannot be read",
        ),
        (
            CREDENTIALS.format(jwt="jwt", seed=SEED[:-2]).encode(),
            "holds a seed that cannot be read",
        ),
        (b"\xff", "is not ASCII"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_credentials_that_are_none_are_an_error_without_them(tmp_path, content, reason):
    """nats-py would read some of these for ever."""
    file = tmp_path / "user.creds"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FileError, match=reason) as caught:
        credentials(settings(credentials_file=file))
    assert "secret" not in str(caught.value)
    assert SEED[:-2] not in str(caught.value)


def test_tls_is_spoken_where_settings_or_the_address_say_so(tmp_path):
    """With verification always."""
    tls = SpoolSettings.model_validate(
        {"type": "jetstream", "servers": ["nats://a"], "tls": {"ca_file": _ca(tmp_path)}}
    ).tls
    for context in (
        tls_context(settings(tls=tls), "nats://a"),
        tls_context(settings(), "tls://a"),
    ):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    assert tls_context(settings(), "nats://a") is None


def test_a_certificate_that_is_gone_is_an_error(tmp_path):
    """It was there when the daemon started."""
    tls = SpoolSettings.model_validate(
        {"type": "jetstream", "servers": ["nats://a"], "tls": {"ca_file": _ca(tmp_path)}}
    ).tls
    tls.ca_file.unlink()
    with pytest.raises(TlsError, match=r"ca_file: .* cannot be read"):
        tls_context(settings(tls=tls), "nats://a")


def test_a_seed_is_base32():
    """What the tests above take for granted."""
    assert base64.b32decode(SEED + "=" * (-len(SEED) % 8))


def _ca(directory):
    return str(Authority(directory).ca_file)
