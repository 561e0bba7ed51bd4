"""Dotted paths, by which rules name fields.

``a.b`` is the field ``b`` of the object ``a``, and ``a[0].b`` that of the first entry of the list
``a``. Among the names of fields, ``a.*`` stands for those in ``a`` that nobody can list.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

FIRST: Final = "[0]"
"""Ends the name of a list in a path, for its first entry."""


def parents(path: str) -> Iterator[str]:
    """Yield the objects that hold a field: ``a.b`` and ``a`` of ``a.b.c``."""
    while path := path.rpartition(".")[0]:
        yield path


def steps(path: str) -> list[str]:
    """Split a path into the names on the way; `FIRST` is a step of its own."""
    return path.replace(FIRST, f".{FIRST}").split(".")


def includes(fields: Collection[str], name: str) -> bool:
    """Tell whether a field is among some, of which those that end in ``.*`` stand for more."""
    return name in fields or f"{name.rpartition('.')[0]}.*" in fields


def first(value: Any) -> Any:
    """Return the first entry of a list; None for anything else."""
    return value[0] if isinstance(value, list) and value else None
