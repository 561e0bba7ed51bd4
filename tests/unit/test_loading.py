"""Where settings come from."""

import subprocess
from hashlib import sha256

import pytest

from collector.loading import from_file, load_embedded, load_file
from collector.roles import Role
from collector.settings.problems import ConfigError

TEXT = """
listeners: [{name: l, transport: udp, host: 127.0.0.1, port: 0, intake: i}]
intakes: [{name: i, parser: raw, key: "${KEY}"}]
sinks: [{name: s, url: "http://127.0.0.1/"}]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "collector.yaml"
    path.write_text(TEXT)
    return path


def test_settings_are_known_by_the_hash_of_their_file(file):
    """As the usual program prints it."""
    loaded = load_file(file, {"KEY": "k"})
    assert loaded.config.intakes[0].read_keys() == ("k",)
    assert loaded.sha256 == sha256(file.read_bytes()).hexdigest()
    printed = subprocess.run(["sha256sum", file], capture_output=True, check=True, text=True).stdout
    assert printed.startswith(f"{loaded.sha256} ")


@pytest.mark.parametrize(
    "octets", [b"\xef\xbb\xbf" + TEXT.encode(), TEXT.replace("\n", "\r\n").encode()]
)
def test_the_hash_is_that_of_the_file_as_it_is(file, octets):
    """Byte order mark and line ends included."""
    file.write_bytes(octets)
    assert load_file(file, {"KEY": "k"}).sha256 == sha256(octets).hexdigest()


def test_what_the_environment_gives_does_not_show_in_the_hash(file):
    """It may be a secret."""
    assert load_file(file, {"KEY": "one"}).sha256 == load_file(file, {"KEY": "two"}).sha256


def test_what_a_role_does_not_use_is_not_in_its_settings(file):
    """Nor in the plain data, which workers go by; the hash is that of the whole file."""
    more = 'spool: {type: jetstream, servers: ["nats://h"]}\n'
    file.write_text(TEXT.replace('"http://127.0.0.1/"', '"${NOBODY}", proxy: "${KNOWS}"') + more)
    loaded = load_file(file, {"KEY": "k"}, Role.RECEIVE)
    assert loaded.role is Role.RECEIVE
    assert loaded.config.sinks[0].proxy is None
    assert loaded.document["sinks"] == [{"name": "s", "url": "http://not-looked-at.invalid/"}]
    assert loaded.sha256 == sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match="NOBODY"):
        load_file(file, {"KEY": "k"})


def test_a_role_stays_what_it_is(file, monkeypatch):
    """However often the settings are read."""
    monkeypatch.setenv("KEY", "k")
    load = from_file(file, Role.DELIVER)
    with pytest.raises(ConfigError, match="role deliver needs a spool that daemons share"):
        load()
    file.write_text(TEXT + 'spool: {type: jetstream, servers: ["nats://h"]}\n')
    assert [load().role for _ in range(2)] == [Role.DELIVER, Role.DELIVER]


def test_a_file_is_read_again_and_again(file, monkeypatch):
    """Each time as it is then."""
    monkeypatch.setenv("KEY", "k")
    load = from_file(file)
    assert load().config.listeners[0].name == "l"
    file.write_text(TEXT.replace("name: l", "name: other"))
    assert load().config.listeners[0].name == "other"
    file.write_text("listeners: wrong")
    with pytest.raises(ConfigError, match="listeners"):
        load()
    file.unlink()
    with pytest.raises(ConfigError, match=str(file)):
        load()


def test_the_embedded_default_has_a_hash_without_its_keys(tmp_path, monkeypatch):
    """Which stay the same from one start to the next."""
    monkeypatch.chdir(tmp_path)
    first = load_embedded({})
    again = load_embedded({})
    keys = [[intake.read_keys() for intake in item.config.intakes] for item in (first, again)]
    assert keys[0] == keys[1]
    (tmp_path / "collector-data" / "keys.yaml").unlink()
    other = load_embedded({})
    assert other.config.intakes[0].read_keys() != first.config.intakes[0].read_keys()
    assert first.sha256 == again.sha256 == other.sha256
