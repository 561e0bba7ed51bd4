"""Keys of intakes and files of secrets."""

import pytest

from collector.doctor import keys
from tests.unit.doctor.conftest import KEY, config_of, levels

OTHER = "9b1d6a54-5555-4666-8777-fedcbafedcba"


def on_keys(**intake):
    config = config_of(
        listeners=[{"name": "l", "transport": "tcp", "port": 0, "intake": "edr"}],
        intakes=[{"name": "edr", "parser": "raw", **intake}],
    )
    return list(keys.on_keys(config))


@pytest.mark.parametrize(
    ("key", "level"),
    [
        (KEY, "ok"),
        ("sh0rt", "warning"),
        ("a" * 40, "warning"),
        ([KEY, OTHER], "note"),
        ([KEY, "2sh0rt"], "warning"),
    ],
)
def test_keys_are_judged_and_not_shown(key, level):
    (found,) = on_keys(key=key)
    assert found.level == level
    assert found.where == "intakes[0].key"
    for one in [key] if isinstance(key, str) else key:
        assert one not in str(found)


def test_an_intake_without_a_key_is_noted():
    (found,) = on_keys()
    assert (found.level, found.where) == ("note", "intakes[0]")


def test_keys_of_files_are_judged_too(tmp_path):
    file = tmp_path / "key"
    file.write_text("abc\n")
    (found,) = on_keys(key_file=str(file))
    assert (found.level, found.where) == ("warning", "intakes[0].key_file")


def test_a_key_that_cannot_be_read_any_more_is_an_error(tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    config = config_of(intakes=[{"name": "edr", "parser": "raw", "key_file": str(file)}])
    file.unlink()
    assert levels(keys.on_keys(config)) == [("error", "intake key")]


def test_secrets_that_everybody_may_read_are_told(tmp_path):
    """Wherever they stand in the settings."""
    token, key = tmp_path / "token", tmp_path / "key"
    for file, mode in ((token, 0o644), (key, 0o600)):
        file.write_text(KEY)
        file.chmod(mode)
    config = config_of(
        intakes=[{"name": "edr", "parser": "raw", "key_file": [str(key)]}],
        sinks=[
            {
                "name": "siem",
                "url": "https://siem.example",
                "auth": {"bearer": {"token_file": str(token)}},
            }
        ],
        admin={"token_file": str(token)},
    )
    assert dict(keys.secret_files(config)) == {
        "intakes[0].key_file": key,
        "sinks[0].auth.bearer.token_file": token,
        "admin.token_file": token,
    }
    found = {finding.where: finding for finding in keys.on_secret_files(config)}
    assert found["intakes[0].key_file"].level == "ok"
    assert found["admin.token_file"].level == "warning"
    assert found["admin.token_file"].advice == f"`chmod o= {token}`"
    token.unlink()
    assert {f.level for f in keys.on_secret_files(config)} == {"ok", "error"}


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", []), ("0.0.0.0", ["warning"])])
def test_off_loopback_the_admin_server_wants_a_token(host, expected):
    found = keys.on_admin_token(config_of(admin={"host": host}))
    assert [finding.level for finding in found] == expected


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("0123456789abcde", ["warning"]),
        ("ab" * 20, ["warning"]),
        ("0123456789abcdef", []),
        ("6b8f2d8c0a8e4d0f" * 4, []),
    ],
)
def test_a_token_that_can_be_guessed_is_told_and_not_shown(tmp_path, token, expected):
    """Nothing else keeps those out who try all there are."""
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    found = list(keys.on_admin_token(config_of(admin={"token_file": str(file)})))
    assert [finding.level for finding in found] == expected
    assert token not in str(found)


def test_a_token_that_cannot_be_read_is_an_error(tmp_path):
    file = tmp_path / "token"
    file.write_text(KEY)
    config = config_of(admin={"token_file": str(file)})
    file.unlink()
    (found,) = keys.on_admin_token(config)
    assert (found.level, found.where) == ("error", "admin.token_file")
