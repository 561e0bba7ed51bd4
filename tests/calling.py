"""The command line, called within the process of the tests."""

from __future__ import annotations

import signal

from typer.testing import CliRunner

from collector.cli import app


def call(*arguments: str, data: str | None = None) -> tuple[int, list[str], str]:
    """Run a command; return its exit code, the lines of its stdout and its stderr."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        result = CliRunner().invoke(app, arguments, input=data)
    finally:
        # A command has its process to itself: `run` blocks a signal that its daemon would unblock.
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout.splitlines(), result.stderr
