"""Alerts of every kind, and the process object that process alerts carry.

Between the two stand the rows of threats, see `TABLE`.
"""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import file_name, long
from collector.parsers.harfanglab.values import account, quarantine_label, shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "alert"),
    Rule("event.kind", constant="alert", profile="ecs"),
    Rule("harfanglab.level", "level"),
    Rule("rule.description", "msg"),
    Rule("rule.name", "rule_name"),
    Rule("rule.category", "alert_type"),
    Rule("rule.id", "rule_id"),
    Rule("harfanglab.alert_time", "alert_time"),
    Rule("harfanglab.alert_unique_id", "alert_unique_id"),
    Rule("harfanglab.alert_subtype", "alert_subtype"),
    Rule("harfanglab.execution", "execution", long),
    Rule("harfanglab.status", "status"),
    Rule("harfanglab.aggregation_key", "aggregation_key", profile="ecs"),
    Rule(
        "harfanglab.process.powershell.command",
        "details_powershell.PowershellCommand",
        profile="ecs",
    ),
    Rule(
        "harfanglab.process.powershell.script_path",
        "details_powershell.PowershellScriptPath",
        profile="ecs",
    ),
    Rule("harfanglab.threat_key", "threat_key", profile="ecs"),
    Rule("harfanglab.quarantine_label", "quarantine", quarantine_label, profile="ecs"),
)

PROCESS_RULES: Final[tuple[Rule, ...]] = under(
    equals("alert_subtype", "process") | equals("threat_type", "commandline"),
    Rule(
        "harfanglab.grandparent.process.command_line",
        "process.grandparent_commandline",
        profile="ecs",
    ),
    Rule(
        "harfanglab.grandparent.process.executable",
        "process.grandparent_image",
        profile="ecs",
    ),
    Rule("process.command_line", "process.commandline", profile="ecs", ecs_type="wildcard"),
    Rule("process.pid", "process.pid", long, profile="ecs"),
    Rule("process.name", "process.process_name", profile="ecs"),
    Rule("process.pe.description", "process.pe_info.file_description", profile="ecs"),
    Rule("process.pe.original_file_name", "process.pe_info.original_filename", profile="ecs"),
    Rule("process.pe.file_version", "process.pe_info.file_version", profile="ecs"),
    Rule("process.pe.company", "process.pe_info.company_name", profile="ecs"),
    Rule("process.pe.product", "process.pe_info.product_name", profile="ecs"),
    Rule("process.executable", "process.image_name", profile="ecs"),
    *account("user", "process.username"),
    Rule("process.parent.executable", "process.parent_image", profile="ecs"),
    Rule("process.parent.name", "process.parent_image", file_name, profile="ecs"),
    Rule(
        "process.parent.command_line",
        "process.parent_commandline",
        profile="ecs",
        ecs_type="wildcard",
    ),
    Rule("process.working_directory", "process.current_directory", profile="ecs"),
    Rule("process.pe.imphash", "process.pe_imphash", profile="ecs"),
    *shaped("event.category", "process"),
    *shaped("event.type", "start"),
    Rule("event.kind", constant="alert", profile="ecs"),
    Rule("file.hash.md5", "process.hashes.md5", profile="ecs"),
    Rule("file.hash.sha256", "process.hashes.sha256", profile="ecs"),
    Rule("file.hash.sha1", "process.hashes.sha1", profile="ecs"),
)
