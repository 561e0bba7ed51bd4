"""HarfangLab's own conversions and row shapes."""

from typing import Any, Final

import orjson

from collector.parsers.convert import (
    Conversion,
    after_backslash,
    before_backslash,
    conversion,
    fields_of,
    is_ip,
    keyword,
    long,
)
from collector.parsers.mapping import Rule

_DIRECTIONS: Final = {"in": "inbound", "out": "outbound"}
_QUARANTINE: Final = (
    "UNKNOWN",
    "SUCCESS",
    "FAIL",
    "CANNOT_QUARANTINE",
    "NO_ACTION",
    "DELAYED",
)
_DIGESTS: Final = ("md5", "sha1", "sha256", "sha384", "sha512", "ssdeep", "tlsh", "cdhash")


def shaped(target: str, value: str) -> tuple[Rule, Rule]:
    """Make the two rows of a constant that is a text in ``documented`` and a list in ``ecs``.

    The documentation shows ``event.category`` and ``event.type`` as texts; the families it does
    not show follow it.
    """
    return (
        Rule(target, constant=value, profile="documented"),
        Rule(target, constant=(value,), profile="ecs"),
    )


def account(target: str, source: str) -> tuple[Rule, Rule]:
    r"""Make the two rows of a ``DOMAIN\user`` text, the name and the domain of `target`."""
    return (
        Rule(f"{target}.name", source, after_backslash, profile="ecs"),
        Rule(f"{target}.domain", source, before_backslash, profile="ecs"),
    )


@conversion("array of keyword")
def json_texts(value: Any) -> list[str] | None:
    """Write each entry of a list as compact JSON with sorted keys."""
    if not isinstance(value, list):
        return None
    texts = [json_text(entry, orjson.OPT_SORT_KEYS) for entry in value if entry is not None]
    return [text for text in texts if text is not None] or None


def json_text(value: Any, option: int = 0) -> str | None:
    """Write a value as compact JSON; None if it is nested deeper than orjson writes."""
    try:
        return orjson.dumps(value, None, option).decode()
    except orjson.JSONEncodeError:
        return None


@conversion("keyword")
def joined_names(value: Any) -> str | None:
    """Join the ``name`` of each entry with commas, without any blank or line feed."""
    if not isinstance(value, list):
        return None
    names = [keyword.function(entry.get("name")) for entry in value if isinstance(entry, dict)]
    return ",".join(filter(None, names)).replace(" ", "").replace("\n", "") or None


@conversion("keyword")
def direction(value: Any) -> str | None:
    """Write ``in`` and ``out`` as ECS does: ``inbound``, ``outbound``."""
    return _DIRECTIONS.get(value) if isinstance(value, str) else None


@conversion("keyword")
def quarantine_label(value: Any) -> str | None:
    """Name the quarantine status: 0 UNKNOWN to 5 DELAYED."""
    status = long.function(value)
    if status is None or not 0 <= status < len(_QUARANTINE):
        return None
    return _QUARANTINE[status]


@conversion("keyword")
def after_last_backslash(value: Any) -> str | None:
    """Take what follows the last backslash; a text without one stays whole."""
    return value.rpartition("\\")[2] or None if isinstance(value, str) else None


@conversion("array of keyword")
def split_on_bars(value: Any) -> list[str] | None:
    """Split a text on vertical bars, leaving empty parts out."""
    if not isinstance(value, str):
        return None
    return [part for part in value.split("|") if part] or None


@conversion("keyword", joint=True)
def login_name(user_name: Any, username: Any) -> str | None:
    r"""Take ``user`` of a `user_name` that is ``DOMAIN\user``, otherwise the `username` as it is.

    A `user_name` without a domain counts only where there is no `username`.
    """
    if isinstance(user_name, str) and "\\" in user_name:
        user_name = user_name.partition("\\")[2]
        username = user_name or username
    name: str | None = keyword.function(username) or keyword.function(user_name)
    return name


@conversion("array of object")
def agents(value: Any) -> list[dict[str, str]] | None:
    """Take ``id`` and ``hostname`` of each agent of a list."""
    return _objects(value, id=("agent_id", keyword), hostname=("agent_hostname", keyword))


@conversion("array of object")
def users(value: Any) -> list[dict[str, str]] | None:
    r"""Split the ``DOMAIN\user`` of each entry of a list into ``name`` and ``domain``."""
    return _objects(
        value, name=("user_name", after_backslash), domain=("user_name", before_backslash)
    )


def _objects(entries: Any, **fields: tuple[str, Conversion]) -> list[dict[str, str]] | None:
    """Make an object of each entry: its fields by name, from which key and how converted."""
    if not isinstance(entries, list):
        return None
    objects = [
        {
            name: text
            for name, (key, convert) in fields.items()
            if (text := convert.function(entry.get(key))) is not None
        }
        for entry in entries
        if isinstance(entry, dict)
    ]
    return [found for found in objects if found] or None


@fields_of(dict.fromkeys(_DIGESTS, "keyword"))
def digests(value: Any) -> dict[str, str] | None:
    """Take the digests that ECS knows, each under its own name."""
    if not isinstance(value, dict):
        return None
    return {
        name: text for name in _DIGESTS if (text := keyword.function(value.get(name))) is not None
    } or None


@conversion("keyword")
def no_address(value: Any) -> str | None:
    """Keep what is no IP address: the name of a host."""
    text = keyword.function(value)
    return None if text is None or is_ip(text) else text
