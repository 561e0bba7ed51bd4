"""The list of fields written down: as JSON, as Markdown, as an Elasticsearch component template."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from collector.describe.fields import Field, Origin, in_words, list_fields
from collector.parsers import PROFILES, Profile, Vendor

_IGNORE_ABOVE: Final = 1024  # characters; what is longer stays in the source, unindexed, as in ECS

_MAPPINGS: Final[dict[str, dict[str, Any]]] = {
    "keyword": {"type": "keyword", "ignore_above": _IGNORE_ABOVE},
    "wildcard": {"type": "wildcard"},
    "text": {"type": "text"},
    "match_only_text": {"type": "match_only_text"},
    "long": {"type": "long"},
    # Profile documented has addresses as the vendor wrote them, and a number may be out of range:
    # no reason for Elasticsearch to refuse the event.
    "float": {"type": "float", "ignore_malformed": True},
    "ip": {"type": "ip", "ignore_malformed": True},
    "boolean": {"type": "boolean"},
    "date": {"type": "date"},
    # The names in an object can be anything: flattened, they do not become fields of the index.
    "object": {"type": "flattened", "ignore_above": _IGNORE_ABOVE},
    "flattened": {"type": "flattened", "ignore_above": _IGNORE_ABOVE},
}

_HOW_TO_READ: Final = (
    "A field without a condition is there whenever one of its sources is. Where sources are listed "
    "with “else”, the first that yields a value counts. *Inferred* fields are read from other "
    "fields of the event, and *the collector* adds some to the events of every parser."
)


def as_objects(fields: Iterable[Field]) -> list[dict[str, Any]]:
    """Write fields as JSON objects.

    Each has ``name``, ``type``, ``source`` and ``condition`` (all there are; none: it is a constant
    or the collector's, it is always there), ``origins`` (which source goes with which condition),
    and ``deviation`` if it is not as ECS has it.
    """
    return [_as_object(field) for field in fields]


def _as_object(field: Field) -> dict[str, Any]:
    origins = field.origins
    always = any(not origin.conditions for origin in origins)
    conditions = dict.fromkeys(text for origin in origins for text in origin.conditions)
    written: dict[str, Any] = {
        "name": field.name,
        "type": field.type,
        "source": [*dict.fromkeys(source for origin in origins for source in origin.sources)],
        "condition": [] if always else [*conditions],
        "origins": [_without_empty(asdict(origin)) for origin in origins],
    }
    return written if field.deviation is None else written | {"deviation": field.deviation}


def _without_empty(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value}


def component_template(vendor: Vendor, profile: Profile) -> dict[str, Any]:
    """Write the body of ``PUT _component_template/NAME``: an index with these fields.

    Args:
        vendor: whose events.
        profile: their shape; a list has the mapping of its entries, so most are alike.
    """
    properties: dict[str, Any] = {}
    for name, field_type in _mapped_types(list_fields(vendor, profile)).items():
        *parents, key = name.split(".")
        branch = properties
        for parent in parents:
            branch = branch.setdefault(parent, {}).setdefault("properties", {})
        branch[key] = dict(_MAPPINGS[field_type])
    return {
        "template": {"mappings": {"properties": properties}},
        "_meta": {
            "description": f"Fields of {vendor.table.name} events, profile {profile}",
            "managed_by": "collector",
        },
    }


def _mapped_types(fields: Iterable[Field]) -> dict[str, str]:
    """Return the type of each field: that of its entries for a list.

    An object in which the message decides on names is one field, whatever is known of it: an index
    has a limit of fields, and refuses what would exceed it.
    """
    types = {
        field.name: field.type.partition(" or ")[0].removeprefix("array of ") for field in fields
    }
    opened = tuple(name.removesuffix("*") for name in types if name.endswith(".*"))
    closed = {name: kind for name, kind in types.items() if not name.startswith(opened)}
    return closed | {name.removesuffix("."): "object" for name in opened}


def markdown(vendor: Vendor, profile: Profile) -> str:
    """Write the reference of a vendor's fields for people to read.

    It has every field of the profile, then what differs in the other one, what is not as ECS has
    it, and what the conversions do.
    """
    name = vendor.table.name
    fields = list_fields(vendor, profile)
    lines = [
        f"# Fields of {name} events",
        "",
        f"Written by `collector fields --parser {name} --profile {profile} --format markdown`.",
        "",
        _HOW_TO_READ,
        "",
        f"## Profile {profile}",
        "",
        *_field_table(fields),
        *_other_profiles(vendor, profile, fields),
        *_deviations(vendor),
        *_unmapped(vendor),
        *_conversions(vendor),
    ]
    return "\n".join(lines)


def _field_table(fields: Iterable[Field]) -> Iterator[str]:
    yield from _table_head("field", "type", "source", "condition")
    for field in fields:
        sources = "<br>".join(_source(origin) for origin in field.origins)
        conditions = "<br>".join(_conditions(origin) for origin in field.origins)
        yield f"| `{field.name}` | {field.type} | {sources} | {conditions} |"


def _table_head(*titles: str) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"


def _source(origin: Origin) -> str:
    read = (", " if origin.joint else ", else ").join(map(_code, origin.sources))
    if origin.kind == "collector":
        return f"*the collector:* {origin.conversion}"
    if origin.value is not None:
        read = _code(origin.value if isinstance(origin.value, str) else ", ".join(origin.value))
        return f"*inferred* {read}" if origin.kind == "inferred" else read
    return " ".join(
        filter(
            None,
            (
                "*inferred*" if origin.kind == "inferred" else "",
                read,
                f"({origin.conversion})" if origin.conversion else "",
            ),
        )
    )


def _conditions(origin: Origin) -> str:
    return "; ".join(map(_cell, origin.conditions))


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _other_profiles(vendor: Vendor, profile: Profile, fields: tuple[Field, ...]) -> Iterator[str]:
    here = {field.name: field for field in fields}
    for other in PROFILES:
        if other == profile:
            continue
        there = list_fields(vendor, other)
        yield from ("", f"## What differs in profile {other}", "")
        differing = [field for field in there if here.get(field.name) != field]
        missing = sorted(here.keys() - {field.name for field in there})
        if differing:
            yield from _field_table(differing)
        if missing:
            yield from ("", f"Not there: {', '.join(map(_code, missing))}.")
        if not differing and not missing:
            yield "Nothing."


def _deviations(vendor: Vendor) -> Iterator[str]:
    profiles: dict[tuple[str, str], list[str]] = {}
    for profile in PROFILES:
        for field in list_fields(vendor, profile):
            if field.deviation:
                profiles.setdefault((field.name, field.deviation), []).append(profile)
    if profiles:
        yield from ("", "## Not as ECS has it", "")
        yield from _table_head("field", "in profile", "reason")
        for (name, reason), where in sorted(profiles.items()):
            yield f"| `{name}` | {', '.join(where)} | {_cell(reason)} |"


def _unmapped(vendor: Vendor) -> Iterator[str]:
    if vendor.unmapped:
        names = ", ".join(map(_code, sorted(vendor.unmapped)))
        yield from ("", "## Source fields that stay in the message alone", "", f"{names}.")


def _conversions(vendor: Vendor) -> Iterator[str]:
    meanings = {
        in_words(rule.convert): _summary(rule.convert.function)
        for profile in PROFILES
        for rule in vendor.table.all_rows(profile)
    }
    meanings.pop("", None)
    if meanings:
        yield from ("", "## What is done to a value", "")
        yield from _table_head("in brackets", "means")
        yield from (f"| {words} | {_cell(meanings[words])} |" for words in sorted(meanings))


def _summary(function: Callable[..., Any]) -> str:
    """Return the first line of a docstring, as Markdown."""
    return (function.__doc__ or "").partition("\n")[0].replace("``", "`")
