"""The embedded default: a collector without a settings file."""

import os
import stat
import uuid

import pytest
import yaml

from collector.config import ConfigError, warnings
from collector.embedded import FirstStart, known_key, load, what_next

BOTH = {"CYBEREASON_INTAKE_KEY": "c-key", "HARFANGLAB_INTAKE_KEY": "h-key"}


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "collector-data"


def keys(config):
    return {intake.name: intake.read_keys() for intake in config.intakes}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_listens_on_loopback_and_shows_what_arrives(directory):
    """By key on 5514, bound on 5515 and 5516; the inbox is the sink."""
    config, _ = load(directory, {})
    listeners = [(item.transport, item.host, item.port, item.intake) for item in config.listeners]
    assert listeners == [
        ("udp", "127.0.0.1", 5514, None),
        ("tcp", "127.0.0.1", 5514, None),
        ("tcp", "127.0.0.1", 5515, "cybereason"),
        ("tcp", "127.0.0.1", 5516, "harfanglab"),
    ]
    assert [(item.name, item.parser) for item in config.intakes] == [
        ("cybereason", "cybereason"),
        ("harfanglab", "harfanglab"),
    ]
    (sink,) = config.sinks
    assert (sink.name, sink.is_inbox, sink.batch.max_wait) == ("default", True, 0.2)
    assert (config.admin.host, config.admin.port) == ("127.0.0.1", 9514)
    assert config.logging.format == "console"
    assert (config.spool.type, config.spool.path) == ("sqlite", str(directory))
    assert warnings(config) == []


def test_the_first_start_generates_keys_and_keeps_them(directory):
    """They are random, reported once, and the same at the next start."""
    config, first = load(directory, {})
    file = directory / "keys.yaml"
    assert first.file == file
    assert keys(config) == {name: (key,) for name, key in first.keys.items()}
    for key in first.keys.values():
        assert uuid.UUID(key).version == 4
    assert len(set(first.keys.values())) == 2
    assert yaml.safe_load(file.read_text()) == first.keys

    again, second = load(directory, {})
    assert second is None
    assert keys(again) == keys(config)


def test_what_it_keeps_is_the_owners_alone(directory):
    """Whatever the umask allows; nothing else is left in the directory."""
    before = os.umask(0)
    try:
        load(directory, {})
    finally:
        os.umask(before)
    assert mode(directory) == 0o700
    assert mode(directory / "keys.yaml") == 0o600
    assert [path.name for path in directory.iterdir()] == ["keys.yaml"]


def test_keys_of_the_environment_are_kept_and_not_reported(directory):
    """So that a sender in another terminal finds them."""
    config, first = load(directory, BOTH)
    assert first is None
    assert keys(config) == {"cybereason": ("c-key",), "harfanglab": ("h-key",)}
    assert keys(load(directory, {})[0]) == keys(config)
    assert mode(directory / "keys.yaml") == 0o600


def test_only_what_was_generated_is_reported(directory):
    """The other key came from the environment."""
    config, first = load(directory, {"CYBEREASON_INTAKE_KEY": "c-key"})
    assert list(first.keys) == ["harfanglab"]
    assert keys(config) == {"cybereason": ("c-key",), "harfanglab": (first.keys["harfanglab"],)}


def test_the_environment_precedes_and_replaces_what_is_kept(directory):
    """An empty variable is none."""
    _, first = load(directory, {})
    environ = {"CYBEREASON_INTAKE_KEY": "new", "HARFANGLAB_INTAKE_KEY": ""}
    config, again = load(directory, environ)
    assert again is None
    assert keys(config) == {"cybereason": ("new",), "harfanglab": (first.keys["harfanglab"],)}
    assert keys(load(directory, {})[0]) == keys(config)


def test_kept_keys_are_not_written_again(directory):
    """A read-only directory is enough for later starts."""
    load(directory, {})
    inode = (directory / "keys.yaml").stat().st_ino
    load(directory, {})
    assert (directory / "keys.yaml").stat().st_ino == inode


def test_what_an_interrupted_start_left_is_no_hindrance(directory):
    """Nor is its mode taken over."""
    directory.mkdir()
    (directory / "keys.new").write_text("cyb")
    (directory / "keys.new").chmod(0o666)
    load(directory, {})
    assert mode(directory / "keys.yaml") == 0o600
    assert not (directory / "keys.new").exists()


