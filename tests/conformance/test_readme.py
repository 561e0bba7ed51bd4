"""The README is in step with the collector: its lists are complete, its settings can be used."""

import re

import pytest
import yaml

from collector import config
from collector.ledger import Ledger
from collector.listeners import reasons
from collector.metrics import MetricsCollector, Stats
from collector.spool.memory import MemorySpool
from tests.support import ROOT

README = (ROOT / "README.md").read_text()
SECTIONS = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
FILES = re.compile(r"/run/secrets/\w+|tls/\w+\.\w+")
LINKS = re.compile(r"\]\(#([a-z-]+)\)")

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
    for block in re.findall(r"^```yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        shown = yaml.safe_load(block)
        if isinstance(shown, list):
            found.append(f"listeners:\n{block}")
        elif "groups" not in shown:  # those are alerts
            found.append(block)
    return found


@pytest.mark.parametrize("shown", settings_shown())
def test_settings_that_are_shown_can_be_used(shown, tmp_path):
    def make(path):
        file = tmp_path / path[0].replace("/", "_")
        file.write_text(file.name)
        return str(file)

    rest = (yaml.safe_dump({name: REST[name]}) for name in REST if f"{name}:" not in shown)
    file = tmp_path / "collector.yaml"
    file.write_text("\n".join([FILES.sub(make, shown), *rest]))
    assert config.load(file)


@pytest.mark.parametrize("reason", reasons.ALL)
def test_each_reason_for_refusing_a_connection_is_explained(reason):
    table = README.partition("### Refused connections")[2].partition("\n## ")[0]
    assert f"`{reason}`" in table


def test_each_metric_is_named():
    stats = Stats(Ledger())
    exported = MetricsCollector(stats, MemorySpool(1000, {}, stats.ledger)).collect()
    names = {family.name for family in exported}
    assert {name for name in names if name not in README} == set()


def test_links_lead_to_sections():
    anchors = {title.lower().replace(" ", "-") for title in SECTIONS.findall(README)}
    assert set(LINKS.findall(README)) - anchors == set()
