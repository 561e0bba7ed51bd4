"""Conversions: any value in, a value of the field's type or nothing out."""

import ipaddress
import math
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import convert

ALL = sorted(name for name, value in vars(convert).items() if isinstance(value, convert.Conversion))
NOT_SCALAR = [None, [], {}, ["x"], {"a": 1}]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (" kept as it is ", " kept as it is "),
        ("-", "-"),
        ("", None),
        (0, "0"),
        (-12, "-12"),
        (2**64 - 1, "18446744073709551615"),
        (10**400, None),
        (1.5, "1.5"),
        (3.0, "3.0"),
        (math.inf, None),
        (math.nan, None),
        (True, "true"),
        (False, "false"),
        *((value, None) for value in NOT_SCALAR),
    ],
)
def test_keyword(value, text):
    """0 and False are values, an empty text is none."""
    assert convert.keyword(value) == text


def test_integers_too_long_to_be_written_are_nothing():
    """Python itself refuses to write them in decimal."""
    assert convert.keyword(10**5000) is None
    assert convert.long(10**5000) is None
    assert convert.number(-(10**5000)) is None


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["a", 1, None, "", {}, True], ["a", "1", "true"]),
        ("a", ["a"]),
        ([], None),
        ([None, ""], None),
        ({"a": "b"}, None),
        (None, None),
    ],
)
def test_keywords(value, texts):
    """What is no text is left out, and so is a list of nothing."""
    assert convert.keywords(value) == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [(("a", None, "b"), ["a", "b"]), ((None, "b"), ["b"]), ((None, None), None), (({}, ""), None)],
)
def test_collected(values, texts):
    """The sources that are there, in their order."""
    assert convert.collected(*values) == texts


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (0, 0),
        ("443", 443),
        ("-1", -1),
        ("+7", 7),
        ("007", 7),
        (" 443 ", 443),
        ("\t443\r\n", 443),
        ("\x1f443", None),
        ("443\u2003", None),
        (2**63 - 1, 2**63 - 1),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
        (5.0, 5),
        (2**63, None),
        (-(2**63) - 1, None),
        (str(2**63), None),
        ("9" * 5000, None),
        (1e300, None),
        (5.5, None),
        (math.inf, None),
        (math.nan, None),
        ("", None),
        ("1_000", None),
        ("٣", None),
        ("²", None),
        ("0x10", None),
        ("1.0", None),
        ("five", None),
        ("--1", None),
        (True, None),
        (False, None),
        *((value, None) for value in NOT_SCALAR),
    ],
)
def test_long(value, number):
    """Whole numbers within 64 bits and their decimal text."""
    assert convert.long(value) == number
    assert type(convert.long(value)) in (int, type(None))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1),
        ("1", 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-2.5e3", -2500.0),
        ("\t1.5\n", 1.5),
        ("\x1c1.5", None),
        (2.25, 2.25),
        (str(2**70), float(2**70)),
        (2**63, None),
        ("1e999", None),
        ("nan", None),
        ("inf", None),
        ("1_0.5", None),
        ("", None),
        (".", None),
        (math.inf, None),
        (True, None),
        *((value, None) for value in NOT_SCALAR),
    ],
)
def test_number(value, number):
    """A whole number stays an integer."""
    assert convert.number(value) == number
    assert type(convert.number(value)) is type(number)


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        *((value, True) for value in ("True", "true", "1", 1, True)),
        *((value, False) for value in ("False", "false", "0", 0, False)),
        *((value, None) for value in ("", "yes", "TRUE", 2, -1, 10**30, 1.0, *NOT_SCALAR)),
    ],
)
def test_boolean(value, truth):
    """Anything that is neither is nothing."""
    assert convert.boolean(value) is truth


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("::ffff:192.0.2.1", True),
        ("fe80::1%eth0", False),
        ("192.0.2.1:80", False),
        ("192.0.2.256", False),
        ("192.0.2", False),
        ("1", False),
        (" 192.0.2.1", False),
        ("host.example", False),
        ("-", False),
        ("", False),
        ("1." * 100_000, False),
        (3221225985, False),
        *((value, False) for value in NOT_SCALAR),
    ],
)
def test_addresses(value, valid):
    """Kept as they are written; anything else is nothing."""
    assert convert.ip(value) == (value if valid else None)
    assert convert.ips(value) == ([value] if valid else None)


