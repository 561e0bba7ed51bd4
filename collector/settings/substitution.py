"""Environment variables in settings: `${VAR}` and `${VAR:-default}`.

Variables are put into values that have been parsed already, so what a variable holds cannot change
the structure of the file. What is empty then counts as not written: `token_file: ${FILE:-}` without
`FILE` leaves the setting, and the mappings that held nothing else, at their defaults.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collector.settings.problems import Problem, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

# The last alternative catches a `${` that begins neither form.
_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}|\{)"
)


def substitute(
    tree: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """Put the environment into every text value.

    `${VAR}` is the variable and `${VAR:-default}` the default where the variable is unset or
    empty; `$$` is one `$`; any other `$` stands for itself. A variable's text is not looked at
    again.

    Args:
        tree: Settings as parsed from YAML. It is not changed.
        environ: The environment.

    Returns:
        The settings, and a problem for each value with an unset variable or a malformed reference;
        such a value is left as it was written.
    """
    problems: list[Problem] = []
    return _substituted(tree, environ, "", problems), problems


def without_blanks(tree: dict[str, Any]) -> dict[str, Any]:
    """Take out of the settings what counts as not written.

    Args:
        tree: Settings after substitution. They are not changed.

    Returns:
        The settings without empty texts, nulls, and mappings that hold nothing else; lists remain,
        without such items.
    """
    return _pruned(tree) or {}


def _substituted(value: Any, environ: Mapping[str, str], path: str, problems: list[Problem]) -> Any:
    match value:
        case str():
            return _filled(value, environ, path, problems)
        case dict():
            return {
                key: _substituted(item, environ, joined(path, key), problems)
                for key, item in value.items()
            }
        case list():
            return [
                _substituted(item, environ, f"{path}[{index}]", problems)
                for index, item in enumerate(value)
            ]
        case _:
            return value


def _filled(text: str, environ: Mapping[str, str], path: str, problems: list[Problem]) -> str:
    wrong: list[str] = []

    def text_of(reference: re.Match[str]) -> str:
        if reference["dollar"]:
            return "$"
        name, default = reference["name"], reference["default"]
        if name is None:
            # The value may be a secret with a `$` in it, so it is not shown.
            wrong.append("'${' begins no variable; accepted: ${NAME}, ${NAME:-default}, $$ for $")
            return ""
        if default is not None:
            return environ.get(name) or default.replace("$$", "$")
        if name not in environ:
            wrong.append(f"the variable {name} is not set; accepted: set it, or ${{{name}:-}}")
        return environ.get(name, "")

    filled = _REFERENCE.sub(text_of, text)
    problems.extend(Problem(path, message) for message in dict.fromkeys(wrong))
    return text if wrong else filled


def _pruned(value: Any) -> Any:
    """Return `value` without its blank parts; None when nothing is left of it."""
    match value:
        case "":
            return None
        case dict():
            parts = ((key, _pruned(item)) for key, item in value.items())
            return {key: part for key, part in parts if part is not None} or None
        case list():
            return [part for part in map(_pruned, value) if part is not None]
        case _:
            return value
