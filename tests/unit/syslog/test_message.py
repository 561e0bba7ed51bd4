"""Headers of RFC 5424 and RFC 3164, as they are written down and as they are sent."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName, Message, envelope, parse

NOW = datetime(2024, 6, 15, 12, 0, 0, tzinfo=UTC)
KEY_NAME = KeyName()


def at(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)


def message(text: str, **fields: object) -> Message:
    absent = dict.fromkeys(
        ("pri", "timestamp", "hostname", "app_name", "procid", "msgid", "structured_data")
    )
    return Message(**{**absent, **fields}, message=text)


def reads(frame: bytes, expected: Message) -> None:
    """Assert what a frame is read as, by both ways of reading it."""
    assert parse(frame, now=NOW) == expected
    assert envelope(frame, KEY_NAME)[1] == expected.message


STAMP = b"2003-10-11T22:14:15.003Z"
SENT = at(2003, 10, 11, 22, 14, 15, 3000)
HEAD = b"<34>1 " + STAMP + b" h a p m "
FIELDS = {
    "pri": 34, "timestamp": SENT, "hostname": "h", "app_name": "a", "procid": "p", "msgid": "m",
}  # fmt: skip


class TestRfc5424:
    """RFC 5424, section 6."""

    @pytest.mark.parametrize(
        ("frame", "expected"),
        [
            (
                b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
                b"\xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8",
                message(
                    "'su root' failed for lonvick on /dev/pts/8",
                    pri=34,
                    timestamp=SENT,
                    hostname="mymachine.example.com",
                    app_name="su",
                    msgid="ID47",
                ),
            ),
            (
                b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - "
                b"%% It's time to make the do-nuts.",
                message(
                    "%% It's time to make the do-nuts.",
                    pri=165,
                    timestamp=at(2003, 8, 24, 12, 14, 15, 3),
                    hostname="192.0.2.1",
                    app_name="myproc",
                    procid="8710",
                ),
            ),
            (
                b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
                b'[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"] '
                b"\xef\xbb\xbfAn application event log entry...",
                message(
                    "An application event log entry...",
                    pri=165,
                    timestamp=SENT,
                    hostname="mymachine.example.com",
                    app_name="evntslog",
                    msgid="ID47",
                    structured_data={
                        "exampleSDID@32473": {
                            "iut": "3",
                            "eventSource": "Application",
                            "eventID": "1011",
                        }
                    },
                ),
            ),
            (
                b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
                b'[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"]'
                b'[examplePriority@32473 class="high"]',
                message(
                    "",
                    pri=165,
                    timestamp=SENT,
                    hostname="mymachine.example.com",
                    app_name="evntslog",
                    msgid="ID47",
                    structured_data={
                        "exampleSDID@32473": {
                            "iut": "3",
                            "eventSource": "Application",
                            "eventID": "1011",
                        },
                        "examplePriority@32473": {"class": "high"},
                    },
                ),
            ),
        ],
        ids=["example 1", "example 2", "example 3", "example 4"],
    )
    def test_examples_of_the_rfc(self, frame: bytes, expected: Message) -> None:
        """Section 6.5."""
        reads(frame, expected)

    def test_all_nil(self) -> None:
        """A nil value is absent, and so is a message."""
        reads(b"<0>1 - - - - - -", message("", pri=0))

    @pytest.mark.parametrize(
        ("rest", "text"),
        [
            (b"-", ""),
            (b"- ", ""),
            (b"- x", "x"),
            (b"-  x ", " x "),
            (b"- \xef\xbb\xbf", ""),
            (b"- \xef\xbb\xbf x", " x"),
            (b"- \xef\xbb\xbf\xef\xbb\xbfx", "\ufeffx"),
            (b"- x\xef\xbb\xbf", "x\ufeff"),
            (b"- a\r\nb\0\n", "a\r\nb\0\n"),
            (b"- \xff\xc3\xa9\xc3", "\ufffdé\ufffd"),
        ],
    )
    def test_one_blank_and_one_byte_order_mark_are_no_part_of_the_message(
        self, rest: bytes, text: str
    ) -> None:
        """All else is kept; what is not UTF-8 is replaced."""
        reads(HEAD + rest, message(text, **FIELDS))

    @pytest.mark.parametrize(
        "rest",
        [b"x y", b"-x y", b"--", b"{}", b"-\tx", b"\xc3\xa9", b'"-" x'],
    )
    def test_without_structured_data_the_rest_is_message(self, rest: bytes) -> None:
        """Neither an element nor nil."""
        reads(HEAD + rest, message(rest.decode(), **FIELDS))

    def test_structured_data_may_be_empty(self) -> None:
        """A template that knows none leaves two blanks."""
        reads(HEAD + b" x", message("x", **FIELDS))

    def test_long_and_foreign_fields_are_read(self) -> None:
        """Beyond what section 6 allows."""
        reads(
            b"<34>1 - %b caf\xc3\xa9 \xff [m] - x" % (b"h" * 1000),
            message(
                "x", pri=34, hostname="h" * 1000, app_name="café", procid="\ufffd", msgid="[m]"
            ),
        )

    @pytest.mark.parametrize(
        ("stamp", "instant"),
        [
            (b"2003-10-11T22:14:15Z", at(2003, 10, 11, 22, 14, 15)),
            (b"2003-10-11t22:14:15z", at(2003, 10, 11, 22, 14, 15)),
            (b"1985-04-12T23:20:50.52Z", at(1985, 4, 12, 23, 20, 50, 520000)),
            (b"2003-10-11T22:14:15.123456789Z", at(2003, 10, 11, 22, 14, 15, 123456)),
            (b"2003-10-11T22:14:15,5Z", at(2003, 10, 11, 22, 14, 15, 500000)),
            (b"2003-10-11T22:14:15+02:00", at(2003, 10, 11, 20, 14, 15)),
            (b"2003-10-11T22:14:15-0530", at(2003, 10, 12, 3, 44, 15)),
            (b"2003-10-11T22:14:15+02", at(2003, 10, 11, 20, 14, 15)),
            (b"2003-10-11T22:14:15-00:00", at(2003, 10, 11, 22, 14, 15)),
            (b"2003-10-11T22:14:15", at(2003, 10, 11, 22, 14, 15)),
            (b"2016-12-31T23:59:60Z", at(2017, 1, 1)),
            (b"2016-12-31T23:59:60.25Z", at(2017, 1, 1, 0, 0, 0, 250000)),
            (b"2017-01-01T00:59:60+01:00", at(2017, 1, 1)),
            (b"2024-02-29T00:00:00Z", at(2024, 2, 29)),
            (b"2023-02-29T00:00:00Z", None),
            (b"2003-02-30T00:00:00Z", None),
            (b"2003-13-01T00:00:00Z", None),
            (b"2003-00-01T00:00:00Z", None),
            (b"0000-01-01T00:00:00Z", None),
            (b"2003-10-11T24:00:00Z", None),
            (b"2003-10-11T22:60:00Z", None),
            (b"2003-10-11T22:14:61Z", None),
            (b"2003-10-11T22:14:15+24:00", None),
            (b"2003-10-11T22:14:15+02:60", None),
            (b"0001-01-01T00:00:00+01:00", None),
            (b"9999-12-31T23:59:60Z", None),
        ],
    )
    def test_timestamps(self, stamp: bytes, instant: datetime | None) -> None:
        """In UTC; None where there is no such date, and the header is read all the same."""
        fields = {**FIELDS, "timestamp": instant}
        reads(b"<34>1 " + stamp + b" h a p m - x", message("x", **fields))

    def test_a_timestamp_without_offset_is_in_the_zone_given(self) -> None:
        """Which may have summer time."""
        frame = b"<34>1 2003-07-11T22:14:15 h a p m - x"
        zone = ZoneInfo("Europe/Paris")
        assert parse(frame, now=NOW, zone=zone).timestamp == at(2003, 7, 11, 20, 14, 15)

    def test_timestamps_are_in_utc(self) -> None:
        """Not only the same instant."""
        sent = parse(b"<34>1 2003-10-11T22:14:15+02:00 h a p m - x", now=NOW).timestamp
        assert sent is not None
        assert sent.tzinfo is UTC

    @pytest.mark.parametrize(
        "rest",
        [
            b"1 2003-10-11 22:14:15Z h a p m - x",
            b"1 2003-10-11T22:14Z h a p m - x",
            b"1 2003-10-11T22:14:15.Z h a p m - x",
            b"1 2003-10-11T22:14:15.1234567890Z h a p m - x",
            b"1 03-10-11T22:14:15Z h a p m - x",
            b"1 yesterday h a p m - x",
            b"1 - h a p m",
            b"1 - h a p",
            b"1 - h  p m - x",
            b"1  - h a p m - x",
            b"1 - h\ta p m - x",
            b"1 - %b a p m - x" % (b"h" * 1025),
            b"2 - h a p m - x",
            b"10 - h a p m - x",
            b"1",
            b"1 ",
            b" 1 - h a p m - x",
        ],
    )
    def test_another_header_is_not_rfc_5424(self, rest: bytes) -> None:
        """The text after the PRI is the message."""
        reads(b"<34>" + rest, message(rest.decode(), pri=34))


class TestPri:
    """RFC 5424, section 6.2.1."""

    @pytest.mark.parametrize("pri", [0, 1, 9, 10, 19, 99, 100, 179, 180, 189, 190, 191])
    def test_zero_to_191(self, pri: int) -> None:
        """Both headers have the same."""
        reads(b"<%d>x" % pri, message("x", pri=pri))
        reads(b"<%d>1 - - - - - - x" % pri, message("x", pri=pri))

    @pytest.mark.parametrize(
        "text",
        ["<192>", "<200>", "<999>", "<1000>", "<00>", "<01>", "<034>", "<-1>", "<+1>", "<>", "<a>"]
        + ["< 1>", "<1 >", "<1", "1>", "<٣>", "<", " <1>"],
    )
    @pytest.mark.parametrize("rest", ["1 - h a p m - x", "Oct 11 22:14:15 h a: x", "a: x", ""])
    def test_anything_else_is_text(self, text: str, rest: str) -> None:
        """And what follows is read no further."""
        reads((text + rest).encode(), message(text + rest))

    def test_facility_and_severity(self) -> None:
        """Eight severities to a facility."""
        last = parse(b"<191>x", now=NOW)
        assert (last.facility, last.severity) == (23, 7)
        local4 = parse(b"<165>x", now=NOW)
        assert (local4.facility, local4.severity) == (20, 5)
        none = parse(b"x", now=NOW)
        assert (none.facility, none.severity) == (None, None)

    def test_a_message_cannot_be_changed(self) -> None:
        """It may be shared."""
        with pytest.raises(FrozenInstanceError):
            parse(b"<191>x", now=NOW).pri = 1


class TestStructuredData:
    """RFC 5424, section 6.3."""

    @pytest.mark.parametrize(
        ("octets", "data"),
        [
            (b"[a]", {"a": {}}),
            (b'[a b=""]', {"a": {"b": ""}}),
            (b'[a b="1" c="2"]', {"a": {"b": "1", "c": "2"}}),
            (b'[a b="1"][c]', {"a": {"b": "1"}, "c": {}}),
            (b'[a b="1" b="2" c="" b="1"]', {"a": {"b": ["1", "2", "1"], "c": ""}}),
            (b'[a b="1"][c][a b="2" d="3"]', {"a": {"b": ["1", "2"], "d": "3"}, "c": {}}),
            (b'[a b="x y\tz\n"]', {"a": {"b": "x y\tz\n"}}),
            (b'[a b="c=\'[d"]', {"a": {"b": "c='[d"}}),
            (b'[a b="\\""]', {"a": {"b": '"'}}),
            (b'[a b="\\\\"]', {"a": {"b": "\\"}}),
            (b'[a b="\\]"]', {"a": {"b": "]"}}),
            (b'[a b="\\\\\\"\\]\\n\\ \\a"]', {"a": {"b": '\\"]\\n\\ \\a'}}),
            (b'[a b="\\\\]"]', None),
            (b'[a b="\\\\n"]', {"a": {"b": "\\n"}}),
            (b'[a b="C:\\Windows\\\\x"]', {"a": {"b": "C:\\Windows\\x"}}),
            (b'[a b="\xc3\xa9\xff"]', {"a": {"b": "é\ufffd"}}),
            (b'[SEKOIA@53288 intake_key="k"]', {"SEKOIA@53288": {"intake_key": "k"}}),
            (b'[[a/\\ !#~="1"]', None),
            (b'[[a/\\ !#~="1" {}="2"]', {"[a/\\": {"!#~": "1", "{}": "2"}}),
            (b'[%b %b="1"]' % (b"i" * 40, b"n" * 40), {"i" * 40: {"n" * 40: "1"}}),
        ],
    )
    def test_elements(self, octets: bytes, data: dict | None) -> None:
        """Parameters by id and name; all of one name, in order, where there are several."""
        if data is None:
            reads(HEAD + octets + b" x", message(octets.decode() + " x", **FIELDS))
        else:
            reads(HEAD + octets + b" x", message("x", **FIELDS, structured_data=data))

    @pytest.mark.parametrize(
        "broken",
        [
            b"[",
            b"[]",
            b"[ ]",
            b"[a",
            b"[a ]",
            b"[a b]",
            b"[a b=]",
            b"[a b=1]",
            b"[a b='1']",
            b'[a b="1]',
            b'[a b="1',
            b'[a b="1"',
            b'[a b="1" ]',
            b'[a  b="1"]',
            b'[ a b="1"]',
            b'[a b ="1"]',
            b'[a b= "1"]',
            b'[a ="1"]',
            b'[="1"]',
            b'[a=b c="1"]',
            b'[a"b c="1"]',
            b'[a b"c="1"]',
            b'[a\tb="1"]',
            b'[a b="1"c="2"]',
            b'[a b="1",c="2"]',
            b'[a b="1]2"]',
            b'[a b="1"2"]',
            b'[a b="1\\"]',
            b'[a b="\\\\" c="\\"]',
            b'[\xc3\xa9 b="1"]',
            b'[a \xc3\xa9="1"]',
        ],
    )
    def test_a_broken_element_makes_the_rest_message(self, broken: bytes) -> None:
        """From its bracket on; the elements before it stand."""
        for rest in (b"", b" x", b'[z y="1"] x'):
            text = (broken + rest).decode()
            reads(HEAD + broken + rest, message(text, **FIELDS))
            reads(
                HEAD + b'[e f="1"][g]' + broken + rest,
                message(text, **FIELDS, structured_data={"e": {"f": "1"}, "g": {}}),
            )

    @pytest.mark.parametrize(
        ("octets", "text"),
        [
            (b'[a b="1"] [c d="2"] x', '[c d="2"] x'),
            (b'[a b="1"]  [c d="2"]', ' [c d="2"]'),
            (b'[a b="1"]', ""),
            (b'[a b="1"] ', ""),
            (b'[a b="1"]x', "x"),
            (b'[a b="1"]] x', "] x"),
            (b'[a b="1"]\xef\xbb\xbfx', "x"),
            (b'[a b="1"] \xef\xbb\xbfx', "x"),
            (b'[a b="1"]-', "-"),
        ],
    )
    def test_a_blank_ends_structured_data(self, octets: bytes, text: str) -> None:
        """Whatever follows; nothing is lost where it is missing."""
        reads(HEAD + octets, message(text, **FIELDS, structured_data={"a": {"b": "1"}}))

    def test_a_cut_frame_is_read_as_far_as_it_goes(self) -> None:
        """The cut element is text."""
        reads(
            CutFrame(HEAD + b'[a b="1"][c d="2'),
            message('[c d="2', **FIELDS, structured_data={"a": {"b": "1"}}),
        )

    @pytest.mark.parametrize(
        ("unit", "count"),
        [(b'[a b="1"]', 20_000), (b'[SEKOIA@53288 b=""]', 12_000), (b"[a]", 60_000)],
    )
    def test_a_great_many_elements_are_read(self, unit: bytes, count: int) -> None:
        """Without taking longer for each."""
        assert parse(HEAD + unit * count + b" x", now=NOW).message == "x"
        assert envelope(HEAD + unit * count + b" x", KEY_NAME) == (None, "x")

    def test_a_great_many_parameters_are_read(self) -> None:
        """In order."""
        values = [str(number) for number in range(10_000)]
        params = "".join(f' b="{value}"' for value in values).encode()
        found = parse(HEAD + b"[a" + params + b"] x", now=NOW)
        assert found.structured_data == {"a": {"b": values}}
        key_params = params.replace(b" b=", b" intake_key=")
        frame = HEAD + b"[SEKOIA@53288" + params + key_params + b"] x"
        assert envelope(frame, KEY_NAME) == ("0", "x")

    @pytest.mark.parametrize(
        "rest",
        [
            b"[a" + b' b="1"' * 100_000,
            b'[a b="' + b"\\a" * 100_000,
            b'[a b="' * 100_000,
            b"[" * 100_000,
            b"[SEKOIA@53288" + b' intake_kez="1"' * 50_000,
        ],
        ids=["params", "escapes", "quotes", "brackets", "almost keys"],
    )
    def test_what_does_not_end_is_message(self, rest: bytes) -> None:
        """In time that does not grow faster than the message."""
        reads(HEAD + rest, message(rest.decode(), **FIELDS))

    def test_structured_data_is_read_as_far_as_256_kib(self) -> None:
        """The element that reaches beyond is text, and so is all that follows."""
        unit = b'[a b="1"]'
        frame = HEAD + unit * 100_000 + b" x"
        read = (256 * 1024 - len(HEAD)) // len(unit)
        found = parse(frame, now=NOW)
        assert found.structured_data == {"a": {"b": ["1"] * read}}
        assert found.message == (unit * (100_000 - read) + b" x").decode()
        assert envelope(frame, KEY_NAME) == (None, found.message)


T = b"Oct 11 22:14:15"
THEN = at(2023, 10, 11, 22, 14, 15)  # nearer to NOW than that of 2024? see TestYear


class TestRfc3164:
    """RFC 3164, and what senders make of it."""
