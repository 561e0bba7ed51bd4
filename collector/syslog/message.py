"""Syslog messages: RFC 5424, RFC 3164 as it is found in the field, and no header at all.

Reading cannot fail. What cannot be placed stays in the message, so that no text is lost.

- `<PRI>1 ` with the header of RFC 5424 section 6. Structured data is read as far as it is well
  formed; from the first broken element on, everything is message. Where the header itself does not
  fit, the next reading applies.
- RFC 3164: `<PRI>`, a timestamp, a host, a tag. Each may be missing, but a host is read only after
  a timestamp and a tag only after either a timestamp or a PRI: there is no telling a host or a tag
  from the first words of a text otherwise (rsyslog takes the first word for the host even then).
  A tag is a word that ends at a bracket, a colon or a blank (section 4.1.3). Where no host stands
  before it a blank does not end one: the first word of such a text is more likely just a word.
- Anything else is all message.

`parse` gives everything that is known, `envelope` only what a message needs on its way. Both read
with the same patterns, in time linear in the message, whatever it holds: what is repeated in them
is possessive, or begins and ends with characters that it cannot hold. Groups are not repeated
possessively: up to Python 3.11.4 such a pattern matches what it should not (CPython gh-106052).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from ipaddress import IPv6Address
from typing import Final, NamedTuple

StructuredData = dict[str, dict[str, str | list[str]]]

# PRI is 0 to 191 without leading zeros (RFC 5424 section 6.2.1).
_PRI_PATTERN: Final = rb"<(?P<pri>19[01]|1[0-8][0-9]|[1-9]?[0-9])>"

# RFC 3339 as RFC 5424 section 6.2.3 has it, and what senders make of it: lower-case letters, a
# comma, more than six digits of fraction, an offset without colon or minutes, no offset.
_ISO_PATTERN: Final = (
    rb"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[Tt]"
    rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    rb"(?:[.,](?P<fraction>[0-9]{1,9}))?"
    rb"(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)

# Structured data (RFC 5424 section 6.3): SD-NAME is printable ASCII but `=`, blank, `]` and `"`.
# A value runs to an unescaped quote, and `]` has to be escaped in it. Longer names than 32
# characters are read too.
_NAME_PATTERN: Final = rb"[!#-<>-\\^-~]++"
_VALUE_PATTERN: Final = rb'[^"\\\]]*+(?:\\.[^"\\\]]*+)*'
_PARAM_PATTERN: Final = rb' %b="%b"' % (_NAME_PATTERN, _VALUE_PATTERN)
_ELEMENT_PATTERN: Final = rb"\[%b(?:%b)*\]" % (_NAME_PATTERN, _PARAM_PATTERN)

# A field of the header. RFC 5424 allows 255, 48, 128 and 32 printable ASCII characters. Longer
# ones and other characters are read, within a bound.
_FIELD_PATTERN: Final = rb"[^\x00-\x20\x7f]{1,1024}+"

# How far structured data is read; what reaches beyond counts as broken. The matcher takes up to 140
# octets of memory for an octet of small elements, so it takes no more than 36 MiB for a moment.
_MAX_HEADER_OCTETS: Final = 256 * 1024

_RFC5424: Final = re.compile(
    rb"%b1 (?:-|%b)" % (_PRI_PATTERN, _ISO_PATTERN)
    + rb" (?P<hostname>%b)" % _FIELD_PATTERN
    + rb" (?P<app_name>%b)" % _FIELD_PATTERN
    + rb" (?P<procid>%b)" % _FIELD_PATTERN
    + rb" (?P<msgid>%b)" % _FIELD_PATTERN
    + rb" (?P<data>-(?= |\Z)|(?:%b)*)" % _ELEMENT_PATTERN
    # One blank ends the structured data, and a byte order mark is no part of the message
    # (RFC 5424 section 6.4).
    + rb" ?(?:\xef\xbb\xbf)?",
    re.DOTALL,
)
_ELEMENT: Final = re.compile(
    rb"\[(?P<id>%b)(?P<params>(?:%b)*)\]" % (_NAME_PATTERN, _PARAM_PATTERN), re.DOTALL
)
_PARAM: Final = re.compile(rb' (%b)="(%b)"' % (_NAME_PATTERN, _VALUE_PATTERN), re.DOTALL)
_ESCAPED: Final = re.compile(rb'\\(["\\\]])')  # any other backslash stays as it is

_PRI: Final = re.compile(_PRI_PATTERN)
# In the place of the RFC 3164 timestamp. What is no date at all stays in the message, so that no
# text is lost; RFC 3339 section 5.6 allows a blank between date and time.
_ISO_STAMP: Final = re.compile(
    rb" ?(?=[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ]"
    rb"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60))"
    + rb"%b:?(?: |\Z)"
    % _ISO_PATTERN.replace(b"[Tt]", b"[Tt ]")
)

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        b"jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1
    )
}
# Hours east of Greenwich. The zones of RFC 5322 section 4.3 and those of Europe: other
# abbreviations mean different things in different places. Upper case only: `ut` is a host.
_ZONES: Final = {
    **dict.fromkeys((b"Z", b"UT", b"UTC", b"GMT", b"WET"), 0),
    **dict.fromkeys((b"CET", b"WEST"), 1),
    **dict.fromkeys((b"EET", b"CEST"), 2),
    b"EEST": 3,
    b"EDT": -4,
    **dict.fromkeys((b"EST", b"CDT"), -5),
    **dict.fromkeys((b"CST", b"MDT"), -6),
    **dict.fromkeys((b"MST", b"PDT"), -7),
    b"PST": -8,
}
# RFC 3164 section 4.1.2 with what is found in the field: a day of one digit after one blank or
# two, a year before or after the time, a fraction, a zone, and the colon that Cisco ends it with.
_BSD_STAMP: Final = re.compile(
    rb" ?(?!(?i:feb)  ?3[01]|(?i:apr|jun|sep|nov)  ?31)(?P<month>(?i:%b))" % b"|".join(_MONTHS)
    + rb"  ?(?P<day>3[01]|[12][0-9]|0?[1-9])"
    + rb"(?: (?P<year>[0-9]{4}))?"
    + rb" (?P<hour>2[0-3]|[01]?[0-9]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
    + rb"(?:[.,](?P<fraction>[0-9]{1,9}))?"
    + rb"(?: (?P<year_after_time>(?:19|20)[0-9]{2})(?=[ :]|\Z))?"
    + rb"(?: ?(?P<zone>%b|[+-][0-9]{2}(?::?[0-9]{2})?)(?=[ :]|\Z))?" % b"|".join(_ZONES)
    + rb"(?: (?P<year_after_zone>(?:19|20)[0-9]{2})(?=[ :]|\Z))?"
    + rb":?(?: |\Z)"
)
# A name or an address, not ended by a sign of punctuation, and a blank. More than one blank before
# it is what a sender leaves that knows no host.
_HOST: Final = re.compile(rb" *+([0-9A-Za-z_.:%\x80-\xff-]{1,255}+)(?<![.-])(?: |\Z)")
# A word without the characters in which JSON, XML, CEF and key=value payloads begin. `CEF:` and
# `LEEF:` begin a payload too, `scheme://` a URL; and a colon between digits is that of a time.
_TAG_PATTERN: Final = (
    rb" *+(?!(?:\xef\xbb\xbf)?(?:CEF:|LEEF:))"
    rb"(?P<app_name>[^\x00-\x20\x7f\[\]:{}<>\"'|=,;\\]{1,512}+)"
    rb"(?:\[(?P<procid>[^\x00-\x20\x7f\[\]]{0,128}+)\](?::|(?= |\Z))|:(?!//|(?<=[0-9]:)[0-9])"
    rb"|(?=%b)) ?"
)
_TAG_AFTER_HOST: Final = re.compile(_TAG_PATTERN % rb" ")
# rsyslog leaves out the colon where it relays an RFC 5424 message with a JSON or CEF payload.
_TAG_WITHOUT_HOST: Final = re.compile(_TAG_PATTERN % rb" (?:\{|CEF:|LEEF:)")

# What an element out of place or a second header, with or without an octet count, begins with.
# No payload does; an empty text would be in it too, which does no harm.
_BEGINS_HEADER: Final = b"[<0123456789"
_BEFORE_TEXT: Final = b" \0\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Message:
    """A syslog message; None stands for what is absent or nil.

    Attributes:
        pri: 0 to 191.
        timestamp: when it was sent, aware, in UTC. None also for a date that does not exist.
        hostname: name or address of the sender, as the message has it.
        app_name: APP-NAME of RFC 5424, or the tag of RFC 3164 without process id.
        procid: PROCID of RFC 5424, or the process id of the tag.
        msgid: MSGID of RFC 5424.
        structured_data: parameters by element id and name, unescaped; a list where an element has
            several of one name. Elements of the same id are one.
        message: the rest of the text, as it came.
        version: 1 for a header of RFC 5424, the only version there is; None for any other.
    """

    pri: int | None
    timestamp: datetime | None
    hostname: str | None
    app_name: str | None
    procid: str | None
    msgid: str | None
    structured_data: StructuredData | None
    message: str
    version: int | None = None

    @property
    def facility(self) -> int | None:
        """What part of the system sent it, 0 to 23 (RFC 5424 section 6.2.1)."""
        return None if self.pri is None else self.pri >> 3

    @property
    def severity(self) -> int | None:
        """How severe it is, from 0, an emergency, to 7."""
        return None if self.pri is None else self.pri & 7


class KeyName:
    """Where in the structured data the intake key stands.

    Args:
        structured_data_id: id of the element that carries the key.
        parameter: name of the parameter in it.

    Attributes:
        parameter: as given.
    """

    __slots__ = ("_find", "_mask", "_mask_needle", "_masked", "parameter")

    def __init__(
        self, structured_data_id: str = "SEKOIA@53288", parameter: str = "intake_key"
    ) -> None:
        self.parameter = parameter
        terms = {
            b"id": re.escape(structured_data_id.encode()),
            b"name": re.escape(parameter.encode()),
            b"value": _VALUE_PATTERN,
            b"param": _PARAM_PATTERN,
            b"element": _ELEMENT_PATTERN,
        }
        # Elements of other ids, or of the id without the parameter, then the first that has it.
        terms[b"others"] = rb"(?:(?! %(name)b=)%(param)b)*" % terms
        self._find = re.compile(
            rb"(?:(?!\[%(id)b[ \]])%(element)b|\[%(id)b%(others)b\])*?"
            rb'\[%(id)b%(others)b %(name)b="(%(value)b)"' % terms,
            re.DOTALL,
        ).match
        self._mask_needle = parameter.encode() + b"="
        # A value in quotes runs to the quote that closes it. Where none does, it runs as far as a
        # key can: to a blank, a bracket or a quote. It begins with what stands there literally, so
        # that the rest of a text is passed over quickly.
        self._mask = re.compile(
            rb'%(name)b=(?:(")(?:[^"\\]*+(?:\\.[^"\\]*+)*(?="[\] ]|"\Z)'
            rb'|[^\x00-\x20"\\\]]*+(?:\\.[^\x00-\x20"\\\]]*+)*)'
            rb'|(?<=\[%(id)b %(name)b=)(?!")[^\x00-\x20\[\]]*+)' % terms,
            re.DOTALL,
        )
        self._masked = self._mask_needle.replace(b"\\", rb"\\") + rb"\g<1>***"

    def find(self, frame: bytes, start: int, end: int) -> str | None:
        """Return the key that structured data holds.

        Args:
            frame: the message.
            start: where its structured data begins, all of which is well formed.
            end: where it ends.

        Returns:
            The value of the first parameter of the name in an element of the id, unescaped; None
            if there is none or it is empty.
        """
        found = self._find(frame, start, end)
        return (_unescaped(found[1]) or None) if found else None

    def mask(self, text: bytes) -> bytes:
        """Replace each value given to the parameter by `***`, in a text that may be anything.

        A value is in quotes, or follows `[ID NAME=` without. Valid JSON and what it means stay as
        they are: a quote within it is escaped.
        """
        if self._mask_needle not in text:
            return text
        return self._mask.sub(self._masked, text)


def envelope(frame: bytes, key_name: KeyName) -> tuple[str | None, str]:
    """Read what a message needs on its way: who it is for and what it says.

    Args:
        frame: one syslog message without framing.
        key_name: where the intake key stands.

    Returns:
        The intake key, or None, and the message text as `parse` has it, but with keys masked where
        they stand in structured data that could not be read as such: in a broken or misplaced
        element, in a message without RFC 5424 header, or in a second header within the message.
    """
    header = _RFC5424.match(frame, 0, _MAX_HEADER_OCTETS)
    if header is None:
        text = frame[_read_legacy(frame).end :]
        return None, key_name.mask(text).decode("utf-8", "replace")
    start, end = header.span("data")
    text = frame[header.end() :]
    if frame[end : end + 1] not in b" " or text.lstrip(_BEFORE_TEXT)[:1] in _BEGINS_HEADER:
        text = key_name.mask(text)
    return key_name.find(frame, start, end), text.decode("utf-8", "replace")


def parse(frame: bytes, *, now: datetime, zone: tzinfo = UTC) -> Message:
    """Read a message. Never raises, whatever the octets are.

    Args:
        frame: one syslog message without framing.
        now: the current time, aware. A year that is not given is the one nearest to it.
        zone: of times that name none.

    Returns:
        What the message says of itself, and the rest. Octets that are not UTF-8 are replaced.
    """
    header = _RFC5424.match(frame, 0, _MAX_HEADER_OCTETS)
    if header is None:
        return _parse_legacy(frame, now, zone)
    year = header["year"]
    return Message(
        pri=int(header["pri"]),
        timestamp=_instant(header, int(year), int(header["month"]), zone) if year else None,
        hostname=_field(header["hostname"]),
        app_name=_field(header["app_name"]),
        procid=_field(header["procid"]),
        msgid=_field(header["msgid"]),
        structured_data=_structured_data(frame, *header.span("data")),
        message=_text(frame[header.end() :]),
        version=1,
    )


def _parse_legacy(frame: bytes, now: datetime, zone: tzinfo) -> Message:
    header = _read_legacy(frame)
    stamp, host, tag = header.stamp, header.host, header.tag
    return Message(
        pri=int(header.pri["pri"]) if header.pri else None,
        timestamp=_legacy_instant(stamp, now, zone) if stamp else None,
        hostname=_text(host[1]) if host else None,
        app_name=_field(tag["app_name"]) if tag else None,
        procid=_text(tag["procid"]) if tag and tag["procid"] else None,
        msgid=None,
        structured_data=None,
        message=_text(frame[header.end :]),
    )


class _LegacyHeader(NamedTuple):
    """The parts of a header that is not RFC 5424, and where the message begins."""

    pri: re.Match[bytes] | None
    stamp: re.Match[bytes] | None
    host: re.Match[bytes] | None
    tag: re.Match[bytes] | None
    end: int


def _read_legacy(frame: bytes) -> _LegacyHeader:
    pri = _PRI.match(frame)
    end = pri.end() if pri else 0
    stamp = _ISO_STAMP.match(frame, end) or _BSD_STAMP.match(frame, end)
    host = tag = None
    if stamp:
        end = stamp.end()
        host = _HOST.match(frame, end)
        if host and _is_host(host[1]):
            end = host.end()
        else:
            host = None
    if host:
        tag = _TAG_AFTER_HOST.match(frame, end)
    elif stamp or (pri and not frame.startswith(b" ", end)):
        tag = _TAG_WITHOUT_HOST.match(frame, end)
    if tag:
        end = tag.end()
    return _LegacyHeader(pri, stamp, host, tag, end)


def _is_host(word: bytes) -> bool:
    """Say whether a word is a host: only an IPv6 address holds colons (a tag may end in one)."""
    if b":" not in word and b"%" not in word:
        return True
    try:
        IPv6Address(word.decode("ascii"))
    except ValueError:
        return False
    return True


def _legacy_instant(stamp: re.Match[bytes], now: datetime, zone: tzinfo) -> datetime | None:
    month = stamp["month"]
    if month.isdigit():
        return _instant(stamp, int(stamp["year"]), int(month), zone)
    number = _MONTHS[month.lower()]
    year = stamp["year"] or stamp["year_after_time"] or stamp["year_after_zone"]
    if year:
        return _instant(stamp, int(year), number, zone)
    for reach in (1, 4):  # years; the 29th of February may be four years away
        years = range(now.year - reach, now.year + reach + 1)
        instants = [i for y in years if (i := _instant(stamp, y, number, zone)) is not None]
        if instants:
            return min(instants, key=lambda instant: abs(instant - now))
    return None


def _instant(
    stamp: re.Match[bytes], year: int, month: int, default_zone: tzinfo
) -> datetime | None:
    """Return the instant of a timestamp, or None if there is no such date, time or offset.

    Digits beyond microseconds are dropped. A leap second, which Python does not know, is the
    instant that follows it, as in POSIX time.
    """
    second = int(stamp["second"])
    leap = second == 60
    fraction = stamp["fraction"]
    microsecond = int(fraction[:6].ljust(6, b"0")) if fraction else 0
    try:
        zone = _zone(stamp["zone"]) if stamp["zone"] else default_zone
        hour, minute = int(stamp["hour"]), int(stamp["minute"])
        local = datetime(
            year, month, int(stamp["day"]), hour, minute, second - leap, microsecond, zone
        )
        return local.astimezone(UTC) + timedelta(seconds=leap)
    except (ValueError, OverflowError):
        return None


def _zone(name: bytes) -> timezone:
    """Return the zone of an abbreviation or an offset.

    Raises:
        ValueError: no offset is that large.
    """
    hours = _ZONES.get(name.upper())
    if hours is not None:
        return timezone(timedelta(hours=hours))
    minutes = int(name[-2:]) if len(name) > 3 else 0
    if minutes > 59:
        raise ValueError("an hour has sixty minutes")
    offset = timedelta(hours=int(name[1:3]), minutes=minutes)
    return timezone(-offset if name.startswith(b"-") else offset)


def _structured_data(frame: bytes, start: int, end: int) -> StructuredData | None:
    data: StructuredData = {}
    for element in _ELEMENT.finditer(frame, start, end):
        params = data.setdefault(element["id"].decode(), {})
        for octets, value in _PARAM.findall(frame, *element.span("params")):
            name = octets.decode()
            earlier = params.get(name)
            if earlier is None:
                params[name] = _unescaped(value)
            elif isinstance(earlier, list):
                earlier.append(_unescaped(value))
            else:
                params[name] = [earlier, _unescaped(value)]
    return data or None


def _unescaped(value: bytes) -> str:
    if b"\\" in value:
        value = _ESCAPED.sub(rb"\1", value)
    return value.decode("utf-8", "replace")


def _field(octets: bytes) -> str | None:
    return None if octets == b"-" else _text(octets)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
