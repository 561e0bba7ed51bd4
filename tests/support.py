"""What tests share: where things are, and how events are compared."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from collector.parsers import Parser, Profile, harfanglab
from collector.samples import Sample

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "tests" / "fixtures"
SHARED = ROOT / ".." / "shared"
"""Specification and examples, beside the repository; tests that read it skip without it."""

_UNORDERED = {"event.category", "event.type", "harfanglab.groups"}


def expected_event(sample: Sample) -> dict[str, Any]:
    """Return what the documentation says a sample becomes, in profile ``documented``."""
    path = FIXTURES / "expected" / sample.vendor / f"{sample.name}.json"
    return {"message": sample.raw, **json.loads(path.read_text(encoding="utf-8"))}


def assert_contains(actual: Any, expected: Any) -> None:
    """Fail with every leaf of `expected` that is not in `actual`; see `differences`."""
    assert differences(expected, actual) == []


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """List where an event does not hold what is expected of it.

    Every leaf of `expected` must be in `actual` with an equal value; `actual` may hold more.
    Numbers compare by value, dates by instant, the lists of ``related.*`` and a few others
    without order. An expected ``""`` or ``[]`` may be absent.

    Returns:
        One line per leaf that is missing or different; empty when all is as expected.
    """
    return list(_differences(expected, actual, path))


def _differences(expected: Any, actual: Any, path: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            inner = f"{path}.{key}" if path else key
            if key in actual:
                yield from _differences(value, actual[key], inner)
            elif isinstance(value, dict):
                yield from _differences(value, {}, inner)
            elif value not in ("", []):
                yield f"{inner}: expected {value!r}, absent"
    elif not _equal(expected, actual, unordered=_is_unordered(path)):
        yield f"{path}: expected {expected!r}, got {actual!r}"


def leaves(event: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the fields of an event by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in event.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def harfanglab_fields(profile: Profile, **fields: Any) -> dict[str, Any]:
    """Parse a HarfangLab message of these fields; return the event's `leaves`, message aside.

    Nor is there what detections key on, which is in all of them.
    """
    raw = orjson.dumps(fields).decode()
    found = leaves(_harfanglab(profile)(raw))
    assert found.pop("message") == raw
    return found


@cache
def _harfanglab(profile: Profile) -> Parser:
    table = replace(harfanglab.TABLE, detections=(), ecs_rules=())
    return replace(harfanglab.VENDOR, table=table).parser(profile)


def _is_unordered(path: str) -> bool:
    return path in _UNORDERED or path.startswith("related.")


def _equal(expected: Any, actual: Any, *, unordered: bool) -> bool:
    if isinstance(expected, list) and isinstance(actual, list):
        if unordered:
            return {repr(entry) for entry in expected} == {repr(entry) for entry in actual}
        return len(expected) == len(actual) and all(
            not differences(one, other) for one, other in zip(expected, actual, strict=True)
        )
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, (int, float)) and isinstance(actual, (int, float)):
        return expected == actual
    if type(expected) is not type(actual):
        return False
    return bool(expected == actual) or _same_instant(expected, actual)


def _same_instant(expected: Any, actual: Any) -> bool:
    moments = [_moment(expected), _moment(actual)]
    return moments[0] is not None and moments[0] == moments[1]


def _moment(value: Any) -> datetime | None:
    # A year and a time of day: anything shorter is no date but, say, an identifier.
    if not isinstance(value, str) or len(value) < len("2021-08-20T22:53:27"):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
