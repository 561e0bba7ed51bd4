"""No input takes more than linear time: doubled four times, it takes about sixteen times as long.

Compared are processor times of one run, the best of several attempts; what is quadratic would take
256 times as long.
"""

import gc
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from collector.listeners.proxy_protocol import ProxyHeaderError
from collector.listeners.proxy_protocol import parse as parse_proxy_header
from collector.parsers import cef
from collector.parsers.base import ParseError
from collector.syslog.framing import Framer
from collector.syslog.message import KeyName, envelope, parse
from collector.syslog.relp import FrameReader, Session
from tests.peers import require_kernel
from tests.shapes import Pair

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY_NAME = KeyName()
HEAD = b"<134>1 2026-01-02T03:04:05.678Z host app 12 id "
CEF = "CEF:0|V|P|1.0|100|Name|5|"
OPEN = b"1 open 14 relp_version=0\n"

FACTOR = 16
MOST = 100.0  # times as long: memory and caches make what is linear take up to 60 times as long
ATTEMPTS = 5
LEAST_SECONDS = 0.0005


@pytest.fixture(autouse=True)
def _no_collections():
    """Have no objects collected meanwhile: when that happens depends on all there are."""
    gc.disable()
    yield
    gc.enable()


def seconds(work, octets, times=3):
    """Return the least processor time that work takes, of so many times."""
    found = []
    for _ in range(times):
        began = time.thread_time()
        work(octets)
        found.append(time.thread_time() - began)
    return min(found)


def assert_linear(work, make, most=1 << 22):
    """Fail if so many times the input takes far more than so many times as long.

    Args:
        work: what is measured, of an input.
        make: makes an input of a size.
        most: beyond which size no more is tried; what is as fast as that need not be looked at.
    """
    size = 1 << 10
    while seconds(work, make(size)) < LEAST_SECONDS:
        size *= 2
        if FACTOR * size > most:
            return
    ratios = []
    for _ in range(ATTEMPTS):
        # What takes too long by chance has another attempt.
        large = seconds(work, make(FACTOR * size), times=1)
        ratios.append(large / seconds(work, make(size)))
        if ratios[-1] < MOST:
            return
    pytest.fail(f"{FACTOR} times {size} octets take {ratios} times as long")


def in_reads(feed, octets, size):
    for start in range(0, len(octets), size):
        feed(octets[start : start + size])


