"""The guides of `deploy/guides`: their settings can be used, and what they name is there."""

import re
import shlex
import subprocess

import pytest

from collector.exposition import MetricsCollector
from collector.ledger import Ledger
from collector.metrics import Stats
from tests import guides
from tests.calling import call
from tests.guides import (
    GUIDES,
    INDEX,
    SECRETS,
    blocks,
    broken_links,
    calls,
    configurations,
    files,
    links,
    make_secrets,
    mentions,
    problem_of,
    usable,
    with_own_spool,
)
from tests.spools import SharedSpool
from tests.support import ROOT

EVERY = sorted(GUIDES.glob("*.md"))

WITHOUT_SETTINGS = {INDEX.name, "troubleshooting.md", "upgrade.md"}
"""Those that are about the settings one has."""

METRICS = re.compile(r"(?<!:)\bcollector_[a-z_]+\b")
ALERTS = re.compile(r"`(Collector[A-Z]\w+)`")
SUFFIXES = ("", "_total", "_bucket", "_count", "_sum", "_info")


def names(paths):
    return [path.name for path in paths]


@pytest.fixture(params=EVERY, ids=names(EVERY))
def guide(request):
    return request.param


# Settings.


@pytest.mark.parametrize(
    ("guide", "number"),
    [
        pytest.param(guide, number, id=f"{guide.stem}-{number}")
        for guide in EVERY
        for number, _ in enumerate(configurations(guide))
    ],
)
def test_a_configuration_can_be_used_and_nothing_is_to_be_said_of_it(guide, number, tmp_path):
    """By who has the secrets and certificates that it names."""
    settings = tmp_path / "collector.yaml"
    settings.write_text(usable(configurations(guide)[number], tmp_path))
    code, lines, errors = call("check", "-c", str(settings))
    assert (code, lines) == (0, [f"{settings}: valid"]), errors


@pytest.mark.parametrize("guide", EVERY, ids=names(EVERY))
def test_it_can_be_used_in_a_container_with_what_the_index_adds(guide, tmp_path):
    (added,) = blocks(INDEX, "yaml")
    for shown in configurations(guide):
        settings = tmp_path / "collector.yaml"
        settings.write_text(usable(f"{shown}\n{added.text}", tmp_path))
        assert call("check", "-c", str(settings))[:2] == (0, [f"{settings}: valid"])


def test_it_can_be_used_where_systemd_hands_over_the_secrets(guide, tmp_path, monkeypatch):
    """With the command of the index, which puts a variable in place of the directory."""
    (sed,) = re.findall(
        r"^(sed .+) /etc/collector/collector.yaml$", INDEX.read_text(), re.MULTILINE
    )
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for shown in configurations(guide):
        make_secrets(shown, tmp_path)
        settings = tmp_path / "collector.yaml"
        settings.write_text(with_own_spool(shown, tmp_path))
        subprocess.run([*shlex.split(sed), str(settings)], check=True)
        assert SECRETS not in settings.read_text()
        code, lines, errors = call("check", "-c", str(settings))
        assert (code, lines) == (0, [f"{settings}: valid"]), errors


def test_a_guide_shows_a_whole_configuration(guide):
    assert bool(configurations(guide)) == (guide.name not in WITHOUT_SETTINGS)


def test_no_block_of_settings_is_left_unchecked(guide):
    """Each is a configuration, or the file that one is made of; the index has a part of one."""
    others = {block.file for block in blocks(guide, "yaml")} - {"collector.yaml"}
    allowed = {INDEX.name: {""}, "sekoia-forwarder.md": {"intakes.yaml"}}
    assert others == allowed.get(guide.name, set())


def test_the_imported_file_becomes_what_the_guide_shows(tmp_path, monkeypatch):
    """By the command of the guide, octet by octet."""
    guide = GUIDES / "sekoia-forwarder.md"
    (intakes,) = (block for block in blocks(guide, "yaml") if block.file == "intakes.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "intakes.yaml").write_text(intakes.text)
    (words,) = (words for words in calls(guide) if words[:2] == ["import-intakes", "intakes.yaml"])
    code, lines, _ = call(*words)
    (shown,) = configurations(guide)
    assert (code, lines) == (0, shown.splitlines())


# What is pasted.


def test_what_is_pasted_is_understood_by_a_shell(guide):
    for block in blocks(guide, "sh"):
        done = subprocess.run(
            ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), block.text


def test_each_call_of_the_collector_is_one_that_it_understands(guide, tmp_path, monkeypatch):
    """Its commands, their options, and the values that these take."""
    monkeypatch.chdir(tmp_path)
    for name in ("ca.pem", "payload.cef", "payload.json"):
        (tmp_path / name).touch()
    found = [*calls(guide), *mentions(guide.read_text())]
    put = [[word.replace(SECRETS, str(tmp_path)) for word in words] for words in found]
    assert [(words, said) for words in put if (said := problem_of(words))] == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("check -c a.yaml --strict", "--strict"),
        ("spool empty", "collector spool has no command empty"),
        ("spool", "collector spool is no command alone"),
        ("send --transport carrier-pigeon", "carrier-pigeon"),
        ("dead-letters replay --since", "--since"),
        ("check", "Missing parameter: config"),
        ("send missing-file", "missing-file"),
        ("import-intakes a b", "b"),
        ("nothing", "collector has no command nothing"),
        ("", "collector is no command alone"),
    ],
)
def test_a_call_that_is_wrong_is_found(wrong, said, monkeypatch):
    monkeypatch.delenv("COLLECTOR_CONFIG", raising=False)
    assert said in (problem_of(shlex.split(wrong)) or "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("check", None),
        ("parse --parser P FILE", None),
        ("send -h", None),
        ("import-intakes --strict", "--strict"),
        ("import-intakes a b", "there is no place for b"),
        ("dead-letters replay --since", "--since"),
        ("spool", None),
    ],
)
def test_of_a_call_in_part_its_words_are_looked_at(words, said):
    """What it requires may be missing, and what stands for a value need be none."""
    problem = problem_of(words.split(), is_whole=False)
    assert problem is None if said is None else said in problem


