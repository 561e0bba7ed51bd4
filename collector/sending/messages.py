"""Syslog messages that carry a payload, with the key of its intake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from collector.parsers.convert import utc_text

# Facility local0, severity informational: what forwarders of such events commonly use.
PRIORITY = 134

# What RFC 5424, section 6.3.3, has escaped in the value of a parameter.
ESCAPES = {ord(character): f"\\{character}" for character in '"\\]'}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A payload on its way out: the vendor names the application, the key its intake."""

    vendor: str
    payload: str
    key: str | None


def message(
    outgoing: Outgoing, *, now: datetime, hostname: str, sd_id: str, parameter: str
) -> bytes:
    """Return a syslog message (RFC 5424) with the intake key in its structured data.

    Args:
        outgoing: what to send.
        now: time of the message.
        hostname: sender's name.
        sd_id: identifier of the structured-data element that holds the key.
        parameter: name of its parameter.
    """
    data = "-"
    if outgoing.key is not None:
        value = outgoing.key.translate(ESCAPES)
        data = f'[{sd_id} {parameter}="{value}"]'
    stamp = utc_text(now.astimezone(UTC))
    header = f"<{PRIORITY}>1 {stamp} {hostname} {outgoing.vendor} - - {data} "
    return (header + outgoing.payload).encode()


def octet_counted(frame: bytes) -> bytes:
    """Return a frame with its octet count before it (RFC 6587, section 3.4.1)."""
    return b"%d %b" % (len(frame), frame)
