"""Headers of RFC 5424 and RFC 3164, as they are written down and as they are sent."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import FrozenInstanceError, replace
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
    """Assert what a frame is read as, by both ways of reading it; its version is tested apart."""
    assert replace(parse(frame, now=NOW), version=None) == expected
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
                (
                    b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
                    b"\xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8"
                ),
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
                (
                    b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - "
                    b"%% It's time to make the do-nuts."
                ),
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
                (
                    b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
                    b'[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"] '
                    b"\xef\xbb\xbfAn application event log entry..."
                ),
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
                (
                    b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
                    b'[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"]'
                    b'[examplePriority@32473 class="high"]'
                ),
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

    @pytest.mark.parametrize(
        ("frame", "version"),
        [
            (b"<0>1 - - - - - -", 1),
            (HEAD + b"- x", 1),
            (b"<34>1 - h a p m", None),
            (b"<34>2 - h a p m - x", None),
            (b"<34>1 {}", None),
            (b"<34>Oct 11 22:14:15 h a: x", None),
            (b"x", None),
        ],
    )
    def test_the_version_is_that_of_the_header(self, frame: bytes, version: int | None) -> None:
        """Only a header of RFC 5424 has one."""
        assert parse(frame, now=NOW).version == version

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
        [
            "<192>",
            "<200>",
            "<999>",
            "<1000>",
            "<00>",
            "<01>",
            "<034>",
            "<-1>",
            "<+1>",
            "<>",
            "<a>",
            "< 1>",
            "<1 >",
            "<1",
            "1>",
            "<٣>",
            "<",
            " <1>",
        ],
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
            (b'[[a/\\ !#~="1"]', {"[a/\\": {"!#~": "1"}}),
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
        for rest in (b"", b" x", b' [z y="1"] x'):
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
        values = [str(number) for number in range(5_000)]
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
THEN = at(2024, 10, 11, 22, 14, 15)


class TestRfc3164:
    """RFC 3164, and what senders make of it."""

    @pytest.mark.parametrize(
        ("frame", "expected"),
        [
            (
                b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
                message(
                    "'su root' failed for lonvick on /dev/pts/8",
                    pri=34,
                    timestamp=THEN,
                    hostname="mymachine",
                    app_name="su",
                ),
            ),
            (b"Use the BFG!", message("Use the BFG!")),
            (
                b"<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
                message(
                    "the BFG!",
                    pri=13,
                    timestamp=at(2024, 2, 5, 17, 32, 18),
                    hostname="10.0.0.99",
                    app_name="Use",
                ),
            ),
            (
                (
                    b"<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time to make the "
                    b"do-nuts.  %%  Ingredients: Mix=OK, Jelly=OK #"
                ),
                message(
                    "%% It's time to make the do-nuts.  %%  Ingredients: Mix=OK, Jelly=OK #",
                    pri=165,
                    timestamp=at(1987, 8, 24, 11, 34),
                    hostname="mymachine",
                    app_name="myproc",
                    procid="10",
                ),
            ),
            (
                (
                    b"<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: "
                    b"That's All Folks!"
                ),
                message(
                    "1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: "
                    "That's All Folks!",
                    pri=0,
                ),
            ),
            (
                (
                    b"<0>Oct 22 10:52:12 scapegoat 1990 Oct 22 10:52:01 TZ-6 "
                    b"scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!"
                ),
                message(
                    "Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: "
                    "That's All Folks!",
                    pri=0,
                    app_name="1990",
                    timestamp=at(2024, 10, 22, 10, 52, 12),
                    hostname="scapegoat",
                ),
            ),
        ],
        ids=["example 1", "example 2", "2 relayed", "example 3", "example 4", "4 relayed"],
    )
    def test_examples_of_the_rfc(self, frame: bytes, expected: Message) -> None:
        """Section 5.4."""
        reads(frame, expected)

    @pytest.mark.parametrize("pri", [None, 34])
    @pytest.mark.parametrize(
        ("stamp", "instant"),
        [
            (b"Oct 11 22:14:15", THEN),
            (b"oct 11 22:14:15", THEN),
            (b"OCT 11 22:14:15", THEN),
            (b"Oct 1 22:14:15", at(2024, 10, 1, 22, 14, 15)),
            (b"Oct  1 22:14:15", at(2024, 10, 1, 22, 14, 15)),
            (b"Oct 01 22:14:15", at(2024, 10, 1, 22, 14, 15)),
            (b"Oct  11 22:14:15", THEN),
            (b"Oct 11 2:14:15", at(2024, 10, 11, 2, 14, 15)),
            (b"Oct 11 2003 22:14:15", at(2003, 10, 11, 22, 14, 15)),
            (b"Oct 11 22:14:15 2003", at(2003, 10, 11, 22, 14, 15)),
            (b"Oct 11 22:14:15.003", at(2024, 10, 11, 22, 14, 15, 3000)),
            (b"Oct 11 22:14:15.123456789", at(2024, 10, 11, 22, 14, 15, 123456)),
            (b"Oct 11 22:14:15,5", at(2024, 10, 11, 22, 14, 15, 500000)),
            (b"Oct 11 2003 22:14:15.003", SENT),
            (b"Oct 11 22:14:15.003 2003", SENT),
            (b"Oct 11 22:14:15Z", THEN),
            (b"Oct 11 22:14:15 Z", THEN),
            (b"Oct 11 22:14:15.003Z", at(2024, 10, 11, 22, 14, 15, 3000)),
            (b"Oct 11 22:14:15+02:00", at(2024, 10, 11, 20, 14, 15)),
            (b"Oct 11 22:14:15 +0200", at(2024, 10, 11, 20, 14, 15)),
            (b"Oct 11 22:14:15.5-05", at(2024, 10, 12, 3, 14, 15, 500000)),
            (b"Oct 11 22:14:15 UTC", THEN),
            (b"Oct 11 22:14:15 GMT", THEN),
            (b"Oct 11 22:14:15 CEST", at(2024, 10, 11, 20, 14, 15)),
            (b"Oct 11 22:14:15 EDT", at(2024, 10, 12, 2, 14, 15)),
            (b"Oct 11 22:14:15 UTC 2003", at(2003, 10, 11, 22, 14, 15)),
            (b"Oct 11 22:14:15 2003 CET", at(2003, 10, 11, 21, 14, 15)),
            (b"Oct 11 22:14:15.003 UTC:", at(2024, 10, 11, 22, 14, 15, 3000)),
            (b"Oct 11 22:14:15 CEST:", at(2024, 10, 11, 20, 14, 15)),
            (b"Oct 11 22:14:15:", THEN),
            (b"Oct 11 22:14:15 2003:", at(2003, 10, 11, 22, 14, 15)),
            (b"Oct 11 22:14:15 UTC 2003:", at(2003, 10, 11, 22, 14, 15)),
            (b"Oct 11 2003 22:14:15:", at(2003, 10, 11, 22, 14, 15)),
            (b"Oct 11 22:14:60", at(2024, 10, 11, 22, 15)),
            (b"Feb 29 2023 22:14:15", None),
            (b"Feb 3 22:14:15", at(2024, 2, 3, 22, 14, 15)),
            (b"Feb  3 22:14:15", at(2024, 2, 3, 22, 14, 15)),
            (b"Feb 03 22:14:15", at(2024, 2, 3, 22, 14, 15)),
            (b"Apr  3 22:14:15", at(2024, 4, 3, 22, 14, 15)),
            (b"Apr 30 22:14:15", at(2024, 4, 30, 22, 14, 15)),
            (b"Mar 31 22:14:15", at(2024, 3, 31, 22, 14, 15)),
            (b"Oct 11 22:14:15 +24:00", None),
            (b"2003-10-11T22:14:15.003Z", SENT),
            (b"2003-10-12t00:14:15.003+0200", SENT),
            (b"2003-10-11T22:14:15.003", SENT),
            (b"2003-10-11T22:14:15.003Z:", SENT),
            (b"2003-10-11 22:14:15.003", SENT),
            (b"2003-02-30T22:14:15Z", None),
        ],
    )
    def test_timestamps(self, stamp: bytes, instant: datetime | None, pri: int | None) -> None:
        """With and without PRI; None for a date that does not exist."""
        head = b"" if pri is None else b"<%d>" % pri
        sent = {"pri": pri, "timestamp": instant}
        reads(
            head + stamp + b" host su[1]: x",
            message("x", **sent, hostname="host", app_name="su", procid="1"),
        )
        reads(head + stamp + b" su: x", message("x", **sent, app_name="su"))
        reads(head + stamp, message("", **sent))
        reads(head + stamp + b" ", message("", **sent))

    @pytest.mark.parametrize(
        "text",
        [
            "Okt 11 22:14:15 host su: x",
            "October 11 22:14:15 host su: x",
            "Oct 00 22:14:15 host su: x",
            "Oct 32 22:14:15 host su: x",
            "Oct 111 22:14:15 host su: x",
            "Oct   1 22:14:15 host su: x",
            "Oct11 22:14:15 host su: x",
            "Oct 11 24:14:15 host su: x",
            "Oct 11 22:60:15 host su: x",
            "Oct 11 22:14:61 host su: x",
            "Oct 11 22:14 host su: x",
            "Oct 11 22:14:15.1234567890 host su: x",
            "Oct 11 22:14:15. host su: x",
            "Oct 11 22:14:15host su: x",
            "Oct 11 22:14:15\thost su: x",
            "Oct 11 03 22:14:15 host su: x",
            "Feb 30 22:14:15 host su: x",
            "Feb 31 22:14:15 host su: x",
            "Apr 31 22:14:15 host su: x",
            "nov 31 22:14:15 host su: x",
            "2003-13-11T22:14:15 host su: x",
            "2003-10-32T22:14:15 host su: x",
            "2003-10-11T24:14:15 host su: x",
            "20031011T221415Z host su: x",
            "2003-10-11T22:14:15Zhost su: x",
        ],
    )
    def test_what_is_no_timestamp_is_text(self, text: str) -> None:
        """And the first words of a text are neither host nor tag."""
        reads(text.encode(), message(text))
        reads(b"<34>" + text.encode(), message(text, pri=34))

    def test_a_blank_before_the_timestamp_is_passed_over(self) -> None:
        """Some devices put one after the PRI."""
        reads(
            b"<34> Oct 11 22:14:15 host su: x",
            message("x", pri=34, timestamp=THEN, hostname="host", app_name="su"),
        )

    @pytest.mark.parametrize(
        "host",
        [
            "h",
            "web-1.example.com",
            "WIN_2019",
            "_x",
            "1",
            "10.0.0.99",
            "café",
            "h" * 255,
            "::",
            "::1",
            "fe80::",
            "2001:db8::1",
            "2001:DB8:0:0:8:800:200C:417A",
            "::ffff:192.0.2.1",
            "fe80::1%eth0",
            "ut",
        ],
    )
    def test_hosts(self, host: str) -> None:
        """A name, or an address of either kind."""
        fields = {"pri": 34, "timestamp": THEN, "hostname": host}
        head = b"<34>" + T + b" " + host.encode()
        reads(head, message("", **fields))
        reads(head + b" ", message("", **fields))
        reads(head + b" x", message("x", **fields))
        reads(head + b" x y", message("y", **fields, app_name="x"))
        reads(head + b" su: x", message("x", **fields, app_name="su"))
        reads(head + b"  su: x", message("x", **fields, app_name="su"))
        reads(head + b"  x", message(" x", **fields))
        reads(
            b"<34>" + T + b"  " + host.encode() + b" su: x", message("x", **fields, app_name="su")
        )

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            '{"a": 1}',
            "[x] y",
            "'su root' failed",
            "-- MARK --",
            "- x",
            "-",
            "... x",
            "h. x",
            "h- x",
            "h, x",
            "a=b c",
            "a|b c",
            "a/b c",
            "a@b c",
            "h%1 x",
            "\tx y",
            "h" * 256 + " x",
            "<a> x",
            "http://example.com/ x",
        ],
    )
    def test_what_is_no_host_is_message(self, text: str) -> None:
        """Where the host is missing."""
        reads(b"<34>" + T + b" " + text.encode(), message(text, pri=34, timestamp=THEN))

    @pytest.mark.parametrize(
        ("tag", "app_name", "procid"),
        [
            ("su:", "su", None),
            ("su[1]:", "su", "1"),
            ("su[1]", "su", "1"),
            ("su[]:", "su", None),
            ("su[-]:", "su", "-"),
            ("su[a-b.c]:", "su", "a-b.c"),
            ("postfix/smtpd[12345]:", "postfix/smtpd", "12345"),
            ("/usr/sbin/cron[1]:", "/usr/sbin/cron", "1"),
            ("systemd-logind:", "systemd-logind", None),
            ("user@1000.service:", "user@1000.service", None),
            ("su(pam_unix)[1]:", "su(pam_unix)", "1"),
            ("%ASA-6-302013:", "%ASA-6-302013", None),
            ("(root):", "(root)", None),
            ("1:", "1", None),
            ("Über:", "Über", None),
            ("-:", None, None),
            ("CEF-1:", "CEF-1", None),
            ("XCEF:", "XCEF", None),
            ("cef:", "cef", None),
            ("a" * 512 + ":", "a" * 512, None),
        ],
    )
    def test_tags(self, tag: str, app_name: str | None, procid: str | None) -> None:
        """After a host, after a timestamp alone, and after a PRI alone."""
        fields = {"pri": 34, "app_name": app_name, "procid": procid}
        for rest, text in (("", ""), (" ", ""), (" x: y", "x: y"), ("  x ", " x ")):
            end = (tag + rest).encode()
            reads(
                b"<34>" + T + b" host " + end,
                message(text, **fields, timestamp=THEN, hostname="host"),
            )
            reads(b"<34>" + T + b" " + end, message(text, **fields, timestamp=THEN))
            reads(b"<34>" + end, message(text, **fields))
            reads(end, message(tag + rest))

    def test_a_tag_needs_no_blank_behind_it(self) -> None:
        """Its colon ends it."""
        expected = message("x", pri=34, timestamp=THEN, hostname="h", app_name="a", procid="1")
        reads(b"<34>" + T + b" h a[1]:x", expected)
        reads(b"<34>a:x", message("x", pri=34, app_name="a"))

    @pytest.mark.parametrize(
        ("text", "tag", "rest"),
        [
            ("Use the BFG!", "Use", "the BFG!"),
            ("two words: x", "two", "words: x"),
            ("su : x", "su", ": x"),
            ("su  x", "su", " x"),
            ("last message repeated 2 times", "last", "message repeated 2 times"),
        ],
    )
    def test_a_blank_ends_a_tag_after_a_host(self, text: str, tag: str, rest: str) -> None:
        """As rsyslog and syslog-ng read it; without a host all is message."""
        fields = {"pri": 34, "timestamp": THEN, "hostname": "host"}
        octets = text.encode()
        reads(b"<34>" + T + b" host " + octets, message(rest, **fields, app_name=tag))
        reads(b"<34>" + octets, message(text, pri=34))
        reads(octets, message(text))

    @pytest.mark.parametrize(
        "text",
        [
            "word",
            ": x",
            "[1]: x",
            "su[1",
            "su[1 2]: x",
            "su[1]x: y",
            "su[1][2]: x",
            "su]: x",
            "a=b: c",
            "a=b:c",
            '"a": 1',
            "'a': 1",
            "{a: 1}",
            '{"a":1}',
            '[{"a": 1}]',
            "<a:b/>",
            "<a xmlns:b='c'/>",
            "a|b: c",
            "a,b: c",
            "a;b: c",
            "http://example.com/x: y",
            "22:14:15 x: y",
            "10.0.0.1:514 x",
            "2003-10-11T22:14 x",
            "CEF:0|Cybereason|Cybereason|1.0|5|Malop Connection Added|5|dst=1.2.3.4",
            "CEF: 0|Cybereason|Cybereason|1.0|5|Malop Connection Added|5|dst=1.2.3.4",
            "0|Cybereason|Cybereason|1.0|5|Malop|5|request=https://x",
            "LEEF:2.0|Vendor|Product|1|2|^|a=b",
            "LEEF: 2.0|Vendor|Product|1|2|^|a=b",
            "CEF:",
            "a" * 513 + ": x",
            " leading: blank",
        ],
    )
    def test_without_tag_all_is_message(self, text: str) -> None:
        """After a host, and after a PRI alone."""
        octets = text.encode()
        if not text.startswith(" "):
            fields = {"pri": 34, "timestamp": THEN, "hostname": "host"}
            reads(b"<34>" + T + b" host " + octets, message(text, **fields))
        reads(b"<34>" + octets, message(text, pri=34))
        reads(octets, message(text))

    @pytest.mark.parametrize(
        "payload",
        ['{"a": "b: c"}', '{\n  "a": 1\n}', "CEF:0|a|b|c|1|n|5|d=e", "CEF: 0|a", "LEEF:1.0|a|b"],
    )
    def test_payloads_come_out_whole(self, payload: str) -> None:
        """JSON, CEF and LEEF after anything, also where the tag has no colon."""
        octets = payload.encode()
        tagged = {"pri": 34, "timestamp": THEN, "hostname": "host", "app_name": "edr"}
        reads(octets, message(payload))
        reads(b"<34>" + octets, message(payload, pri=34))
        reads(b"<34> " + octets, message(" " + payload, pri=34))
        reads(b"<34>" + T + b" " + octets, message(payload, pri=34, timestamp=THEN))
        reads(b"<34>" + T + b" host edr: " + octets, message(payload, **tagged))
        reads(b"<34>" + T + b" host edr[1]: " + octets, message(payload, **tagged, procid="1"))
        reads(b"<34>" + T + b" host edr " + octets, message(payload, **tagged))
        tagged["app_name"] = None
        reads(b"<34>" + T + b" host " + octets, message(payload, **tagged))
        reads(b"<34>" + T + b" host - " + octets, message(payload, **tagged))
        reads(b"<34>" + T + b" host  " + octets, message(" " + payload, **tagged))

    @pytest.mark.parametrize(
        ("frame", "expected"),
        [
            (
                b"<166>Jan 15 2024 10:20:30: %ASA-6-302013: Built inbound TCP connection",
                message(
                    "Built inbound TCP connection",
                    pri=166,
                    timestamp=at(2024, 1, 15, 10, 20, 30),
                    app_name="%ASA-6-302013",
                ),
            ),
            (
                b"<166>Jan 15 2024 10:20:30 fw : %ASA-6-302013: Built",
                message(
                    ": %ASA-6-302013: Built",
                    pri=166,
                    timestamp=at(2024, 1, 15, 10, 20, 30),
                    hostname="fw",
                ),
            ),
            (
                b"<189>date=2024-01-15 time=10:20:30 devname=fw",
                message("date=2024-01-15 time=10:20:30 devname=fw", pri=189),
            ),
            (
                b"<166>2024-01-15T10:20:30.123Z esx1 Hostd: info hostd[1] [sub=Vimsvc] x",
                message(
                    "info hostd[1] [sub=Vimsvc] x",
                    pri=166,
                    timestamp=at(2024, 1, 15, 10, 20, 30, 123000),
                    hostname="esx1",
                    app_name="Hostd",
                ),
            ),
        ],
        ids=["ASA", "ASA with a device id", "FortiGate", "ESXi"],
    )
    def test_devices(self, frame: bytes, expected: Message) -> None:
        """As their vendors document them."""
        reads(frame, expected)


class TestYear:
    """The year that RFC 3164 leaves out."""

    @pytest.mark.parametrize(
        ("now", "stamp", "instant"),
        [
            (at(2024, 12, 31, 23, 59, 59), b"Jan  1 00:00:01", at(2025, 1, 1, 0, 0, 1)),
            (at(2025, 1, 1, 0, 0, 1), b"Dec 31 23:59:59", at(2024, 12, 31, 23, 59, 59)),
            (at(2025, 1, 1), b"Jul  2 11:00:00", at(2025, 7, 2, 11)),
            (at(2025, 1, 1), b"Jul  3 11:00:00", at(2024, 7, 3, 11)),
            (at(2025, 12, 31), b"Jul  2 11:00:00", at(2025, 7, 2, 11)),
            (at(2025, 12, 31), b"Jul  1 11:00:00", at(2026, 7, 1, 11)),
            (at(2024, 3, 1), b"Feb 29 12:00:00", at(2024, 2, 29, 12)),
            (at(2025, 3, 1), b"Feb 29 12:00:00", at(2024, 2, 29, 12)),
            (at(2026, 2, 1), b"Feb 29 12:00:00", at(2024, 2, 29, 12)),
            (at(2026, 4, 1), b"Feb 29 12:00:00", at(2028, 2, 29, 12)),
            (at(2100, 2, 1), b"Feb 29 12:00:00", at(2096, 2, 29, 12)),
            (at(2100, 4, 1), b"Feb 29 12:00:00", at(2104, 2, 29, 12)),
            (at(2101, 1, 1), b"Feb 29 12:00:00", at(2104, 2, 29, 12)),
            (at(2024, 6, 30, 23, 59, 50), b"Jun 30 23:59:60", at(2024, 7, 1)),
            (at(1, 1, 1), b"Dec 31 12:00:00", at(1, 12, 31, 12)),
            (at(9999, 12, 31), b"Jan  1 12:00:00", at(9999, 1, 1, 12)),
        ],
    )
    def test_the_year_nearest_to_now(
        self, now: datetime, stamp: bytes, instant: datetime | None
    ) -> None:
        """Before or after it; the 29th of February only in a leap year."""
        assert parse(b"<34>" + stamp + b" host su: x", now=now).timestamp == instant

    def test_a_time_without_zone_is_in_the_zone_given(self) -> None:
        """Its summer time holds, and its new year."""
        paris, tokyo = ZoneInfo("Europe/Paris"), timezone(timedelta(hours=9))
        summer = parse(b"Jul 11 22:14:15 host su: x", now=NOW, zone=paris).timestamp
        assert summer == at(2024, 7, 11, 20, 14, 15)
        winter = parse(b"Dec 11 22:14:15 host su: x", now=NOW, zone=paris).timestamp
        assert winter == at(2024, 12, 11, 21, 14, 15)
        new_year = parse(b"Jan  1 00:30:00 h a: x", now=at(2024, 12, 31, 15, 30), zone=tokyo)
        assert new_year.timestamp == at(2024, 12, 31, 15, 30)

    def test_a_zone_in_the_message_counts_more(self) -> None:
        """The zone given is for times that name none."""
        zone = timezone(timedelta(hours=9))
        assert parse(b"Oct 11 22:14:15 UTC host x", now=NOW, zone=zone).timestamp == THEN
        assert parse(b"2003-10-11T22:14:15.003Z h", now=NOW, zone=zone).timestamp == SENT

    def test_now_may_be_in_any_zone(self) -> None:
        """It is an instant."""
        now = datetime(2025, 1, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=2)))
        sent = parse(b"Dec 31 23:00:00 h a: x", now=now).timestamp
        assert sent == at(2024, 12, 31, 23)


class TestAsSent:
    """What programs send, octet for octet."""

    @pytest.mark.parametrize(
        ("frame", "expected"),
        [
            (
                b"<13>Nov 21 22:11:21 vm tag: hello world",
                message("hello world", hostname="vm", app_name="tag"),
            ),
            (
                b"<13>Nov 21 22:11:21 vm tag[5430]: hello world",
                message("hello world", hostname="vm", app_name="tag", procid="5430"),
            ),
            (
                (
                    b"<13>1 2024-11-21T22:11:21.000000+00:00 vm tag 5431 ID47 "
                    b'[timeQuality tzKnown="1" isSynced="0"][SEKOIA@53288 intake_key="KEY"] '
                    b"hello w\xc3\xb6rld"
                ),
                message(
                    "hello wörld",
                    hostname="vm",
                    app_name="tag",
                    procid="5431",
                    msgid="ID47",
                    structured_data={
                        "timeQuality": {"tzKnown": "1", "isSynced": "0"},
                        "SEKOIA@53288": {"intake_key": "KEY"},
                    },
                ),
            ),
            (b"<13>1 - - root - - - hello", message("hello", app_name="root", timestamp=None)),
            (
                b"<13>Nov 21 22:11:21 vm CEF: 0|Cybereason",
                message("CEF: 0|Cybereason", hostname="vm"),
            ),
        ],
        ids=["--rfc3164", "--id", "--rfc5424", "notime,nohost", "a tag that is none"],
    )
    def test_logger(self, frame: bytes, expected: Message) -> None:
        """Of util-linux 2.38, over the network."""
        sent = {"pri": 13, "timestamp": at(2024, 11, 21, 22, 11, 21)}
        self.reads_with(sent, frame, expected)

    @pytest.mark.parametrize(
        ("frame", "expected"),
        [
            (
                b"<13>2024-11-21T22:11:21+00:00 vm tag[5430]: hello world",
                message("hello world", hostname="vm", app_name="tag", procid="5430"),
            ),
            (
                b"<13>1 2024-11-21T22:11:21+00:00 vm tag 5430 - -  hello world",
                message(" hello world", hostname="vm", app_name="tag", procid="5430"),
            ),
            (
                b"<13>Nov 21 22:11:21 vm tag[5431] hello w\xc3\xb6rld",
                message("hello wörld", hostname="vm", app_name="tag", procid="5431"),
            ),
            (
                b"<13>2024-11-21T22:11:21.000000+00:00 vm edr CEF:0|a|b|c|1|n|5|",
                message("CEF:0|a|b|c|1|n|5|", hostname="vm", app_name="edr"),
            ),
            (
                b'<13>Nov 21 22:11:21 vm edr {"a": 1}',
                message('{"a": 1}', hostname="vm", app_name="edr"),
            ),
            (
                b"<13>Nov 21 22:11:21 vm - hello there",
                message("hello there", hostname="vm"),
            ),
            (
                b"<13>Nov 21 22:11:21 localhost CEF: 0|Cybereason|Cybereason|1.0",
                message("CEF: 0|Cybereason|Cybereason|1.0", hostname="localhost"),
            ),
            (
                b"<13>1 2024-11-21T22:11:21+00:00 localhost CEF - - - 0|Cybereason|Cybereason|1.0",
                message("0|Cybereason|Cybereason|1.0", hostname="localhost", app_name="CEF"),
            ),
            (
                (
                    b"<13>1 2024-11-21T22:11:21+00:00 localhost CEF - LOG "
                    b'[SEKOIA@53288 intake_key="KEY"] 0|Cybereason|Cybereason|1.0'
                ),
                message(
                    "0|Cybereason|Cybereason|1.0",
                    hostname="localhost",
                    app_name="CEF",
                    msgid="LOG",
                    structured_data={"SEKOIA@53288": {"intake_key": "KEY"}},
                ),
            ),
            (
                b'<13>Nov 21 22:11:21 localhost  {"a": 1}',
                message(' {"a": 1}', hostname="localhost"),
            ),
        ],
        ids=[
            "forward format",
            "protocol 23 format",
            "RFC 5424 relayed in the old format",
            "CEF relayed so",
            "JSON relayed so",
            "no tag relayed so",
            "CEF without header",
            "CEF without header, protocol 23",
            "the Sekoia.io template",
            "JSON without header",
        ],
    )
    def test_rsyslog(self, frame: bytes, expected: Message) -> None:
        """Version 8.2302 as a relay, with its own templates and that of the Sekoia.io forwarder."""
        sent = {"pri": 13, "timestamp": at(2024, 11, 21, 22, 11, 21)}
        self.reads_with(sent, frame, expected)

    @staticmethod
    def reads_with(sent: dict, frame: bytes, expected: Message) -> None:
        if frame.startswith(b"<13>1 - "):
            sent["timestamp"] = None
        fields = {name: getattr(expected, name) for name in Message.__slots__}
        reads(frame, Message(**{**fields, **sent}))


class TestKey:
    """The intake key in the structured data."""

    @pytest.mark.parametrize(
        ("data", "key"),
        [
            ('[SEKOIA@53288 intake_key="k"]', "k"),
            ('[a][SEKOIA@53288 intake_key="k"][b]', "k"),
            ('[a b="c"][SEKOIA@53288 d="e" intake_key="k" f="g"]', "k"),
            ('[SEKOIA@53288][SEKOIA@53288 a="b"][SEKOIA@53288 intake_key="k"]', "k"),
            ('[SEKOIA@53288 intake_key="k" intake_key="l"]', "k"),
            ('[SEKOIA@53288 intake_key="k"][SEKOIA@53288 intake_key="l"]', "k"),
            ('[SEKOIA@53288 intake_key="a\\"b\\\\c\\]d\\e"]', 'a"b\\c]d\\e'),
            ('[SEKOIA@53288 intake_key="é b"]', "é b"),
            ('[a b="[SEKOIA@53288 intake_key=\\"l\\"\\]"][SEKOIA@53288 intake_key="k"]', "k"),
            ('[SEKOIA@53288 intake_key="k"][b', "k"),
            ('[SEKOIA@53288 intake_key="k"]x', "k"),
            ('[SEKOIA@53288 intake_key=""]', None),
            ('[SEKOIA@53288 intake_key="" intake_key="k"]', None),
            ('[SEKOIA@53288 intake_key=""][SEKOIA@53288 intake_key="k"]', None),
            ("[SEKOIA@53288]", None),
            ('[SEKOIA@53288 intake_keys="k"]', None),
            ('[SEKOIA@53288 Intake_Key="k"]', None),
            ('[SEKOIA@53288 an_intake_key="k"]', None),
            ('[SEKOIA@532880 intake_key="k"]', None),
            ('[SEKOIA@5328 intake_key="k"]', None),
            ('[sekoia@53288 intake_key="k"]', None),
            ('[a intake_key="k"]', None),
            ('[a SEKOIA@53288="b" intake_key="k"]', None),
            ('[a b="[SEKOIA@53288 intake_key=\\"k\\""]', None),
            ('- [SEKOIA@53288 intake_key="k"]', None),
            ('[a] [SEKOIA@53288 intake_key="k"]', None),
            ('[SEKOIA@53288 intake_key="k"', None),
            ('[SEKOIA@53288 intake_key="k]', None),
            ('[SEKOIA@53288 intake_key="k" b=c]', None),
            ('[b c][SEKOIA@53288 intake_key="k"]', None),
            ("-", None),
        ],
    )
    def test_the_first_parameter_of_the_name_in_an_element_of_the_id(
        self, data: str, key: str | None
    ) -> None:
        """Wherever it stands; an empty one is none, and so is one that is not well formed."""
        assert envelope(HEAD + data.encode() + b" x", KEY_NAME)[0] == key

    @pytest.mark.parametrize("head", [b"", b"<34>", b"<34>" + T + b" h a: ", b"<34>1 - h a "])
    def test_only_rfc_5424_has_structured_data(self, head: bytes) -> None:
        """Text is no key."""
        assert envelope(head + b'[SEKOIA@53288 intake_key="k"] x', KEY_NAME)[0] is None

    def test_id_and_name_are_settings(self) -> None:
        """Characters that mean something in a pattern mean nothing here."""
        frame = HEAD + b'[aXb@1 k*y="1" key="2"][a.b@1 key="3" k*y="4"] x'
        assert envelope(frame, KeyName("a.b@1", "k*y"))[0] == "4"
        assert envelope(frame, KeyName("aXb@1", "key"))[0] == "2"
        assert envelope(frame, KeyName("a", "key"))[0] is None


class TestMask:
    """A key is a secret where structured data stays in a text."""

    KEY = "0a1b2c3d-4e5f-6789"

    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ('[SEKOIA@53288 intake_key="{}"', '[SEKOIA@53288 intake_key="***"'),
            ('[SEKOIA@53288 intake_key="{}', '[SEKOIA@53288 intake_key="***'),
            ('[SEKOIA@53288 intake_key="{}] x', '[SEKOIA@53288 intake_key="***] x'),
            ('[SEKOIA@53288 intake_key="{} x', '[SEKOIA@53288 intake_key="*** x'),
            ('[SEKOIA@53288 intake_key="{}" ] x', '[SEKOIA@53288 intake_key="***" ] x'),
            ('[SEKOIA@53288 intake_key="{}"x] y', '[SEKOIA@53288 intake_key="***"x] y'),
            ('[a intake_key="{}] {{"a": 1}}', '[a intake_key="***] {{"a": 1}}'),
            ("[SEKOIA@53288 intake_key={}] x", "[SEKOIA@53288 intake_key=***] x"),
            ('[SEKOIA@53288 intake_key=\\"{}\\"] x', "[SEKOIA@53288 intake_key=***] x"),
            ("[SEKOIA@53288 intake_key='{}'] x", "[SEKOIA@53288 intake_key=***] x"),
            ('[SEKOIA@53288 intake_key="a\\"{}\\]b"c] x', '[SEKOIA@53288 intake_key="***"c] x'),
            ('[SEKOIA@53288 intake_key="a]{}" b] x', '[SEKOIA@53288 intake_key="***" b] x'),
            ('[SEKOIA@53288 intake_key="a {}" b] x', '[SEKOIA@53288 intake_key="***" b] x'),
            ('[SEKOIA@53288 intake_key="a\\"{}', '[SEKOIA@53288 intake_key="***'),
            ('[SEKOIA@53288 intake_key="{}\\', '[SEKOIA@53288 intake_key="***\\'),
            ('[a intake_key="{}" b] intake_key="{}"', '[a intake_key="***" b] intake_key="***"'),
            ('[a b=c][SEKOIA@53288 intake_key="{}"]x', '[a b=c][SEKOIA@53288 intake_key="***"]x'),
            ('x intake_key="{}"', 'x intake_key="***"'),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "head",
        [
            b"",
            b"<34>",
            b"<34>" + T + b" h a: ",
            b"<999>1 - h a p m ",
            HEAD,
            HEAD + b'[e f="1"]',
            HEAD + b'[SEKOIA@53288 intake_key="other"]',
        ],
    )
    def test_values_are_masked(self, head: bytes, text: str, masked: str) -> None:
        """In broken elements, and wherever there is no RFC 5424 header; `parse` shows them."""
        frame = head + text.format(self.KEY, self.KEY).encode()
        shown = envelope(frame, KEY_NAME)[1]
        assert self.KEY not in shown
        assert shown.endswith(masked.format())
        assert self.KEY in parse(frame, now=NOW).message

    @pytest.mark.parametrize("data", [b"- ", b"[a] ", b'[SEKOIA@53288 intake_key="k"] '])
    @pytest.mark.parametrize("blanks", ["", " ", "   "])
    def test_an_element_out_of_place_is_masked(self, data: bytes, blanks: str) -> None:
        """Where a blank ended the structured data before it."""
        element = f'{blanks}[SEKOIA@53288 intake_key="{{}}"] x'
        frame = HEAD + data + element.format(self.KEY).encode()
        assert envelope(frame, KEY_NAME)[1] == element.format("***")

    @pytest.mark.parametrize("before", ["", " ", "99 ", "\ufeff", "\0"])
    def test_a_header_within_the_message_is_masked(self, before: str) -> None:
        """A relay wrapped the message in a header of its own."""
        inner = f'{before}<13>1 - - - - - [SEKOIA@53288 intake_key="{{}}"] CEF:0|a'
        frame = HEAD + b"[a] " + inner.format(self.KEY).encode()
        assert envelope(frame, KEY_NAME)[1] == inner.format("***").removeprefix("\ufeff")

    @pytest.mark.parametrize("data", [b"- ", b" ", b"[a] ", b'[SEKOIA@53288 intake_key="k"] '])
    @pytest.mark.parametrize(
        "payload", ['run --intake_key="value"', 'CEF:0|a|b|c|1|n|5|msg=intake_key="value" x']
    )
    def test_a_payload_after_structured_data_stays_as_it_is(
        self, data: bytes, payload: str
    ) -> None:
        """It is what a sender reports, not what tells us the intake."""
        assert envelope(HEAD + data + payload.encode(), KEY_NAME)[1] == payload

    @pytest.mark.parametrize(
        "payload",
        [
            r'{"command_line": "send --intake_key=\"value\""}',
            '{"command_line": "send --intake_key=value"}',
            '{"intake_key": "value"}',
            '{"intake_key":"value"}',
        ],
    )
    def test_json_stays_as_it_is(self, payload: str) -> None:
        """A quote within it is escaped."""
        assert envelope(payload.encode(), KEY_NAME) == (None, payload)

    def test_the_name_is_that_of_the_settings(self) -> None:
        """Not every name that a key might have."""
        text = b'[a k*y="1"x] intake_key="2"'
        assert envelope(text, KeyName("a", "k*y"))[1] == '[a k*y="***"x] intake_key="2"'

    @pytest.mark.parametrize(
        ("unit", "masked"),
        [
            ('intake_key="a" ', 'intake_key="***" '),
            ('intake_key="a ', 'intake_key="*** '),
            ('intake_key="\\', None),
            ("[SEKOIA@53288 intake_key=a", "[SEKOIA@53288 intake_key=***"),
        ],
    )
    def test_a_great_many_values_are_masked(self, unit: str, masked: str | None) -> None:
        """In time that does not grow faster than the message."""
        shown = envelope((unit * 50_000).encode(), KEY_NAME)[1]
        if masked is None:  # each value runs into the next name
            assert shown == 'intake_key="***"\\' * 25_000
        else:
            assert shown == masked * 50_000

    @given(
        key=st.text("0123456789abcdef-", min_size=8, max_size=40),
        before=st.text('xyz[]" \\=\n\0é', max_size=20),
        after=st.text('xyz[]" \\=\n\0é', max_size=20),
        head=st.sampled_from([b"", b"<34>", b"<34>Oct 11 22:14:15 h a: ", b"<34>1 - h a p m x "]),
        cut=st.integers(0, 60),
    )
    def test_a_key_never_shows(
        self, key: str, before: str, after: str, head: bytes, cut: int
    ) -> None:
        """Whatever stands around it, and wherever the message was cut."""
        for text in (
            f'{before}[SEKOIA@53288 intake_key="{key}"]{after}',
            f"{before}[SEKOIA@53288 intake_key={key}]{after}",
            f'{before}intake_key="{key}{after}',
        ):
            frame = head + text.encode()
            for octets in (frame, CutFrame(frame[: len(head) + cut])):
                shown = envelope(octets, KEY_NAME)[1]
                assert key not in shown


# Messages whose mutations are tried: between them they take every branch.
SEEDS = [
    HEAD + b'[a b="1" c="\\"2\\]"][SEKOIA@53288 intake_key="k"] \xef\xbb\xbfx: y',
    b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% x",
    b"<34>Oct 11 22:14:15 mymachine su[1]: 'su root' failed",
    b"<34>Oct  1 2003 22:14:15.003 CEST: fe80::1%eth0 su(pam)[1]: x",
    b"Feb 29 22:14:60 +02:00 1987 h edr {}",
    b"<13>2003-10-11T22:14:15.003Z h CEF:0|a|b",
    b"<13>su: x",
]


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A message of which pieces are missing, repeated or replaced."""
    frame = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(frame)))
        stop = draw(st.integers(start, min(start + 8, len(frame))))
        piece = draw(
            st.sampled_from([b"", b" ", b"[", b"]", b'"', b"\\", b":", b"-", b"<", b">", b"9"])
            | st.binary(max_size=3)
            | st.just(frame[start:stop] * 2)
        )
        frame = frame[:start] + piece + frame[stop:]
    return frame


