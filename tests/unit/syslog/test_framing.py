"""Frames out of byte streams: RFC 6587, per frame, however the octets are cut."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.syslog.framing import (
    DEFAULT_MAX_MESSAGE_BYTES,
    CutFrame,
    Framer,
    Framing,
    WhenOversize,
    strip_octet_count,
    trim_datagram,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FRAMINGS: tuple[Framing, ...] = ("auto", "octet-counted", "lf", "nul")
WHEN_OVERSIZE: tuple[WhenOversize, ...] = ("truncate", "reject")


@dataclass(frozen=True)
class Outcome:
    """All that a stream comes to."""

    frames: list[bytes] = field(default_factory=list)
    oversize: int = 0
    incomplete: bytes | None = None
    mismatch: str | None = None


@dataclass(frozen=True)
class Case:
    """A stream and what it comes to."""

    name: str
    stream: bytes
    outcome: Outcome
    framing: Framing = "auto"
    limit: int = 1000
    when_oversize: WhenOversize = "truncate"

    def run(self, pieces: Iterable[bytes]) -> Outcome:
        return run(
            pieces,
            framing=self.framing,
            max_message_bytes=self.limit,
            when_oversize=self.when_oversize,
        )


def run(pieces: Iterable[bytes], **arguments: object) -> Outcome:
    framer = Framer(**arguments)
    frames = [frame for piece in pieces for frame in framer.feed(piece)]
    frames += framer.close()
    assert not framer.partial
    return Outcome(frames, framer.oversize, framer.incomplete, framer.mismatch)


def same(actual: Outcome, expected: Outcome) -> None:
    """Assert equality, of the frames' types too."""
    assert actual == expected
    assert [type(frame) for frame in actual.frames] == [type(frame) for frame in expected.frames]


def cut_at(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(stream)]
    return [stream[start:stop] for start, stop in pairwise(edges)]


def text(*frames: bytes, **rest: object) -> Outcome:
    return Outcome(list(frames), **rest)


