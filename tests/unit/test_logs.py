"""Log lines and the bound of their rate."""

import json
import logging

import pytest
import structlog

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
