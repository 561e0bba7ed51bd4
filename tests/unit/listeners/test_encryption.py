"""How a listener speaks TLS, and which certificates let a sender in."""

import pytest

from collector.config import ListenerTls
from collector.listeners.encryption import Encryption
from collector.settings.files import FileError


@pytest.fixture
def settings(authority):
    """Return a function that makes settings with further ones."""
    issued = authority.server()

    def make(**more):
        return ListenerTls(cert_file=issued.cert_file, key_file=issued.key_file, **more)

    return make


def test_it_is_as_settings_ask_for(settings, authority):
    made = Encryption.of(
        settings(
            client_ca_file=authority.ca_file, allowed_names=["a.example"], handshake_timeout="3s"
        )
    )
    assert (made.handshake_timeout, made.allowed_names) == (3.0, ("a.example",))
    assert made.validity.flaw(made.validity.not_after - 1) is None


def test_another_certificate_lets_the_same_senders_in(settings, authority):
    """So their connections can stay, as with other versions and times."""
    before = Encryption.of(settings())
    authority.server()
    after = Encryption.of(settings(handshake_timeout="3s", min_version="1.3"))
    assert before.entrance == after.entrance


def test_which_certificates_are_good_is_decided_by_authorities_and_whether_one_is_needed(
    settings, authority, stranger
):
    """Each makes another entrance, no two of which are the same."""
    made = [
        Encryption.of(settings(**more)).entrance
        for more in (
            {},
            {"client_ca_file": authority.ca_file},
            {"client_ca_file": stranger.ca_file},
            {"client_ca_file": authority.ca_file, "require_client_cert": False},
        )
    ]
    assert len(set(made)) == len(made)


def test_a_file_of_authorities_is_known_by_what_it_holds(settings, authority, stranger, tmp_path):
    """Its name stays when it is replaced, and another may hold the same."""
    copy = tmp_path / "authorities.pem"
    copy.write_bytes(authority.ca_file.read_bytes())
    original = Encryption.of(settings(client_ca_file=authority.ca_file)).entrance
    assert Encryption.of(settings(client_ca_file=copy)).entrance == original
    copy.write_bytes(stranger.ca_file.read_bytes())
    assert Encryption.of(settings(client_ca_file=copy)).entrance != original


@pytest.mark.parametrize("setting", ["cert_file", "key_file", "client_ca_file"])
def test_a_file_that_is_gone_is_named(settings, authority, tmp_path, setting):
    given = settings(client_ca_file=authority.ca_file)
    gone = tmp_path / "gone.pem"
    with pytest.raises(FileError, match=f"{gone} cannot be read"):
        Encryption.of(given.model_copy(update={setting: gone}))
