"""What an event was about: a registry value, a library, a file.

Alerts carry them as ``details_*`` objects.
"""

from typing import Any, Final

from collector.parsers.conditions import present
from collector.parsers.convert import conversion, file_name
from collector.parsers.mapping import Rule, under


@conversion("keyword")
def _registry_key(value: Any) -> str | None:
    r"""Take ``key`` of ``hive\key\value``; it may hold backslashes."""
    return "\\".join(value.split("\\")[1:-1]) or None if isinstance(value, str) else None


@conversion("keyword")
def _registry_hive(value: Any) -> str | None:
    r"""Take ``hive`` of ``hive\key\value``; a text without a backslash is a hive."""
    return value.partition("\\")[0] or None if isinstance(value, str) else None


RULES: Final[tuple[Rule, ...]] = (
    *under(
        present("details_registry"),
        Rule("registry.key", "details_registry.target_object", _registry_key, profile="ecs"),
        Rule("registry.hive", "details_registry.target_object", _registry_hive, profile="ecs"),
        Rule("registry.path", "details_registry.target_object", profile="ecs"),
        Rule("registry.value", "details_registry.details", profile="ecs"),
    ),
    *under(
        present("details_library"),
        Rule("dll.path", "details_library.image_loaded", profile="ecs"),
        Rule("dll.name", "details_library.image_loaded", file_name, profile="ecs"),
        Rule("dll.hash.md5", "details_library.hashes.md5", profile="ecs"),
        Rule("dll.hash.sha256", "details_library.hashes.sha256", profile="ecs"),
        Rule("dll.hash.sha1", "details_library.hashes.sha1", profile="ecs"),
    ),
    Rule(
        "file.name",
        "details_file.target_filename",
        when=present("details_file"),
        profile="ecs",
    ),
)
