"""What formats ask of the settings of sinks and intakes."""

import pytest
import yaml

from collector.config import ConfigError, parse, warnings
from collector.settings.sink_relations import (
    Defaults,
    fitting_format,
    fitting_url,
    keyed_intakes,
    usable_indices,
)

LISTENER = {"name": "l", "transport": "tcp", "port": 5514}
INTAKE = {"name": "edr", "parser": "cybereason", "profile": "ecs", "key": "k"}
SINK = {"name": "siem", "url": "https://siem.example"}
DEFAULTS = Defaults("ndjson", "logs-edr.{intake}-default", "all")


def read(sink, *intakes, sinks=()):
    tree = {
        "listeners": [LISTENER],
        "intakes": [INTAKE | intake for intake in intakes or ({},)],
        "sinks": [SINK | sink, *sinks],
    }
    return parse(yaml.safe_dump(tree), source="c.yaml", environ={})


def told(sink, *intakes, sinks=()):
    """Return what is wrong, the file's name left out."""
    try:
        read(sink, *intakes, sinks=sinks)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def warned(sink, *intakes):
    return [str(problem) for problem in warnings(read(sink, *intakes))]


@pytest.mark.parametrize(
    "sink",
    [
        {"payload": "raw", "compression": "zstd"},
        {"format": "json", "payload": "event", "compression": "zstd"},
        {"format": "elasticsearch", "payload": "event", "index": "logs-{dataset}-{namespace}"},
        {"format": "splunk_hec", "payload": "raw", "splunk": {"index": "i"}},
        {"format": "sekoia"},
        {"format": "sekoia", "payload": "raw", "compression": "none"},
        {"url": "inbox:", "payload": "event", "compression": "none"},
    ],
)
def test_what_goes_together_is_accepted(sink):
    """Raw is what Sekoia.io gets in any case."""
    assert told(sink) == []


@pytest.mark.parametrize(
    ("sink", "problem"),
    [
        (
            {"format": "json", "payload": "raw"},
            "payload: raw does not go with format: json; accepted: event",
        ),
        (
            {"format": "elasticsearch", "payload": "raw"},
            "payload: raw does not go with format: elasticsearch; accepted: event",
        ),
        (
            {"format": "sekoia", "payload": "event"},
            "payload: event does not go with format: sekoia; accepted: raw",
        ),
        (
            {"format": "splunk_hec", "compression": "zstd"},
            "compression: zstd does not go with format: splunk_hec; accepted: none, gzip",
        ),
        (
            {"format": "elasticsearch", "compression": "zstd"},
            "compression: zstd does not go with format: elasticsearch; accepted: none, gzip",
        ),
        (
            {"format": "sekoia", "compression": "zstd"},
            "compression: zstd does not go with format: sekoia; accepted: none, gzip",
        ),
        (
            {"index": "edr"},
            "index: not a setting of format ndjson; accepted with format: elasticsearch",
        ),
        (
            {"format": "elasticsearch", "splunk": {"index": "edr"}},
            "splunk: not a setting of format elasticsearch; accepted with format: splunk_hec",
        ),
        (
            {"url": "inbox:", "format": "json"},
            "format: json does not go with url: inbox:; accepted: ndjson",
        ),
        (
            {"url": "inbox:", "payload": "raw"},
            "payload: raw does not go with url: inbox:; accepted: event",
        ),
        (
            {"url": "inbox:", "compression": "zstd"},
            "compression: zstd does not go with url: inbox:; accepted: none, gzip",
        ),
    ],
)
def test_what_does_not_go_with_a_format_is_told_with_what_does(sink, problem):
    """One line for one mistake."""
    assert told(sink) == [f"sinks[0].{problem}"]


@pytest.mark.parametrize(
    ("sink", "intake", "problem"),
    [
        ({}, {"name": "EDR"}, "'logs-edr.EDR-default', that of intake 'EDR', is not in lower case"),
        ({"index": "_{intake}"}, {}, "'_edr', that of intake 'edr', begins with '_'"),
        ({"index": "a b"}, {}, "'a b', that of intake 'edr', holds ' '"),
        (
            {"index": "{dataset}"},
            {"fields": {"data_stream.dataset": "a/b"}},
            "'a/b', that of intake 'edr', holds '/'",
        ),
    ],
)
def test_an_index_that_cannot_be_is_told_by_sink_and_intake(sink, intake, problem):
    """Before Elasticsearch refuses every event."""
    (line,) = told({"format": "elasticsearch", **sink}, intake)
    assert line.startswith(f"sinks[0].index: {problem}; accepted: at most 255 octets ")


