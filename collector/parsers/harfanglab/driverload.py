"""Loading of drivers: telemetry, and alerts that carry it in an object of its own."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.harfanglab.values import digests, shaped
from collector.parsers.mapping import Rule, under


def _driver(parent: str) -> tuple[Rule, ...]:
    """List the rows of a driver whose fields stand below `parent`, a dotted prefix."""
    return (
        *shaped("event.category", "driver"),
        *shaped("event.type", "info"),
        Rule("agent.version", "agent.version", profile="ecs"),
        Rule("file.hash.*", f"{parent}hashes", digests, profile="ecs"),
        Rule("file.pe.file_version", f"{parent}pe_info.file_version", profile="ecs"),
        Rule("file.pe.description", f"{parent}pe_info.file_description", profile="ecs"),
        Rule("file.pe.company", f"{parent}pe_info.company_name", profile="ecs"),
        Rule("file.pe.original_file_name", f"{parent}pe_info.original_filename", profile="ecs"),
        Rule("file.pe.product", f"{parent}pe_info.product_name", profile="ecs"),
        Rule("file.pe.imphash", f"{parent}pe_imphash", profile="ecs"),
        Rule("file.path", f"{parent}imagepath", profile="ecs"),
        Rule("file.name", f"{parent}imagename", profile="ecs"),
        Rule("file.size", f"{parent}imagesize", long, profile="ecs"),
    )


RULES: Final[tuple[Rule, ...]] = (
    *under(
        equals("log_type", "driverload"),
        Rule("agent.id", "agent_id", profile="ecs"),
        *_driver(""),
    ),
    *under(
        equals("alert_subtype", "driverload"),
        Rule("agent.id", "agent.agent_id", profile="ecs"),
        *_driver("driverload."),
    ),
)
