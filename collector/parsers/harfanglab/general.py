"""Rows for every event, whatever its family."""

from typing import Final

from collector.parsers.conditions import (
    differs,
    entries,
    equals,
    not_null,
    present,
    valid_ip,
)
from collector.parsers.convert import before_backslash, ip, ips, iso_date, keywords, long
from collector.parsers.harfanglab.values import agents, joined_names, json_texts, login_name
from collector.parsers.mapping import WHOLE_INPUT, Rule, under

_NAMED_USER: Final = not_null("user_name")
_USB_DEVICE: Final = not_null("product_id") & differs("vendor_id", "", shown="an empty string")
_REMOTE_ADDRESS: Final = valid_ip("address")
_URL: Final = not_null("url")

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
    *under(
        _NAMED_USER,
        Rule("user.name", ("user_name", "username"), login_name, profile="ecs"),
        Rule("user.domain", "user_name", before_backslash, profile="ecs"),
    ),
    Rule("action.properties.Query", "query", when=equals("kind", "WmiFilterEvent"), profile="ecs"),
    *under(
        _USB_DEVICE,
        Rule("action.name", "event_type", profile="ecs"),
        Rule("action.properties.ProductId", "product_id", profile="ecs"),
        Rule("action.properties.VendorId", "vendor_id", profile="ecs"),
        Rule("action.properties.ProductName", "product_name", profile="ecs"),
        Rule("action.properties.VendorName", "vendor_name", profile="ecs"),
        Rule("action.properties.DbProductName", "db_product_name", profile="ecs"),
    ),
    *under(
        _REMOTE_ADDRESS,
        Rule("source.ip", "address", ip, profile="ecs"),
        Rule("source.port", "port", long, profile="ecs"),
        Rule("network.protocol", "transport_protocol", profile="ecs"),
    ),
    Rule("action.name", "pipe_operation", when=present("pipe_operation"), profile="ecs"),
    *under(
        _URL,
        Rule("url.original", "url", profile="ecs"),
        Rule("http.request.method", "method", profile="ecs"),
        Rule("user_agent.original", "user_agent", profile="ecs"),
    ),
    Rule("host.ip", "agent.ipaddress", ips, profile="ecs"),
    Rule("harfanglab.agents", "agents", agents, when=entries("agents", 1), profile="ecs"),
)
