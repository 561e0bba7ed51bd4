"""RELP, the server's side: what is given out, what is answered, and when."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.syslog import relp
from collector.syslog.framing import CutFrame
from collector.syslog.relp import SERVER_CLOSE, FrameReader, Session, frame, offers_known_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.syslog.framing import WhenOversize

# What librelp 1.11 sends.
OPEN = (
    b"1 open 86 relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\n"
    b"commands=syslog\n"
)
GREETING = (
    b"1 rsp 83 200 OK\nrelp_version=0\nrelp_software=collector,1,https://example.net\n"
    b"commands=syslog\n"
)
WHEN_OVERSIZE: tuple[WhenOversize, ...] = ("truncate", "reject")


def new(
    *, opened: bool = True, limit: int = 1000, when_oversize: WhenOversize = "truncate"
) -> Session:
    """Return a session, opened and its greeting taken unless told otherwise."""
    session = Session(
        max_message_bytes=limit,
        when_oversize=when_oversize,
        software="collector,1,https://example.net",
    )
    if opened:
        assert session.feed(OPEN) == []
        assert session.answers() == GREETING
    return session


def cut_at(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(stream)]
    return [stream[start:stop] for start, stop in pairwise(edges)]


def refusal(number: int, reason: bytes) -> bytes:
    return frame(number, b"rsp", b"500 " + reason)


def test_the_length_of_data_is_announced() -> None:
    """Without data there is no space after it."""
    assert frame(7, b"rsp", b"200 OK") == b"7 rsp 6 200 OK\n"
    assert frame(1, b"close") == b"1 close 0\n"
    assert SERVER_CLOSE == b"0 serverclose 0\n"


def test_open_is_answered_with_our_offers() -> None:
    """The version, who we are, and that syslog can be sent."""
    session = new(opened=False)
    assert session.feed(OPEN) == []
    assert session.unanswered == 1
    assert session.answers() == GREETING
    assert (session.unanswered, session.answers(), session.broken) == (0, b"", None)


def test_a_message_is_answered_once_it_is_safe() -> None:
    """And once only."""
    session = new()
    assert session.feed(b"2 syslog 5 <34>a\n3 syslog 4 a\nb\n\n4 syslog 1 c\n") == [
        b"<34>a",
        b"a\nb\n",
        b"c",
    ]
    assert (session.messages, session.unanswered) == (3, 3)
    assert session.answers() == b""
    session.accept(2)
    assert session.answers() == b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n"
    assert (session.answers(), session.unanswered) == (b"", 1)
    session.accept(1)
    assert session.answers() == b""
    session.accept(3)
    assert session.answers() == b"4 rsp 6 200 OK\n"


def test_a_message_that_settings_reject_is_answered_500_in_its_turn() -> None:
    """Its text is no part of the answer."""
    session = new()
    session.feed(b"2 syslog 1 a\n3 syslog 6 secret\n4 syslog 1 c\n")
    session.refuse(1)
    assert session.answers() == b""
    session.accept(3)
    assert session.answers() == (
        b"2 rsp 6 200 OK\n3 rsp 36 500 message rejected by the settings\n4 rsp 6 200 OK\n"
    )


def test_ordinals_go_on_over_reads() -> None:
    """They count messages, not commands."""
    session = new()
    for number in range(2, 9, 2):
        session.feed(frame(number, b"unknown") + frame(number + 1, b"syslog", b"x"))
    assert session.messages == 4
    session.refuse(2)
    session.accept(4)
    answers = session.answers().splitlines()
    assert [line.split(b" ", 3)[3][:3] for line in answers] == [
        *(b"500", b"200", b"500", b"200"),
        *(b"500", b"500", b"500", b"200"),
    ]


def test_an_answer_that_waits_holds_back_those_after_it() -> None:
    """Answers come in the order of the commands."""
    session = new()
    session.feed(b"2 syslog 1 a\n3 unknown 0\n4 syslog 0\n")
    assert (session.answers(), session.unanswered) == (b"", 3)
    session.accept(1)
    assert session.answers() == (
        b"2 rsp 6 200 OK\n" + refusal(3, b"command not supported") + b"4 rsp 6 200 OK\n"
    )


@pytest.mark.parametrize("empty", [b"2 syslog 0\n", b"2 syslog 0 \n", b"2 syslog 000 \n"])
def test_an_empty_message_is_none(empty: bytes) -> None:
    """It is answered, but not given out."""
    session = new()
    assert session.feed(empty) == []
    assert (session.messages, session.unanswered) == (0, 1)
    assert session.answers() == b"2 rsp 6 200 OK\n"


def test_close_is_answered_last_and_nothing_is_read_after_it() -> None:
    """The answer waits for those before it; then comes the hint that we close."""
    session = new()
    assert session.feed(b"2 syslog 1 a\n3 close 0\n4 syslog 1 b\nwhatever") == [b"a"]
    assert session.ended
    assert session.feed(b"5 syslog 1 c\n6 sys") == []
    assert (session.answers(), session.messages, session.unanswered) == (b"", 1, 2)
    assert (session.partial, session.held, session.broken) == (False, 0, None)
    session.accept(1)
    assert session.answers() == b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n0 serverclose 0\n"
    assert session.answers() == b""


@pytest.mark.parametrize("close", [b"2 close 0\n", b"2 close 0 \n", b"2 close 3 bye\n"])
def test_close_may_carry_data(close: bytes) -> None:
    """It means nothing to us."""
    session = new()
    session.feed(close)
    assert session.ended
    assert session.answers() == b"2 rsp 6 200 OK\n0 serverclose 0\n"


@pytest.mark.parametrize(
    "command", [b"starttls 0", b"rsp 6 200 OK", b"x 0", b"SYSLOG 1 a", b"%b 0" % (b"y" * 32)]
)
def test_a_command_that_we_do_not_know_is_answered_500(command: bytes) -> None:
    """And the connection lives on, also before `open`."""
    session = new(opened=False)
    assert session.feed(b"7 %b\n" % command) == []
    assert session.answers() == b"7 rsp 25 500 command not supported\n"
    session.feed(OPEN)
    assert session.answers() == GREETING
    assert session.broken is None


def test_a_second_open_is_answered_500() -> None:
    """What was agreed on stays."""
    session = new()
    assert session.feed(OPEN + b"2 syslog 1 a\n") == [b"a"]
    assert session.answers() == b"1 rsp 16 500 already open\n"
    assert session.broken is None


@pytest.mark.parametrize(
    ("offers", "known"),
    [
        (b"relp_version=0", True),
        (b"relp_version=1\n", True),
        (b"commands=none\nrelp_version=7,1\n\n=\nx\n\xff\0", True),
        (b"relp_version = 0 , 1\r\ncommands=syslog", True),
        (b"relp_version=2", False),
        (b"relp_version=", False),
        (b"relp_version=10", False),
        (b"relp_version=2\nrelp_version=0", False),
        (b"commands=syslog", False),
        (b"", False),
    ],
)
def test_only_a_known_version_is_opened(offers: bytes, known: bool) -> None:
    """Else 500, and the connection is of no use. Other offers are passed over."""
    assert offers_known_version(offers) is known
    session = new(opened=False)
    session.feed(frame(1, b"open", offers) + b"2 syslog 1 a\n")
    if known:
        assert session.answers() == GREETING
        assert session.messages == 1
    else:
        assert session.answers() == b"1 rsp 30 500 relp_version not supported\n"
        assert session.broken == "open offers no relp_version that is known, 0 or 1"
        assert session.messages == 0


@pytest.mark.parametrize("command", [b"1 syslog 1 a\n", b"1 close 0\n"])
def test_nothing_is_taken_before_open(command: bytes) -> None:
    """It is not answered either: rsyslog would forget a message answered 500."""
    session = new(opened=False)
    assert session.feed(command) == []
    assert session.broken == "protocol error: syslog or close before open"
    assert (session.answers(), session.unanswered, session.ended) == (b"", 0, False)


def test_hints_are_passed_over() -> None:
    """They are not answered, whatever they are called."""
    session = new()
    assert session.feed(b"0 hint 0\n0 serverclose 3 abc\n000 close 0\n0 open 1 x\n") == []
    assert (session.answers(), session.ended, session.broken) == (b"", False, None)
    assert session.feed(b"2 syslog 1 a\n") == [b"a"]


def test_a_message_that_could_not_be_answered_ends_the_connection() -> None:
    """Number 0 has no answer; the messages before it have."""
    session = new()
    assert session.feed(b"2 syslog 1 a\n0 syslog 1 b\n3 syslog 1 c\n") == [b"a"]
    assert session.broken == (
        "protocol error: syslog with transaction number 0, which is not answered"
    )
    session.accept(1)
    assert session.answers() == b"2 rsp 6 200 OK\n"


def test_numbers_are_echoed_and_need_not_count_up() -> None:
    """They wrap, and a client may begin anywhere."""
    session = new()
    session.feed(b"999999999 syslog 1 a\n1 syslog 1 b\n1 syslog 1 c\n007 syslog 1 d\n")
    session.accept(4)
    numbers = [line.split()[0] for line in session.answers().splitlines()]
    assert numbers == [b"999999999", b"1", b"1", b"7"]


NO_HEADER = "not RELP: no frame header where one was due"
NO_LF = "framing error: no line feed after the data"
NO_DATA = "framing error: a header announces data and ends without"
TOO_MUCH = "a command other than syslog with more than 4096 octets"


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"\n", NO_HEADER),
        (b" 2 syslog 1 a\n", NO_HEADER),
        (b"x", NO_HEADER),
        (b"-1 syslog 1 a\n", NO_HEADER),
        (b"2  syslog 1 a\n", NO_HEADER),
        (b"2\tsyslog 1 a\n", NO_HEADER),
        (b"1234567890", NO_HEADER),
        (b"2 1", NO_HEADER),
        (b"2 sys_log 1 a\n", NO_HEADER),
        (b"2 %b 1 a\n" % (b"y" * 33), NO_HEADER),
        (b"2 syslog x", NO_HEADER),
        (b"2 syslog  1 a\n", NO_HEADER),
        (b"2 syslog -1 a\n", NO_HEADER),
        (b"2 syslog 1234567890", NO_HEADER),
        (b"2 syslog 1\ta\n", NO_HEADER),
        (b"2 syslog\n", NO_HEADER),
        ("٢ syslog 1 a\n".encode(), NO_HEADER),
        (b"<134>1 - - - - - - secret\n", "not RELP: a syslog message without a frame header"),
        (b"\x16\x03\x01\x02\0\x01", "not RELP: a TLS record where plain RELP was expected"),
        (b"\x15\x03\x01\0\x02", "not RELP: a TLS record where plain RELP was expected"),
        (b"2 syslog 5\n", NO_DATA),
        (b"2 syslog 1 ab", NO_LF),
        (b"2 syslog 1 a2 syslog 1 b\n", NO_LF),
        (b"2 syslog 0 a", NO_LF),
        (b"2 close 0 \r\n", NO_LF),
        (b"2 open 4097 ", TOO_MUCH),
        (b"2 starttls 999999999 ", TOO_MUCH),
        (b"0 hint 4097 ", TOO_MUCH),
    ],
)
def test_a_stream_that_is_not_relp_ends(stream: bytes, reason: str) -> None:
    """What came before is given out and answered; nothing after it is read or held."""
    begin = b"5 syslog 1 a\n"
    for pieces in ([begin + stream + begin], [bytes([octet]) for octet in begin + stream], [begin]):
        session = new()
        messages = [message for piece in pieces for message in session.feed(piece)]
        messages += session.feed(stream + b"1 syslog 1 a\n") if pieces == [begin] else []
        assert (messages, session.broken) == ([b"a"], reason)
        assert session.feed(begin) == []
        assert (session.partial, session.held) == (False, 0)
        session.accept(1)
        assert session.answers() == b"5 rsp 6 200 OK\n"


def test_a_long_message_is_cut_or_rejected_and_read_to_its_end() -> None:
    """The connection lives on: on a closed one the client would send it again."""
    stream = b"2 syslog 5 abcde\n3 syslog 6 abcdef\n4 syslog 1 g\n"
    for pieces in ([stream], [bytes([octet]) for octet in stream]):
        session = new(limit=5)
        messages = [message for piece in pieces for message in session.feed(piece)]
        assert messages == [b"abcde", b"abcde", b"g"]
        assert [type(message) for message in messages] == [bytes, CutFrame, bytes]
        session.accept(3)
        assert session.answers() == b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n"
        assert session.oversize == 0

        session = new(limit=5, when_oversize="reject")
        messages = [message for piece in pieces for message in session.feed(piece)]
        assert messages == [b"abcde", b"g"]
        assert (session.messages, session.oversize, session.unanswered) == (2, 1, 3)
        session.accept(2)
        assert session.answers() == (
            b"2 rsp 6 200 OK\n3 rsp 20 500 message too long\n4 rsp 6 200 OK\n"
        )


def test_other_bounds_hold_from_the_next_message_on() -> None:
    """One that has begun is cut or rejected as was said when it did."""
    session = new(limit=5, when_oversize="reject")
    assert session.feed(b"2 syslog 6 abc") == []
    session.change_bounds(3, "truncate")
    assert session.feed(b"def\n3 syslog 4 ghij\n4 syslog 4 klm") == [b"ghi"]
    session.change_bounds(3, "reject")
    assert session.feed(b"n\n5 syslog 4 opqr\n") == [b"klm"]
    session.accept(2)
    too_long = b"message too long"
    assert session.answers() == (
        refusal(2, too_long) + b"3 rsp 6 200 OK\n4 rsp 6 200 OK\n" + refusal(5, too_long)
    )
    assert session.oversize == 2


def test_a_command_may_have_data_up_to_its_own_bound() -> None:
    """Whatever the bound of messages is."""
    session = new(opened=False, limit=5)
    session.feed(frame(1, b"open", b"relp_version=0\n".ljust(4096, b"x")))
    assert session.answers() == GREETING


def test_a_frame_that_has_begun_is_seen() -> None:
    """From its first octet to its line feed, and how much of it is held."""
    session = new(limit=4)
    assert (session.partial, session.held) == (False, 0)
    seen = []
    for octet in b"2 syslog 6 abcdef":
        session.feed(bytes([octet]))
        seen.append((session.partial, session.held))
    header = [(True, held) for held in range(1, 11)]
    assert seen == [*header, (True, 0), *((True, min(held, 4)) for held in range(1, 7))]
    assert session.feed(b"\n") == [b"abcd"]
    assert (session.partial, session.held) == (False, 0)


def test_the_longest_header_is_held() -> None:
    """Fifty-two octets; one more would be none."""
    header = b"%b %b %b" % (b"1" * 9, b"y" * 32, b"0" * 9)
    session = new()
    session.feed(header)
    assert (session.held, session.broken) == (52, None)
    session.feed(b" \n")
    assert session.answers() == refusal(111_111_111, b"command not supported")


# Streams in which what matters to RELP is frequent.
PIECES = [
    *(OPEN, b"2 syslog 3 abc\n", b"3 syslog 9 <34>a b\nc\n", b"4 close 0\n", b"5 syslog 0 \n"),
    *(b"0 hint 2 xy\n", b"6 starttls 0\n", b"0 syslog 1 a\n", b"syslog", b" ", b"1", b"0", b"\n"),
    *(b"1 ", b"12 syslog 20 ", b"abcdefghi", b"\x16\x03", b"<34>", b"123456789", b"\xff", b"rsp"),
]
streams = st.lists(st.sampled_from(PIECES)).map(b"".join)
opened_streams = streams.map(OPEN.__add__)


def outcome(
    pieces: Iterable[bytes], *, limit: int, when_oversize: WhenOversize, refused: frozenset[int]
) -> object:
    """Return all that a stream comes to, every message being safe once it is given out."""
    session = new(opened=False, limit=limit, when_oversize=when_oversize)
    messages, answers = [], b""
    for piece in pieces:
        before = session.messages
        given = session.feed(piece)
        for ordinal in range(before, session.messages):
            if ordinal in refused:
                session.refuse(ordinal)
        session.accept(session.messages)
        answers += session.answers()
        messages += [(type(message), message) for message in given]
        assert session.unanswered == 0
        assert session.messages == len(messages)
        assert session.held <= max(limit, relp.MAX_DATA_OCTETS)
    return messages, answers, session.broken, session.ended, session.partial, session.oversize


@given(
    stream=streams | opened_streams | st.binary(max_size=60),
    places=st.lists(st.integers(0, 400), max_size=8),
    limit=st.integers(1, 12) | st.just(1000),
    when_oversize=st.sampled_from(WHEN_OVERSIZE),
    refused=st.frozensets(st.integers(0, 5)),
)
@settings(max_examples=500)
def test_the_course_does_not_depend_on_how_the_octets_are_cut(
    stream: bytes,
    places: list[int],
    limit: int,
    when_oversize: WhenOversize,
    refused: frozenset[int],
) -> None:
    """Messages, their types, answers and how it ends stay the same, and nothing raises."""

    def run(pieces: Iterable[bytes]) -> object:
        return outcome(pieces, limit=limit, when_oversize=when_oversize, refused=refused)

    whole = run([stream])
    assert run(cut_at(stream, [min(place, len(stream)) for place in places])) == whole
    assert run(bytes([octet]) for octet in stream) == whole


@given(
    messages=st.lists(st.binary(min_size=1, max_size=40)),
    accepted=st.lists(st.integers(0, 20), max_size=6),
)
def test_every_message_comes_out_as_it_was_sent_and_is_answered_in_order(
    messages: list[bytes], accepted: list[int]
) -> None:
    """Whatever it holds, and in whatever steps the messages become safe."""
    session = new()
    numbered = list(enumerate(messages, 2))
    assert session.feed(b"".join(frame(n, b"syslog", text) for n, text in numbered)) == messages
    answers = b""
    for before in [*accepted, len(messages)]:
        session.accept(min(before, len(messages)))
        answers += session.answers()
    assert answers == b"".join(frame(n, b"rsp", b"200 OK") for n, _ in numbered)


@pytest.mark.parametrize("when_oversize", WHEN_OVERSIZE)
def test_a_message_without_end_is_not_buffered_beyond_the_bound(
    when_oversize: WhenOversize,
) -> None:
    """Sixteen mebioctets of one message take no more memory than the bound and a few reads."""
    bound, read = 64 * 1024, b"x" * 32 * 1024
    session = new(limit=bound, when_oversize=when_oversize)
    session.feed(b"2 syslog 999999999 ")
    tracemalloc.start()
    try:
        for _ in range(512):
            assert session.feed(read) == []
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert session.held == (bound if when_oversize == "truncate" else 0)
    assert held < bound * 1.25
    assert peak < bound * 1.25 + 4 * len(read)


class Counting(bytes):
    """Octets that count how many of them are copied, whoever does it."""

    touched = 0

    def __getitem__(self, place):
        taken = super().__getitem__(place)
        Counting.touched += len(taken) if isinstance(taken, bytes) else 1
        return taken

    def __radd__(self, other: bytes) -> bytes:
        Counting.touched += len(other) + len(self)
        return Counting(bytes(other) + bytes(self))


class CountingPattern:
    """A pattern that counts the most octets it can look at: those of the longest header."""

    def __init__(self, pattern) -> None:
        self._pattern = pattern

    def match(self, data: bytes, start: int):
        Counting.touched += min(len(data) - start, 53)
        return self._pattern.match(data, start)

    def fullmatch(self, data: bytes, start: int):
        Counting.touched += min(len(data) - start, 53)
        return self._pattern.fullmatch(data, start)


@pytest.mark.parametrize("octets", [1, 7, 1000, 10**6])
@pytest.mark.parametrize(
    "unit",
    [
        *(b"2 syslog 1 a\n", b"2 syslog 0\n", b"2 x 0\n", frame(2, b"syslog", b"x" * 99)),
        *(frame(2, b"syslog", b"x" * 300), frame(2, b"starttls", b"x" * 300), b"2 syslog 99999 "),
        *(b"0 hint 1 x\n", frame(111_111_111, b"y" * 32), b"1", b"x"),
    ],
)
def test_every_octet_is_looked_at_a_bounded_number_of_times(
    monkeypatch, unit: bytes, octets: int
) -> None:
    """The work does not grow faster than the stream, in reads of any size."""
    for name in ("_HEADER", "_HEADER_BEGINS"):
        monkeypatch.setattr(relp, name, CountingPattern(getattr(relp, name)))
    stream = (unit * 20_000)[:20_000]
    session = new(limit=100)
    Counting.touched = 0
    for start in range(0, len(stream), octets):
        session.feed(Counting(stream[start : start + octets]))
    # A header that comes octet by octet is looked at again at each, twice, and put together anew.
    assert 0 < Counting.touched <= (60 if octets > 1 else 160) * len(stream)


def test_answers_cost_no_more_than_their_number() -> None:
    """Those that were given are forgotten, refusals too."""
    session = new()
    tracemalloc.start()
    try:
        for _ in range(200):
            session.feed(b"2 syslog 1 a\n" * 100)
            for ordinal in range(session.messages - 100, session.messages):
                session.refuse(ordinal)
            session.accept(session.messages)
            assert session.answers().count(b"rsp") == 100
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 64 * 1024


def test_a_reader_for_answers_takes_no_long_data() -> None:
    """Its bounds are those of commands; a message is read through and nothing of it is kept."""
    reader = FrameReader()
    assert reader.feed(b"1 rsp 6 200 OK\n0 serverclose 0\n2 syslog 3 abc\n") == [
        (1, b"rsp", b"200 OK"),
        (0, b"serverclose", b""),
        (2, b"syslog", b""),
    ]
    assert reader.broken is None
    reader.feed(b"3 rsp 4097 ")
    assert reader.broken == TOO_MUCH
    assert reader.feed(b"4 rsp 6 200 OK\n") == []