AUTO = [
    Case("a line", b"<34>a b\n", text(b"<34>a b")),
    Case("two lines", b"<34>a\n<34>b\n", text(b"<34>a", b"<34>b")),
    Case("a line without its LF at close", b"<34>a\n<34>b", text(b"<34>a", b"<34>b")),
    Case("CR LF", b"a\r\nb\r\n", text(b"a", b"b")),
    Case("one CR only", b"a\r\r\n", text(b"a\r")),
    Case("a CR within a line", b"a\rb\n", text(b"a\rb")),
    Case("a CR whose LF never came", b"a\r", text(b"a")),
    Case("trailing NULs", b"a\0\0\nb\0c\0\n", text(b"a", b"b\0c")),
    Case("NULs before CR LF", b"a\0\0\r\n", text(b"a")),
    Case("a CR before NULs is text", b"a\r\0\n", text(b"a\r")),
    Case("NUL is no delimiter", b"a\0b\n", text(b"a\0b")),
    Case("blanks stay", b" a \t\n", text(b" a \t")),
    Case("empty lines", b"\n\n\r\n\0\n\0\r\na\n\n\n", text(b"a")),
    Case("nothing", b"", text()),
    Case("only an LF", b"\n", text()),
    Case("only a CR", b"\r", text()),
    Case("a counted frame", b"5 <34>a", text(b"<34>a")),
    Case("two counted frames", b"5 <34>a4 <3>b", text(b"<34>a", b"<3>b")),
    Case("counted: every octet is data", b"7 a\nb\0\r\n\n", text(b"a\nb\0\r\n\n"[:7])),
    Case("counted: trailing NULs and LF are data", b"4 a\0\r\n2 b\n", text(b"a\0\r\n", b"b\n")),
    Case("counted: blanks are data", b"3  a 1 b", text(b" a ", b"b")),
    Case("counted: digits are data", b"4 12 31 x", text(b"12 3", b"x")),
    Case("LFs between counted frames", b"1 a\n1 b\n\n\n1 c\n", text(b"a", b"b", b"c")),
    Case("CR LF between counted frames", b"1 a\r\n1 b\r\n", text(b"a", b"b")),
    Case("NUL and LF between counted frames", b"1 a\0\n1 b", text(b"a", b"b")),
    Case("text, then counted", b"<34>a\n5 <34>b<34>c", text(
        b"<34>a", b"<34>b", b"<34>c", mismatch="octet count expected, got b'<34>c'")),
    Case("counted, then text, then counted", b"1 a<34>b\n1 c", text(
        b"a", b"<34>b", b"c", mismatch="octet count expected, got b'<34>b'")),
    Case("only the first mismatch is described", b"1 a<34>b\n1 c<34>d\n", text(
        b"a", b"<34>b", b"c", b"<34>d", mismatch="octet count expected, got b'<34>b'")),
    Case("a description holds sixteen octets", b"1 a<34>1 2003-10-11T22:14:15.003Z\n", text(
        b"a", b"<34>1 2003-10-11T22:14:15.003Z",
        mismatch="octet count expected, got b'<34>1 2003-10-11'")),
    Case("a description is safe to print", b"1 a\x1b[2J\xff\n", text(
        b"a", b"\x1b[2J\xff", mismatch="octet count expected, got b'\\x1b[2J'")),
    Case("text before any counted frame is no mismatch", b"a\n1 b", text(b"a", b"b")),
    Case("a leading zero is text", b"01 a\n", text(b"01 a")),
    Case("a zero count is text", b"0 a\n", text(b"0 a")),
    Case("nine digits are a count", b"000000001 a\n100000000 a", text(
        b"000000001 a", incomplete=b"a")),
    Case("ten digits are text", b"1000000001 a\n", text(b"1000000001 a")),
    Case("digits without a space are text", b"12a 3\n12\n1\r\n", text(b"12a 3", b"12", b"1")),
    Case("digits and a tab are text", b"1\tab\n", text(b"1\tab")),
    Case("other digits are text", "٣ abc\n".encode(), text("٣ abc".encode())),
    Case("a sign is text", b"+1 a\n-1 a\n", text(b"+1 a", b"-1 a")),
    Case("text that looks like a count is one", b"3 blind mice\n", text(
        b"bli", b"nd mice", mismatch="octet count expected, got b'nd m'")),
    Case("digits at close are text", b"123", text(b"123")),
    Case("nine digits at close are text", b"123456789", text(b"123456789")),
    Case("ten digits at close are text", b"1234567890", text(b"1234567890")),
    Case("an unfinished counted frame", b"1 a5 abc", text(b"a", incomplete=b"abc")),
    Case("a count and nothing else", b"5 ", text(incomplete=b"")),
    Case("an unfinished frame may hold anything", b"9 \r\n\0", text(incomplete=b"\r\n\0")),
]  # fmt: skip

OTHER_FRAMINGS = [
    Case("octet-counted", b"5 <34>a\n1 b", text(b"<34>a", b"b"), "octet-counted"),
    Case("octet-counted: text is kept", b"<34>a b\n1 c<34>d", text(
        b"<34>a b", b"c", b"<34>d", mismatch="octet count expected, got b'<34>a b'"),
        "octet-counted"),
    Case("octet-counted: empty lines are no mismatch", b"\n\r\n\0\n1 a\n", text(b"a"),
        "octet-counted"),
    Case("octet-counted: digits at close", b"12", text(
        b"12", mismatch="octet count expected, got b'12'"), "octet-counted"),
    Case("octet-counted: a zero count", b"0 a\n", text(
        b"0 a", mismatch="octet count expected, got b'0 a'"), "octet-counted"),
    Case("octet-counted: unfinished", b"3 a", text(incomplete=b"a"), "octet-counted"),
    Case("lf: lines", b"<34>a\r\n\n<34>b\0\n<34>c", text(b"<34>a", b"<34>b", b"<34>c"), "lf"),
    Case("lf: a line that begins with a number", b"3 blind mice\n12 < 13\n", text(
        b"3 blind mice", b"12 < 13",
        mismatch="LF-delimited text expected, got an octet count: b'12 < 13'"), "lf"),
    Case("lf: a number and no PRI", b"3 blind mice\n", text(b"3 blind mice"), "lf"),
    Case("lf: counts are text", b"7 <34>a\n29 <34>b\n", text(
        b"7 <34>a", b"29 <34>b",
        mismatch="LF-delimited text expected, got an octet count: b'7 <34>a'"), "lf"),
    Case("lf: a count at close", b"<3>a\n5 <34>a5 <34>b", text(
        b"<3>a", b"5 <34>a5 <34>b",
        mismatch="LF-delimited text expected, got an octet count: b'5 <34>a5 <34>b'"), "lf"),
    Case("lf: no count in ten digits", b"1000000000 <34>a\n", text(b"1000000000 <34>a"), "lf"),
    Case("nul", b"<34>a\0<34>b\0", text(b"<34>a", b"<34>b"), "nul"),
    Case("nul: LF and CR are data", b"\n{\n}\r\n\0a\n", text(b"\n{\n}\r\n", b"a\n"), "nul"),
    Case("nul: counts are data", b"1 a\x001 b", text(b"1 a", b"1 b"), "nul"),
    Case("nul: empty frames", b"\0\0a\0\0", text(b"a"), "nul"),
]  # fmt: skip

