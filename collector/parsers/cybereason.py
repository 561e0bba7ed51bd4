r"""Cybereason: CEF from the Cybereason CEF Forwarder.

Custom fields (cs1, cn2, flexString1 ...) change meaning from one kind of event to the next, so
every one is read by its label. The header fields stand among the fields under their CEF names.

On the wire, backslashes are doubled. Undoing the CEF escapes gives every value as it was; that
is also what the mapping specification does to ``request`` by itself. Only ``filePath`` is
specified with its backslashes doubled, so that one stays as it is on the wire.
"""

from collections.abc import Callable
from typing import Final

from collector.parsers import cef
from collector.parsers.conditions import absent, differs, equals, none_of, present
from collector.parsers.convert import (
    boolean,
    collected,
    conversion,
    epoch_ms,
    ip,
    long,
    number,
)
from collector.parsers.ecs import INFERRED, detections
from collector.parsers.inferred.risk import risk_of_cef_severity
from collector.parsers.labels import UNKNOWN, LabelResolver
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table, under
from collector.parsers.shapes.cef_outline import outline_of
from collector.parsers.shapes.codes import Way
from collector.parsers.shapes.outline import Outline
from collector.parsers.text import encodable
from collector.parsers.vendor import Decoded, Vendor

_CLASS: Final = "DeviceEventClassID"
# Names of the header fields, which extension keys of the same name do not replace.
_HEADER: Final = (
    "CEFVersion",
    "DeviceVendor",
    "DeviceProduct",
    "DeviceVersion",
    _CLASS,
    "Name",
    "Severity",
)
# Names of the values whose backslashes stay doubled.
_AS_THEY_ARE: Final = frozenset({"filePath"})


@conversion("wildcard", way=Way.UNQUOTED)
def _without_quotes(value: str) -> str | None:
    """Remove the double quotes; the backslashes were undoubled before."""
    return value.replace('"', "") or None


@conversion("keyword")
def _with_blanks(value: str) -> str:
    """Write blanks for underscores: ``Windows_10``."""
    return value.replace("_", " ")


