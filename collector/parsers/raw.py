"""Messages of any kind, forwarded as text."""

from typing import Final

from collector.parsers.mapping import Rule, Table
from collector.parsers.shapes.codes import Kind
from collector.parsers.shapes.outline import Outline
from collector.parsers.text import encodable
from collector.parsers.vendor import Decoded, Vendor


def _decode(raw: str) -> Decoded:
    text, tags = encodable(raw)
    return text, {"text": text}, tags


def _outline(text: str) -> Outline:
    outline = Outline()
    outline.add_value(("text",), text, b"", Kind.REST, text.encode())
    outline.add(b"", Kind.END)
    return outline


VENDOR: Final = Vendor(
    Table("raw", (Rule("message", "text"), Rule("event.kind", constant="event"))),
    _decode,
    outline=_outline,
)