OVERSIZE = [
    Case("as long as allowed", b"abcde\n5 abcdeabcde", text(
        b"abcde", b"abcde", b"abcde", mismatch="octet count expected, got b'abcd'"), limit=5),
    Case("a line ending does not count", b"abcde\r\nabcde\r\n", text(b"abcde", b"abcde"), limit=5),
    Case("trailing NULs do not count", b"abcde\0\0\0\0\r\nabc\0\0\0\0\n\0\0\0\0\0\0\0\n", text(
        b"abcde", b"abc"), limit=5),
    Case("a CR at close does not count", b"abcde\r", text(b"abcde"), limit=5),
    Case("NULs at close do not count", b"abcde\0\0", text(b"abcde"), limit=5),
    Case("a CR before NULs counts", b"abcd\r\0\0\nabcde\r\0\n", text(
        b"abcd\r", CutFrame(b"abcde")), limit=5),
    Case("two CR: one counts", b"abcd\r\r\nabcde\r\r\n", text(
        b"abcd\r", CutFrame(b"abcde")), limit=5),
    Case("a NUL before text counts", b"abcde\0f\nabcde\0\0\0f\ng\n", text(
        CutFrame(b"abcde"), CutFrame(b"abcde"), b"g"), limit=5),
    Case("one octet too long", b"abcdef\nx\n", text(CutFrame(b"abcde"), b"x"), limit=5),
    Case("a long line", b"abcdefghijkl\r\nx\n", text(CutFrame(b"abcde"), b"x"), limit=5),
    Case("what is skipped is not read as frames", b"abcdef 1 x 2 yy\n1 z", text(
        CutFrame(b"abcde"), b"z"), limit=5),
    Case("a long line at close", b"abcdefgh", text(CutFrame(b"abcde")), limit=5),
    Case("digits longer than allowed", b"1234567\n1234", text(
        CutFrame(b"12345"), b"1234"), limit=5),
    Case("long digits at close", b"123456789", text(CutFrame(b"12345")), limit=5),
    Case("a long counted frame", b"7 a\nb\0c\nd1 x", text(CutFrame(b"a\nb\0c"), b"x"), limit=5),
    Case("a long counted frame, unfinished", b"9 abcdefgh", text(incomplete=b"abcde"), limit=5),
    Case("a long counted frame, hardly begun", b"9 ab", text(incomplete=b"ab"), limit=5),
    Case("a long line may be a mismatch", b"1 xabcdefgh\n", text(
        b"x", CutFrame(b"abcde"), mismatch="octet count expected, got b'abcd'"), limit=5),
    Case("lf: long", b"99 <34>abc\nx\n", text(
        CutFrame(b"99 <3"), b"x",
        mismatch="LF-delimited text expected, got an octet count: b'99 <3'"), "lf", 5),
    Case("nul: long", b"abcde\n\0\n\0abcde\0", text(
        CutFrame(b"abcde"), b"\n", b"abcde"), "nul", 5),
    Case("nul: a CR at the bound counts", b"abcde\r\0", text(CutFrame(b"abcde")), "nul", 5),
    Case("reject: a long line", b"abcdef\nx\n", text(b"x", oversize=1), "auto", 5, "reject"),
    Case("reject: two long lines", b"abcdef\nx\nabcdefgh\r\nabcde\r\n", text(
        b"x", b"abcde", oversize=2), "auto", 5, "reject"),
    Case("reject: a long line at close", b"abcdef", text(oversize=1), "auto", 5, "reject"),
    Case("reject: a long counted frame", b"6 abcdef1 x", text(
        b"x", oversize=1), "auto", 5, "reject"),
    Case("reject: a long counted frame, unfinished", b"6 abcde", text(
        incomplete=b""), "auto", 5, "reject"),
    Case("reject: an unfinished frame", b"5 abcd", text(incomplete=b"abcd"), "auto", 5, "reject"),
    Case("reject: a mismatch", b"<34>1 2003-10-11T22:14:15.003Z\n", text(
        oversize=1, mismatch="octet count expected, got b'<34>1 2003-10-11'"),
        "octet-counted", 20, "reject"),
    Case("reject: nul", b"abcdef\0x", text(b"x", oversize=1), "nul", 5, "reject"),
]  # fmt: skip

