"""Try a message: what would become of a raw message that somebody pastes, field by field."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import orjson

from collector.describe.explanation import Explainer
from collector.frames import read
from collector.parsers import PARSERS, PROFILES, ParseError, Profile, pipeline_error
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.describe.explanation import Explanation

MAX_OCTETS: Final = 1024 * 1024
"""Of a request."""

MAX_ANSWER_OCTETS: Final = 8 * 1024 * 1024
"""Of an answer: what one text of the greatest length becomes takes five times its length, and one
of nothing but tiny fields up to twenty times, which nobody could look through."""

_WITH_HEADER: Final = re.compile(r"(?:[0-9]{1,9} )?<[0-9]{1,3}>")


class TrialError(Exception):
    """A request that asks for nothing that can be tried; the text says what is accepted."""


def answer(body: bytes) -> bytes:
    """Return what becomes of a message, as JSON.

    Args:
        body: of a request: the JSON that `try_message` takes.

    Raises:
        TrialError: the request is none, or too much would become of its message.
    """
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TrialError(f"the body is no JSON: {error}") from error
    written = bytearray()
    for piece in _pieces(try_message(wanted)):
        written += piece
        if len(written) > MAX_ANSWER_OCTETS:
            text = f"what becomes of it takes more than {MAX_ANSWER_OCTETS} octets"
            raise TrialError(f"{text}; try a shorter message")
    return bytes(written)


def _pieces(told: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the JSON of an answer in pieces: orjson has all other threads wait for each."""
    before = b"{"
    for name, value in told.items():
        yield b'%b"%b":' % (before, name.encode())
        if isinstance(value, list):
            yield from _pieces_of_list(value)
        else:
            yield orjson.dumps(value)
        before = b","
    yield b"}\n"


def _pieces_of_list(items: list[Any]) -> Iterator[bytes]:
    before = b"["
    for item in items:
        yield before + orjson.dumps(item)
        before = b","
    yield b"]" if items else b"[]"


def try_message(wanted: object) -> dict[str, Any]:
    """Return what becomes of a message; it may stand behind its syslog header.

    Args:
        wanted: the body of a request: `{parser, profile, raw}`.

    Returns:
        `{outcome, problem, text, event, fields, unmapped, empty, repairs}`, where `text` is what
        the parser read, and a field has `{target, value, sources, rule, conditions}`.

    Raises:
        TrialError: the request is none.
    """
    parser, profile, raw = _read(wanted)
    text, repaired = raw, tuple[str, ...]()
    if _WITH_HEADER.match(raw):
        _, text, repaired = read(raw.encode(), KeyName())
    try:
        explanation = _explainer(parser, profile).explain(text, repaired)
    except ParseError as error:
        return _told("pipeline_error", text, pipeline_error(text, error), error.problem)
    return {**_told("ok", text, explanation.event), **_explained(explanation)}


@cache
def _explainer(parser: str, profile: Profile) -> Explainer:
    return Explainer(PARSERS[parser], profile)


def _read(wanted: object) -> tuple[str, Profile, str]:
    if not isinstance(wanted, dict):
        raise TrialError("the body is to be a JSON object with `parser`, `profile` and `raw`")
    parser, profile = wanted.get("parser"), wanted.get("profile", "documented")
    if parser not in tuple(PARSERS):  # which may be anything, also what has no hash
        raise TrialError(f"parser: one of {', '.join(PARSERS)}")
    if profile not in PROFILES:
        raise TrialError(f"profile: one of {', '.join(PROFILES)}")
    raw = wanted.get("raw")
    if not isinstance(raw, str):
        raise TrialError("raw: the text of the message")
    return parser, cast("Profile", profile), raw


def _told(
    outcome: Literal["ok", "pipeline_error"], text: str, event: Any, problem: str | None = None
) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "problem": problem,
        "text": text,
        "event": event,
        "fields": [],
        "unmapped": [],
        "empty": [],
        "repairs": [],
    }


def _explained(explanation: Explanation) -> dict[str, Any]:
    return {
        "fields": [
            {
                "target": field.name,
                "value": field.value,
                "sources": [
                    {"name": source.name, "value": source.value} for source in field.sources
                ],
                "rule": field.origin.how,
                "conditions": field.origin.conditions,
            }
            for field in explanation.fields
        ],
        "unmapped": [
            {"field": field.name, "value": field.value, "reason": field.reason}
            for field in explanation.unmapped
        ],
        "empty": explanation.empty,
        "repairs": explanation.repairs,
    }
