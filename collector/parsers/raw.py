"""Messages of any kind, forwarded as text."""

from typing import Final

from collector.parsers.mapping import Rule, Table
from collector.parsers.text import encodable
from collector.parsers.vendor import Decoded, Vendor


def _decode(raw: str) -> Decoded:
    text, tags = encodable(raw)
    return text, {"text": text}, tags


VENDOR: Final = Vendor(
    Table("raw", (Rule("message", "text"), Rule("event.kind", constant="event"))), _decode
)