def repeated(unit, before=None, behind=None):
    """Return what makes inputs of a size by repetition, of octets or of text."""
    nothing = unit[:0]

    def make(size):
        return (before or nothing) + unit * (size // len(unit)) + (behind or nothing)

    return make


reads = pytest.mark.parametrize("read", [1, 32 * 1024], ids=lambda read: f"{read} at once")


@reads
@pytest.mark.parametrize("framing", ["auto", "lf", "nul"])
@pytest.mark.parametrize(
    "unit",
    [
        *(b"x", b"1", b"9", b"12345678 ", b"\n", b"\r", b"\0", b"1 a", b"a\n", b"999999999 "),
        *(b"x" * 99 + b"\n", b"99 " + b"x" * 99, b"\r\0", b"123456789x\n"),
    ],
    ids=lambda unit: repr(unit[:12]),
)
def test_framing(unit, framing, read):
    """Lines and counts without end, in reads of any size."""

    def work(octets):
        framer = Framer(framing, max_message_bytes=64 * 1024)
        in_reads(framer.feed, octets, read)
        framer.close()

    assert_linear(work, repeated(unit))


@reads
@pytest.mark.parametrize("when_oversize", ["truncate", "reject"])
@pytest.mark.parametrize(
    "make",
    [
        repeated(b"1"),
        repeated(b"2 "),
        repeated(b"y", b"2 "),
        repeated(b"2 x 0\n", OPEN),
        repeated(b"0 x 0\n", OPEN),
        repeated(b"2 syslog 0\n", OPEN),
        repeated(b"2 syslog 1 a\n", OPEN),
        repeated(b"2 syslog 99 " + b"x" * 99 + b"\n", OPEN),
        repeated(b"2 syslog 199 " + b"x" * 199 + b"\n", OPEN),
        repeated(b"x", OPEN + b"2 syslog 999999999 "),
        repeated(b"2 open 9 a=b\nc=d\ne\n", OPEN),
        lambda size: b"1 open 4096 " + b"a\n" * 2048 + b"\n" + b"2 open 4096 " * (size // 12),
    ],
    ids=[
        *(
            "digits",
            "numbers",
            "command",
            "commands",
            "hints",
            "empty",
            "short",
            "whole",
            "oversize",
        ),
        *("endless", "opens", "offers"),
    ],
)
def test_relp(make, when_oversize, read):
    """Headers and messages without end, tiny and too long ones, and answers to them."""

    def work(octets):
        session = Session(max_message_bytes=100, when_oversize=when_oversize, software="test")

        def take(data):
            session.feed(data)
            session.accept(session.messages)
            session.answers()

        in_reads(take, octets, read)

    assert_linear(work, make)


@reads
def test_answers_of_relp(read):
    """What a client reads of a hostile server."""
    assert_linear(lambda octets: in_reads(FrameReader().feed, octets, read), repeated(b"1 rsp 0\n"))


def test_answers_that_wait():
    """Many commands unanswered, then refused and answered one by one."""

    def work(octets):
        session = Session(software="test")
        session.feed(octets)
        for ordinal in range(session.messages):
            session.refuse(ordinal)
            session.accept(ordinal + 1)
            session.answers()

    assert_linear(work, repeated(b"2 syslog 1 a\n", OPEN))


@pytest.mark.parametrize(
    "make",
    [
        repeated(b"P"),
        repeated(b" ", b"PROXY "),
        repeated(b"1", b"PROXY TCP4 "),
        repeated(b"1.", b"PROXY TCP4 "),
        repeated(b":", b"PROXY TCP6 "),
        repeated(b"\r", b"PROXY UNKNOWN"),
        repeated(b"a", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"),
        repeated(b"a", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"),
    ],
)
def test_proxy_headers(make):
    """However much there is, no more is looked at than a header can have."""

    def work(octets):
        for _ in range(10):
            with suppress(ProxyHeaderError):
                parse_proxy_header(octets)

    assert_linear(work, make)


@pytest.mark.parametrize(
    "make",
    [
        repeated(b"<"),
        repeated(b"<134>"),
        repeated(b"<134>1 "),
        repeated(b" ", b"<134>"),
        repeated(b" ", b"<134>1 "),
        repeated(b"1", b"<134>1 "),
        repeated(b"a", b"<134>1 - "),
        repeated(b"a ", b"<134>1 - "),
        repeated(b"- ", b"<134>1 "),
        repeated(b" ", b"<134>Jan  1 00:00:00 "),
        repeated(b":", b"<134>Jan  1 00:00:00 "),
        repeated(b"a[", b"<134>Jan  1 00:00:00 host "),
        repeated(b"a", b"<134>Jan  1 00:00:00 host "),
        repeated(b"a ", b"<134>Jan  1 00:00:00 host "),
        repeated(b"<134>Jan  1 00:00:00 host "),
        repeated(b"0", b"<134>2026-01-02T03:04:05."),
        repeated(b"1 "),
        repeated(b"\xef\xbb\xbf", b"<134>1 - - - - - - "),
        repeated(b"\xff", b"<134>1 - - - - - - "),
    ],
)
def test_headers(make):
    """Beginnings of headers without end, read in both ways."""
    assert_linear(read_message, make)


@pytest.mark.parametrize(
    "make",
    [
        repeated(b"["),
        repeated(b"[a"),
        repeated(b"[a]"),
        repeated(b"[a] "),
        repeated(b" a", b"[a"),
        repeated(b' a="', b"[a"),
        repeated(b' a=""', b"[a"),
        repeated(b' a=""', b"[a", b"]"),
        repeated(b"\\", b'[a b="'),
        repeated(b'\\"', b'[a b="'),
        repeated(b"x", b'[a b="'),
        repeated(b"x", b'[a b="', b'"]'),
        repeated(b'[a b="c"]'),
        repeated(b'[a b="c"]', b"", b"["),
        repeated(b'[SEKOIA@53288 intake_key="'),
        repeated(b'[SEKOIA@53288 intake_key=""]'),
        repeated(b'[SEKOIA@53288 x="y"]'),
        repeated(b' x="y"', b"[SEKOIA@53288"),
        repeated(b' intake_key="k', b"[SEKOIA@53288"),
        repeated(b'intake_key="', b"- "),
        repeated(b"intake_key=", b"- "),
        repeated(b'intake_key="\\"', b"- ["),
        repeated(b"[SEKOIA@53288 intake_key=", b"- "),
    ],
)
def test_structured_data(make):
    """Elements, parameters, values and escapes without end, and keys to be masked."""
    assert_linear(lambda octets: read_message(HEAD + octets), make)


def read_message(octets):
    parse(octets, now=NOW)
    envelope(octets, KEY_NAME)


@pytest.mark.parametrize(
    "make",
    [
        repeated("|"),
        repeated("\\|"),
        repeated("\\"),
        repeated("\0"),
        repeated("CEF:0|"),
        repeated("1 "),
        repeated("<134>"),
        repeated("<134>1 - - - - - - "),
        repeated("CEF:0|", "CEF:0|V|P|1|2|n|"),
        *(
            repeated(unit, CEF)
            for unit in (
                *("=", "a=", "a= ", "a=b ", " a", " ", "\t", " \t", "\\", "\\=", "\\\\=", "=\\"),
                *("a.", "a[", "[0]", "a[0]=", "[0", "a[0].", " =", "a =", "=a", "\r\n", "\0=", "é"),
                *("k=v k=v  ", "cs1=a cs1Label=b "),
            )
        ),
    ],
)
def test_cef(make):
    """Bars, escapes, keys and blanks without end."""

    def work(text):
        with suppress(ParseError):
            cef.parse(text)

    assert_linear(work, make)


JSON = '{"log_type":"process",'
SHAPES = (
    *('%s"commandline":"x"}', '%s"zone":1}', '%s"agent":[1]}', '%s"groups":[1]}', '%s"pid":1}'),
    '%s"event_data":{"a":"x","b":"y"}}',
)


@pytest.mark.parametrize("begin", ['"commandline":', '"zone":', '"agent":', '"event_data":{"a":'])
@pytest.mark.parametrize(
    "make",
    [
        *(
            repeated("x", '"'),
            repeated("\\\\", '"'),
            repeated('\\"', '"', '"}'),
            repeated("\\u0041", '"', '"}'),
        ),
        *(
            repeated("["),
            repeated("[]"),
            repeated("[],", "["),
            repeated('{"a":'),
            repeated('"a":1,', "{"),
        ),
        *(
            repeated("1", "", "}"),
            repeated(" ", "", '"x"}'),
            repeated("1", "1.", "}"),
            repeated("é", '"', '"}'),
        ),
        repeated("1,", "[", "1]}"),
    ],
)
def test_translation_of_json(make, begin):
    """Values without end, whole and cut, where messages of several shapes are known."""
    require_kernel()
    assert_linear(translation("harfanglab", [shape % JSON for shape in SHAPES], JSON + begin), make)


@pytest.mark.parametrize("begin", ["src=", "request=", "cs1=a cs1Label=", ""])
@pytest.mark.parametrize(
    "make",
    [
        repeated(unit)
        for unit in (
            *(
                "x",
                "=",
                "\\",
                "\\=",
                "\\\\=",
                " ",
                "a=",
                " a=",
                "a=b ",
                '"',
                "\t",
                "\r\n",
                "é",
                "\\n",
                "|",
            ),
            *("src=1 ", "\\= "),
        )
    ],
)
def test_translation_of_cef(make, begin):
    """Escapes, keys and blanks without end."""
    require_kernel()
    known = [f"{CEF}src=1", f"{CEF}request=1 src=2", f"{CEF}cs1=1 cs1Label=MalopId request=x"]
    assert_linear(translation("cybereason", known, CEF + begin), make)


def translation(vendor, known, begin):
    """Return what translates the rest of a message, where some messages are known."""
    pair = Pair(vendor)
    pair.learn(known)
    tree = pair.translator._tree

    def work(text):
        tree.translate((begin + text).encode(), (b'""', b'""', b'""', None))

    return work