CASES = [*AUTO, *OTHER_FRAMINGS, *OVERSIZE]
IDS = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
class TestCases:
    def test_whole(self, case: Case) -> None:
        """The whole stream in one read."""
        same(case.run([case.stream]), case.outcome)

    def test_octet_by_octet(self, case: Case) -> None:
        """Each octet in a read of its own, empty reads between them."""
        pieces = [piece for octet in case.stream for piece in (bytes([octet]), b"")]
        same(case.run(pieces), case.outcome)

    def test_in_two_pieces(self, case: Case) -> None:
        """Cut once, at each place."""
        for place in range(len(case.stream) + 1):
            same(case.run(cut_at(case.stream, [place])), case.outcome)


def test_a_frame_is_given_as_soon_as_it_is_complete() -> None:
    """A line at its LF, a counted frame at its last octet."""
    framer = Framer()
    assert framer.feed(b"<34>a\n5 <34>") == [b"<34>a"]
    assert framer.feed(b"b") == [b"<34>b"]
    assert framer.close() == []


def test_partial_says_whether_a_frame_has_begun() -> None:
    """Undecided digits, text and counts are begun frames; between frames there is none."""
    framer = Framer()
    seen = []
    for piece in (b"", b"1", b"2", b" abc", b"defghijkl", b"\n", b"<34>", b"\n", b"9 "):
        framer.feed(piece)
        seen.append(framer.partial)
    assert seen == [False, True, True, True, False, False, True, False, True]
    framer.close()
    assert framer.partial is False


def test_oversize_may_be_reset_by_the_reader() -> None:
    """The count goes on from what the reader leaves."""
    framer = Framer(max_message_bytes=1, when_oversize="reject")
    framer.feed(b"aa\nbb\n")
    assert framer.oversize == 2
    framer.oversize = 0
    framer.feed(b"cc\n")
    assert framer.oversize == 1


def test_the_default_bound_is_256_kib() -> None:
    """One octet more is cut."""
    line = b"x" * DEFAULT_MAX_MESSAGE_BYTES
    assert len(line) == 262_144
    same(run([line + b"\n" + line + b"y\n"]), text(line, CutFrame(line)))


def test_a_mismatch_is_known_at_the_end_of_its_frame() -> None:
    """Not only when the connection ends."""
    framer = Framer("octet-counted")
    framer.feed(b"<34>a")
    assert framer.mismatch is None
    framer.feed(b"\n")
    assert framer.mismatch == "octet count expected, got b'<34>a'"


@pytest.mark.parametrize(
    ("data", "trimmed"),
    [
        (b"<34>a", b"<34>a"),
        (b"<34>a\n", b"<34>a"),
        (b"<34>a\r\n", b"<34>a"),
        (b"<34>a\0", b"<34>a"),
        (b"<34>a\n\0\r\n\n", b"<34>a"),
        (b"\n<34>a \t\n", b"\n<34>a \t"),
        (b"\r\n\0", b""),
        (b"", b""),
    ],
)
def test_a_datagram_loses_its_trailing_lf_cr_and_nul(data: bytes, trimmed: bytes) -> None:
    """Nothing else: blanks stay."""
    assert trim_datagram(data) == trimmed


