"""What a shell completes."""

import os
import subprocess
import sys

import pytest

from collector.commands import completion
from tests.calling import call

CONFIG = """
intakes: [{name: cybereason, key: not-read}, {name: cyb2}, {name: "bad name"}, 3, {name: [x]}]
sinks: [{name: siem, url: no-url}]
"""


class Context:
    """What is known of a command line that is being typed."""

    def __init__(self, **params):
        self.params = params


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "collector.yaml"
    file.write_text(CONFIG)
    return str(file)


def test_names_of_the_configuration_are_completed(config):
    """Nothing that a name could not be; the rest of the file may be wrong."""
    assert completion.intakes(Context(config=config), "") == ["cybereason", "cyb2"]
    assert completion.intakes(Context(config=config), "cybe") == ["cybereason"]
    assert completion.sinks(Context(config=config), "s") == ["siem"]


def test_the_configuration_may_be_that_of_the_environment(config, monkeypatch):
    monkeypatch.setenv("COLLECTOR_CONFIG", config)
    assert completion.sinks(Context(), "") == ["siem"]


def test_a_path_is_completed_from_as_it_was_typed(config, monkeypatch):
    """A shell has not put homes and variables in yet."""
    directory, _, name = config.rpartition("/")
    monkeypatch.setenv("HOME", directory)
    for typed in (f"~/{name}", f"$HOME/{name}", f"${{HOME}}/{name}"):
        assert completion.sinks(Context(config=typed), "") == ["siem"]
    assert completion.sinks(Context(config="~nobody-of-this-name/x"), "") == []


@pytest.mark.parametrize("text", [None, "", "[", "intakes: 3", "intakes: {a: b}", "other: 1"])
def test_what_is_wrong_completes_nothing(tmp_path, text, monkeypatch):
    monkeypatch.delenv("COLLECTOR_CONFIG", raising=False)
    file = tmp_path / "collector.yaml"
    if text is not None:
        file.write_text(text)
    assert completion.intakes(Context(config=file), "") == []
    assert completion.intakes(Context(), "") == []


def complete(words, at, environ):
    """Ask as bash does; return what it is offered."""
    code = "import sys; sys.argv = ['collector']; from collector.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **environ,
            "COMP_WORDS": words,
            "COMP_CWORD": str(at),
            "_COLLECTOR_COMPLETE": "complete_bash",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


def test_a_shell_is_offered_names(config):
    """From the program itself."""
    words = f"collector dead-letters list -c {config} --sink "
    assert complete(words, 6, dict(os.environ)) == ["siem"]


def test_the_script_of_a_shell_can_be_shown(monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    code, lines, _ = call("--show-completion", "bash")
    assert code == 0
    assert any("COMPREPLY" in line for line in lines)
