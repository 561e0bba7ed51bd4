"""Headers that end as one that was read before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.events.translation import Translator
from collector.parsers.shapes import compiled
from collector.syslog.message import KeyName, envelope
from tests.peers import require_kernel

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


HEAD = b"<134>1 2026-01-02T03:04:05.678Z host app 12 id "


FREE = st.sampled_from(
    [
        *(
            b"-",
            b"a",
            b"h\xc3\xa9",
            b"\xff",
            b"a\x7f",
            b"a\x01",
            b"",
            b"x" * 1024,
            b"x" * 1025,
            b"[a]",
            b"a b",
        ),
        *(b"<1>", b"1", b'"', b"\xef\xbb\xbf"),
    ]
)


STAMPS = st.sampled_from(
    [
        *(
            b"-",
            b"2026-01-02T03:04:05Z",
            b"2026-01-02T03:04:05.1Z",
            b"2026-01-02T03:04:05.123456789Z",
        ),
        *(
            b"2026-01-02T03:04:05.1234567890Z",
            b"2026-01-02T03:04:05+01:00",
            b"2026-01-02T03:04:05+0100",
        ),
        *(
            b"2026-01-02T03:04:05",
            b"2026-01-02t03:04:05z",
            b"2026-99-99T99:99:99Z",
            b"Jan  2 03:04:05",
            b"--",
        ),
        *(b"2026-01-02T03:04:05.Z", b"2026-01-02T03:04:05,1Z", b"2026-01-02T03:04:05-99:99", b""),
    ]
)


PRIS = st.sampled_from(
    [b"0", b"7", b"13", b"134", b"191", b"192", b"999", b"1000", b"00", b"013", b"", b"-1", b"1a"]
)


DATA = st.sampled_from(
    [
        *(
            b"-",
            b"[a]",
            b'[a b="c"]',
            b'[a b="c"][d e="f"]',
            b'[a b="c" b="d"]',
            b'[a b="\\"\\]\\\\"]',
        ),
        *(
            b'[SEKOIA@53288 intake_key="k"]',
            b'[x y="z"][SEKOIA@53288 intake_key="k"]',
            b'[a b="]"]',
            b"[a b=c]",
        ),
        *(
            b'[a b="c"] [d e="f"]',
            b"--",
            b"",
            b'[SEKOIA@53288 intake_key="k" intake_key="l"]',
            b'[a b="\xff"]',
        ),
    ]
)


TAILS = st.sampled_from(
    [b"text", b" text", b"", b"\xef\xbb\xbftext", b"[a] text", b"<13>1 - - - - - - x", b"7 x", b"]"]
)


BLANKS = st.sampled_from([b" ", b"", b"  ", b"\t"])


VERSIONS = st.sampled_from([b"1 ", b"1", b"2 ", b"1  ", b""])


@st.composite
def frames(draw):
    """Headers of every kind with something behind them, most of them right."""
    words = [draw(st.one_of(st.just(b"w"), FREE)) for _ in range(4)]
    stamp = draw(st.one_of(st.just(b"-"), STAMPS))
    pri = draw(st.one_of(st.just(b"13"), PRIS))
    head = b"<%b>%b%b %b " % (
        pri,
        draw(st.one_of(st.just(b"1 "), VERSIONS)),
        stamp,
        b" ".join(words),
    )
    return head + draw(DATA) + draw(st.one_of(st.just(b" "), BLANKS)) + draw(TAILS)


@given(frames(), frames())
def test_a_header_that_ends_alike_says_the_same(one, other):
    """The same key, and the text begins where the octets end."""
    name = KeyName()
    key, text = envelope(one, name)
    tail = Translator.tail_of(one, text)
    if not tail:
        return
    for frame in (one, other):
        start = kernel.after_tail(frame, tail)
        if start >= 0:
            found_key, found_text = envelope(frame, name)
            assert found_key == key
            assert name.mask(frame[start:]).decode("utf-8", "replace") == found_text or (
                frame[start:].startswith(b"\xef\xbb\xbf")
            )


@pytest.mark.parametrize(
    ("data", "takes"),
    [(b"- ", True), (b'[a b="c"] ', True), (b'[a b="c"]', False), (b"", False)],
)
def test_the_end_of_a_header_is_known_by_a_blank(data, takes):
    """Without one, what follows may belong to it."""
    frame = HEAD + data + b"text"
    tail = Translator.tail_of(frame, envelope(frame, KeyName())[1])
    assert tail == (data if takes else b"")
    assert not takes or kernel.after_tail(frame, tail) == len(frame) - 4
