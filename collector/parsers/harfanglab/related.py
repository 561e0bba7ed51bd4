"""What the documentation gathers in ``related.*``; it wins over `ecs.INFERRED` where it has any."""

from typing import Final

from collector.parsers.convert import distinct
from collector.parsers.mapping import Rule

RULES: Final[tuple[Rule, ...]] = (
    Rule("related.hosts", "host.hostname", distinct, profile="documented"),
    Rule(
        "related.ip",
        ("source.ip", "destination.ip"),
        distinct,
        profile="documented",
        ecs_type="array of ip",
    ),
    Rule("related.user", "user.name", distinct, profile="documented"),
    Rule(
        "related.hash",
        ("process.hash.sha1", "process.hash.md5", "process.hash.sha256"),
        distinct,
        profile="documented",
    ),
)
