"""JSON messages."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import ParseError
from collector.parsers.jsonobject import decode_object

PAIR = "\\ud83d\\ude00"  # the escapes of one character outside of the first plane


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("{}", {}),
        (' {"a": [1, null, true, "é"]}\n', {"a": [1, None, True, "é"]}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": 18446744073709551616}', {"a": 18446744073709551616.0}),
    ],
)
def test_an_object_is_returned_with_its_text(raw, value):
    """The last of equal keys counts; integers beyond 64 bits are floats."""
    assert decode_object(raw) == (raw, value)


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        ("", "not_json", "not JSON: Input is a zero-length"),
        ("CEF:0|a", "not_json", "not JSON: "),
        ('{"a": NaN}', "not_json", "not JSON: "),
        ('{"a": 1e999}', "not_json", "not JSON: "),
        ('{"a": ' + "9" * 5000 + "}", "not_json", "not JSON: "),
        ('{"a": 1} x', "not_json", "not JSON: "),
        ('{"a": "\\u12"}', "not_json", "not JSON: "),
        ('{"a": "\\', "not_json", "not JSON: "),
        ("[" * 100_000, "too_deep", "not JSON: depth limit exceeded"),
        ('{"a":' * 100_000, "too_deep", "not JSON: depth limit exceeded"),
        ("[1]", "not_an_object", "JSON, but a list and not an object"),
        ('"text"', "not_an_object", "JSON, but a text and not an object"),
        ("null", "not_an_object", "JSON, but a number, true, false or null and not an object"),
        ("1.5", "not_an_object", "JSON, but a number, true, false or null and not an object"),
    ],
    ids=lambda value: value[:20],
)
def test_anything_else_is_refused_with_its_reason(raw, reason, detail):
    """The detail says what it is and quotes nothing."""
    with pytest.raises(ParseError) as caught:
        decode_object(raw)
    assert caught.value.reason == reason
    assert caught.value.detail.startswith(detail)


@pytest.mark.parametrize(
    ("escaped", "value"),
    [
        (r"\ud800", "\ufffd"),
        (r"\uDFFF", "\ufffd"),
        (r"a\ud800b", "a\ufffdb"),
        (r"\ud800\ud800", "\ufffd\ufffd"),
        (r"\ud800" + PAIR, "\ufffd\U0001f600"),
        (PAIR + r"\ude00", "\U0001f600\ufffd"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\\ud800 \ud800", "\\ud800 \ufffd"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\n\"\u00e9\ud800", '\n"é\ufffd'),
    ],
)
def test_escaped_lone_surrogates_are_replaced(escaped, value):
    """Whole pairs and other escapes stay what they are; the text of the message does too."""
    raw = f'{{"a": "{escaped}"}}'
    assert decode_object(raw) == (raw, {"a": value})


def test_lone_surrogates_in_the_text_are_replaced_in_both():
    """The text is encoded as well as the object."""
    assert decode_object('{"a": "\ud800"}') == ('{"a": "\ufffd"}', {"a": "\ufffd"})


def test_many_escapes_are_repaired_in_linear_time():
    """However many there are."""
    raw = '{"a": "' + r"\\\ud800" * 100_000 + '"}'
    assert decode_object(raw)[1] == {"a": "\\\ufffd" * 100_000}


@given(st.text() | st.text(alphabet='{}[]":,\\ud8001 ') | st.binary().map(repr))
def test_nothing_but_a_parse_error_is_raised(raw):
    """And what is decoded can be encoded."""
    try:
        found = decode_object(raw)
    except ParseError as error:
        reason = error.reason
        found = ()
    else:
        reason = None
    assert reason in {None, "not_json", "too_deep", "not_an_object"}
    assert orjson.loads(orjson.dumps(found)) == [*found]


def test_a_byte_order_mark_before_it_is_passed_over():
    """It stays in the message, and the object is read."""
    assert decode_object('\ufeff{"a": 1}') == ('\ufeff{"a": 1}', {"a": 1})
