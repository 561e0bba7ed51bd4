"""What `deploy` has for Elasticsearch and Splunk: in step with the events that they get."""

import configparser
import json
import re
from datetime import datetime
from fnmatch import fnmatchcase

import pytest
import yaml

from collector import samples
from collector.config import ListenerSettings, SinkSettings
from collector.describe.fields import list_fields
from collector.parsers import PARSERS, PROFILES, build
from collector.parsers.convert import utc_text
from collector.sinks.formats.data_streams import index_name
from tests.calling import call
from tests.elastic import (
    ELASTIC,
    component,
    components,
    index_template,
    load,
    mapped,
    mapping,
    misfits,
)
from tests.support import ROOT

SPLUNK = ROOT / "deploy" / "splunk"
APP = SPLUNK / "TA-collector"
VENDORS = ("cybereason", "harfanglab")


# Elasticsearch.


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_fields_of_a_vendor_are_written_by_the_command(vendor):
    command = ["fields", "--parser", vendor, "--profile", "ecs", "--format", "elasticsearch"]
    code, lines, _ = call(*command)
    path = ELASTIC / "component-templates" / f"collector-{vendor}.json"
    assert code == 0
    assert path.read_text(encoding="utf-8").splitlines() == lines, (
        f"run: collector {' '.join(command)} > {path.relative_to(ROOT)}"
    )


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_data_stream_has_its_template(vendor):
    """Under the name that the sink gives it by default, whatever the namespace."""
    (pattern,) = index_template(vendor)["index_patterns"]
    default = SinkSettings.model_fields["index"].default
    assert fnmatchcase(index_name(default, vendor, {}), pattern)
    paris = {"data_stream": {"namespace": "paris"}}
    assert fnmatchcase(index_name("logs-edr.{intake}-{namespace}", vendor, paris), pattern)
    assert not any(
        fnmatchcase(index_name(default, other, {}), pattern) for other in {*VENDORS} - {vendor}
    )


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_template_is_for_data_streams_and_before_those_of_elasticsearch(vendor):
    """The one for `logs-*-*` has priority 100."""
    template = index_template(vendor)
    assert template["data_stream"] == {}
    assert template["priority"] > 100
    assert components(vendor) == [f"collector-{vendor}", "collector"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_components_agree_on_what_is_an_object(vendor):
    """A name that is a field in one is no object in the other."""
    fields = mapping(vendor)
    parents = {name[:dot] for name in fields for dot in _dots(name)}
    assert parents & fields.keys() == set()


def _dots(name):
    return [found.start() for found in re.finditer(r"\.", name)]


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_original_is_an_alias_of_the_message(vendor):
    """In one component, as each is looked at alone when it is put; no event writes it."""
    alias = mapping(vendor)["event.original"]
    assert alias == {"type": "alias", "path": "message"}
    alone = dict(mapped(component("collector")["template"]["mappings"]["properties"]))
    assert alone[alias["path"]] == mapping(vendor)["message"]
    assert "event.original" not in {field.name for field in list_fields(PARSERS[vendor], "ecs")}


def test_what_can_have_any_name_is_one_field():
    assert mapping("harfanglab")["action.properties"]["type"] == "flattened"


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_field_of_an_event_is_mapped(vendor):
    """None has to be guessed by Elasticsearch, and each takes its value."""
    fields = mapping(vendor)
    parse = build(vendor, profile="ecs")
    for sample in samples.load(vendor):
        assert misfits(parse(sample.raw), fields) == {}, sample.name


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_index_has_room_for_its_fields(vendor):
    """Objects count as fields too; Elasticsearch allows 1,000 where nothing else is said."""
    names = mapping(vendor).keys()
    parents = {name[:dot] for name in names for dot in _dots(name)}
    assert len(names) + len(parents) < 1000 / 2


def test_texts_that_look_like_dates_stay_texts():
    """The first value of a field of one's own does not decide which are refused later."""
    assert component("collector")["template"]["mappings"]["date_detection"] is False


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_data_stream_is_the_same_in_each_event_of_an_index(vendor):
    fields = mapping(vendor)
    kinds = {fields[f"data_stream.{part}"]["type"] for part in ("type", "dataset", "namespace")}
    assert kinds == {"constant_keyword"}


def test_events_go_through_the_pipeline():
    """It has the name that the settings of the index say, and sets `event.ingested` first."""
    settings = component("collector")["template"]["settings"]["index"]
    first, *_ = load("ingest-pipelines", f"{settings['default_pipeline']}.json")["processors"]
    assert first == {"set": {"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}}
    assert mapping("harfanglab")["event.ingested"] == {"type": "date"}


def test_an_event_that_a_pipeline_fails_on_is_kept():
    """It says so, and why; without `on_failure` Elasticsearch would refuse it."""
    first, second = load("ingest-pipelines", "collector.json")["on_failure"]
    assert (first["append"]["field"], first["append"]["value"]) == ("tags", "ingest:failed")
    assert second["append"]["field"] == "error.message"
    assert "{{{_ingest.on_failure_message}}}" in second["append"]["value"]
    for vendor in VENDORS:
        assert {mapping(vendor)[each["append"]["field"]]["type"] for each in (first, second)} == {
            "keyword",
            "match_only_text",
        }


def test_the_guide_puts_each_file_and_those_that_are_named_first():
    guide = (ELASTIC / "README.md").read_text(encoding="utf-8")
    put = re.findall(r"^put (\S+) +(\S+)$", guide, re.MULTILINE)
    kinds = {
        "_ingest/pipeline": "ingest-pipelines",
        "_component_template": "component-templates",
        "_index_template": "index-templates",
    }
    for target, path in put:
        kind, _, name = target.rpartition("/")
        assert path == f"{kinds[kind]}/{name}.json"
    files = {str(path.relative_to(ELASTIC)) for path in ELASTIC.rglob("*.json")}
    assert {path for _, path in put} == files
    order = [path.partition("/")[0] for _, path in put]
    assert order == sorted(order, key=[*kinds.values()].index)


# Splunk.


def conf(path):
    """Read a configuration file of Splunk, where a name keeps its case and `#` begins a line."""
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True
    )
    parser.optionxform = str
    parser.read_string(path.read_text(encoding="utf-8"))
    return {name: dict(parser[name]) for name in parser.sections()}


PROPS = conf(APP / "default" / "props.conf")
LIMITS = conf(APP / "default" / "limits.conf")


def stanza(vendor):
    template = SinkSettings.model_fields["splunk"].default.sourcetype
    return PROPS[template.replace("{intake}", vendor)]


def aliases(vendor):
    """Yield the field of our events and its alias."""
    for name, value in stanza(vendor).items():
        if name.startswith("FIELDALIAS-"):
            yield re.fullmatch(r'"([\w.]+)" AS (\w+)', value).groups()


def test_each_vendor_has_its_source_type():
    """Under the name that the sink gives it by default."""
    assert len(PROPS) == len(VENDORS)
    for vendor in VENDORS:
        assert stanza(vendor)


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_event_is_one_line_of_json(vendor):
    """Never read as JSON twice, as it would be with INDEXED_EXTRACTIONS too."""
    settings = stanza(vendor)
    assert settings["KV_MODE"] == "json"
    assert settings["SHOULD_LINEMERGE"] == "false"
    assert settings["LINE_BREAKER"] == r"([\r\n]+)"
    assert "INDEXED_EXTRACTIONS" not in settings


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_event_of_the_largest_message_is_not_cut(vendor):
    """Even where `message` and fields take six octets for each of it, as `\\u0001` does."""
    largest = ListenerSettings.model_fields["max_message_bytes"].default
    assert int(stanza(vendor)["TRUNCATE"]) >= 2 * 6 * largest


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("micros", [0, 837000, 123456])
def test_the_time_of_an_event_is_found(vendor, micros):
    """By a reading of the settings with Python's words for Splunk's."""
    settings = stanza(vendor)
    moment = datetime(2026, 1, 2, 3, 4, 5, micros)  # noqa: DTZ001 - in UTC, as TZ says
    hostile = json.dumps('"@timestamp":"2001-01-01T00:00:00.000000Z"')
    line = f'{{"message":{hostile},"@timestamp":"{utc_text(moment)}","host":{{}}}}'
    found = re.search(settings["TIME_PREFIX"], line)
    text = line[found.end() :][: int(settings["MAX_TIMESTAMP_LOOKAHEAD"])]
    assert datetime.strptime(text, settings["TIME_FORMAT"].replace("%6N", "%f")) == moment  # noqa: DTZ007
    assert settings["TZ"] == "UTC"


@pytest.mark.parametrize("vendor", VENDORS)
def test_aliases_are_of_fields_that_both_profiles_have(vendor):
    """And no alias is there twice."""
    found = [*aliases(vendor)]
    for profile in PROFILES:
        names = {field.name for field in list_fields(PARSERS[vendor], profile)}
        assert {name for name, _ in found} <= names
    assert len({alias for _, alias in found}) == len(found)


def test_as_many_fields_are_found_as_an_event_can_have():
    """Splunk finds 100 in an event where nothing else is said."""
    limit = int(LIMITS["kv"]["limit"])
    for vendor in VENDORS:
        assert 2 * len(list_fields(PARSERS[vendor], "documented")) < limit


def test_every_field_of_an_event_is_looked_for():
    """Events are longer than what Splunk reads of them by default: 5,000 octets."""
    cutoff = int(LIMITS["spath"]["extraction_cutoff"])
    assert cutoff == int(LIMITS["kv"]["maxchars"])
    sizes = [
        len(json.dumps(build(vendor, profile="ecs")(sample.raw)))
        for vendor in VENDORS
        for sample in samples.load(vendor)
    ]
    assert 5000 < max(sizes) < cutoff


@pytest.mark.parametrize("path", sorted(APP.rglob("*.conf")), ids=lambda path: path.name)
def test_a_file_of_the_app_can_be_read(path):
    assert all(conf(path).values())


def test_the_app_is_named_after_its_directory():
    assert conf(APP / "default" / "app.conf")["package"]["id"] == APP.name


@pytest.mark.parametrize("directory", [ELASTIC, SPLUNK], ids=lambda path: path.name)
def test_the_settings_name_the_intakes_after_the_vendors(directory):
    """As data streams and source types have it."""
    settings = yaml.safe_load((directory / "collector.yaml").read_text(encoding="utf-8"))
    assert [(item["name"], item["parser"]) for item in settings["intakes"]] == [
        (vendor, vendor) for vendor in VENDORS
    ]
