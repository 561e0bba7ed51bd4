"""The rules and the dashboard in `deploy/`: sound by themselves, and in step with `/metrics`."""

import json
import re
from collections import Counter
from itertools import combinations

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from collector.exposition import MetricsCollector
from collector.ledger import Ledger
from collector.metrics import Stats
from tests import promql
from tests.calling import call
from tests.peers import require, run
from tests.spools import SharedSpool
from tests.support import ROOT

README = (ROOT / "README.md").read_text()
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "collector.rules.yml"
RULE_TESTS = sorted(PROMETHEUS.glob("*.test.yml"))
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "collector.json").read_text())
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

SAMPLES = {
    "counter": {"_total": ()},
    "gauge": {"": ()},
    "histogram": {"_bucket": ("le",), "_count": (), "_sum": ()},
    "info": {"_info": ()},
}
"""What a family of each type is exported as: suffixes, and labels besides those of the family."""

TEMPLATE_LABELS = re.compile(r"\$labels\.(\w+)")
LEGEND_LABELS = re.compile(r"\{\{(\w+)\}\}")
QUERY_LABELS = re.compile(r"label_values\((.+), (\w+)\)")
COMMANDS = re.compile(r"`collector ([^`]+)`")
SECTIONS = re.compile(r"\(README: ([^)]+)\)")
FIRES = 'label_replace(vector(4711.5), "instance", "a:9514", "", "")'
LOG_LINES = re.compile(r'"([^"]+)"')


def exported():
    """Return the labels of each series that the collector exports, by name; `up` is Prometheus'."""
    stats = Stats(Ledger())
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    families = [
        *MetricsCollector(stats, SharedSpool(1000, {}, stats.ledger)).collect(),
        *registry.collect(),
    ]
    found = {"up": frozenset()}
    for family in families:
        labels = {*family._labelnames, *(name for item in family.samples for name in item.labels)}
        for suffix, more in SAMPLES[family.type].items():
            found[family.name + suffix] = frozenset({*labels, *more})
    return found


EXPORTED = exported()


def rules():
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded():
    """Return the labels of each series, those that rules record included."""
    known = dict(EXPORTED)
    for rule in rules():
        if "record" in rule:
            known[rule["record"]] = promql.result_labels(rule["expr"], known) - promql.TARGET
    return known


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def named(panel):
    return f"{panel['id']}-{panel['title']}"


def plain(expression):
    """Return an expression of the dashboard without Grafana's variables."""
    for variable, value in {"$__rate_interval": "1m", "$__range": "3h"}.items():
        expression = expression.replace(variable, value)
    return re.sub(r"\$\w+", ".+", expression)


def queries():
    """Return every expression of the dashboard and the template of its legend."""
    found = [
        (plain(target["expr"]), target.get("legendFormat", ""))
        for panel in panels()
        for target in panel["targets"]
    ]
    found += [
        (plain(item["expr"]), item["titleFormat"]) for item in DASHBOARD["annotations"]["list"]
    ]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series, label = QUERY_LABELS.fullmatch(variable["query"]["query"]).groups()
            found.append((plain(series), f"{{{{{label}}}}}"))
    return found


# Prometheus' own opinion.


async def test_promtool_accepts_the_rules():
    assert "SUCCESS" in await run(require("promtool"), "check", "rules", str(RULES))


async def test_promtool_accepts_the_settings_with_the_rules_they_name():
    said = await run(require("promtool"), "check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert f"{len(rules())} rules found" in said


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.name)
async def test_the_rules_do_what_their_tests_say(path):
    await run(require("promtool"), "test", "rules", str(path))


async def test_promtool_understands_every_query_of_the_dashboard(tmp_path):
    """As rules, one for each."""
    made = [{"record": f"query:{n}", "expr": expr} for n, (expr, _) in enumerate(queries())]
    file = tmp_path / "dashboard.rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": made}]}))
    said = await run(require("promtool"), "check", "rules", str(file))
    assert f"{len(made)} rules found" in said


# What the following tests can tell.


@pytest.mark.parametrize(
    "expression",
    [
        "collector_gone_total",
        'collector_sink_up{intake="cybereason"}',
        "sum by (intake) (collector_sink_up)",
        "collector_sink_up == 0 and collector_spool_max_bytes",
        "collector_sink_up and on (intake) collector_sink_in_flight",
        "collector_sink_up and ignoring (intake) collector_sink_in_flight",
        "histogram_quantile(0.9, sum by (sink) (rate(collector_sink_request_seconds_bucket[5m])))",
    ],
)
def test_what_is_not_there_is_found(expression):
    with pytest.raises(AssertionError):
        promql.result_labels(expression, EXPORTED)


