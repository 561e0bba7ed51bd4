"""What a sink's format asks of the settings of the sink and of the intakes that go to it.

Problems are found in settings as written, as in `collector.settings.relations`; warnings in checked
ones.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from collector.settings import constant_fields
from collector.settings.kinds import INBOX, INDEX, LABEL, KindError
from collector.settings.problems import Problem, shown
from collector.settings.relations import entries
from collector.sinks.formats import FORMATS
from collector.sinks.formats.data_streams import (
    ACCEPTED,
    flaw,
    index_name,
    is_almost_stream,
    stream_fields,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.config import Config, IntakeSettings, SinkSettings

ELASTICSEARCH: Final = "elasticsearch"
SEKOIA: Final = "sekoia"

_OWNERS: Final = {"index": ELASTICSEARCH, "splunk": "splunk_hec"}
"""Settings of one format."""

_INBOX_TAKES: Final = {"format": ["ndjson"], "payload": ["event"], "compression": ["none", "gzip"]}

_KINDS: Final = tuple(FORMATS.values())
_CHOICES: Final = {
    "format": {*FORMATS},
    "payload": {payload for kind in _KINDS for payload in kind.payloads},
    "compression": {codec for kind in _KINDS for codec in kind.codecs},
}
"""Every value that some sink takes; of others the reader of the setting tells."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is not written in the settings of a sink and of an intake.

    Attributes:
        format: of a sink.
        index: of a sink.
        sinks: of an intake: the word for every sink.
    """

    format: str
    index: str
    sinks: str


def fitting_format(written: Mapping[str, Any], defaults: Defaults) -> Iterator[Problem]:
    """Find settings of a sink that do not go with its format, or with the inbox."""
    name = written.get("format", defaults.format)
    if not isinstance(name, str) or name not in FORMATS:
        return
    for setting, owner in _OWNERS.items():
        if setting in written and owner != name:
            what = f"not a setting of format {name}"
            yield Problem(setting, f"{what}; accepted with format: {owner}")
    form = FORMATS[name]
    if written.get("url") == INBOX:
        partner, takes = f"url: {INBOX}", _INBOX_TAKES
    else:
        partner = f"format: {name}"
        takes = {"payload": [*form.payloads], "compression": [*form.codecs]}
    for setting, accepted in takes.items():
        value = name if setting == "format" else written.get(setting)
        if isinstance(value, str) and value in _CHOICES[setting] and value not in accepted:
            message = f"{value} does not go with {partner}; accepted: {', '.join(accepted)}"
            yield Problem(setting, message)


def fitting_url(written: Mapping[str, Any]) -> Iterator[Problem]:
    """Find settings of the connection to a sink that its URL has no use for."""
    url = written.get("url")
    if not isinstance(url, str):
        return
    if "tls" in written and not url.lower().startswith("https:"):
        yield Problem("tls", "is not used with this url; accepted with an https url")
    if "proxy" in written and url == INBOX:
        yield Problem("proxy", f"is not used with url: {INBOX}; accepted with an http or https url")


def usable_indices(written: Mapping[str, Any], defaults: Defaults) -> Iterator[Problem]:
    """Find indices that Elasticsearch cannot have, by sink and intake."""
    for way in _ways(written, defaults, ELASTICSEARCH):
        index = _index(way, defaults)
        if index is not None and (found := flaw(index)):
            message = f"{shown(index)}, that of intake {shown(way.intake['name'])}, {found}"
            yield Problem(f"{way.sink_path}.index", f"{message}; accepted: {ACCEPTED}")


def keyed_intakes(written: Mapping[str, Any], defaults: Defaults) -> Iterator[Problem]:
    """Find intakes without the key under which a sink sends their messages on."""
    for way in _ways(written, defaults, SEKOIA):
        if not way.intake.get("key") and not way.intake.get("key_file"):
            what = f"has no key, and sink {shown(way.sink.get('name'))} ({SEKOIA}) sends by key"
            yield Problem(way.intake_path, f"{what}; accepted: a key or a key_file")


def elasticsearch_warnings(config: Config) -> Iterator[Problem]:
    """Find what Elasticsearch will make less of than is probably meant."""
    for number, intake in enumerate(config.intakes):
        for sink in config.sinks_of(intake):
            if sink.format == ELASTICSEARCH:
                index = index_name(sink.index, intake.name, intake.fields)
                for problem in _weak_points(intake, shown(sink.name), index):
                    yield Problem(f"intakes[{number}].{problem.path}", problem.message)
    for number, sink in enumerate(config.sinks):
        if sink.format == ELASTICSEARCH:
            yield from _unlike_streams(config, sink, f"sinks[{number}].index")


def _weak_points(intake: IntakeSettings, sink: str, index: str) -> Iterator[Problem]:
    """Say what of an intake's events does not suit the index that a sink writes them to."""
    if intake.profile == "documented" and intake.parser != "raw":
        message = f"documented into sink {sink}; templates and detections of Elastic expect ecs"
        yield Problem("profile", message)
    stream = stream_fields(index)
    if stream is None:
        return
    if not intake.timestamp_fallback:
        message = f"sink {sink} writes to a data stream, which refuses events without @timestamp"
        yield Problem("timestamp_fallback", message)
    own = intake.fields.get("data_stream")
    for name, value in stream.items():
        if isinstance(own, dict) and own.get(name, value) != value:
            message = f"becomes {shown(value)} in sink {sink}, as in the name of {shown(index)}"
            yield Problem(f"fields.data_stream.{name}", message)


def _unlike_streams(config: Config, sink: SinkSettings, path: str) -> Iterator[Problem]:
    for intake in config.intakes:
        index = index_name(sink.index, intake.name, intake.fields)
        if sink in config.sinks_of(intake) and is_almost_stream(index):
            message = f"{shown(index)}, that of intake {shown(intake.name)}, has more parts than "
            yield Problem(path, f"{message}type-dataset-namespace; its events get no data_stream.*")


class _Way(NamedTuple):
    """An intake and one of its sinks, as written, with their paths."""

    intake_path: str
    intake: Mapping[str, Any]
    sink_path: str
    sink: Mapping[str, Any]


def _ways(written: Mapping[str, Any], defaults: Defaults, form: str) -> Iterator[_Way]:
    """Walk the ways from intakes to sinks of a format."""
    for sink_path, sink in entries(written, "sinks"):
        if sink.get("format", defaults.format) != form:
            continue
        for intake_path, intake in entries(written, "intakes"):
            wanted = intake.get("sinks", defaults.sinks)
            listed = wanted if isinstance(wanted, list) else [wanted]
            if defaults.sinks in listed or sink.get("name") in listed:
                yield _Way(intake_path, intake, sink_path, sink)


def _index(way: _Way, defaults: Defaults) -> str | None:
    """Return the index of an intake's events; None where what it is made of is told elsewhere."""
    name, template = way.intake.get("name"), way.sink.get("index", defaults.index)
    with suppress(KindError):
        INDEX.read(template)
        LABEL.read(name)
        fields = constant_fields.nested(way.intake.get("fields", {}))
        return index_name(str(template), str(name), fields)
    return None
