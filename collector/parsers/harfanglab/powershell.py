"""PowerShell script blocks."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "powershell"),
    Rule("action.properties.ScriptBlockText", "script_block", profile="ecs"),
    Rule("action.properties.Path", "script_path", profile="ecs"),
    Rule("process.executable", "process_image_path", profile="ecs"),
)
