"""What values of a field type look like, to compare events with the list of their fields."""

import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from collector.describe.fields import Field
from tests.support import leaves

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def misfits(event: dict[str, Any], fields: Iterable[Field]) -> list[str]:
    """List the leaves of an event that are no field of the list, or not of its type."""
    types = {field.name: field.type for field in fields}
    found = []
    for name, value in leaves(event).items():
        kind = types.get(name) or types.get(f"{name.rpartition('.')[0]}.*")
        if kind is None:
            found.append(f"{name}: not listed")
        elif not any(fits(value, alternative) for alternative in kind.split(" or ")):
            found.append(f"{name}: {value!r} is no {kind}")
    return found


def fits(value: Any, kind: str) -> bool:
    """Tell whether a value is of an ECS type, as the product writes it."""
    if kind.startswith("array of "):
        entries = kind.removeprefix("array of ")
        return isinstance(value, list) and all(fits(entry, entries) for entry in value)
    return _FITS[kind](value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


def _is_ip(value: Any) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return isinstance(value, str)


_FITS: dict[str, Callable[[Any], bool]] = {
    "keyword": _is_text,
    "wildcard": _is_text,
    "text": _is_text,
    "match_only_text": _is_text,
    "boolean": lambda value: isinstance(value, bool),
    "long": lambda value: type(value) is int and -(2**63) <= value < 2**63,
    "float": lambda value: type(value) in (int, float) and math.isfinite(value),
    "date": _is_date,
    "ip": _is_ip,
    "object": lambda value: isinstance(value, dict),
    "flattened": lambda value: isinstance(value, dict),
}