# Streams in which what matters to framing is frequent.
PIECES = b"\n|\r|\0|\r\n| |0|1|7|12|2 |20 |3 ab\n|5 abcde|a|<34>|123456789|bcdefg|\xff".split(b"|")
streams = st.lists(st.sampled_from(PIECES)).map(b"".join)


@given(
    stream=streams | st.binary(max_size=60),
    places=st.lists(st.integers(0, 60), max_size=8),
    framing=st.sampled_from(FRAMINGS),
    limit=st.integers(1, 12) | st.just(1000),
    when_oversize=st.sampled_from(WHEN_OVERSIZE),
)
@example(stream=b"abc\r\0\0\n", places=[4], framing="auto", limit=3, when_oversize="truncate")
@settings(max_examples=500)
def test_frames_do_not_depend_on_how_the_octets_are_cut(
    stream: bytes,
    places: list[int],
    framing: Framing,
    limit: int,
    when_oversize: WhenOversize,
) -> None:
    """Frames, their types, counts, what is incomplete and the mismatch stay the same."""
    case = Case("", stream, Outcome(), framing, limit, when_oversize)
    whole = case.run([stream])
    same(case.run(cut_at(stream, [min(place, len(stream)) for place in places])), whole)
    same(case.run(bytes([octet]) for octet in stream), whole)


@given(frames=st.lists(st.binary(min_size=1, max_size=40)))
def test_counted_frames_come_back_as_they_were_sent(frames: list[bytes]) -> None:
    """Whatever they hold."""
    stream = b"".join(b"%d %b" % (len(frame), frame) for frame in frames)
    same(run([stream], framing="octet-counted"), text(*frames))


@given(
    frames=st.lists(
        st.binary(min_size=1, max_size=40).filter(
            lambda line: b"\n" not in line and not line.endswith((b"\r", b"\0"))
        )
    )
)
def test_lines_come_back_as_they_were_sent(frames: list[bytes]) -> None:
    """Whatever they hold but the delimiter."""
    stream = b"".join(line + b"\n" for line in frames)
    assert run([stream], framing="lf").frames == frames


@given(
    stream=streams, framing=st.sampled_from(["auto", "octet-counted", "lf"]),
    limit=st.integers(1, 12),
)  # fmt: skip
def test_a_bound_only_shortens_frames(stream: bytes, framing: Framing, limit: int) -> None:
    """The frames are those without a bound, cut; with `reject`, the same but the long ones."""
    unbounded = run([stream], framing=framing)
    cut = [f if len(f) <= limit else CutFrame(f[:limit]) for f in unbounded.frames]
    truncated = run([stream], framing=framing, max_message_bytes=limit)
    assert truncated.frames == cut
    assert [type(f) for f in truncated.frames] == [type(f) for f in cut]
    rejected = run([stream], framing=framing, max_message_bytes=limit, when_oversize="reject")
    assert rejected.frames == [f for f in unbounded.frames if len(f) <= limit]
    assert rejected.oversize == len(unbounded.frames) - len(rejected.frames)


@pytest.mark.parametrize("when_oversize", WHEN_OVERSIZE)
@pytest.mark.parametrize(
    ("framing", "begin", "fill"),
    [
        ("auto", b"", b"x"),
        ("auto", b"", b"\0"),
        ("auto", b"x", b"\0"),
        ("auto", b"999999999 ", b"x"),
        ("octet-counted", b"", b"<"),
        ("lf", b"", b"1"),
        ("nul", b"", b"\n"),
    ],
)
def test_a_frame_without_end_is_not_buffered_beyond_the_bound(
    framing: Framing, begin: bytes, fill: bytes, when_oversize: WhenOversize
) -> None:
    """Sixteen mebioctets of one frame take no more memory than the bound and a few reads."""
    bound, read = 64 * 1024, fill * 32 * 1024
    framer = Framer(framing, max_message_bytes=bound, when_oversize=when_oversize)
    framer.feed(begin)
    tracemalloc.start()
    try:
        for _ in range(512):
            assert framer.feed(read) == []
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < bound * 1.25
    assert peak < bound * 1.25 + 4 * len(read)


