"""A vendor is one new module and its line in the registry: a toy one, in a copy of the package."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import collector

MODULE = '''
"""Toy: messages of `key=value;key=value`."""

from collector.parsers.base import ParseError
from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.ecs import INFERRED
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table
from collector.parsers.vendor import Decoded, Vendor


def _decode(raw: str) -> Decoded:
    pairs = [pair.partition("=") for pair in raw.split(";")]
    if not all(separator for _, separator, _ in pairs):
        raise ParseError("not_toy", "not a toy message")
    return raw, {key: value for key, _, value in pairs}, ()


VENDOR = Vendor(
    Table(
        "toy",
        (
            Rule("message", WHOLE_INPUT),
            Rule("host.hostname", "machine"),
            Rule("process.pid", "pid", long),
            Rule("event.kind", constant="alert", when=equals("kind", "alarm")),
        ),
        INFERRED,
        flat=True,
    ),
    _decode,
    families=("kind",),
)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Copy the package and add the vendor to it."""
    directory = tmp_path_factory.mktemp("project")
    package = directory / "collector"
    shutil.copytree(
        Path(collector.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "parsers" / "toy.py").write_text(MODULE)
    registry = package / "parsers" / "__init__.py"
    text = registry.read_text()
    text = text.replace(
        "import cybereason, harfanglab, raw", "import cybereason, harfanglab, raw, toy"
    )
    text = text.replace('"raw": raw.VENDOR,', '"raw": raw.VENDOR,\n        "toy": toy.VENDOR,')
    assert text.count("toy") == 3
    registry.write_text(text)
    return directory


@pytest.fixture
def run(project):
    """Run a command of the copy."""

    def run(*arguments, stdin=""):
        done = subprocess.run(
            [sys.executable, "-m", "collector", *arguments],
            input=stdin,
            cwd=project,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_its_messages_are_parsed(run):
    """With the inferred fields of every vendor."""
    event = json.loads(run("parse", "--parser", "toy", stdin="machine=m;pid=7;kind=alarm\n"))
    assert event == {
        "message": "machine=m;pid=7;kind=alarm",
        "host": {"hostname": "m", "name": "m"},
        "process": {"pid": 7},
        "event": {"kind": "alert"},
        "related": {"hosts": ["m"]},
    }


def test_its_fields_are_listed_and_explained(run):
    """From the same table."""
    listed = {
        field["name"]: field
        for field in json.loads(run("fields", "--parser", "toy", "--format", "json"))
    }
    assert listed["process.pid"]["type"] == "long"
    assert "kind=alarm" in listed["event.kind"]["condition"]
    explained = run("explain", "--parser", "toy", stdin="machine=m;colour=red")
    assert "host.hostname" in explained
    assert "colour" in explained


def test_it_can_be_configured(run, project):
    """And the schema names it."""
    settings = project / "collector.yaml"
    settings.write_text(
        "listeners: [{name: a, transport: udp, port: 0, host: 127.0.0.1}]\n"
        "intakes: [{name: toys, parser: toy, key: some-long-secret-key}]\n"
        "sinks: [{name: s, url: 'inbox:'}]\n"
    )
    assert "valid" in run("check", "-c", str(settings))
    assert '"toy"' in run("schema")


def test_what_is_new_in_its_messages_is_found(project):
    """Fields, types and kinds of messages that its table does not know."""
    program = (
        "from collector.parsers import PARSERS\n"
        "from collector.parsers.vocabulary import Vocabulary\n"
        "text, fields, _ = PARSERS['toy'].decode('machine=m;pid=many;kind=other;colour=red')\n"
        "print(sorted(f'{f.kind} {f.field}' for f in Vocabulary(PARSERS['toy']).examine(fields)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "['family kind=other', 'field colour', 'type pid']", done.stderr