def test_calls_are_found_in_whatever_runs_them(tmp_path):
    text = """```sh
(umask 077; .venv/bin/collector parse --parser raw \\
  a.cef > b.json)
runuser -u collector -- /opt/collector/bin/collector check -c a
runuser -u collector -- /opt/collector/bin/python3 -m collector check -c b
docker compose run --rm --no-deps collector spool drain   # Docker
docker run --rm --user "$(id -u)" -v "$PWD:/work:ro" collector import-intakes /work/a
docker tag collector collector:before && systemctl restart collector
journalctl -fu collector
timeout 5 collector top
printf 'x
y' | collector cef; true # collector run
collector() { collector header "$@"; }
collector() { docker compose exec collector collector "$@"; }
```
"""
    guide = tmp_path / "guide.md"
    guide.write_text(text)
    assert calls(guide) == [
        ["parse", "--parser", "raw", "a.cef"],
        ["check", "-c", "a"],
        ["check", "-c", "b"],
        ["spool", "drain"],
        ["import-intakes", "/work/a"],
        ["top"],
        ["cef"],
        ["header"],
    ]


@pytest.mark.parametrize("path", ["deploy/docker-compose.yml", "deploy/sysctl.d/90-collector.conf"])
def test_files_that_commands_name_are_there(path):
    """As seen from the clone's directory."""
    named = {
        word
        for guide in EVERY
        for block in blocks(guide, "sh")
        for word in re.findall(r"(?<![\w/])deploy/[\w./-]+\.(?:yml|conf)\b", block.text)
    }
    assert path in named
    assert {word for word in named if not (ROOT / word).is_file()} == set()


def test_the_sum_of_the_disk_is_what_its_command_prints():
    """Of the example, with the figure of the measured table."""
    guide = (GUIDES / "capacity.md").read_text()
    (program,) = (b.text for b in blocks(GUIDES / "capacity.md", "sh") if b.text.startswith("awk"))
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert f"`{done.stdout.strip()}`" in guide
    (octets,) = re.findall(r"-v octets=(\d+)", program)
    table = (ROOT / "deploy" / "sizing.md").read_text()
    row, *_ = re.findall(r"^\| 100 \|(.+)\|$", table, re.MULTILINE)
    assert row.split("|")[3].strip() == octets
    (bound,) = re.findall(r"spool.max_bytes: (\w+)", done.stdout)
    assert f"max_bytes: {bound}" in configurations(GUIDES / "capacity.md")[0]


# What is named.


def test_links_lead_somewhere(guide):
    """Files, directories and sections of this repository."""
    assert broken_links(guide) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path, monkeypatch):
    """So is one out of the repository."""
    monkeypatch.setattr(guides, "ROOT", tmp_path)
    guide = tmp_path / "guide.md"
    guide.write_text(
        "# Some title, here\n[a](#some-title-here) [b](#another) [c](none.md) [d](/etc/hostname) "
        "[e](https://site.example/) [f](guide.md#x)\n```\n[g](nothing)\n```\n"
    )
    assert broken_links(guide) == ["#another", "none.md", "/etc/hostname", "guide.md#x"]


def test_the_index_has_every_guide():
    assert {path.name for path in EVERY} - {INDEX.name} <= set(links(INDEX))


def exported():
    """Return the names of all series."""
    stats = Stats(Ledger())
    families = MetricsCollector(stats, SharedSpool(1000, {}, stats.ledger)).collect()
    return {family.name + suffix for family in families for suffix in SUFFIXES}


def test_metrics_are_exported(guide):
    named = {name for name in METRICS.findall(guide.read_text()) if not name.endswith("_")}
    assert named - exported() == set()


def test_metrics_of_a_pattern_are_exported(guide):
    """Those that grep is told to look for."""
    texts = (block.text for block in blocks(guide, "sh"))
    patterns = (found for text in texts for found in re.findall(r"grep (?:-E )?'\^(.+?)'", text))
    assert {name for pattern in patterns for name in spread(pattern)} - exported() == set()


def spread(pattern):
    """Return what a pattern with one group of alternatives matches."""
    before, has_group, rest = pattern.partition("(")
    inner, _, after = rest.partition(")")
    return [f"{before}{word}{after}" for word in inner.split("|")] if has_group else [before]


def test_alerts_are_those_of_the_rules(guide):
    rules = (ROOT / "deploy" / "prometheus" / "collector.rules.yml").read_text()
    known = set(re.findall(r"alert: (\w+)", rules))
    assert set(ALERTS.findall(guide.read_text())) - known == set()


def test_files_of_rsyslog_are_shown_whole():
    """Each that one is told to install or to choose is shown."""
    shown = {file for guide in EVERY for file in files(guide, "conf")}
    assert shown == {
        "10-edr.conf",
        "20-edr-relp.conf",
        "20-edr-tcp.conf",
        "20-edr-tls.conf",
        "20-edr-both.conf",
    }