@given(frame=mutations() | st.binary(max_size=80))
@example(frame=b"")
@settings(max_examples=1000)
def test_reading_never_fails_and_both_ways_agree(frame: bytes) -> None:
    """The envelope has the text and the key that `parse` has, masked keys apart."""
    found = parse(frame, now=NOW)
    key, text = envelope(frame, KEY_NAME)
    if b"intake_key=" in frame:
        assert text in {found.message, KEY_NAME.mask(found.message.encode()).decode()}
    else:
        assert text == found.message
    values = (found.structured_data or {}).get("SEKOIA@53288", {}).get("intake_key")
    assert key == ((values[0] if isinstance(values, list) else values) or None)
    assert found.timestamp is None or found.timestamp.tzinfo is UTC


@given(frame=mutations())
def test_no_text_is_lost(frame: bytes) -> None:
    """The message is the end of the frame: only what stands before it was understood."""
    found = parse(frame, now=NOW)
    assert frame.decode("utf-8", "replace").endswith(found.message)


names = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='="]'), min_size=1
)
values = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\]['))
elements = st.lists(st.tuples(names, st.lists(st.tuples(names, values), max_size=4)), max_size=4)


@given(elements=elements, text=st.text(st.characters(exclude_categories=["Cs"])))
def test_structured_data_comes_back_as_it_was_sent(
    elements: list[tuple[str, list[tuple[str, str]]]], text: str
) -> None:
    """Whatever the values and the message hold."""
    expected: dict[str, dict[str, list[str]]] = {}
    sent = ""
    for name, params in elements:
        sent += "[" + name
        for param, value in params:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
            sent += f' {param}="{escaped}"'
            expected.setdefault(name, {}).setdefault(param, []).append(value)
        expected.setdefault(name, {})
        sent += "]"
    found = parse(HEAD + f"{sent or '-'} {text}".encode(), now=NOW)
    assert (found.structured_data or {}) == {
        name: {param: all_[0] if len(all_) == 1 else all_ for param, all_ in params.items()}
        for name, params in expected.items()
    }
    assert found.message == text.removeprefix("\ufeff")


@given(
    instant=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2199, 12, 31)),  # noqa: DTZ001 - hypothesis wants them naive
    minutes=st.integers(-1439, 1439),
)
def test_a_timestamp_comes_back_as_it_was_sent(instant: datetime, minutes: int) -> None:
    """To the microsecond, in any zone."""
    sent = instant.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    stamp = sent.isoformat().encode()
    assert parse(b"<34>1 " + stamp + b" h a p m - x", now=NOW).timestamp == sent
    assert parse(b"<34>" + stamp + b" h a: x", now=NOW).timestamp == sent


@pytest.mark.parametrize("month", range(1, 13))
def test_every_day_of_a_leap_year_is_a_date_and_no_other_is(month: int) -> None:
    """In the form of RFC 3164 and in ISO 8601; what is no date is text."""
    name = datetime(2024, month, 1).strftime("%b")  # noqa: DTZ001 - only its name is used
    last = monthrange(2024, month)[1]
    for day in range(1, 32):
        for stamp in (f"{name} {day:2} 2024 01:02:03", f"2024-{month:02}-{day:02}T01:02:03"):
            found = parse(f"<34>{stamp} host su: x".encode(), now=NOW)
            if day <= last:
                assert found.timestamp == at(2024, month, day, 1, 2, 3), stamp
                assert (found.hostname, found.message) == ("host", "x")
            elif stamp.startswith(name):
                assert found.message == f"{stamp} host su: x"
            else:
                assert found.timestamp is None
