"""HarfangLab: JSON from the syslog output of a HarfangLab manager, one object per message.

One table, split by event family; its order is that of the mapping specification, where a later
row wins over an earlier one. Each module holds the rows of a family as ``RULES``.
"""

from typing import Final

from collector.parsers.base import Event, Parser, Profile
from collector.parsers.compiler import compile_table
from collector.parsers.ecs import INFERRED
from collector.parsers.harfanglab import (
    alert,
    eventlog,
    general,
    investigation,
    network,
    outcome,
    process,
    related,
)
from collector.parsers.jsonobject import decode_object
from collector.parsers.mapping import Table

TABLE: Final = Table(
    "harfanglab",
    (
        *general.RULES,
        *network.RULES,
        *process.RULES,
        *alert.RULES,
        *investigation.RULES,
        *eventlog.RULES,
        *outcome.RULES,
    ),
    (*related.RULES, *INFERRED),
)


def build(profile: Profile) -> Parser:
    """Compile the parser of HarfangLab's JSON for a profile.

    Returns:
        A parser that raises `ParseError` with reason ``not_json``, ``too_deep`` or
        ``not_an_object``, and nothing else.
    """
    normalize = compile_table(TABLE, profile)

    def parse(raw: str) -> Event:
        return normalize(*decode_object(raw))

    return parse
