"""The forms in which sinks want events: one module each, one interface (`base.Format`).

A format turns an event into a document, joins documents into a request body, takes the body apart
again, and reads what the sink answers. A document is a piece of the body that stands for one event;
it holds no line feed but those of the format's own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from collector.sinks.formats.base import Content, DocumentOf, Format, SealError
from collector.sinks.formats.elasticsearch import Elasticsearch
from collector.sinks.formats.json_array import JsonArray
from collector.sinks.formats.ndjson import Ndjson
from collector.sinks.formats.sekoia import Sekoia
from collector.sinks.formats.splunk_hec import SplunkHec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collector.config import IntakeSettings, SinkSettings

__all__ = ["FORMATS", "Content", "DocumentOf", "Format", "SealError", "format_of", "stored"]

FORMATS: Final[Mapping[str, type[Format]]] = MappingProxyType(
    {kind.name: kind for kind in (Ndjson, JsonArray, Elasticsearch, SplunkHec, Sekoia)}
)
"""Each format by the name it has in the configuration."""


def format_of(sink: SinkSettings, intakes: Iterable[IntakeSettings] = ()) -> Format:
    """Return the form in which a sink wants events.

    Args:
        sink: the sink's settings.
        intakes: all intakes, also those whose events go elsewhere now, as some of theirs may wait;
            what is not posted needs none.
    """
    return FORMATS[sink.format](sink, intakes)


def stored(form: str) -> tuple[type[Format], bool]:
    """Return what reads the documents of a stored batch, and whether they are raw.

    Args:
        form: that of the batch.

    Raises:
        KeyError: no such format is known to this version.
    """
    name, _, payload = form.partition(":")
    return FORMATS[name], payload.partition(":")[0] == "raw"
