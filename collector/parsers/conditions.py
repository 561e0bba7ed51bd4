"""Conditions of rules: when a row of a mapping table applies.

A condition is data: its text is the one of the mapping specification (``log_type=network or
alert_subtype=network``), and it can write itself as a Python expression. Two conditions with the
same text are the same condition. Whatever stands in a field, comparing it is possible: a
condition never raises.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from types import MappingProxyType
from typing import Final, Literal, Protocol

from collector.parsers.convert import ip


class Read(Protocol):
    """Gives the Python expression that reads a dotted path."""

    def __call__(self, path: str, absent: str = "None") -> str:
        """Write the expression; it has the value `absent` where the path is not there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule waits for; combine with ``|`` and ``&``.

    Attributes:
        text: the condition as people read it.
        paths: the fields that decide.
        write: writes the condition as an expression over the fields. The expression may call what
            `NAMESPACE` holds.
        compared: the values that fields are compared with, as (path, value).
        by: what of a field decides: whether it is there, which of a few values it has, or a test
            that values pass or do not. Of a condition without parts.
        joined_by: what holds the text together at its outermost level.
        parts: the conditions that ``&`` or ``|`` joined; none for any other condition.
    """

    text: str
    paths: tuple[str, ...] = field(compare=False)
    write: Callable[[Read], str] = field(compare=False)
    compared: tuple[tuple[str, str | int], ...] = field(default=(), compare=False)
    by: Literal["presence", "value", "test"] = field(default="value", compare=False)
    joined_by: Literal["", "and", "or"] = field(default="", compare=False)
    parts: tuple["Condition", ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def first(self) -> "Condition":
        """What is decided first: the first part, or the condition itself."""
        return self._split("and")[0]

    @property
    def rest(self) -> "Condition | None":
        """What is left to decide then."""
        further = self._split("and")[1:]
        return reduce(and_, further) if further else None

    @property
    def alternatives(self) -> tuple["Condition", ...]:
        """Any of which is enough; the condition itself where there is only one."""
        return self._split("or")

    def _split(self, joined_by: Literal["and", "or"]) -> tuple["Condition", ...]:
        """Return the parts that are joined in this way."""
        return self.parts if self.parts and self.joined_by == joined_by else (self,)

    def __or__(self, other: "Condition") -> "Condition":
        return Condition(
            f"{self} or {other}",
            self.paths + other.paths,
            lambda read: f"{self.write(read)} or {other.write(read)}",
            self.compared + other.compared,
            joined_by="or",
            parts=self.alternatives + other.alternatives,
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
            self.compared + other.compared,
            joined_by="and",
            parts=self._split("and") + other._split("and"),
        )


def equals(path: str, value: str | int) -> Condition:
    """The field has exactly this value; a number may be written as text."""
    found = f"in ({value}, '{value}')" if isinstance(value, int) else f"== {value!r}"
    return Condition(
        f"{path}={value}", (path,), lambda read: f"{read(path)} {found}", ((path, value),)
    )


def differs(path: str, value: str | int, *, shown: str | None = None) -> Condition:
    """The field has another value or is absent; `shown` is the value as the text has it."""
    text = f"{path} is not {value if shown is None else shown}"
    return Condition(text, (path,), lambda read: f"{read(path)} != {value!r}")


def none_of(path: str, *values: str) -> Condition:
    """The field has another value than these or is absent."""
    # In a tuple: a value that is a dict or a list could not be looked up in a set.
    text = f"{path} is none of {', '.join(values)}"
    return Condition(text, (path,), lambda read: f"{read(path)} not in {values!r}")


def present(path: str) -> Condition:
    """The field is there and not null."""
    return Condition(
        f"{path} is present", (path,), lambda read: f"{read(path)} is not None", by="presence"
    )


def absent(path: str) -> Condition:
    """The field is not there, or null."""
    return Condition(
        f"{path} is not set", (path,), lambda read: f"{read(path)} is None", by="presence"
    )


def not_null(path: str) -> Condition:
    """The field is not there, or has a value: an explicit null alone fails."""
    text = f"{path} is not null or is absent"
    return Condition(
        text,
        (path,),
        lambda read: f"{read(path, '0')} is not None",
        by="presence",
        joined_by="or",
    )


def valid_ip(path: str) -> Condition:
    """The field is an IPv4 or IPv6 address."""
    text = f"{path} is a valid IP address"
    return Condition(text, (path,), lambda read: f"is_ip({read(path)})", by="test")


def starts_with(path: str, prefix: str) -> Condition:
    """The field is a text with this beginning."""
    text = f"{path} starts with {prefix}"
    return Condition(text, (path,), lambda read: f"begins({read(path)}, {prefix!r})", by="test")


def entries(path: str, at_least: int) -> Condition:
    """The field is a list of so many entries."""
    size = {1: "is a non-empty list", 2: "has at least two entries"}[at_least]
    return Condition(
        f"{path} {size}", (path,), lambda read: f"has_entries({read(path)}, {at_least})", by="test"
    )


def _is_ip(value: object) -> bool:
    return ip.function(value) is not None


def _begins(value: object, prefix: str) -> bool:
    return isinstance(value, str) and value.startswith(prefix)


def _has_entries(value: object, at_least: int) -> bool:
    return isinstance(value, list) and len(value) >= at_least


NAMESPACE: Final[Mapping[str, Callable[..., bool]]] = MappingProxyType(
    {"is_ip": _is_ip, "begins": _begins, "has_entries": _has_entries}
)
"""What the expressions of conditions call, by name."""
