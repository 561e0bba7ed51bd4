"""What a frame says: whose it is, its text, and what had to be repaired to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.parsers import repairs
from collector.syslog.framing import CutFrame, strip_octet_count
from collector.syslog.message import envelope

if TYPE_CHECKING:
    from collector.syslog.message import KeyName


FRAME_TAGS: Final = (repairs.OCTET_COUNT, repairs.INVALID_UTF8, repairs.TRUNCATED)
"""The tags that `read` gives."""


def read(frame: bytes, key_name: KeyName) -> tuple[str | None, str, tuple[str, ...]]:
    """Read what a message needs on its way.

    Args:
        frame: one syslog message as it came, a `CutFrame` where too long.
        key_name: where the intake key stands.

    Returns:
        The intake key, or None; the text of the message; and a tag for each repair: an octet count
        that stood before the header, octets that are not UTF-8, a message that was cut.
    """
    message = frame if frame[:1] == b"<" else strip_octet_count(frame)
    key, text = envelope(message, key_name)
    if message is frame and frame.__class__ is not CutFrame and frame.isascii():
        return key, text, ()
    return key, text, tuple(_repairs(frame, message))


def decode(octets: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text of octets, and a tag where they are not UTF-8 and had to be replaced."""
    try:
        return octets.decode(), ()
    except UnicodeDecodeError:
        return octets.decode("utf-8", "replace"), (repairs.INVALID_UTF8,)


def _repairs(frame: bytes, message: bytes) -> list[str]:
    tags = []
    if message is not frame:
        tags.append(repairs.OCTET_COUNT)
    is_cut = frame.__class__ is CutFrame
    try:
        message.decode()
    except UnicodeDecodeError as error:
        # A character that was cut through is the cut's doing.
        if not (is_cut and error.reason == "unexpected end of data"):
            tags.append(repairs.INVALID_UTF8)
    if is_cut:
        tags.append(repairs.TRUNCATED)
    return tags
