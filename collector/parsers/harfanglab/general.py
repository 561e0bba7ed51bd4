"""Rows for every event, whatever its family."""

from typing import Final

from collector.parsers.convert import ips, iso_date, keywords, long
from collector.parsers.harfanglab.values import joined_names, json_texts
from collector.parsers.mapping import WHOLE_INPUT, Rule

RULES: Final[tuple[Rule, ...]] = (
    Rule("message", WHOLE_INPUT),
    Rule("@timestamp", "@event_create_date", iso_date, profile="ecs"),
    Rule("agent.id", "agent.agentid"),
    Rule("agent.name", constant="harfanglab", profile="ecs"),
    Rule("log.hostname", "agent.hostname", profile="ecs"),
    Rule("host.hostname", "agent.hostname"),
    Rule("host.domain", "agent.domainname"),
    Rule("host.os.version", "agent.osversion"),
    Rule("host.os.full", "agent.osproducttype"),
    Rule("host.os.type", "agent.ostype", profile="ecs"),
    Rule("harfanglab.groups", "groups", json_texts, profile="ecs"),
    Rule("event.dataset", "log_type", profile="ecs"),
    Rule("event.code", "event_id", profile="ecs"),
    Rule("user.roles", "groups", joined_names, profile="ecs"),
    Rule("organization.id", "tenant", profile="ecs"),
    Rule("url.original", ("source_url", "details_url_request.url"), profile="ecs"),
    Rule(
        "process.executable",
        ("image_name", "source_image", "process_image_path"),
        profile="ecs",
    ),
    Rule("process.pid", "pid", long, profile="ecs"),
    Rule("process.command_line", "process_commandline", profile="ecs", ecs_type="wildcard"),
    Rule("action.properties.StackTrace", "stacktrace", profile="ecs"),
    Rule("action.properties.DesiredAccess", "desired_access_id", profile="ecs"),
    Rule("action.properties.DesiredAccessStr", "desired_access_str", profile="ecs"),
    Rule("action.properties.DeviceName", "device_name", profile="ecs"),
    Rule("action.properties.SockType", "sock_type", profile="ecs"),
    Rule("action.properties.Family", "family", profile="ecs"),
    Rule("action.properties.TamperFlag", "tamper_flag", profile="ecs"),
    Rule("action.properties.TamperFlagStr", "tamper_flag_as_str", profile="ecs"),
    Rule("action.properties.ProcessEntrypointMemory", "process_entrypoint_memory", profile="ecs"),
    Rule("action.properties.ProcessHeaderMemory", "process_header_memory", profile="ecs"),
    Rule("action.properties.Access", "access", profile="ecs"),
    Rule("action.properties.AccessStr", "access_str", profile="ecs"),
    Rule("action.name", "operation", profile="ecs"),
    Rule("user.id", "user_sid", profile="ecs"),
    Rule("file.name", ("process_entrypoint_file", "pe_info.original_filename"), profile="ecs"),
    Rule("http.request.referrer", "referrer_url", profile="ecs"),
    Rule("dns.question.type", "query_type", profile="ecs"),
    Rule("dns.question.name", "requested_name", profile="ecs"),
    Rule("dns.resolved_ip", "ip_addresses", keywords, profile="ecs", ecs_type="array of ip"),
    *(
        Rule(
            f"action.properties.additional_info.additional_info{number}",
            f"agent.additional_info.additional_info{number}",
            profile="ecs",
        )
        for number in range(1, 5)
    ),
    Rule("host.ip", "agent.ipaddress", ips, profile="ecs"),
)
