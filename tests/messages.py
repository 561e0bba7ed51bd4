"""Messages for property tests: of the fields that a vendor's rules read, with any values."""

from copy import deepcopy
from typing import Any

import orjson
from hypothesis import strategies as st

from collector.parsers import PARSERS
from collector.parsers.mapping import WHOLE_INPUT

_VALUES = st.sampled_from(
    [
        *("alice", "DOM\\bob", "10.0.0.1", "-", "None", "", "1", "443", "in", "true", "0", "high"),
        *("2022-03-15T07:26:01.276Z", "1625748509151", "C:\\a\\b.exe", "a|b", "not a number"),
        *("https://u:p@www.example.co.uk:8443/p?q=1#f", "Mozilla/5.0 (Windows NT 10.0) Chrome/99"),
        *(1, 0, -5, 2.5, True, False, None, 2**63, [], {}, ["attack.t1057", 1], ["10.0.0.1"]),
        *([{"name": "g", "user_name": "D\\u"}, {"id": 1}], {"md5": "0" * 32, "odd": {"x": [1]}}),
    ]
)


def messages(vendor: str) -> st.SearchStrategy[str]:
    """Make texts of messages: JSON for HarfangLab, CEF for Cybereason."""
    table = PARSERS[vendor].table
    rows = table.rows("ecs") + table.rows("documented")
    read = {source for rule in rows for source in rule.sources if source != WHOLE_INPUT}
    compared = {pair for rule in rows if rule.when for pair in rule.when.compared}
    fields = st.tuples(
        st.lists(st.tuples(st.sampled_from(sorted(read)), _VALUES), max_size=25),
        st.lists(st.sampled_from(sorted(compared, key=str)), max_size=4),
    ).map(lambda drawn: drawn[0] + drawn[1])
    return fields.map(_cef if table.flat else _json)


def _cef(fields: list[tuple[str, Any]]) -> str:
    texts = {key: str(value) for key, value in fields if isinstance(value, (str, int))}
    code, name, severity = (
        texts.pop(key, "1").replace("\\", "\\\\").replace("|", "\\|")
        for key in ("DeviceEventClassID", "Name", "Severity")
    )
    extension = " ".join(f"{key}={value}" for key, value in texts.items())
    return f"CEF:0|V|P|1|{code}|{name}|{severity}|{extension}"


def _json(fields: list[tuple[str, Any]]) -> str:
    message: dict[str, Any] = {}
    for path, value in fields:
        _put(message, path, deepcopy(value))  # values are drawn again and again
    return orjson.dumps(message).decode()


def _put(holder: Any, path: str, value: Any) -> None:
    """Set a field, unless something else is in its way."""
    *parents, key = path.split(".")
    for parent in parents:
        name = parent.removesuffix("[0]")
        below = holder.setdefault(name, {} if name == parent else [{}])
        holder = below[0] if isinstance(below, list) and below else below
        if not isinstance(holder, dict):
            return
    holder[key] = value
