"""What the collector adds to an event: what is known of the message besides its text.

That is decided when an intake is built: `finisher` makes one function of its settings, in which
nothing is left of what they do not ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from collector.parsers import Event, add_tags
from collector.parsers.convert import utc_text
from collector.syslog.framing import strip_octet_count
from collector.syslog.message import KeyName, parse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime, tzinfo

    from collector.syslog.message import Message, StructuredData

Part = Literal["syslog", "received", "source"]
"""A part of the envelope: the syslog header, the time of receipt, the sender's address."""

DEFAULT_PARTS: Final[tuple[Part, ...]] = ("received",)

TIMESTAMP_RECEIVED: Final = "timestamp:received"
"""The tag of an event that is dated by its receipt."""


class OwnField(NamedTuple):
    """A field that the collector adds, not a parser.

    Attributes:
        type: the ECS type.
        what: what it holds, in words.
        condition: when it is there; empty if it always is.
    """

    type: str
    what: str
    condition: str = ""


_NOT_PARSED: Final = "the message cannot be parsed"

ALWAYS: Final[Mapping[str, OwnField]] = MappingProxyType(
    {
        "@timestamp": OwnField(
            "date", "time of receipt", "the message has no date, and timestamp_fallback is on"
        ),
        "error.code": OwnField("keyword", "reason", _NOT_PARSED),
        "error.message": OwnField("match_only_text", "what is wrong", _NOT_PARSED),
        "event.id": OwnField("keyword", "identity of the message"),
        "event.kind": OwnField("keyword", "pipeline_error", _NOT_PARSED),
        "message": OwnField("match_only_text", "text of the message", _NOT_PARSED),
        "tags": OwnField("array of keyword", "what was repaired, cut or filled in", "there is any"),
    }
)
"""What events can have whatever the envelope: also what stands for an unreadable message."""

FIELDS: Final[Mapping[Part, Mapping[str, OwnField]]] = MappingProxyType(
    {
        "syslog": {
            f"log.syslog.{name}": OwnField(kind, "from the syslog header", "envelope has syslog")
            for name, kind in {
                "appname": "keyword",
                "facility.code": "long",
                "facility.name": "keyword",
                "hostname": "keyword",
                "msgid": "keyword",
                "priority": "long",
                "procid": "keyword",
                "severity.code": "long",
                "severity.name": "keyword",
                "structured_data.*": "flattened",
                "timestamp": "date",
                "version": "keyword",
            }.items()
        },
        "received": {"event.created": OwnField("date", "time of receipt", "envelope has received")},
        "source": {
            "log.source.address": OwnField(
                "keyword", "address of the sender", "envelope has source, and the sender an address"
            )
        },
    }
)
"""What each part adds. ECS has no `log.syslog.timestamp`."""

# RFC 5424 section 6.2.1; facilities by the names that syslog.conf and rsyslog have for them.
_FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
_SEVERITIES: Final = (
    *("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"),
)


class Receipt(NamedTuple):
    """How the frames of one read came.

    Attributes:
        moment: when, in UTC.
        created: the same as it is written in events.
        zone: of header times that name none.
        peer: the sender's address as text; empty if it has none, behind a Unix socket.
        listener: name of the listener; empty where not known.
    """

    moment: datetime
    created: str
    zone: tzinfo
    peer: str
    listener: str = ""


class Arrival(NamedTuple):
    """What is known of one message besides its text.

    Attributes:
        identifier: the id of its event.
        frame: the message as it came; empty if that is no longer there.
        repairs: tags that say what had to be repaired to read the frame.
        receipt: how it came.
        syslog: the fields of its header, where they are all that is left of the frame.
    """

    identifier: str
    frame: bytes
    repairs: tuple[str, ...]
    receipt: Receipt
    syslog: Mapping[str, Any] | None = None


Finish = Callable[[Event, Arrival], None]
"""Completes an event, in place."""