RULES: Final[tuple[Rule, ...]] = (
    Rule("message", WHOLE_INPUT),
    Rule("@timestamp", "rt", epoch_ms, when=present("rt")),
    Rule("observer.vendor", "DeviceVendor"),
    Rule("observer.product", "DeviceProduct"),
    Rule("observer.version", "DeviceVersion"),
    Rule("event.action", "Name"),
    Rule("event.severity", "Severity", long),
    Rule("event.code", _CLASS),
    Rule("event.type", constant="info", profile="documented"),
    Rule("event.type", constant=("info",), profile="ecs"),
    Rule("event.reason", "requestContext"),
    Rule("event.url", "IncidentLink"),
    Rule("user.name", "duser"),
    Rule("user.domain", "CybereasonCEFgeneratorOrganizationName1"),
    Rule("host.hostname", "dhost"),
    Rule("host.id", "CybereasonCEFgeneratorMachineGuid1"),
    Rule("host.os.full", "CybereasonCEFgeneratorOSandVersion1", _with_blanks),
    Rule(
        "host.ip",
        ("dst", "destinationTranslatedAddress"),
        collected,
        when=equals(_CLASS, "3"),
        ecs_type="array of ip",
    ),
    Rule("file.hash.sha1", ("processSha1", "MalopHashList")),
    Rule("process.command_line", "request", _without_quotes),
    Rule("process.name", "fname"),
    Rule("process.parent.name", "deviceProcessName"),
    Rule("process.start", "rt", epoch_ms, when=equals(_CLASS, "2") & present("rt")),
    Rule("destination.ip", "dst", profile="documented", ecs_type="ip"),
    Rule("destination.ip", "dst", ip, profile="ecs"),
    Rule("destination.port", "dpt", long),
    Rule("destination.geo.country_name", "CybereasonCEFgeneratorcountry1Name"),
    Rule("destination.nat.ip", "destinationTranslatedAddress", profile="documented", ecs_type="ip"),
    Rule("destination.nat.ip", "destinationTranslatedAddress", ip, profile="ecs"),
    Rule("event.category", constant=("malware",), when=equals(_CLASS, "1")),
    Rule("event.category", constant=("intrusion_detection",), when=equals(_CLASS, "2")),
    Rule("event.category", constant=("intrusion_detection",), when=equals(_CLASS, "3")),
    Rule("event.category", constant=("session",), when=equals(_CLASS, "5")),
    Rule("event.category", constant=("intrusion_detection",), when=equals(_CLASS, "6")),
    Rule(
        "event.category",
        constant=("intrusion_detection",),
        when=none_of(_CLASS, "1", "2", "3", "5", "6"),
    ),
    Rule("event.kind", constant="alert", when=equals(_CLASS, "1")),
    Rule("event.kind", constant="event", when=differs(_CLASS, "1")),
    Rule("cybereason.event.id", "CybereasonCEFgeneratorBatchId1"),
    Rule("cybereason.cef.version", "CEFVersion"),
    Rule("cybereason.malop.id", "MalopId"),
    Rule("cybereason.malop.host.is_online", "isOnline", boolean),
    Rule("cybereason.malop.host.is_original_machine", "isOriginalMachine", boolean),
    Rule("cybereason.malop.host.is_malicious", "isMalicious", boolean),
    Rule("cybereason.malop.file.is_signed", "isSigned", boolean),
    Rule("cybereason.malop.status", "deviceFacility"),
    Rule("cybereason.malop.detection.type", "MalopDetectionType"),
    Rule("cybereason.malop.activity.type", "MalopActivityType"),
    Rule("cybereason.malop.decision", "DecisionFeatures", ecs_type="text"),
    Rule("cybereason.malop.counters.affected_machines", "AffectedMachinesCount", number),
    Rule("cybereason.malop.counters.affected_users", "AffectedUsersCount", number),
    Rule("cybereason.malop.malware.guid", "MalwareGUID", profile="ecs"),
    Rule("cybereason.malop.malware.status", "MalwareStatus", profile="ecs"),
    Rule("cybereason.malop.malware.type", "MalwareType", profile="ecs"),
    Rule("file.path", "filePath", profile="ecs"),
    Rule("host.name", "MachineName", profile="ecs"),
    Rule("threat.software.name", "MalwareName", profile="ecs"),
    *under(
        present("ModifiedTime"),
        Rule("cybereason.malop.modified_at", "ModifiedTime", epoch_ms, ecs_type="text"),
    ),
    Rule("threat.software.type", constant="Malware", when=present("MalwareGUID"), profile="ecs"),
)

DETECTIONS: Final[tuple[Rule, ...]] = (
    *detections(module="cybereason", vendor="Cybereason", product="Cybereason"),
    Rule(
        "event.risk_score_norm",
        "event.severity",
        risk_of_cef_severity,
        when=absent("event.risk_score_norm"),
    ),
)

TABLE: Final = Table("cybereason", RULES, INFERRED, DETECTIONS, flat=True)


def _decoder() -> Callable[[str], Decoded]:
    resolver = LabelResolver()

    def decode(raw: str) -> Decoded:
        text, repaired = encodable(raw)
        header, keys, values, tags = cef.split(text)
        fields = resolver.fields(keys, values)
        if "\\" in text:
            for key, value in fields.items():
                if "\\" in value and key not in _AS_THEY_ARE:
                    fields[key] = cef.unescape(value)
        for name, value in zip(_HEADER, header.fields, strict=True):
            if value not in UNKNOWN:
                fields[name] = value
            else:
                fields.pop(name, None)
        return text, fields, repaired + header.tags + tags

    return decode


# What the forwarder is known to send besides, by its labels.
_UNMAPPED: Final = (
    *("CybereasonCEFgeneratorChildProcess1", "ElementType"),
    *("destinationDnsDomain", "dpriv", "reason"),
)


def _outline(text: str) -> Outline:
    header = dict(zip(_HEADER, cef.split(text).header.fields, strict=True))
    return outline_of(text, header, _AS_THEY_ARE)


VENDOR: Final = Vendor(
    TABLE, _decoder(), unmapped=frozenset(_UNMAPPED), families=(_CLASS,), outline=_outline
)