# Rules.


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_looks_at_what_is_exported(rule):
    promql.result_labels(rule["expr"], recorded())


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_urgent_it_is_and_what_to_do(name):
    alert = ALERTS[name]
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"].keys() == {"runbook", "summary", "description"}
    assert "for" in alert


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_names_labels_that_it_has(name):
    alert = ALERTS[name]
    named = set(TEMPLATE_LABELS.findall(str(alert["annotations"])))
    assert named - promql.result_labels(alert["expr"], recorded()) == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_sends_to_what_there_is(name):
    """Sections of the README, commands with their options, lines of the log."""
    text = ALERTS[name]["annotations"]["description"]
    for section in SECTIONS.findall(text):
        assert re.search(rf"^##+ {section}$", README, re.MULTILINE)
    for command in COMMANDS.findall(text):
        words = re.match(r"[a-z -]+?(?= -|$| [A-Z])", command)[0].split()
        code, lines, _ = call(*words, "--help")
        assert code == 0, command
        for option in re.findall(r"(?<!\S)--?[a-z]+", command):
            assert any(option in line for line in lines), (command, option)
    sources = "".join(path.read_text() for path in (ROOT / "collector").rglob("*.py"))
    for line in LOG_LINES.findall(text):
        assert f'"{line}"' in sources


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_section_of_the_readme_with_more(name):
    file, _, anchor = ALERTS[name]["annotations"]["runbook"].partition("#")
    titles = re.findall(r"^##+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor in {title.lower().replace(" ", "-") for title in titles}


async def test_what_an_alert_says_can_be_made(tmp_path):
    """As promtool shows alerts that fire where none is expected."""
    firing = [{**ALERTS[name], "expr": FIRES, "for": "0m"} for name in ALERTS]
    texts = {"groups": [{"name": "texts", "rules": firing}]}
    looks = [{"eval_time": "1m", "alertname": name, "exp_alerts": []} for name in ALERTS]
    tests = {"rule_files": ["texts.yml"], "tests": [{"interval": "1m", "alert_rule_test": looks}]}
    (tmp_path / "texts.yml").write_text(yaml.safe_dump(texts))
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    said = await run(require("promtool"), "test", "rules", str(tmp_path / "tests.yml"), ends_with=1)
    assert all(f"alertname: {name}," in said for name in ALERTS)
    assert "error expanding template" not in said


def test_each_alert_is_shown_to_fire_and_to_be_silent():
    fires, silent = set(), set()
    for path in RULE_TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for looked in test.get("promql_expr_test", ()):
                if "ALERTS" in looked["expr"] and looked["exp_samples"]:
                    fires.update(re.findall(r'alertname="(\w+)"', looked["expr"]))
            for looked in test.get("alert_rule_test", ()):
                if not looked.get("exp_alerts"):
                    silent.add(looked["alertname"])
    assert fires == ALERTS.keys()
    assert silent == ALERTS.keys()


def test_the_scrape_config_has_the_job_that_rules_look_for():
    (job,) = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    assert job["job_name"] == "collector"
    looked_for = {found for rule in rules() for found in re.findall(r'job="(\w+)"', rule["expr"])}
    assert looked_for == {"collector"}


# The dashboard.


@pytest.mark.parametrize(("expression", "legend"), queries())
def test_a_query_looks_at_what_is_exported(expression, legend):
    """And not at what rules record: the dashboard needs no rules."""
    labels = promql.result_labels(expression, EXPORTED)
    assert set(LEGEND_LABELS.findall(legend)) - labels == set()


def test_the_dashboard_shows_every_metric():
    shown = {name for expression, _ in queries() for name in promql.names(expression)}
    assert {name for name in EXPORTED if name.startswith("collector_")} - shown == set()


def test_panels_have_ids_of_their_own():
    assert max(Counter(panel["id"] for panel in DASHBOARD["panels"]).values()) == 1


@pytest.mark.parametrize("panel", panels(), ids=named)
def test_a_panel_is_explained_and_asks_the_chosen_prometheus(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert panel["targets"]
    assert [panel["datasource"], *(item["datasource"] for item in panel["targets"])] == (
        [DATASOURCE] * (1 + len(panel["targets"]))
    )


def test_panels_do_not_overlap():
    def cells(panel):
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        return {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}

    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert all(x < 24 for panel in DASHBOARD["panels"] for x, _ in cells(panel))


def test_the_variables_are_those_that_queries_use():
    variables = {item["name"]: item for item in DASHBOARD["templating"]["list"]}
    text = json.dumps(DASHBOARD)
    used = set(re.findall(r"\$\{?([a-z]+)\b", text))
    assert used == variables.keys() == {"datasource", "instance", "intake", "sink"}
    assert variables.pop("datasource")["type"] == "datasource"
    assert all(item["datasource"] == DATASOURCE for item in variables.values())


def test_the_dashboard_is_for_grafana_11_and_newer():
    assert DASHBOARD["schemaVersion"] >= 39
    assert not {"id", "uid"} & DASHBOARD.keys()  # Grafana gives them; others' may be taken


def test_the_compose_file_mounts_what_grafana_and_prometheus_are_to_read():
    services = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())["services"]
    provisioning = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "collector.yml").read_text())[
        "providers"
    ]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert "./prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]
    dashboards = provider["options"]["path"]
    assert {
        "./grafana/provisioning:/etc/grafana/provisioning:ro",
        f"./grafana/collector.json:{dashboards}/collector.json:ro",
    } <= set(services["grafana"]["volumes"])
