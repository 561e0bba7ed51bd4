"""Process creation: telemetry, and what the documentation shows for process alerts.

Process alerts carry the process in an object of their own, see `alert`. The documented rows read
the fields at the top of the message all the same, and win where they are there.
"""

from dataclasses import replace
from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.harfanglab.values import account, after_last_backslash, split_on_bars
from collector.parsers.mapping import Rule, under

_PROCESS: Final = equals("log_type", "process")
_PROCESS_ALERT: Final = equals("alert_subtype", "process")

_FIELDS: Final = (
    Rule("process.pid", "pid", long),
    Rule("process.name", "process_name"),
    Rule("process.pe.description", "pe_info.file_description"),
    Rule("process.pe.original_file_name", "pe_info.original_filename"),
    Rule("process.pe.file_version", "pe_info.file_version"),
    Rule("process.pe.company", "pe_info.company_name"),
    Rule("process.pe.product", "pe_info.product_name"),
    Rule("process.executable", "image_name"),
    Rule("process.parent.executable", "parent_image"),
    Rule("process.working_directory", "current_directory"),
    Rule("process.pe.imphash", "pe_imphash"),
)

RULES: Final[tuple[Rule, ...]] = (
    *under(_PROCESS, *_FIELDS),
    *under(_PROCESS_ALERT, *(replace(rule, profile="documented") for rule in _FIELDS)),
    *under(
        _PROCESS | _PROCESS_ALERT,
        Rule("process.command_line", "command_line", profile="documented", ecs_type="wildcard"),
    ),
    *under(
        _PROCESS,
        Rule("process.command_line", "commandline", profile="ecs", ecs_type="wildcard"),
        Rule(
            "process.parent.command_line",
            "parent_commandline",
            profile="ecs",
            ecs_type="wildcard",
        ),
        Rule("process.parent.name", "parent_image", after_last_backslash, profile="ecs"),
        Rule(
            "harfanglab.grandparent.process.command_line",
            "grandparent_commandline",
            profile="ecs",
        ),
        Rule("harfanglab.grandparent.process.executable", "grandparent_image", profile="ecs"),
        Rule("harfanglab.grandparent.process.ancestors", "ancestors", split_on_bars, profile="ecs"),
    ),
    *under(
        _PROCESS | _PROCESS_ALERT,
        Rule("user.name", "username", profile="documented"),
    ),
    *under(_PROCESS, *account("user", "username")),
    *under(
        _PROCESS | _PROCESS_ALERT,
        Rule("event.category", constant="process", profile="documented"),
        Rule("event.type", constant="start", profile="documented"),
    ),
    *under(
        _PROCESS,
        Rule("event.category", constant=("process",), profile="ecs"),
        Rule("event.type", constant=("start",), profile="ecs"),
        Rule("event.kind", constant="event", profile="documented"),
    ),
    *under(
        equals("log_type", "alert") & _PROCESS_ALERT,
        Rule("event.kind", constant="alert", profile="documented"),
    ),
    *under(
        _PROCESS | _PROCESS_ALERT,
        Rule("process.hash.md5", "hashes.md5", profile="documented"),
        Rule("process.hash.sha256", "hashes.sha256", profile="documented"),
        Rule("process.hash.sha1", "hashes.sha1", profile="documented"),
    ),
    *under(
        _PROCESS,
        Rule("file.hash.md5", "hashes.md5", profile="ecs"),
        Rule("file.hash.sha256", "hashes.sha256", profile="ecs"),
        Rule("file.hash.sha1", "hashes.sha1", profile="ecs"),
    ),
)
