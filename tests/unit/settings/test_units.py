"""Sizes and durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.settings.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    guess_duration,
    guess_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1MB", 1_000_000),
        ("2GB", 2_000_000_000),
        ("1TB", 1_000_000_000_000),
        ("256KiB", 262_144),
        ("1MiB", 1_048_576),
        ("10GiB", 10_737_418_240),
        ("1TiB", 1_099_511_627_776),
    ],
)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(text, octets):
    """Units with an i are powers of 1024, the others of 1000."""
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    "text",
    ["", "B", "-1", "1.5MiB", "1 MiB", "1mib", "1K", "1XB", "1MiB\n", "١MiB", "1" * 13, "0x10"],
)
def test_what_is_no_size_is_refused(text):
    """There is one way to write a size, and no unit is guessed."""
    with pytest.raises(ValueError, match=r"^not a size$"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("250ms", 0.25),
        ("1ms", 0.001),
        ("30s", 30.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1d", 86_400.0),
    ],
)
def test_a_duration_has_a_unit(text, seconds):
    """Only 0 means the same in every unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "30", "-1s", "1.5s", "1 s", "1S", "1w", "1h30m", "1s\n", "1" * 13 + "s"]
)
def test_what_is_no_duration_is_refused(text):
    """A number without unit could be anything."""
    with pytest.raises(ValueError, match=r"^not a duration$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0"), (1, "1"), (1000, "1KB"), (1024, "1KiB"), (1_000_000, "1MB"), (8 << 20, "8MiB")],
)
def test_a_size_is_written_with_the_largest_unit_that_fits(octets, text):
    """A size that no unit divides is written in bytes."""
    assert format_size(octets) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.001, "1ms"), (0.2, "200ms"), (60, "1m"), (90, "90s"), (86_400, "1d")],
)
def test_a_duration_is_written_with_the_largest_unit_that_fits(seconds, text):
    """Nothing is finer than a millisecond."""
    assert format_duration(seconds) == text


@given(st.integers(0, 10**12 - 1))
def test_a_written_size_is_read_as_the_same_size(octets):
    """Writing and reading are inverse."""
    assert parse_size(format_size(octets)) == octets


@given(st.integers(0, 10**11))
def test_a_written_duration_is_read_as_the_same_duration(milliseconds):
    """Writing and reading are inverse for whole milliseconds."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.from_regex(SIZE_PATTERN[:-1] + r"\Z", fullmatch=True))
def test_every_text_of_the_size_pattern_is_a_size(text):
    """What the JSON schema lets pass is a size."""
    assert parse_size(text) >= 0


@given(st.from_regex(DURATION_PATTERN[:-1] + r"\Z", fullmatch=True))
def test_every_text_of_the_duration_pattern_is_a_duration(text):
    """What the JSON schema lets pass is a duration."""
    assert parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10G", "10GiB"),
        ("10 GB", "10GB"),
        ("10gib", "10GiB"),
        (" 64 kb ", "64KB"),
        ("5bytes", None),
        ("10", None),
        ("ten", None),
        ("1.5GiB", None),
    ],
)
def test_the_size_that_was_meant_is_guessed(text, meant):
    """Where there is no more than one."""
    assert guess_size(text) == meant
    assert meant is None or parse_size(meant)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30", "30s"),
        ("30 sec", "30s"),
        ("5 min", "5m"),
        ("2hours", "2h"),
        ("500MS", "500ms"),
        ("7Days", "7d"),
        ("3months", None),
        ("forever", None),
        ("9" * 13, None),
    ],
)
def test_the_duration_that_was_meant_is_guessed(text, meant):
    """A number alone is one of seconds."""
    assert guess_duration(text) == meant
    assert meant is None or parse_duration(meant)
