"""Inferred fields: what follows from other fields, the same for every vendor.

These rows run on the event after all of a vendor's own. A table without the fields a row reads
does without the row: the compiler leaves it out.
"""

from typing import Final

from collector.parsers.conditions import absent
from collector.parsers.convert import distinct, file_directory, file_name
from collector.parsers.mapping import Rule, under

INFERRED: Final[tuple[Rule, ...]] = (
    Rule("host.name", "host.hostname", when=absent("host.name"), profile="ecs"),
    Rule("source.address", ("source.ip", "source.domain"), when=absent("source.address")),
    Rule("destination.address", "destination.ip", when=absent("destination.address")),
    *under(
        absent("file.name"),
        Rule("file.directory", "file.path", file_directory, profile="ecs"),
        Rule("file.name", "file.path", file_name, profile="ecs"),
    ),
    Rule(
        "related.hosts",
        ("host.hostname", "source.domain", "dns.question.name"),
        distinct,
        profile="ecs",
    ),
    Rule(
        "related.ip",
        ("host.ip", "source.ip", "destination.ip", "destination.nat.ip", "dns.resolved_ip"),
        distinct,
        profile="ecs",
        ecs_type="array of ip",
    ),
    Rule("related.user", ("user.name", "user.target.name"), distinct, profile="ecs"),
    Rule(
        "related.hash",
        (
            *("file.hash.md5", "file.hash.sha1", "file.hash.sha256"),
            *("dll.hash.md5", "dll.hash.sha1", "dll.hash.sha256"),
        ),
        distinct,
        profile="ecs",
    ),
    Rule("action.outcome", "event.outcome", when=absent("action.outcome"), profile="ecs"),
    Rule("event.outcome", "action.outcome", when=absent("event.outcome"), profile="ecs"),
)
