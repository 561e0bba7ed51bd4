"""User agents: which program, system and device a text stands for, by the rules of ua-parser.

Its Rust resolver is used where it is installed (``ua-parser[regex]``): 20 µs for a text, in time
linear in its length. Its resolver in pure Python tries some 1,270 patterns one after the other:
1.5 ms for a common text, 20 ms for the slowest found of 512 characters. Both gave the same for
4,400 texts made from these patterns.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from collector.parsers.convert import fields_of

if TYPE_CHECKING:
    from ua_parser import OS, Parser, UserAgent

_Found = TypeVar("_Found")

_MAX_CHARACTERS: Final = 512  # browsers write 80 to 250; a longer text is not guessed at
_UNKNOWN: Final = "Other"  # what ua-parser calls it


@cache
def _parser() -> "Parser":
    """Compile the rules, once the first text is there.

    That takes a quarter of a second and 28 MiB, and in most places no text ever comes.
    """
    import ua_parser  # noqa: PLC0415

    rules = ua_parser.load_lazy_builtins()
    return ua_parser.Parser(ua_parser.BestAvailableResolver(rules))


@fields_of(
    {
        "name": "keyword",
        "version": "keyword",
        "os.name": "keyword",
        "os.version": "keyword",
        "device.name": "keyword",
    },
)
def user_agent_parts(value: Any) -> dict[str, Any] | None:
    """Name program, system and device; the device is ``Other`` where it is not known."""
    if not isinstance(value, str) or len(value) > _MAX_CHARACTERS:
        return None
    name, version, os_name, os_version, device = _parts(value)
    system = {"name": os_name, "version": os_version}
    parts = {"name": name, "version": version, "os": _known(system), "device": {"name": device}}
    return _known(parts)


def _known(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part}


@lru_cache(maxsize=1024)  # few texts make up nearly all there are; a miss costs 20 to 1000 hits
def _parts(text: str) -> tuple[str, str, str, str, str]:
    """Return name and version of the program, of the system, and the name of the device."""
    parser = _parser()
    program = _found(parser.parse_user_agent, text)
    system = _found(parser.parse_os, text)
    device = _found(parser.parse_device, text)
    return (
        *_name_and_version(program, digits_only=True),
        *_name_and_version(system, digits_only=False),
        (device.family if device else "") or _UNKNOWN,
    )


def _found(parse: Callable[[str], _Found | None], text: str) -> _Found | None:
    """Parse; a pattern that matches but finds no name, as in ``; wetab Build``, raises."""
    try:
        return parse(text)
    except ValueError:
        return None


def _name_and_version(found: "UserAgent | OS | None", *, digits_only: bool) -> tuple[str, str]:
    """Join the parts of the version up to the first that is missing, or no number if it must be.

    Systems have versions that are none: Windows ``XP``.
    """
    if found is None or found.family == _UNKNOWN:
        return "", ""
    version: list[str] = []
    for part in (found.major, found.minor, found.patch, found.patch_minor):
        if not part or (digits_only and not (part.isascii() and part.isdigit())):
            break
        version.append(part)
    return found.family, ".".join(version)
