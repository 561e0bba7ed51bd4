"""Conditions of rules: when a row of a mapping table applies.

A condition is data: its text is the one of the mapping specification (``log_type=network or
alert_subtype=network``), and it can write itself as a Python expression. Two conditions with the
same text are the same condition. Whatever stands in a field, comparing it is possible: a
condition never raises.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Read = Callable[[str], str]
"""Gives the Python expression that reads a dotted path; it is None where the path is absent."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule waits for; combine with ``|`` and ``&``.

    Attributes:
        text: the condition as people read it.
        paths: the fields that decide.
        write: writes the condition as an expression over the fields.
        joined_by: what holds the text together at its outermost level.
    """

    text: str
    paths: tuple[str, ...] = field(compare=False)
    write: Callable[[Read], str] = field(compare=False)
    joined_by: Literal["", "and", "or"] = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text

    def __or__(self, other: "Condition") -> "Condition":
        return Condition(
            f"{self} or {other}",
            self.paths + other.paths,
            lambda read: f"{self.write(read)} or {other.write(read)}",
            "or",
        )

    def __and__(self, other: "Condition") -> "Condition":
        def both(left: str, right: str) -> str:
            left = f"({left})" if self.joined_by == "or" else left
            right = f"({right})" if other.joined_by == "or" else right
            return f"{left} and {right}"

        return Condition(
            both(self.text, other.text),
            self.paths + other.paths,
            lambda read: both(self.write(read), other.write(read)),
            "and",
        )


def equals(path: str, value: str | int) -> Condition:
    """The field has exactly this value."""
    return Condition(f"{path}={value}", (path,), lambda read: f"{read(path)} == {value!r}")


def differs(path: str, value: str | int) -> Condition:
    """The field has another value or is absent."""
    return Condition(f"{path} is not {value}", (path,), lambda read: f"{read(path)} != {value!r}")


def none_of(path: str, *values: str) -> Condition:
    """The field has another value than these or is absent."""
    # In a tuple: a value that is a dict or a list could not be looked up in a set.
    text = f"{path} is none of {', '.join(values)}"
    return Condition(text, (path,), lambda read: f"{read(path)} not in {values!r}")


def present(path: str) -> Condition:
    """The field is there and not null."""
    return Condition(f"{path} is present", (path,), lambda read: f"{read(path)} is not None")


def absent(path: str) -> Condition:
    """The field is not there, or null."""
    return Condition(f"{path} is not set", (path,), lambda read: f"{read(path)} is None")
