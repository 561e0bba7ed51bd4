"""What a sink is asked to find out whether it takes events, none of which is sent.

Each format has a question that shows as much as can be known without an event:

- elasticsearch: a bulk request without a body, which is refused with 400 after the credentials
  were looked at; then `_has_privileges`, which anybody may ask of himself. `GET /` is not asked: it
  needs a privilege of the cluster that a key for writing has no use for.
- splunk_hec: its health endpoint, which knows of full queues; then a request without data, which
  is refused with code 5 after the token was looked at.
- sekoia: no messages under the key of each intake.
- ndjson, json: HEAD, which is safe (RFC 9110, section 9.2.1) and passes the same doors as POST.
  OPTIONS would be answered before credentials are looked at, as browsers ask it without. What
  stands behind such a URL is not known, and some count an empty batch for an event: it is posted
  only if that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import orjson

from collector.config import SinkSettings
from collector.doctor import answers
from collector.doctor.findings import Meaning
from collector.settings.secret_files import SecretFileError
from collector.sinks.formats import format_of
from collector.sinks.formats.data_streams import index_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collector.config import IntakeSettings

Read = Callable[[int, Mapping[str, str], str, SinkSettings], Meaning]
"""Says what an answer means: status, headers, body without secrets, and the sink's settings."""

MOST_KEYS: Final = 16
"""Intakes of Sekoia.io that are asked for one by one."""

_HEC: Final = "/services/collector"
_BULK: Final = "/_bulk"


class Question(NamedTuple):
    """A request that stores nothing.

    Attributes:
        about: what it asks for, in a word or two.
        method: of HTTP.
        url: where it goes.
        body: what is posted; None for nothing.
        read: says what the answer means.
        secret: what the body holds that must not be shown; empty for nothing.
    """

    about: str
    method: str
    url: str
    body: bytes | None
    read: Read
    secret: str = ""


def questions(
    sink: SinkSettings, intakes: Sequence[IntakeSettings], *, send_test: bool
) -> list[Question]:
    """Return what to ask a sink, one after the other until one is answered with an error.

    Args:
        sink: its settings.
        intakes: those whose events go there.
        send_test: whether an empty batch may be posted where that might count for an event.
    """
    url = format_of(sink).url
    match sink.format:
        case "elasticsearch":
            return _of_elasticsearch(sink, intakes, url)
        case "splunk_hec":
            return list(_of_splunk(url))
        case "sekoia":
            return list(_of_sekoia(intakes, url))
    if not send_test:
        return [Question("answer", "HEAD", url, None, answers.to_nothing)]
    body = b"[]" if sink.format == "json" else b""
    return [Question("empty batch", "POST", url, body, answers.to_empty_batch)]


def _of_elasticsearch(
    sink: SinkSettings, intakes: Sequence[IntakeSettings], url: str
) -> list[Question]:
    found = [Question("bulk API", "POST", url, b"", answers.to_empty_bulk)]
    names = sorted({index_name(sink.index, intake.name, intake.fields) for intake in intakes})
    if names and sink.auth is not None:
        asked = {"index": [{"names": names, "privileges": ["create_doc", "auto_configure"]}]}
        own = _replaced(url, _BULK, "/_security/user/_has_privileges")
        body = orjson.dumps(asked)
        found.append(Question("rights", "POST", own, body, answers.to_privileges))
    return found


def _of_splunk(url: str) -> Iterator[Question]:
    if _HEC in urlsplit(url).path:
        health = _replaced(url, _HEC, f"{_HEC}/health")
        yield Question("health", "GET", health, None, answers.to_hec_health)
    yield Question("token", "POST", url, b"", answers.to_empty_hec)


def _of_sekoia(intakes: Sequence[IntakeSettings], url: str) -> Iterator[Question]:
    for intake in intakes[:MOST_KEYS]:
        try:
            keys = intake.read_keys()
        except SecretFileError:
            continue  # told of its key
        if keys:
            body = orjson.dumps({"intake_key": keys[0], "jsons": []})
            about = f"intake {intake.name}"
            yield Question(about, "POST", url, body, answers.to_empty_intake, keys[0])


def _replaced(url: str, last: str, path: str) -> str:
    """Return a URL with another path from `last` on, without its query."""
    parts = urlsplit(url)
    before, _, _ = parts.path.rpartition(last)
    return urlunsplit(parts._replace(path=before + path, query=""))
