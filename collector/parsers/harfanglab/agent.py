"""The agents' inventory: what a host is."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import ips, iso_date, long, number
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "agent"),
    Rule("event.start", ("first_seen", "firstseen"), iso_date, profile="ecs"),
    Rule("event.end", ("last_seen", "lastseen"), iso_date, profile="ecs"),
    *shaped("event.category", "host"),
    *shaped("event.type", "info"),
    Rule("agent.id", "id", profile="ecs"),
    Rule("agent.version", "version", profile="ecs"),
    Rule("harfanglab.host.cpu.count", "cpu_count", long, profile="ecs"),
    Rule("harfanglab.host.cpu.frequency", "cpu_frequency", long, profile="ecs"),
    Rule("harfanglab.host.serial_number", "machine_serial", profile="ecs"),
    # Declared a long; what agents send is a float.
    Rule("harfanglab.host.total_memory", "total_memory", number, profile="ecs", ecs_type="long"),
    Rule("host.architecture", "bitness", profile="ecs"),
    Rule("host.name", "hostname", profile="ecs"),
    Rule("host.os.full", "osproducttype", profile="ecs"),
    Rule("host.os.type", "ostype", profile="ecs"),
    Rule("host.os.version", "osversion", profile="ecs"),
    Rule("host.os.platform", "os_platform", profile="ecs"),
    Rule("host.ip", "ipaddress", ips, profile="ecs"),
)
