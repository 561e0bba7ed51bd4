"""Settings made of a forwarder's file."""

from pathlib import Path

import pytest

from collector.config import parse
from collector.describe.imported_settings import settings_text, variables
from collector.settings.sekoia_intakes import read_intakes

FILES = (Path("/x/server.pem"), Path("/x/server.key"))
KEY = "3f1c4ed2-0000-4000-8000-000000000001"


def made(text, *, keys_as_env=False):
    imported = read_intakes(text, "intakes.yaml")
    return settings_text(imported, "intakes.yaml", tls_files=FILES, keys_as_env=keys_as_env)


def one(key=KEY, name="Cybereason", protocol="tcp"):
    return f"intakes:\n- {{name: {name!r}, protocol: {protocol}, port: 20516, intake_key: {key}}}\n"


def test_what_comes_out_does_what_the_forwarder_did():
    config = parse(made(one()), source="made", environ={})
    (listener,), (intake,), (sink,) = config.listeners, config.intakes, config.sinks
    assert (listener.transport, listener.port, listener.intake) == ("tcp", 20516, "Cybereason")
    assert (intake.parser, intake.read_keys()) == ("cybereason", (KEY,))
    assert (sink.format, sink.url) == ("sekoia", "https://intake.sekoia.io")


def test_the_sink_is_taken_from_the_environment():
    config = parse(made(one()), source="made", environ={"SINK_URL": "https://x.example"})
    assert config.sinks[0].url == "https://x.example"


@pytest.mark.parametrize(
    "key",
    [
        "'$${x} ''quoted'' \"and\" \\ back'",
        "'${SINK_URL}'",
        "'yes'",
        "'1e5'",
        "'012345'",
        "'#no comment'",
        "'é \U0001f600 \u2028'",
        "'- x: y'",
    ],
)
def test_any_key_comes_out_as_it_went_in(key):
    (wanted,) = read_intakes(one(key), "x").groups
    config = parse(made(one(key)), source="made", environ={"SINK_URL": "https://x.example"})
    assert config.intakes[0].read_keys() == (wanted.key,)


def test_keys_can_be_left_to_the_environment():
    text = made(one(), keys_as_env=True)
    assert KEY not in text
    config = parse(text, source="made", environ={"CYBEREASON_INTAKE_KEY": KEY})
    assert config.intakes[0].read_keys() == (KEY,)


def test_variables_are_all_different():
    names = ["ab", "a-b", "a_b", "1x"]
    entries = "".join(
        f"- {{name: {name}, protocol: tcp, port: {at}, intake_key: key-{at}}}\n"
        for at, name in enumerate(names, 1)
    )
    found = variables(read_intakes(f"intakes:\n{entries}", "x").groups)
    assert found == {
        "ab": "AB_INTAKE_KEY",
        "a-b": "A_B_INTAKE_KEY",
        "a_b": "A_B_INTAKE_KEY_2",
        "1x": "_1X_INTAKE_KEY",
    }


def test_tls_has_its_files_named():
    text = made(one(protocol="tls"))
    assert "    transport: tcp\n" in text
    assert "      cert_file: /x/server.pem\n      key_file: /x/server.key\n" in text


def test_names_of_others_stay_in_their_comments():
    """A line feed in a name would end the comment."""
    text = made(
        'intakes:\n- {name: "a\\nkey: x\\u2028y", protocol: tcp, port: 1, intake_key: abc}\n'
    )
    assert r"# a\nkey: x\u2028y" in text
    assert parse(text, source="made", environ={}).listeners[0].name == "a-key-x-y"
