"""The data of a Windows event: names and values that its provider decides.

All of it becomes ``action.properties.*``, whatever its names are. They come from outside and become
names of fields, so some are refused: those that a store of events would read as something else.
Values are texts; what is nested becomes JSON text.
"""

import re
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from collector.parsers.convert import conversion, fields_of, keyword
from collector.parsers.harfanglab.values import after_last_backslash, json_text

LEFT_OUT: Final = "left_out"
"""The name under which is said how many entries were left out; the message has them all."""

_MAX_ENTRIES: Final = 512
_MAX_NAME_CHARACTERS: Final = 128
# A dot or an asterisk makes a path or a pattern of a name; quotes and backslashes break queries.
_REFUSED_CHARACTERS: Final = re.compile(r"""[.*"'`\\]""")
# What scripts downstream would read as a part of every object; fields that mean something else.
_REFUSED_NAMES: Final = frozenset({"constructor", "prototype", "additional_info", LEFT_OUT})
_RENAMED: Final = {"DeviceId": "DeviceID"}
_MEMBER: Final = re.compile(r"CN=(?!,)([^,\\]*(?:\\.[^,\\]*)*),", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@fields_of({"*": "keyword", LEFT_OUT: "long"}, by_name=True)
def event_data(value: Any) -> dict[str, str | int] | None:
    """Carry every entry, under its name without blanks.

    Of two entries with the same name, the one written with blanks counts. The new content of a
    task stands for its content where that is not given. Counted as left out are entries that have
    no fit name, that are nested too deep, whose name another entry has taken with another value,
    and those beyond the first 512.
    """
    if not isinstance(value, dict):
        return None
    fields: dict[str, str | int] = {}
    left_out = max(0, len(value) - _MAX_ENTRIES)
    for key, entry in islice(value.items(), _MAX_ENTRIES):
        text = entry if type(entry) is str else _text(entry)
        if not text:
            left_out += text is None
            continue
        name = _name(key) if len(key) <= _MAX_NAME_CHARACTERS else None
        if name is None:
            left_out += 1
        elif name not in fields:
            fields[name] = text
        else:
            left_out += text != fields[name]
            if " " in key:
                fields[name] = text
    if "TaskContentNew" in fields and "TaskContent" not in fields:
        fields["TaskContent"] = fields.pop("TaskContentNew")
    if left_out:
        fields[LEFT_OUT] = left_out
    return fields or None


def _text(value: Any) -> str | None:
    """Write a value as text: empty where it says nothing, None if it cannot be written."""
    if isinstance(value, (dict, list)):
        return json_text(value) if value else ""
    return "" if value is None else keyword.function(value)


@lru_cache(maxsize=4096)  # a few hundred names come again and again
def _name(key: str) -> str | None:
    """Make the name of a field; None for one that is refused."""
    name = key.replace(" ", "")
    if (
        not name.isprintable()
        or not name
        or name in _REFUSED_NAMES
        or name.startswith("__")
        or _REFUSED_CHARACTERS.search(name)
    ):
        return None
    return _RENAMED.get(name, name)


@conversion("keyword")
def member_name(value: Any) -> str | None:
    r"""Take the name of ``CN=First Last,...``, otherwise what follows the last backslash."""
    if isinstance(value, str) and (found := _MEMBER.match(value)):
        return _ESCAPED.sub(r"\1", found[1])
    text: str | None = after_last_backslash.function(value)
    return text
