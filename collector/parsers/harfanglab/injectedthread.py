"""Threads injected into a process."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "injectedthread"),
    *shaped("event.category", "process"),
    *shaped("event.type", "info"),
    Rule("process.executable", "process_image", profile="ecs"),
    Rule("process.pid", "process_id", long, profile="ecs"),
    Rule("process.thread.id", "thread_id", long, profile="ecs"),
)
