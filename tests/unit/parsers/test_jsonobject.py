"""JSON messages, whole and damaged."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import ParseError
from collector.parsers.jsonobject import decode_object

HEADER = "<134>1 2025-07-21T13:01:35.123Z mgr edr - - - "


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("{}", {}),
        (' {"a": [1, null, true, "é"]}\n', {"a": [1, None, True, "é"]}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": 18446744073709551616}', {"a": 18446744073709551616.0}),
        ('{"a": "\\u0000\\ufffd\\ufeff"}', {"a": "\0\ufffd\ufeff"}),
    ],
)
def test_an_object_is_returned_with_its_text(raw, value):
    """The last of equal keys counts; integers beyond 64 bits are floats."""
    text, fields, tags = decode_object(raw)
    assert text is raw
    assert fields == value
    assert tags == ()


@pytest.mark.parametrize(
    ("raw", "value", "repairs"),
    [
        ('\ufeff{"a": 1}', 1, "bom"),
        ('\0{"a": 1}\0\0', 1, "nul"),
        ('{"a":\0 1}', 1, "nul"),
        ('{"a": "b\0"}', "b\0", "nul"),
        ('{"a": "b\n\tc"}', "b\n\tc", "control_characters"),
        ('{"a": "\\udc80"}', "\ufffd", "lone_surrogates"),
        ('{"a": 1e999}', "1e999", "number"),
        ('{"a": NaN}', None, "number"),
        ('345 {"a": 1}', 1, "octet_count"),
        (HEADER + '{"a": 1}', 1, "nested_header"),
        ('<134>Jul 21 13:01:35 mgr edr: {"a": 1}', 1, "nested_header"),
        ('{"a": 1,', 1, "truncated"),
        (
            f'\ufeff345 {HEADER}\0{{"a": [NaN, "\t\\ud800\\ud8\0',
            [None, "\t"],
            "nul bom octet_count nested_header truncated number control_characters",
        ),
    ],
)
def test_a_damaged_message_is_read_as_far_as_it_goes(raw, value, repairs):
    """Its text stays as it came; the tags name the damage, in the order it is undone."""
    tags = tuple(
        "truncated" if name == "truncated" else f"repaired:{name}" for name in repairs.split()
    )
    assert decode_object(raw) == (raw, {"a": value}, tags)


def test_lone_surrogates_in_the_text_are_replaced_in_both():
    """The text is encoded as well as the object."""
    tags = ("repaired:lone_surrogates",)
    assert decode_object('{"a": "\ud800"}') == ('{"a": "\ufffd"}', {"a": "\ufffd"}, tags)
    assert decode_object('{"\ud800": "\\ud800"}')[1:] == ({"\ufffd": "\ufffd"}, tags)


def test_halves_that_belong_together_are_no_damage():
    """They become the character they are."""
    assert decode_object('{"a": "\ufffd\ud83d\ude00"}')[1:] == ({"a": "\ufffd\U0001f600"}, ())


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        ("", "not_json", "not JSON: Input is a zero-length"),
        ("CEF:0|a", "not_json", "not JSON: "),
        ("345", "not_an_object", "JSON, but a number, true, false or null and not an object"),
        ("345 words", "not_json", "not JSON: "),
        (HEADER, "not_json", "not JSON: "),
        (HEADER + "[1]", "not_an_object", "JSON, but a list and not an object"),
        ("[1, 2", "not_json", "not JSON: "),
        ('["\n"]', "not_json", "not JSON: "),
        ("NaN", "not_json", "not JSON: "),
        ('"a": 1}', "not_json", "not JSON: "),
        ('{"a": 1} x', "not_json", "not JSON: unexpected content after document"),
        ('{"a": 1}}', "not_json", "not JSON: unexpected content after document"),
        ('{"a": 1}\n{"a": 2}', "not_json", "not JSON: unexpected content after document"),
        ('{"a": 1}\n{"a": 2', "not_json", "not JSON: unexpected content after document"),
        ('{"a": "\\u12"}', "not_json", "not JSON: "),
        ('{"a": "\\x"}', "not_json", "not JSON: "),
        ('{"a": "\\\n"}', "not_json", "not JSON: "),
        ("{'a': 1}", "not_json", "not JSON: "),
        ('{"a": 1 "b', "not_json", "not JSON: "),
        ("[" * 100_000, "too_deep", "not JSON: depth limit exceeded"),
        ('{"a":' * 100_000, "too_deep", "not JSON: depth limit exceeded"),
        ('\ufeff{"a":' + "[" * 1024 + "]" * 1024 + "}", "too_deep", "not JSON: depth limit"),
        ("[1]", "not_an_object", "JSON, but a list and not an object"),
        ('"text"', "not_an_object", "JSON, but a text and not an object"),
        ("null", "not_an_object", "JSON, but a number, true, false or null and not an object"),
        ("1.5", "not_an_object", "JSON, but a number, true, false or null and not an object"),
    ],
    ids=lambda value: value[:20],
)
def test_anything_else_is_refused_with_its_reason(raw, reason, detail):
    """The detail says what it is and quotes nothing. Of two objects neither is taken for all."""
    with pytest.raises(ParseError) as caught:
        decode_object(raw)
    assert caught.value.reason == reason
    assert caught.value.detail.startswith(detail)


def test_as_many_levels_are_read_of_a_cut_message_as_of_a_whole_one():
    """Closing what is open adds none."""
    assert decode_object('{"a":' * 1024 + "1")[2] == ("truncated",)
    with pytest.raises(ParseError, match="depth limit exceeded"):
        decode_object('{"a":' * 1025 + "1")


KEYS = st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=10),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=3),
    max_leaves=6,
)


def is_beginning(part, whole):
    """Whether a value is what may be left of another one that was cut."""
    if type(part) is not type(whole):
        return False
    if isinstance(part, str):
        return whole.startswith(part)
    if isinstance(part, dict):
        part, whole = [[*item] for item in part.items()], [[*item] for item in whole.items()]
    if not isinstance(part, list):
        return part == whole
    last = len(part) - 1
    return last < 0 or (part[:last] == whole[:last] and is_beginning(part[last], whole[last]))


@pytest.mark.parametrize("raw", ["{", '{"', '{"event_id', '{"event_id"', '{"event_id":', "{\n"])
def test_a_message_cut_before_its_first_field_is_none(raw):
    """An event of nothing would look like a good one."""
    with pytest.raises(ParseError) as caught:
        decode_object(raw)
    assert caught.value.reason == "not_json"


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.booleans(), st.data())
def test_every_prefix_of_an_object_is_read_up_to_the_cut(value, ascii_only, data):
    """What ends before the cut is what was sent, and nothing is made up."""
    members = [json.dumps({key: value[key]}, ensure_ascii=ascii_only)[1:-1] + ", " for key in value]
    raw = "{" + "".join(members)[:-2] + "}"
    cut = data.draw(st.integers(1, len(raw) - 1))
    try:
        text, fields, tags = decode_object(raw[:cut])
    except ParseError:
        text = None
    if text is None:
        assert cut <= len(members[0])
        return
    assert text == raw[:cut]
    assert tags == ("truncated",)
    assert is_beginning(fields, value)
    whole = 0
    while len("".join(members[: whole + 1])) < cut:
        whole += 1
    assert [*fields.items()][:whole] == [*value.items()][:whole]


@given(st.text() | st.text(alphabet='{}[]":,\\ud8001nNa\0\n ') | st.binary().map(repr))
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
    assert orjson.loads(orjson.dumps(found)) == json.loads(json.dumps(found))