def test_an_index_is_asked_of_the_intakes_that_go_to_the_sink():
    """Others may have any name."""
    other = SINK | {"name": "other"}
    sink = {"format": "elasticsearch"}
    upper = {"name": "EDR", "key": "e"}
    assert told(sink, upper | {"sinks": ["other"]}, {"sinks": "siem"}, sinks=[other]) == []
    assert len(told(sink, upper | {"sinks": ["other", "siem"]}, sinks=[other])) == 1


def test_an_intake_without_a_key_cannot_go_to_sekoia(tmp_path):
    """That platform knows events by the key alone."""
    file = tmp_path / "key"
    file.write_text("f")
    keyless = {"name": "a", "key": None, "sources": "10.0.0.0/8"}
    assert told({"format": "sekoia"}, keyless, {"key": None, "key_file": str(file)}) == [
        (
            "intakes[0]: has no key, and sink 'siem' (sekoia) sends by key; "
            "accepted: a key or a key_file"
        )
    ]


# Values of every wrong kind, in the place of sections, entries and settings.
ODD = [None, 5, "text", [], [[]], {}, {"a": 1}, [5, None, "text"], [{"name": {}, "port": []}]]


@pytest.mark.parametrize("form", ["ndjson", "elasticsearch", "sekoia", "parquet", 5, []])
@pytest.mark.parametrize("odd", ODD)
def test_values_of_another_kind_are_passed_over(odd, form):
    """They are told elsewhere."""
    sink = dict.fromkeys(["url", "payload", "compression"], odd)
    assert list(fitting_format(sink | {"format": form}, DEFAULTS)) == []
    tree = {
        "intakes": [{"name": odd, "key": "k", "fields": odd, "sinks": odd}, {"key": "k"}, odd],
        "sinks": [{"name": odd, "format": form, "index": odd}, odd],
    }
    for written in (tree, dict.fromkeys(tree, odd)):
        list(usable_indices(written, DEFAULTS))
        list(keyed_intakes(written, DEFAULTS))


def test_a_shape_that_elastic_does_not_expect_is_a_warning():
    """Of events: raw messages have but one."""
    sink = {"format": "elasticsearch"}
    assert warned(sink, {"profile": "documented"}) == [
        (
            "intakes[0].profile: documented into sink 'siem'; templates and detections of Elastic "
            "expect ecs"
        )
    ]
    assert warned(sink, {"profile": "documented", "parser": "raw"}) == []
    assert warned(sink) == []
    assert warned({}, {"profile": "documented"}) == []


def test_events_without_a_date_into_a_data_stream_are_a_warning():
    """It refuses them; an index does not."""
    intake = {"timestamp_fallback": False}
    assert warned({"format": "elasticsearch"}, intake) == [
        (
            "intakes[0].timestamp_fallback: sink 'siem' writes to a data stream, which refuses "
            "events without @timestamp"
        )
    ]
    assert warned({"format": "elasticsearch", "index": "edr"}, intake) == []


def test_a_field_that_the_name_of_the_data_stream_overrules_is_a_warning():
    """The index should have {namespace} in it."""
    intake = {"fields": {"data_stream.namespace": "prod"}}
    assert warned({"format": "elasticsearch"}, intake) == [
        (
            "intakes[0].fields.data_stream.namespace: becomes 'default' in sink 'siem', as in the "
            "name of 'logs-edr.edr-default'"
        )
    ]
    index = "logs-edr.{intake}-{namespace}"
    assert warned({"format": "elasticsearch", "index": index}, intake) == []


def test_a_name_with_too_many_parts_for_a_data_stream_is_a_warning():
    """The intake's name has one."""
    assert warned({"format": "elasticsearch"}, {"name": "my-edr"}) == [
        (
            "sinks[0].index: 'logs-edr.my-edr-default', that of intake 'my-edr', has more parts "
            "than type-dataset-namespace; its events get no data_stream.*"
        )
    ]


@pytest.mark.parametrize(
    ("url", "problems"),
    [
        ("https://h", []),
        ("HTTPS://h", []),
        ("http://h", ["tls: is not used with this url; accepted with an https url"]),
        (
            "inbox:",
            [
                "tls: is not used with this url; accepted with an https url",
                "proxy: is not used with url: inbox:; accepted with an http or https url",
            ],
        ),
        (5, []),
        (None, []),
    ],
)
def test_tls_and_a_proxy_are_for_urls_that_have_a_use_for_them(url, problems):
    """A url of another kind is told elsewhere."""
    written = {"url": url, "tls": {"verify": False}, "proxy": "http://p"}
    assert [str(problem) for problem in fitting_url(written)] == problems
    assert list(fitting_url({"url": url})) == []


def test_an_intake_with_a_list_of_key_files_can_be_sent_on_by_key(tmp_path):
    """As one with a single file."""
    file = tmp_path / "key"
    file.write_text("k")
    assert told({"format": "sekoia"}, {"key": "", "key_file": [str(file)]}) == []
