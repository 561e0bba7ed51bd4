"""The JSON schema of declared settings, for editors and for checks outside the daemon.

It accepts every file the daemon accepts, with the environment put in or not. It says less than
`collector check`: relations between settings and the bounds of values with units are in words only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic_core import core_schema

    from collector.settings.checking import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What stands for a value in any place, see `substitution`.
_UNWRITTEN = {
    "description": "Nothing, which counts as not written, or a text with ${VAR} in it.",
    "type": ["string", "null"],
    "pattern": r"^$|\$\{",
}


def json_schema(declaration: type[Settings]) -> dict[str, Any]:
    """Describe settings as JSON schema (2020-12).

    Args:
        declaration: The model of the whole file.

    Returns:
        The schema, with the help of every setting as its description.
    """
    generated = declaration.model_json_schema(schema_generator=_Generator)
    definitions = generated.pop("$defs", {})
    for model in (generated, *definitions.values()):
        _open(model)
    definitions["Unwritten"] = _UNWRITTEN
    return {"$schema": DIALECT, **generated, "$defs": definitions}


class _Generator(GenerateJsonSchema):
    """Schemas without made-up titles, and with defaults as a user would write them."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - for all alike
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        write = schema["schema"].get("serialization", {}).get("function")
        if write is not None and "default" in schema:
            schema = {**schema, "default": write(schema["default"])}
        return super().default_schema(schema)


def _open(schema: dict[str, Any]) -> None:
    """Let every setting, list item and mapping value below a schema be unwritten too."""
    for holder, keys in (
        (schema.get("properties", {}), list(schema.get("properties", {}))),
        (schema, [key for key in ("items", "additionalProperties") if schema.get(key)]),
    ):
        for key in keys:
            holder[key] = _opened(holder[key])
    for alternative in schema.get("anyOf", ()):
        _open(alternative)


def _opened(schema: dict[str, Any]) -> dict[str, Any]:
    notes: dict[str, Any] = {
        key: schema.pop(key) for key in ("description", "default") if key in schema
    }
    if "$ref" in schema:
        notes.pop("default", None)  # the mapping's own settings say theirs
    _open(schema)
    alternatives = schema.get("anyOf", [schema])
    written = [alternative for alternative in alternatives if alternative != {"type": "null"}]
    return {**notes, "anyOf": [*written, {"$ref": "#/$defs/Unwritten"}]}
