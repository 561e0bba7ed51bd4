"""Inferred fields: what follows from other fields, the same for every vendor.

These rows run on the event after all of a vendor's own. A table without the fields a row reads
does without the row: the compiler leaves it out. Where a row yields several fields, those that
the vendor's rows have set stay.
"""

from typing import Final

from collector.parsers.conditions import absent
from collector.parsers.convert import distinct, file_directory, file_name
from collector.parsers.inferred.domains import domain_parts
from collector.parsers.inferred.urls import url_parts
from collector.parsers.inferred.user_agents import user_agent_parts
from collector.parsers.mapping import Rule, under

ECS_VERSION: Final = "9.4.0"
"""The version of ECS that the fields follow."""

INFERRED: Final[tuple[Rule, ...]] = (
    Rule("host.name", "host.hostname", when=absent("host.name"), profile="ecs"),
    Rule("source.address", ("source.ip", "source.domain"), when=absent("source.address")),
    Rule("destination.address", "destination.ip", when=absent("destination.address")),
    *under(
        absent("file.name"),
        Rule("file.directory", "file.path", file_directory, profile="ecs"),
        Rule("file.name", "file.path", file_name, profile="ecs"),
    ),
    Rule("dns.question.*", "dns.question.name", domain_parts, profile="ecs"),
    Rule("source.*", "source.domain", domain_parts, profile="ecs"),
    Rule("url.*", "url.original", url_parts, profile="ecs"),
    Rule("url.*", "url.domain", domain_parts, profile="ecs"),
    Rule("user_agent.*", "user_agent.original", user_agent_parts, profile="ecs"),
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


def detections(*, module: str, vendor: str, product: str) -> tuple[Rule, ...]:
    """Make the rows of what detections and dashboards look for in every event.

    Args:
        module: whose data it is, ``event.module``.
        vendor: who made the product, where the event does not say it.
        product: which product it is, where the event does not say it.
    """
    return tuple(
        Rule(target, constant=value, when=absent(target))
        for target, value in (
            ("ecs.version", ECS_VERSION),
            ("event.module", module),
            ("observer.vendor", vendor),
            ("observer.product", product),
        )
    )