def test_a_key_is_taken_as_it_is(directory):
    """Dollars and YAML syntax included."""
    environ = BOTH | {"CYBEREASON_INTAKE_KEY": "${A}: $$ #'"}
    load(directory, environ)
    assert keys(load(directory, {})[0])["cybereason"] == ("${A}: $$ #'",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds nothing where a mapping is expected; accepted: settings as `name: value`"),
        ("cybereason: [s3cret", "line 1, column 20: is not valid YAML: "),
        ("cybereason: [s3cret]", "cybereason: a list where a text is expected; accepted: 1 to "),
        ("cybereason: 53", "cybereason: a number where a text is expected, put it in quotes; "),
        ("s3cret: s3cret", "unknown setting; accepted: cybereason, harfanglab"),
    ],
)
def test_a_damaged_file_is_told_and_left(directory, content, problem):
    """Without its content; a key that senders use is not replaced silently."""
    directory.mkdir()
    file = directory / "keys.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load(directory, {})
    assert str(caught.value).startswith(f"{file}: {problem}")
    assert "s3cret" not in str(caught.value)
    assert file.read_text() == content


def test_an_unreadable_file_is_told(directory):
    """With the system's reason."""
    (directory / "keys.yaml").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"keys\.yaml: cannot be read: Is a directory"):
        load(directory, {})


def test_a_directory_that_cannot_be_made_is_told(directory):
    """As in a read-only working directory."""
    directory.write_text("a file")
    with pytest.raises(ConfigError) as caught:
        load(directory, {})
    reason = "cannot be written: File exists; accepted: a directory you may write to"
    assert str(caught.value) == f"{directory / 'keys.yaml'}: {reason}"


def test_a_key_that_cannot_be_used_is_told_without_it(directory):
    """And nothing is kept."""
    with pytest.raises(ConfigError) as caught:
        load(directory, BOTH | {"HARFANGLAB_INTAKE_KEY": "s3cret\n"})
    assert str(caught.value) == (
        "embedded default: intakes[1].key: holds a line break or another control character; "
        "accepted: 1 to 4096 characters on one line"
    )
    assert not directory.exists()


def test_one_key_for_both_intakes_is_told(directory):
    """Messages could belong to either."""
    with pytest.raises(ConfigError, match=r"intakes\[1\]\.key: the same key as that of intakes"):
        load(directory, dict.fromkeys(BOTH, "s3cret"))


def test_a_sender_finds_the_keys(directory):
    """In the environment, else where they are kept, else not."""
    assert known_key("cybereason", {}, directory) is None
    assert known_key("cybereason", BOTH, directory) == "c-key"
    _, first = load(directory, {})
    assert known_key("harfanglab", {}, directory) == first.keys["harfanglab"]
    assert known_key("other", BOTH, directory) is None
    (directory / "keys.yaml").write_text("[")
    assert known_key("harfanglab", {}, directory) is None


def test_the_next_steps_are_told(directory):
    """And the keys apart from them, for the first start only."""
    file = directory / "keys.yaml"
    first_start = FirstStart(file, {"harfanglab": "h-key"})
    assert first_start.announcement().splitlines() == [
        f"Intake keys, kept in {file} and shown this once:",
        "  harfanglab: h-key",
    ]
    lines = what_next(("127.0.0.1", 9514), ".venv/bin/collector").splitlines()
    assert lines == [
        (
            "Listening on 127.0.0.1: udp and tcp 5514 (by intake key), tcp 5515 (cybereason), "
            "tcp 5516 (harfanglab)."
        ),
        "The status page is at http://127.0.0.1:9514/",
        "The newest events are at http://127.0.0.1:9514/api/inbox",
        "Send samples from another terminal: .venv/bin/collector send",
    ]
    lines = what_next(("127.0.0.1", 9514), "/somewhere/collector/__main__.py").splitlines()
    assert lines[-1] == "Send samples from another terminal: python -m collector send"


def test_a_first_start_is_printed_without_its_keys(directory):
    """It may get into a log or a traceback."""
    assert "h-key" not in repr(FirstStart(directory, {"harfanglab": "h-key"}))
