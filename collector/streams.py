"""Standard input and output of the commands that read and write lines."""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

import orjson

from collector import frames
from collector.parsers import ParseError
from collector.parsers.text import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from collector.syslog.message import KeyName


class InputForm(StrEnum):
    """How payloads stand in the input, a line each.

    `lines`: as they are. `json`: as a JSON string, so that they may hold line feeds. `wire`: as a
    JSON string with a whole syslog message, header included.
    """

    lines = "lines"
    json = "json"
    wire = "wire"


@contextmanager
def opened(file: Path | None) -> Iterator[BinaryIO]:
    """Open a file for reading, or give stdin, which stays open, for None."""
    if file is None:
        yield sys.stdin.buffer
    else:
        with file.open("rb") as stream:
            yield stream


def lines(file: Path | None) -> Iterator[bytes]:
    """Yield the lines of a file, or of stdin for None, without their line ends."""
    with opened(file) as stream:
        for line in stream:
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def octets(line: bytes) -> bytes:
    """Return what a line of JSON stands for.

    Args:
        line: a JSON string, or `{"b64": …}` as `write_frames` puts what is not UTF-8.

    Raises:
        ParseError: the line is neither.
    """
    try:
        value = json.loads(line)
        if isinstance(value, str):
            return well_formed(value).encode()
        if isinstance(value, dict) and isinstance(value.get("b64"), str):
            return b64decode(value["b64"], validate=True)
    except (ValueError, RecursionError) as error:
        raise ParseError("not_json_string", "the input line is not JSON") from error
    raise ParseError("not_json_string", "the input line is not a JSON string")


def payload(line: bytes, form: InputForm, key_name: KeyName) -> tuple[str, tuple[str, ...]]:
    """Return the payload that a line of input stands for; see `InputForm`.

    Returns:
        The payload, and a tag for each repair that it took to read it.

    Raises:
        ParseError: the line is not of the form.
    """
    if form is InputForm.lines:
        return frames.decode(line)
    if form is InputForm.json:
        return frames.decode(octets(line))
    _, text, repaired = frames.read(octets(line), key_name)
    return text, repaired


def write(line: bytes) -> None:
    """Write a line to stdout."""
    sys.stdout.buffer.write(line + b"\n")


def write_frames(frames: Iterable[bytes]) -> None:
    """Write each frame as a JSON string, or as `{"b64": …}` where it is not UTF-8."""
    for frame in frames:
        try:
            text = frame.decode()
        except UnicodeDecodeError:
            write(orjson.dumps({"b64": b64encode(frame).decode()}))
        else:
            write(orjson.dumps(text))