@pytest.mark.parametrize("begin", [b"", b"999999999 "])
def test_a_frame_that_will_be_rejected_is_not_held(begin: bytes) -> None:
    """What was held of it is let go as soon as it is known to be too long."""
    bound = 256 * 1024
    tracemalloc.start()
    try:
        framer = Framer(max_message_bytes=bound, when_oversize="reject")
        framer.feed(begin + b"x" * (bound - 1))
        framer.feed(b"xx")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 16 * 1024


class Counting(bytes):
    """Octets that count how many of them are searched or copied, whoever does it."""

    touched = 0

    def find(self, sought: bytes, start: int = 0, *end: int) -> int:
        found = super().find(sought, start, *end)
        Counting.touched += (len(self) if found < 0 else found) - start + 1
        return found

    def __getitem__(self, place):
        taken = super().__getitem__(place)
        Counting.touched += len(taken) if isinstance(taken, bytes) else 1
        return taken


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    "unit",
    [
        *(b"1 a", b"1 a\n", b"1 ab\n1 a", b"9 abcdefghi", b"99999999 ", b"300 %b" % (b"x" * 300)),
        *(b"a\n", b"a\0", b"a\r", b"12", b"123456789\n", b"\n", b"\0", b"%b\n" % (b"x" * 300)),
    ],
)
def test_every_octet_is_looked_at_a_bounded_number_of_times(
    unit: bytes, framing: Framing, size: int
) -> None:
    """The work does not grow faster than the stream, in reads of any size."""
    stream = (unit * 20_000)[:20_000]
    framer = Framer(framing, max_message_bytes=100)
    Counting.touched = 0
    for start in range(0, len(stream), size):
        framer.feed(Counting(stream[start : start + size]))
    framer.close()
    assert 0 < Counting.touched <= 5 * len(stream)


def test_a_description_shows_little_of_what_may_be_part_of_a_key() -> None:
    """After a wrong count a frame begins anywhere; only what begins as a message is shown more."""
    framer = Framer("octet-counted")
    framer.feed(b'secret-key-of-somebody"] CEF:0|\n<13>1 2026-01-02T03:04:05Z\n')
    assert framer.mismatch == "octet count expected, got b'secr'"
    framer = Framer("octet-counted")
    framer.feed(b"<13>1 2026-01-02T03:04:05Z\n")
    assert framer.mismatch == "octet count expected, got b'<13>1 2026-01-02'"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"345 <134>1 - - - - - - x", b"<134>1 - - - - - - x"),
        (b"1 <0>x", b"<0>x"),
        (b"999999999 CEF:0|a", b"CEF:0|a"),
        (b'3 {"a": 1}', b'{"a": 1}'),
        (b"345 345 <134>x", None),
        (b"1234567890 <134>x", None),
        (b"012 <134>x", None),
        (b"0 <134>x", None),
        (b"345  <134>x", None),
        (b"345<134>x", None),
        (b"345 <1345>x", None),
        (b"345 <>x", None),
        (b"345 cef:0|a", None),
        (b"345 [1]", None),
        (b"345 ", None),
        (b"345", None),
        (b"<134>345 <134>x", None),
        (b" 345 <134>x", None),
        (b"\xd9\xa3 <134>x", None),  # a digit, but not of ASCII
        (b"", None),
    ],
)
def test_an_octet_count_left_before_a_message_is_taken_away(
    frame: bytes, message: bytes | None
) -> None:
    """Only where a message or a payload follows; any other frame is handed back as it is."""
    stripped = strip_octet_count(frame)
    if message is None:
        assert stripped is frame
    else:
        assert stripped == message


def test_a_cut_frame_stays_one_without_its_count() -> None:
    """What is cut is cut."""
    cut = CutFrame(b"345 <134>x")
    assert isinstance(strip_octet_count(cut), CutFrame)
    assert strip_octet_count(cut) == b"<134>x"
    assert strip_octet_count(CutFrame(b"x")) == b"x"
