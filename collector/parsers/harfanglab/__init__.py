"""HarfangLab: JSON from the syslog output of a HarfangLab manager, one object per message.

One table, split by event family; its order is that of the mapping specification, where a later
row wins over an earlier one. Each module holds the rows of a family as ``RULES``.
"""

from typing import Final

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
from collector.parsers.vendor import Decoded, Vendor

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


def _decode(raw: str) -> Decoded:
    text, fields = decode_object(raw)
    return text, fields, ()


VENDOR: Final = Vendor(TABLE, _decode, families=("log_type", "alert_subtype"))
