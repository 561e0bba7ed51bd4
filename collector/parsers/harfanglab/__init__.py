"""HarfangLab: JSON from the syslog output of a HarfangLab manager, one object per message.

One table, split by event family; its order is that of the mapping specification, where a later
row wins over an earlier one. Each module holds the rows of a family as ``RULES``.
"""

from typing import Final

from collector.parsers.ecs import INFERRED
from collector.parsers.harfanglab import (
    agent,
    agentlog,
    alert,
    auditlog,
    authentication,
    details,
    detections,
    dns,
    driverload,
    eventlog,
    file,
    general,
    injectedthread,
    investigation,
    logon,
    network,
    outcome,
    powershell,
    process,
    protection,
    related,
    threat,
)
from collector.parsers.harfanglab.unmapped import UNMAPPED
from collector.parsers.jsonobject import decode_object
from collector.parsers.mapping import Table
from collector.parsers.paths import steps
from collector.parsers.shapes.json_outline import outline_of
from collector.parsers.shapes.outline import Outline
from collector.parsers.vendor import Vendor

TABLE: Final = Table(
    "harfanglab",
    (
        *general.RULES,
        *network.RULES,
        *process.RULES,
        *details.RULES,
        *powershell.RULES,
        *alert.RULES,
        *threat.RULES,
        *alert.PROCESS_RULES,
        *investigation.RULES,
        *eventlog.RULES,
        *authentication.RULES,
        *dns.RULES,
        *auditlog.RULES,
        *agentlog.RULES,
        *driverload.RULES,
        *protection.RULES,
        *injectedthread.RULES,
        *agent.RULES,
        *file.RULES,
        *outcome.RULES,
    ),
    (*eventlog.INFERRED, *related.RULES, *INFERRED, *logon.RULES),
    detections.DETECTIONS,
    ecs_rules=detections.RULES,
)


_READ: Final = frozenset(tuple(steps(path)) for path in TABLE.read_paths())


def _outline(text: str) -> Outline:
    return outline_of(text.encode(), _READ)


VENDOR: Final = Vendor(
    TABLE, decode_object, UNMAPPED, families=("log_type", "alert_subtype"), outline=_outline
)
