"""The JSON schema of declared settings, for editors and for checks outside the daemon.

It accepts every file the daemon accepts, with the environment put in or not. It says less than
`collector check`: relations between settings and the bounds of values with units are in words only.
"""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from collector.settings.checking import child, declared

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    for model in _models(declaration):
        schema = generated if model is declaration else definitions[model.__name__]
        _explain(schema["properties"], model)
    for model in (generated, *definitions.values()):
        _open(model)
    definitions["Unwritten"] = _UNWRITTEN
    return {"$schema": DIALECT, **generated, "$defs": definitions}


def help_of(model: type[Settings]) -> dict[str, str]:
    """Return the help of the settings of a mapping: the text below each one's declaration.

    pydantic would read it, too (`use_attribute_docstrings`), but from the source of every model at
    every start, which takes longer than all else that it does then.

    Args:
        model: The declaration of the mapping.

    Returns:
        The texts by the names of the fields.
    """
    [declaration] = ast.parse(inspect.getsource(model)).body
    texts = {}
    for pair in pairwise(ast.iter_child_nodes(declaration)):
        match pair:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = inspect.cleandoc(text)
    return texts


def _models(declaration: type[Settings]) -> Iterator[type[Settings]]:
    """Walk a declaration and those below it; those that are in several places come again."""
    yield declaration
    for field in declared(declaration).values():
        below = child(field)
        if below is not None:
            yield from _models(below)


def _explain(properties: dict[str, Any], model: type[Settings]) -> None:
    texts = help_of(model)
    for name, field in model.model_fields.items():
        if name in texts:
            properties[field.alias or name]["description"] = texts[name]


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
