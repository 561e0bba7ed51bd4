"""What a terminal gets to see."""

import pytest

from collector.describe.terminal import cut, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("café 日本 🙂", "café 日本 🙂"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202e\u2066", r"\u202e\u2066"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_an_escape(text, shown):
    """Controls of both kinds, and what turns the direction of writing."""
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("abcd", "abcd"),
        ("abcde", "abc…"),
        ("abcde" * 1000, "abc…"),
        ("ab\n", r"ab\n"),
        ("abc\n", "abc…"),
        ("\x1b", r"\x1b"),
        ("\x1bx", r"\x1…"),
    ],
)
def test_a_long_text_is_cut(text, shown):
    """To the length it has as it is shown."""
    assert cut(text, 4) == shown
