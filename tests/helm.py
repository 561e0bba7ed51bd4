"""The chart in `deploy/helm`, rendered without Helm as Helm does it: values, schema, templates."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from tests.deployment import DEPLOY, read

if TYPE_CHECKING:
    from pathlib import Path

HELM = DEPLOY / "helm"
CHART = HELM / "collector"
CLUSTER = HELM / "cluster.yaml"
TEMPLATES = CHART / "templates"
RELEASE = "collector"

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The rules of Prometheus are long: so the quicker one, where it is there."""


class RefusedError(Exception):
    """What Helm says of values that it does not render."""


# Values.


def values(*files: Path, **own: Any) -> dict[str, Any]:
    """Return the values that templates see.

    Args:
        files: of values, the last one with the last word.
        own: values behind those of the files.
    """
    given: dict[str, Any] = {}
    for each in (*map(read, files), own):
        given = _merged(given, each)
    return _merged(read(CHART / "values.yaml"), given, takes_away=True)


def _merged(
    below: dict[str, Any], above: dict[str, Any], *, takes_away: bool = False
) -> dict[str, Any]:
    """Merge maps by their keys; of the chart's own values a null takes one away."""
    found = copy.deepcopy(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = _merged(found[key], value, takes_away=takes_away)
        elif takes_away and value is None and key in found:
            del found[key]
        else:
            found[key] = copy.deepcopy(value)
    return found


def complaints_of_schema(found: dict[str, Any]) -> list[str]:
    """Return what the schema says against values, with where it is."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    errors = jsonschema.Draft7Validator(schema).iter_errors(found)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


# Templates.


@cache
def _engine() -> Any:
    library = pytest.importorskip("gotpl.exts.helm", reason="needs gotpl[helm]")
    return library.HelmTemplateEngine(
        {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.iterdir()}
    )


class _Files:
    """Those of the chart, as templates read them."""

    def Get(self, name: str) -> str:  # noqa: N802 - so Helm has it
        return (CHART / name).read_text(encoding="utf-8")


def texts(
    *files: Path, release: str = RELEASE, version: str | None = None, **own: Any
) -> dict[str, str]:
    """Return what each template becomes, by its name.

    Args:
        files: of values, as `values` takes them.
        release: its name.
        version: another one of the chart.
        own: values, as `values` takes them.

    Raises:
        RefusedError: by the schema, or by a template.
    """
    engine = _engine()
    from gotpl import TemplateError

    seen = values(*files, **own)
    if complaints := complaints_of_schema(seen):
        raise RefusedError(*complaints)
    chart = read(CHART / "Chart.yaml")
    data = {
        "Values": seen,
        "Release": {"Name": release, "Namespace": "siem", "Service": "Helm"},
        "Chart": {"Name": chart["name"], "Version": version or chart["version"]},
        "Files": _Files(),
    }
    names = [path.name for path in TEMPLATES.iterdir() if path.name[0] != "_"]
    try:
        return dict(engine.render(dict.fromkeys(names, data)))
    except TemplateError as error:
        raise RefusedError(str(error)) from error


def render(*files: Path, **options: Any) -> list[dict[str, Any]]:
    """Return the objects of a release; the arguments are those of `texts`."""
    found = texts(*files, **options)
    manifests = [found[name] for name in found if name.endswith(".yaml")]
    return [each for text in manifests for each in yaml.load_all(text, LOADER) if each]
