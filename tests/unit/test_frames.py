"""What a frame says, and what had to be repaired to read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.frames import FRAME_TAGS, decode, read
from collector.parsers import repairs
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName, envelope

KEY_NAME = KeyName()
HEADER = b'<134>1 - - - - - [SEKOIA@53288 intake_key="k"] '


@pytest.mark.parametrize(
    ("frame", "key", "text", "tags"),
    [
        (HEADER + b"hello", "k", "hello", ()),
        (HEADER + "é\ufffd".encode(), "k", "é\ufffd", ()),
        (b"345 " + HEADER + b"hello", "k", "hello", (repairs.OCTET_COUNT,)),
        (b"345 CEF:0|a", None, "CEF:0|a", (repairs.OCTET_COUNT,)),
        (b'345 {"a": 1}', None, '{"a": 1}', (repairs.OCTET_COUNT,)),
        (b"345 apples", None, "345 apples", ()),
        (HEADER + b"caf\xe9", "k", "caf\ufffd", (repairs.INVALID_UTF8,)),
        (b"<13>1 - caf\xe9 - - - - hello", None, "hello", (repairs.INVALID_UTF8,)),
        (b"5 " + HEADER + b"\xff", "k", "\ufffd", (repairs.OCTET_COUNT, repairs.INVALID_UTF8)),
        (CutFrame(HEADER + b"hel"), "k", "hel", (repairs.TRUNCATED,)),
        (CutFrame(HEADER + b"a\xc3"), "k", "a\ufffd", (repairs.TRUNCATED,)),
        (CutFrame(HEADER + b"\xe9a"), "k", "\ufffda", (repairs.INVALID_UTF8, repairs.TRUNCATED)),
        (
            CutFrame(b"9 " + HEADER + b"a"),
            "k",
            "a",
            (repairs.OCTET_COUNT, repairs.TRUNCATED),
        ),
        (b"", None, "", ()),
    ],
)
def test_a_frame_is_read_with_its_repairs(frame, key, text, tags):
    """A character that a cut went through is no other damage."""
    assert read(frame, KEY_NAME) == (key, text, tags)
    assert set(tags) <= set(FRAME_TAGS)


@given(frame=st.binary(max_size=60) | st.binary(max_size=30).map(lambda octets: HEADER + octets))
def test_what_needs_no_repair_is_read_as_it_is(frame):
    """And nothing raises."""
    key, text, tags = read(frame, KEY_NAME)
    if repairs.OCTET_COUNT not in tags:
        assert (key, text) == envelope(frame, KEY_NAME)
    if repairs.INVALID_UTF8 in tags:
        assert "\ufffd" in frame.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("octets", "text", "tags"),
    [
        (b"", "", ()),
        ("é\ufffd".encode(), "é\ufffd", ()),
        (b"a\xffb", "a\ufffdb", (repairs.INVALID_UTF8,)),
    ],
)
def test_octets_become_text(octets, text, tags):
    """With a tag where they were none."""
    assert decode(octets) == (text, tags)
