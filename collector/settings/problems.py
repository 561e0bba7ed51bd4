"""What is wrong with a settings file, and how it is told without showing a secret."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN_LENGTH = 60
_SHOWN_BITS = 128
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_KINDS = {
    type(None): "nothing",
    bool: "true or false",  # before int, which it is too
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or that deserves a warning.

    Attributes:
        path: The setting, as `sinks[0].url`; a place in the text, as `line 3, column 5`; empty
            when the file as a whole is meant.
        message: What is wrong and what is accepted.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(Exception):
    """A configuration that cannot be used.

    Attributes:
        source: The file, or another name for where the settings came from.
        problems: Everything that is wrong, in the order of the file; never empty.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(f"{self.source}: {problem}" for problem in self.problems)


def shown(value: object) -> str:
    """Name a value in a message; for values that are no secret.

    Args:
        value: Anything a YAML file can hold, of any size.

    Returns:
        The value if it is a short scalar, else what kind of value it is.
    """
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN_LENGTH else value[:_SHOWN_LENGTH] + "…")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() < _SHOWN_BITS):
        return str(value)
    return kind_of(value)


def kind_of(value: object) -> str:
    """Name the kind of a value and nothing of the value itself; for what may be a secret."""
    for kind, name in _KINDS.items():
        if isinstance(value, kind):
            return name
    return "a value of another kind"


def suggestion(word: str, words: Iterable[str]) -> str | None:
    """Find the word that was probably meant.

    Args:
        word: What was written.
        words: What could have been meant.

    Returns:
        The closest of `words`, whatever the case, or None when none is close.
    """
    candidates = {candidate.lower(): candidate for candidate in words}
    closest = difflib.get_close_matches(word.lower(), candidates, n=1)
    return candidates[closest[0]] if closest else None


def unchosen(value: object, choices: Iterable[str]) -> str:
    """Say that a value, which is no secret, is none of the choices, and which was meant."""
    meant = suggestion(value, choices) if isinstance(value, str) else None
    hint = "" if meant is None else f" (did you mean {meant!r}?)"
    return f"{shown(value)} is not one of the choices{hint}"


def listed(words: Sequence[str], last: str = "or") -> str:
    """Return words as a list in a sentence: "a", "a or b", "a, b or c"."""
    *others, final = words
    return f"{', '.join(others)} {last} {final}" if others else final


def joined(path: str, key: str) -> str:
    """Return the path of `key` in the mapping at `path`; a key that is no name stays out of it."""
    name = key if _NAME.fullmatch(key) else "…"
    return f"{path}.{name}" if path else name
