"""Operations on files."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import ips, long
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "file"),
    *shaped("event.category", "file"),
    *shaped("event.type", "info"),
    Rule("action.name", "operation", profile="ecs"),
    Rule("file.path", "event_path", profile="ecs"),
    Rule("file.size", "written_file_size", long, profile="ecs"),
    Rule("file.hash.md5", "written_file_hashes.md5", profile="ecs"),
    Rule("file.hash.sha1", "written_file_hashes.sha1", profile="ecs"),
    Rule("file.hash.sha256", "written_file_hashes.sha256", profile="ecs"),
    Rule("process.pid", "pid", long, profile="ecs"),
    Rule("process.thread.id", "tid", long, profile="ecs"),
    Rule("process.executable", "process_image_path", profile="ecs"),
    Rule("url.original", "source_url", profile="ecs"),
    Rule("host.ip", "additional_info.ipaddress", ips, profile="ecs"),
)
