"""The command line, called within the process of the tests."""

from __future__ import annotations

from typer.testing import CliRunner

from collector.cli import app


def call(*arguments: str, data: str | None = None) -> tuple[int, list[str], str]:
    """Run a command; return its exit code, the lines of its stdout and its stderr."""
    result = CliRunner().invoke(app, arguments, input=data)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout.splitlines(), result.stderr