def finisher(
    parts: Collection[Part] = DEFAULT_PARTS,
    *,
    key_name: KeyName | None = None,
    keys: Collection[str] = (),
    timestamp_fallback: bool = True,
    add_fields: Callable[[Event], None] | None = None,
) -> Finish:
    """Make the function that completes the events of an intake.

    `event.id` and the tags of repairs are added in any case.

    Args:
        parts: what of the envelope is added.
        key_name: where in the structured data the intake key stands, which is a secret; None for
            where it stands by default.
        keys: the keys of all intakes, which are not shown wherever they stand in the header.
        timestamp_fallback: whether an event without `@timestamp` gets the time of receipt, with a
            tag that says so.
        add_fields: adds the operator's fields; it comes last.
    """
    with_created = "received" in parts
    steps: list[Finish] = []
    if "source" in parts:
        steps.append(_add_source)
    if "syslog" in parts:
        steps.append(_syslog_adder(key_name or KeyName(), keys))
    further = tuple(steps)

    def finish(event: Event, arrival: Arrival) -> None:
        about = event.setdefault("event", {})
        about["id"] = arrival.identifier
        if with_created:
            about["created"] = arrival.receipt.created
        if arrival.repairs:
            add_tags(event, arrival.repairs)
        if timestamp_fallback and "@timestamp" not in event:
            event["@timestamp"] = arrival.receipt.created
            event.setdefault("tags", []).append(TIMESTAMP_RECEIVED)
        for step in further:
            step(event, arrival)
        if add_fields is not None:
            add_fields(event)

    return finish


def _add_source(event: Event, arrival: Arrival) -> None:
    peer = arrival.receipt.peer
    if peer:
        event.setdefault("log", {})["source"] = {"address": peer}


def _syslog_adder(key_name: KeyName, keys: Collection[str]) -> Finish:
    header_of = header_reader(key_name, keys)

    def add_syslog(event: Event, arrival: Arrival) -> None:
        fields = header_of(arrival)
        if fields:
            event.setdefault("log", {})["syslog"] = fields

    return add_syslog


def header_reader(
    key_name: KeyName, keys: Collection[str]
) -> Callable[[Arrival], Mapping[str, Any]]:
    """Make the function that returns what the header of a message says, see `syslog_fields`."""
    secrets = frozenset(keys)

    def header_of(arrival: Arrival) -> Mapping[str, Any]:
        if arrival.syslog is not None:
            return arrival.syslog
        receipt = arrival.receipt
        message = strip_octet_count(arrival.frame)
        header = parse(message, now=receipt.moment, zone=receipt.zone)
        return syslog_fields(header, key_name, secrets)

    return header_of


def syslog_fields(header: Message, key_name: KeyName, keys: Collection[str] = ()) -> dict[str, Any]:
    """Return what a header says of itself, as the fields below `log.syslog`.

    Args:
        header: the message read.
        key_name: names the parameter that holds the intake key. It is left out, whatever element it
            stands in and however it is spelt: in a wrong one it is as secret. What else looks like
            it is masked.
        keys: what is masked as well, as under the wrong name.
    """

    def masked(text: str) -> str:
        text = key_name.mask(text.encode()).decode()
        return "***" if any(key in text for key in keys) else text

    fields: dict[str, Any] = {}
    facility, severity = header.facility, header.severity
    if facility is not None and severity is not None:
        fields["priority"] = header.pri
        fields["facility"] = {"code": facility, "name": _FACILITIES[facility]}
        fields["severity"] = {"code": severity, "name": _SEVERITIES[severity]}
    if header.version is not None:
        fields["version"] = str(header.version)
    if header.timestamp is not None:
        fields["timestamp"] = utc_text(header.timestamp)
    for name, value in (
        ("hostname", header.hostname),
        ("appname", header.app_name),
        ("procid", header.procid),
        ("msgid", header.msgid),
    ):
        if value:
            fields[name] = masked(value)
    if header.structured_data and (
        data := _shown(header.structured_data, key_name.parameter, masked)
    ):
        fields["structured_data"] = data
    return fields


def _shown(
    data: StructuredData, parameter: str, masked: Callable[[str], str]
) -> dict[str, dict[str, str | list[str]]]:
    """Return structured data without intake keys and without what is empty."""
    shown: dict[str, dict[str, str | list[str]]] = {}
    for identifier, params in data.items():
        element: dict[str, str | list[str]] = {}
        for name, given in params.items():
            values = [given] if isinstance(given, str) else given
            kept = [masked(value) for value in values if value]
            if kept and name.lower() != parameter.lower():
                element[name] = kept[0] if isinstance(given, str) else kept
        if element:
            shown[identifier] = element
    return shown
