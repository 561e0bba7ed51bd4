"""What is in `deploy`, taken apart: files with their variables, settings, manifests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from tests.calling import call
from tests.certificates import Authority
from tests.support import FIXTURES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = ROOT / "deploy"
DOCKERFILE = ROOT / "Dockerfile"
KUBERNETES = DEPLOY / "kubernetes"
OLDEST = "1.27"
"""The first version of Kubernetes that the manifests are for."""

VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")

ENVIRONMENT = {
    "NATS_USER": "receiver",
    "SINK_FORMAT": "ndjson",
    "SINK_URL": "https://siem.example/ingest",
}
"""What settings may take from the environment without a text to fall back to."""


def read(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_plain(path: Path) -> Any:
    """Read a file whose variables are as they are by default."""
    return plain(read(path))


def plain(value: Any) -> Any:
    """Put into all texts what their variables are by default."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    is_text = isinstance(value, str)
    return VARIABLE.sub(lambda found: found[2] or "", value) if is_text else value


# Settings.


def ports_of(settings: dict[str, Any]) -> set[tuple[str, int]]:
    """Return transport and port of each listener, and those of the admin server."""
    found = {
        ("UDP" if item["transport"] == "udp" else "TCP", item["port"])
        for item in settings["listeners"]
    }
    return found | {("TCP", settings["admin"]["port"])}


def check(
    path: Path,
    variables: dict[str, str],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *options: str,
) -> None:
    """Have `collector check` read a file, with secrets and an authority in a directory."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"/run/secrets/([\w./-]+)", text):
        secret = directory / name
        secret.parent.mkdir(exist_ok=True)
        if secret.suffix == ".pem":
            shutil.copy(Authority(directory, "authority").ca_file, secret)
        else:
            secret.write_text(secret.name)
    settings = directory / "collector.yaml"
    settings.write_text(text.replace("/run/secrets", str(directory)))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, lines, errors = call("check", "-c", str(settings), *options)
    assert (code, lines) == (0, [f"{settings}: valid"]), errors


# The image, and Docker Compose.


def image_user() -> str:
    """Return user and group that the image runs as."""
    (user,) = re.findall(r"^USER (\d+:\d+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return str(user)


def compose_complaints(path: Path) -> list[str]:
    """Return what the schema of Compose files says against one."""
    schema = json.loads((FIXTURES / "schemas" / "compose-spec.json").read_text())
    validator = jsonschema.Draft201909Validator(schema)
    return [error.message for error in validator.iter_errors(read_plain(path))]


# Kubernetes.


def title(manifest: dict[str, Any]) -> str:
    """Return kind and name of an object."""
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def complaints(manifest: dict[str, Any], version: str | None = None) -> list[str]:
    """Return what the schemas of a version of Kubernetes, the newest, say against an object."""
    library = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    version = version or library.latest_version()
    try:
        library.validate(manifest, version, strict=True)
    except library.ValidationError as error:
        return [error.message]
    return []


def is_built_in(manifest: dict[str, Any]) -> bool:
    """Say whether Kubernetes itself knows this kind of object."""
    return not manifest["apiVersion"].startswith(("monitoring.coreos.com/", "keda.sh/"))


@cache
def build(directory: Path) -> list[dict[str, Any]]:
    """Return the objects that a kustomization stands for, as kubectl or kustomize makes them."""
    command = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
    if not shutil.which(command[0]):
        pytest.skip("needs kubectl or kustomize")
    done = subprocess.run([*command, str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [*yaml.safe_load_all(done.stdout)]


def not_committed(paths: list[str]) -> list[str]:
    """Return those of some paths of the repository that git leaves out."""
    done = subprocess.run(
        ["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 128:
        pytest.skip("needs a clone of git")
    return done.stdout.splitlines()


def assert_confined(service: dict[str, Any]) -> None:
    """See that a service of a Compose file can do no more than it needs."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.keys().isdisjoint({"privileged", "cap_add", "pid", "ipc", "network_mode"})


def named_files(directory: Path) -> set[str]:
    """Return the files and directories that a kustomization names."""
    found = read(directory / "kustomization.yaml")
    named = [*found.get("resources", ()), *found.get("components", ())]
    named += [patch["path"] for patch in found.get("patches", ()) if "path" in patch]
    named += [
        file for maker in found.get("configMapGenerator", ()) for file in maker.get("files", ())
    ]
    return set(named)
