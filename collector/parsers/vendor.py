"""A vendor: how its messages are read and what becomes of their fields.

Everything that is known of a vendor follows from this one record: the parser, the list of fields
it can produce, the explanation of a message, and what in a message is new.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from collector.parsers.base import Event, Parser, Profile, add_tags
from collector.parsers.compiler import compile_table
from collector.parsers.mapping import Table
from collector.parsers.shapes.outline import Outline

Decoded = tuple[str, dict[str, Any], tuple[str, ...]]
"""A message read: its text as it can be encoded, its fields by name, and tags that name repairs."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """What is known of a vendor's messages.

    Attributes:
        table: what becomes of the fields.
        decode: takes a message apart; raises `ParseError` and nothing else.
        unmapped: fields that the vendor is known to send and no rule reads, as dotted paths; what
            stands below one of them is known with it.
        families: fields whose values divide the messages into kinds. Which values there are is
            taken from the conditions of the table, and from `known_families`.
        known_families: further values of these fields, as (path, value).
        outline: takes a message apart for what it has in common with others; raises `UnfitError`
            where no shape is made of it. None if the messages have no shapes.
    """

    table: Table
    decode: Callable[[str], Decoded]
    unmapped: frozenset[str] = frozenset()
    families: tuple[str, ...] = ()
    known_families: frozenset[tuple[str, str]] = frozenset()
    outline: Callable[[str], Outline] | None = None

    def parser(self, profile: Profile) -> Parser:
        """Compile the parser for a profile."""
        decode, normalize = self.decode, compile_table(self.table, profile)

        def parse(raw: str) -> Event:
            text, fields, tags = decode(raw)
            event = normalize(text, fields)
            if tags:
                add_tags(event, tags)
            return event

        return parse
