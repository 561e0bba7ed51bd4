"""Log lines and the bound of their rate."""

import json
import logging
import os
import pwd
import sys
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from collector import logs


class Lines:
    """Takes the place of a logger."""

    def __init__(self):
        self.lines = []

    def warning(self, event, **details):
        self.lines.append(("warning", event, details))

    def error(self, event, **details):
        self.lines.append(("error", event, details))


@pytest.fixture
def fresh_logging():
    """Undo what `configure` sets for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_key_reports_once_a_period_and_says_what_was_left_out():
    """Other keys are not held back."""
    now = 0.0
    lines = Lines()
    reports = logs.Reports(lines, period=10.0, clock=lambda: now)
    assert reports.warning("a", "first", n=1)
    assert not reports.warning("a", "second")
    reports.error("b", "other")
    now = 9.9
    reports.warning("a", "third")
    now = 10.0
    reports.warning("a", "fourth", n=4)
    now = 20.0
    reports.warning("a", "fifth")
    assert lines.lines == [
        ("warning", "first", {"n": 1}),
        ("error", "other", {}),
        ("warning", "fourth", {"n": 4, "left_out_since_last": 2}),
        ("warning", "fifth", {}),
    ]


def test_the_number_of_keys_is_bounded():
    """Keys made from input cannot fill the memory."""
    reports = logs.Reports(Lines())
    for number in range(5 * logs.MAX_KEYS):
        for _ in range(2):
            reports.warning(str(number), "event")
    assert len(reports._rate._due) <= logs.MAX_KEYS
    assert len(reports._rate._left_out) <= logs.MAX_KEYS


@pytest.mark.usefixtures("fresh_logging")
def test_json_lines_go_to_stderr_from_the_level_on(capsys):
    """A line holds level, time, event and details."""
    logs.configure("info", "json")
    log = structlog.get_logger("test")
    log.debug("hidden")
    log.info("shown", number=1)
    captured = capsys.readouterr()
    line = json.loads(captured.err)
    assert captured.out == ""
    assert (line["event"], line["level"], line["number"]) == ("shown", "info", 1)
    assert line["timestamp"].endswith("Z")


@pytest.mark.usefixtures("fresh_logging")
def test_libraries_log_in_the_same_form(capsys):
    """What asyncio or aiohttp warn of is JSON too, traceback included."""
    logs.configure("info", "json")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logging.getLogger("asyncio").exception("it broke")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("it broke", "error")
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.usefixtures("fresh_logging")
def test_what_libraries_log_again_and_again_is_logged_once(capsys):
    """Garbage on the admin port makes a line, not a flood."""
    logs.configure("info", "json")
    for number in range(50):
        logging.getLogger("aiohttp.server").error("Error handling request %s", number)
    logging.getLogger("asyncio").error("Error handling request %s", 1)
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.usefixtures("fresh_logging")
def test_the_console_form_is_for_people(capsys):
    """No JSON, and no colours where it is not a terminal."""
    logs.configure("debug", "console")
    structlog.get_logger().debug("hello", number=1)
    line = capsys.readouterr().err
    assert "hello" in line
    assert "number=1" in line
    assert "\x1b" not in line


@pytest.mark.usefixtures("fresh_logging")
@pytest.mark.parametrize(
    "configured", [None, ("error", "console"), ("error", "json"), ("debug", "json")]
)
def test_audit_lines_are_json_whatever_the_settings(capsys, configured):
    """Also before there are settings; the rest of the log is as it was."""
    if configured:
        logs.configure(*configured)
    logs.audit("reload", "token", sha256="ab12", changed=["sinks.default.url"])
    captured = capsys.readouterr()
    line = json.loads(captured.err)
    assert captured.out == ""
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "audit",
        "action": "reload",
        "actor": "token",
        "sha256": "ab12",
        "changed": ["sinks.default.url"],
        "level": "info",
    }


@pytest.mark.usefixtures("fresh_logging")
def test_every_line_of_a_process_carries_its_marks(capsys):
    """Those of libraries and for the audit too, until it is configured without."""
    logs.configure(marks={"worker": 3})
    structlog.get_logger().info("own")
    logging.getLogger("library").warning("theirs")
    logs.audit("reload", "signal")
    logs.configure()
    structlog.get_logger().info("unmarked")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("worker") for line in lines] == [3, 3, 3, None]


def test_what_an_audit_line_holds_is_bounded(capsys):
    """A text is cut, and so is the JSON of anything else."""
    most = logs.MAX_AUDIT_CHARACTERS
    logs.audit("a" * 9999, "b" * 9999, text="c" * most, long="d" * 9999, numbers=[0] * 9999)
    line = json.loads(capsys.readouterr().err)
    assert line["action"] == "a" * most + "…"
    assert line["actor"] == "b" * most + "…"
    assert line["text"] == "c" * most
    assert line["long"] == "d" * most + "…"
    assert line["numbers"] == ("[" + "0, " * most)[:most] + "…"


def test_an_audit_line_holds_whatever_it_is_given(capsys):
    """What JSON has no form for becomes text, a secret its mask, a line feed no second line."""
    logs.audit("start", "uid 0", path=Path("/x"), key=SecretStr("hidden"), text="a\n\udc80")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert (line["path"], line["key"], line["text"]) == ("/x", "**********", "a\n\udc80")


def test_a_user_is_known_by_number_and_name(monkeypatch):
    """Or by number alone, as in a container."""
    assert logs.user() == f"uid {os.getuid()} ({pwd.getpwuid(os.getuid()).pw_name})"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert logs.user() == "uid 4000000000"


@pytest.mark.usefixtures("fresh_logging")
def test_a_line_is_written_in_one_piece(monkeypatch):
    """Those of several processes that share stderr do not come to lie within each other."""
    written = []

    class Stream:
        def write(self, text):
            written.append(text)

        def flush(self):
            pass

        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stderr", Stream())
    logs.configure("info", "json")
    structlog.get_logger().info("first")
    logs.audit("second", "uid 1")
    assert [json.loads(line)["event"] for line in written] == ["first", "audit"]
    assert all(line.endswith("\n") for line in written)