@given(st.ip_addresses())
def test_every_address_is_an_address(address):
    """Of both versions."""
    assert convert.ip(str(address)) == str(address)
    assert ipaddress.ip_address(convert.ip(str(address))) == address


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("1629500007043", "2021-08-20T22:53:27.043000Z"),
        (1629500007043, "2021-08-20T22:53:27.043000Z"),
        ("1629500007000", "2021-08-20T22:53:27.000000Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999000Z"),
        ("-62135596800000", "0001-01-01T00:00:00.000000Z"),
        ("253402300799999", "9999-12-31T23:59:59.999000Z"),
        ("-62135596800001", None),
        ("253402300800000", None),
        (2**63 - 1, None),
        ("9" * 400, None),
        ("2021-08-20", None),
        ("", None),
        (True, None),
        *((value, None) for value in NOT_SCALAR),
    ],
)
def test_epoch_ms(value, date):
    """Six digits, UTC, years 1 to 9999."""
    assert convert.epoch_ms(value) == date


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2021-11-21T19:38:36.820Z", "2021-11-21T19:38:36.820000Z"),
        ("2025-07-21T13:01:35Z", "2025-07-21T13:01:35.000000Z"),
        ("2022-03-15T07:26:01.276+00:00", "2022-03-15T07:26:01.276000Z"),
        ("2024-03-19T04:21:00-05:00", "2024-03-19T09:21:00.000000Z"),
        ("2024-03-19T04:21:00.1234567+05:30", "2024-03-18T22:51:00.123456Z"),
        ("2024-03-19T04:21:00", "2024-03-19T04:21:00.000000Z"),
        ("2024-03-19 04:21:00", "2024-03-19T04:21:00.000000Z"),
        ("2024-03-19t04:21:00z", "2024-03-19T04:21:00.000000Z"),
        ("2024-03-19", "2024-03-19T00:00:00.000000Z"),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("2024-13-01T00:00:00Z", None),
        ("2024-02-30", None),
        ("2022/03/15 07:24:54.438105", None),
        ("yesterday", None),
        ("", None),
        ("2024-03-19T04:21:00." + "0" * 100_000, None),
        (1629500007043, None),
        (True, None),
        *((value, None) for value in NOT_SCALAR),
    ],
)
def test_iso_date(value, date):
    """Offsets are converted, a time without one is UTC."""
    assert convert.iso_date(value) == date


offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=offsets))
def test_dates_keep_their_instant(moment):
    """To the microsecond, and always in the same form."""
    try:
        expected = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    except OverflowError:
        assert convert.iso_date(moment.isoformat()) is None
    else:
        assert convert.iso_date(moment.isoformat()) == f"{expected}Z"


@pytest.mark.parametrize(
    ("value", "user", "domain"),
    [
        ("NT AUTHORITY\\SYSTEM", "SYSTEM", "NT AUTHORITY"),
        ("root", "root", None),
        ("A\\B\\C", "B\\C", "A"),
        ("DOMAIN\\", None, "DOMAIN"),
        ("\\user", "user", None),
        ("\\", None, None),
        ("", None, None),
        (12, "12", None),
        *((value, None, None) for value in NOT_SCALAR),
    ],
)
def test_accounts_are_split_at_the_first_backslash(value, user, domain):
    """A text without one is a user."""
    assert convert.after_backslash(value) == user
    assert convert.before_backslash(value) == domain


@pytest.mark.parametrize(
    ("value", "name", "directory"),
    [
        ("C:\\Windows\\System32\\relog.exe", "relog.exe", "C:\\Windows\\System32"),
        ("C:\\\\Users\\\\x.exe", "x.exe", "C:\\\\Users\\"),
        ("/usr/bin/env", "env", "/usr/bin"),
        ("C:/mixed\\path", "path", "C:/mixed"),
        ("C:\\dir\\", None, "C:\\dir"),
        ("/vmlinuz", "vmlinuz", None),
        ("plain", "plain", None),
        ("", None, None),
        (5, None, None),
        *((value, None, None) for value in NOT_SCALAR),
    ],
)
def test_paths_are_split_at_the_last_separator(value, name, directory):
    """Of either kind."""
    assert convert.file_name(value) == name
    assert convert.file_directory(value) == directory


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (("b",), ["b"]),
        (("b", "a", "b"), ["a", "b"]),
        ((["b", "a"], None, "a"), ["a", "b"]),
        ((["b", "a"],), ["a", "b"]),
        ((None, None), None),
        ((None,), None),
        ((5, "a"), ["a"]),
        (([5, "a"], {"b": 1}), ["a"]),
        (([5],), None),
        ((5,), None),
    ],
)
def test_distinct(values, found):
    """Sorted, each once; what is no text is left out."""
    assert convert.distinct(*values) == found


@pytest.mark.parametrize("name", sorted(set(ALL) - {"distinct"}))
@given(value=json_values)
def test_conversions_take_anything_and_yield_what_can_be_encoded(name, value):
    """Never an exception, never an empty value."""
    result = getattr(convert, name)(value)
    assert result is None or result is False or result == 0 or result
    if "\ud800" not in repr(value):
        assert orjson.loads(orjson.dumps(result)) == result


@pytest.mark.parametrize("name", ALL)
def test_every_conversion_says_its_type_and_what_it_does(name):
    """Both are shown to users."""
    conversion = getattr(convert, name)
    assert conversion.function.__name__ == name
    assert conversion.function.__doc__
    assert conversion.field_type.removeprefix("array of ") in {
        "keyword",
        "long",
        "float",
        "boolean",
        "date",
        "ip",
    }


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "2026-01-02T03:04:05.678901Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_instants_have_six_digits_and_z(moment, text):
    """Each as long as any other."""
    assert convert.utc_text(moment) == text
