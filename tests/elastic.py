"""The templates of `deploy/elastic`, as Elasticsearch puts them together, and what they take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.field_types import fits
from tests.support import ROOT, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

ELASTIC = ROOT / "deploy" / "elastic"


def load(*path: str) -> Any:
    """Read a file of the directory."""
    return json.loads(ELASTIC.joinpath(*path).read_text(encoding="utf-8"))


def component(name: str) -> dict[str, Any]:
    """Read a component template."""
    found: dict[str, Any] = load("component-templates", f"{name}.json")
    return found


def index_template(vendor: str) -> dict[str, Any]:
    """Read the index template of a vendor's data streams."""
    found: dict[str, Any] = load("index-templates", f"logs-edr.{vendor}.json")
    return found


def components(vendor: str) -> list[str]:
    """Return the names of the components of an index template that are ours, in their order."""
    template = index_template(vendor)
    not_ours = template["ignore_missing_component_templates"]
    return [name for name in template["composed_of"] if name not in not_ours]


def mapped(properties: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and mapping of each field, but for objects."""
    for key, value in properties.items():
        name = f"{prefix}{key}"
        if "properties" in value:
            yield from mapped(value["properties"], f"{name}.")
        else:
            yield name, value


def mapping(vendor: str) -> dict[str, dict[str, Any]]:
    """Return the fields of an index: where two components have one, the later has its way."""
    return {
        name: field
        for part in components(vendor)
        for name, field in mapped(component(part)["template"]["mappings"]["properties"])
    }


def misfits(document: dict[str, Any], fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the leaves of a document that have no field, or one that does not take them."""
    flattened = tuple(f"{name}." for name, field in fields.items() if field["type"] == "flattened")
    return {
        name: value
        for name, value in leaves(document).items()
        if not (_is_taken(value, fields[name]) if name in fields else name.startswith(flattened))
    }


def _is_taken(value: Any, field: dict[str, Any]) -> bool:
    """Tell whether Elasticsearch takes a value; it takes a list of them wherever it takes one."""
    if isinstance(value, list):
        return all(_is_taken(each, field) for each in value)
    if field.get("ignore_malformed") and not isinstance(value, dict):
        return True
    kind = {"constant_keyword": "keyword"}.get(field["type"], field["type"])
    return kind != "alias" and fits(value, kind)
