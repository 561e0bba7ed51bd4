"""What a shell completes with the names of a configuration: intakes and sinks.

Only the text of the file is read, nothing is checked, and whatever is wrong completes nothing: the
command itself says what.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import typer  # noqa: TC002 - it looks at the annotations

from collector.settings.document import read_mapping, read_text
from collector.settings.kinds import LABEL, KindError
from collector.settings.problems import ConfigError

_VARIABLE: Final = "COLLECTOR_CONFIG"


def intakes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of intakes that begin as what was typed."""
    return _names(ctx, "intakes", incomplete)


def sinks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of sinks that begin as what was typed."""
    return _names(ctx, "sinks", incomplete)


def _names(ctx: typer.Context, section: str, incomplete: str) -> list[str]:
    file = ctx.params.get("config") or os.environ.get(_VARIABLE)
    if not file:
        return []
    try:
        # A shell hands over what was typed, before it puts homes and variables in.
        path = Path(os.path.expandvars(file)).expanduser()
        entries = read_mapping(read_text(path), str(path)).get(section)
    except (ConfigError, RuntimeError):  # the latter for a home that nobody has
        return []
    if not isinstance(entries, list):
        return []
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    found = (name for name in names if isinstance(name, str) and _is_label(name))
    return [name for name in found if name.startswith(incomplete)]


def _is_label(name: str) -> bool:
    """Say whether a text can be a name: a shell gets nothing else."""
    try:
        LABEL.read(name)
    except KindError:
        return False
    return True
