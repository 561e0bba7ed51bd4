"""The README is in step with the collector: its lists are complete, its settings can be used."""

import re

import pytest
import yaml

from collector.exposition import MetricsCollector
from collector.ledger import Ledger
from collector.listeners import reasons
from collector.metrics import Stats
from tests.calling import call
from tests.certificates import Authority
from tests.guides import (
    COMMAND,
    blocks,
    broken_links,
    calls,
    calls_of,
    mentions,
    problem_of,
    text_of,
)
from tests.spools import SharedSpool
from tests.support import ROOT

README = ROOT / "README.md"
TEXT = README.read_text()
# Those of `deploy/guides` have tests of their own.
GUIDES = [
    README,
    *sorted((ROOT / "tests").glob("*/README.md")),
    *sorted(ROOT.glob("deploy/**/*.md")),
]
GUIDES = [path for path in GUIDES if path.parent.name != "guides"]

FILES = re.compile(r"/run/secrets/\w+|tls/\w+\.\w+|(?<=_file: )\w+")
ROUTE = re.compile(r'web\.(get|post)\("(/\w[^"]*)"')
LOGGED = re.compile(r"`([^`]+)`")

# Those that commands read, which are yours.
READ = ("ca.pem", "me.pem", "me-key.pem", "intakes.yaml")
READ += ("tls/ca.pem", "tls/client.pem", "tls/client.key")

# What an example leaves out.
REST = {
    "listeners": [{"name": "syslog", "transport": "udp", "port": 5514}],
    "intakes": [
        {"name": "cybereason", "parser": "cybereason", "key": "one"},
        {"name": "harfanglab", "parser": "harfanglab", "key": "another"},
    ],
    "sinks": [{"name": "inbox", "url": "inbox:"}],
}


def settings_shown():
    """Return the examples of settings; one that is a list is of listeners."""
    found = []
    for block in blocks(README, "yaml"):
        shown = yaml.safe_load(block.text)
        if isinstance(shown, list):
            found.append(f"listeners:\n{block.text}")
        elif not shown.keys() & {"groups", "rule_files", "scrape_configs"}:  # Prometheus' own
            found.append(block.text)
    return found


def section(title):
    """Return the text under a heading, without what has headings of its own."""
    return re.split(r"\n##+ ", text_of(README, title), maxsplit=1)[0]


@pytest.mark.parametrize("shown", settings_shown())
def test_settings_that_are_shown_can_be_used(shown, tmp_path):
    authority = Authority(tmp_path)
    issued = authority.server()

    def make(path):
        if path[0] == "tls/ca.pem":
            return str(authority.ca_file)
        if path[0].startswith("tls/"):
            return str(issued.key_file if path[0].endswith(".key") else issued.cert_file)
        file = tmp_path / path[0].replace("/", "_")
        file.write_text(file.name)
        return str(file)

    rest = (yaml.safe_dump({name: REST[name]}) for name in REST if f"{name}:" not in shown)
    file = tmp_path / "collector.yaml"
    file.write_text("\n".join([FILES.sub(make, shown), *rest]))
    code, lines, _ = call("check", "-c", str(file))
    assert (code, lines[-1]) == (0, f"{file}: valid"), lines


def commands(group=None):
    """Yield each command, as the words that call it."""
    for name, command in (group or COMMAND).commands.items():
        if hasattr(command, "commands"):
            yield from (f"{name} {inner}" for inner in commands(command))
        else:
            yield name


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_commands_that_are_shown_can_be_given(guide, tmp_path, monkeypatch):
    """With the values that their options take; what stands in the text may be a part of one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "collector").symlink_to(ROOT / "collector")
    (tmp_path / "tls").mkdir()
    for name in READ:
        (tmp_path / name).touch()
    pasted = [[word.replace("$parser", "cybereason") for word in words] for words in calls(guide)]
    problems = [(words, problem_of(words)) for words in pasted]
    problems += [
        (words, problem_of(words, is_whole=False)) for words in mentions(guide.read_text())
    ]
    assert [(words, problem) for words, problem in problems if problem] == []


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("sudo -u collector collector chek -c a.yaml", "no command chek"),
        ("docker compose exec -T collector collector spool empty", "no command empty"),
        ("kubectl -n edr exec collector-0 -- collector spool", "is no command alone"),
        ("A=1 .venv/bin/collector check -c a.yaml --strict  # really", "No such option: --strict"),
        ("(umask 077; collector import-intakes a.yaml b.yaml > c)", "extra argument(s) (b.yaml)"),
        ("key=$(collector send --to)", "Option '--to' requires an argument"),
        ('echo "$(collector check)"', "Missing parameter: config"),
        (
            "true | collector cef <<'END' && collector header --all\ncollector\nEND",
            "No such option: --all",
        ),
        ("docker compose kill -s HUP collector; systemctl reload collector", None),
    ],
)
def test_a_command_that_cannot_be_given_is_found(script, problem, tmp_path, monkeypatch):
    monkeypatch.delenv("COLLECTOR_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").touch()
    found = next(filter(None, map(problem_of, calls_of(script))), None)
    assert found is None if problem is None else problem in found


def test_each_command_is_in_the_list():
    table = section("Command line")
    listed = {" ".join(words) for words in mentions(table)}
    assert [name for name in commands() if not any(_begins(words, name) for words in listed)] == []


def _begins(words, name):
    return f"{words} ".startswith(f"{name} ")


def test_each_path_of_the_admin_server_is_named():
    source = (ROOT / "collector" / "admin" / "server.py").read_text()
    routes = {path for _, path in ROUTE.findall(source)}
    assert len(routes) > 8
    own = {"/inbox"}  # the daemon posts to itself
    assert {path for path in routes - own if f"{path}`" not in TEXT} == set()


def test_lines_of_the_log_that_are_explained_are_written():
    """Word for word, though the code may break them, and so is what the page says."""
    paths = [path for kind in ("py", "js") for path in ROOT.glob(f"collector/**/*.{kind}")]
    literals = re.sub(r'"\s+f?"', "", "".join(path.read_text() for path in paths))
    table = re.findall(r"^\|.+", section("Troubleshooting"), re.MULTILINE)
    symptoms = [row.split(" | ")[0] for row in table]
    ours = [text for row in symptoms if "rsyslog" not in row for text in LOGGED.findall(row)]
    lines = [part.strip() for text in ours for part in text.split("…") if part.count(" ") > 1]
    assert len(lines) > 20
    assert [line for line in lines if line not in literals] == []


@pytest.mark.parametrize("reason", reasons.ALL)
def test_each_reason_for_refusing_a_connection_is_explained(reason):
    assert f"`{reason}`" in section("Refused connections")


def test_each_metric_is_named():
    stats = Stats(Ledger())
    exported = MetricsCollector(stats, SharedSpool(1000, {}, stats.ledger)).collect()
    names = {family.name for family in exported}
    assert {name for name in names if name not in TEXT} == set()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_links_lead_somewhere(guide):
    assert broken_links(guide) == []
