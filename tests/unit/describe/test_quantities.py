"""Numbers as people read them."""

import pytest

from collector.describe import quantities


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 octets"),
        (1023, "1023 octets"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (212_992, "208 KiB"),
        (10 * 1024**3, "10.0 GiB"),
        (1024**6, "1024 PiB"),
    ],
)
def test_octets_have_the_unit_that_fits(number, text):
    assert quantities.octets(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.25, "0.25s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3 * 86400 + 4 * 3600 + 300, "3d 4h"),
        (86400 + 59, "1d"),
    ],
)
def test_durations_have_two_units(seconds, text):
    assert quantities.span(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(None, "-"), (0, "0"), (0.04, "0.0"), (2.5, "2.5"), (12.6, "13"), (123456.7, "123,457")],
)
def test_rates_have_as_many_digits_as_say_something(per_second, text):
    assert quantities.rate(per_second) == text


def test_counts_have_their_thousands_apart():
    assert quantities.count(1234567) == "1,234,567"
