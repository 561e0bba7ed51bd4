"""Repairs of JSON; whole messages are in the tests of `collector.parsers.jsonobject`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.jsonrepair import complete, mend

PAIR = r"\ud83d\ude00"  # the escapes of one character outside of the first plane
LONE, CONTROL = "repaired:lone_surrogates", "repaired:control_characters"
NUL, NUMBER = "repaired:nul", "repaired:number"


@pytest.mark.parametrize(
    ("cut", "completed"),
    [
        ("{", "{}"),
        ("{ ", "{}"),
        ('{"', "{}"),
        ('{"a', "{}"),
        ('{"a\\"b\\', "{}"),
        ('{"a" ', "{}"),
        ('{"a" : ', "{}"),
        ('{"a": 1, ', '{"a": 1}'),
        ('{"a": 1, "b":', '{"a": 1}'),
        ('{"a": 1 ', '{"a": 1 }'),
        ('{"a": "b" ', '{"a": "b" }'),
        ('{"a": "b"', '{"a": "b"}'),
        ('{"a": {"b": [[{', '{"a": {"b": [[{}]]}}'),
        ('{"a": {"b": [1, 2], "c": {}', '{"a": {"b": [1, 2], "c": {}}}'),
        ('{"a": {}, "b": [] \n', '{"a": {}, "b": []}'),
        ('{"a": [', '{"a": []}'),
        ('{"a": ["b", "c', '{"a": ["b", "c"]}'),
        ('{"a": ["b", ', '{"a": ["b"]}'),
        ('{"a": [1, 23', '{"a": [1]}'),
        ('{"a": [1, 23 ', '{"a": [1, 23 ]}'),
        ('{"a": "}]{[,:', '{"a": "}]{[,:"}'),
        ('{"}]{[,:": 1, "b', '{"}]{[,:": 1}'),
    ],
)
def test_what_is_open_is_closed(cut, completed):
    """A key without a whole value is left out, and the comma before it."""
    assert complete(cut) == (completed, ("truncated",))


@pytest.mark.parametrize(
    ("cut", "completed"),
    [
        (r"", r""),
        (r"b", r"b"),
        (r"b ", r"b "),
        (r"b\"", r"b\""),
        ("b\\", r"b"),
        (r"b\u", r"b"),
        (r"b\u0", r"b"),
        (r"b\u00e", r"b"),
        (r"b\u00e9", r"b\u00e9"),
        (r"b\\", r"b\\"),
        ("b\\\\\\", r"b\\"),
        (r"b\\u00e", r"b\\u00e"),
        (r"b\\\u00e", r"b\\"),
        (r"b\ud83d", r"b"),
        ("b\\ud83d\\", r"b"),
        (r"b\ud83d\ude0", r"b"),
        (r"b\\ud83d", r"b\\ud83d"),
        (r"b\\ud83d\u", r"b\\ud83d"),
        (rf"b{PAIR}", rf"b{PAIR}"),
        (r"b\ude00", r"b\ude00"),
        ("b\ufffd", r"b"),
        ("é\ufffd\ufffd", "é\ufffd"),
        ("b\n", "b\n"),
    ],
)
def test_a_text_ends_with_its_last_whole_character(cut, completed):
    """Within an escape, a pair of surrogates or octets of UTF-8 there is none."""
    assert complete(f'{{"a": "{cut}') == (f'{{"a": "{completed}"}}', ("truncated",))


@pytest.mark.parametrize(
    "word", ["true", "false", "null", "NaN", "Infinity", "-Infinity", "-1.5e-3"]
)
def test_only_a_literal_is_whole_at_the_end(word):
    """A number may have gone on."""
    beginnings = {word[:length] for length in range(1, len(word))}
    for cut in {*beginnings, "1" if word.startswith("-1") else word[:1]}:
        assert complete(f'{{"a": [0,{cut}') == ('{"a": [0]}', ("truncated",))
        assert complete(f'{{"a":{cut}') == ("{}", ("truncated",))
    kept = "" if word.startswith("-1") else word
    assert complete(f'{{"a": [{word}')[0] == f'{{"a": [{kept}]}}'
    assert complete(f'{{"a": [{word} ')[0] == f'{{"a": [{word} ]}}'


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a": 1}\n',
        '{"a": 1} x',
        '{"a": 1} "x',
        '{"a": 1}]',
        '{"a": "b"c"}',
        '{"a": 1 "b',
        '{"a": 1 2',
        '{"a": "b" "c',
        '{"a": {} "b',
        '{"a": {} 1',
        '{"a" "b',
        '{"a" 1',
        '{"a": : ',
        '{"a": "b":',
        '{"a": ["b":',
        "{1",
        "{a",
        "{:",
    ],
)
def test_what_is_no_beginning_of_json_stays(text):
    """Nothing is cut off, or more is wrong with it."""
    assert complete(text) == (text, ())


@pytest.mark.parametrize("text", ['{"a": x', '{"a": 01', '{"a": 1.e', '{"a": [}', '{"a": TRUE'])
def test_what_could_not_become_json_is_no_json_afterwards(text):
    """Its value is not left out as if it had been cut."""
    with pytest.raises(json.JSONDecodeError):
        json.loads(complete(text)[0])


@pytest.mark.parametrize(
    ("damaged", "mended", "tags"),
    [
        ("", "", ()),
        (r"\ud800", r"\ufffd", (LONE,)),
        (r"\uDFFF", r"\ufffd", (LONE,)),
        (r"a\ud800b", r"a\ufffdb", (LONE,)),
        (r"\ud800\ud800", r"\ufffd\ufffd", (LONE,)),
        (rf"\ud800{PAIR}", rf"\ufffd{PAIR}", (LONE,)),
        (rf"{PAIR}\ude00", rf"{PAIR}\ufffd", (LONE,)),
        (r"\ude00\ud83d", r"\ufffd\ufffd", (LONE,)),
        (r"\\ud800 \ud800", r"\\ud800 \ufffd", (LONE,)),
        (r"\\\ud800", r"\\\ufffd", (LONE,)),
        (r"\n\"\u00e9\ud800", r"\n\"\u00e9\ufffd", (LONE,)),
        (rf"{PAIR} \\ud800 \ud80 \u0000", rf"{PAIR} \\ud800 \ud80 \u0000", ()),
        ("\n\r\t\x01\x1f\x7f", "\\u000a\\u000d\\u0009\\u0001\\u001f\x7f", (CONTROL,)),
        ("a\0", r"a\u0000", (NUL,)),
        ("\\\\\n", r"\\\u000a", (CONTROL,)),
        ("\\\n", "\\\n", ()),
        ("\\u\n00", "\\u\\u000a00", (CONTROL,)),
        ("\0\n\\ud800\n", r"\u0000\u000a\ufffd\u000a", (NUL, CONTROL, LONE)),
        ("NaN 1e999", "NaN 1e999", ()),
    ],
)
def test_what_no_text_may_hold_is_escaped(damaged, mended, tags):
    """In keys as in values. Whole pairs and other escapes stay what they are."""
    assert mend(f'{{"a": "{damaged}"}}') == (f'{{"a": "{mended}"}}', tags)
    assert mend(f'{{"{damaged}": 1}}') == (f'{{"{mended}": 1}}', tags)


@pytest.mark.parametrize(
    ("damaged", "mended", "tags"),
    [
        ("\0[\0 1,\0\0 2\n]\0", "[ 1, 2\n]", (NUL,)),
        ("[\x01 1]", "[\x01 1]", ()),
        ("NaN", "null", (NUMBER,)),
        ("[NaN,Infinity, -Infinity]", "[null,null, null]", (NUMBER,)),
        ("[1e308, -1.5E+3, 1e-999, 0]", "[1e308, -1.5E+3, 1e-999, 0]", ()),
        ("[1e309,-1E+999]", '["1e309","-1E+999"]', (NUMBER,)),
        ("[1000e307]", '["1000e307"]', (NUMBER,)),
        ("[" + "9" * 400 + "]", '["' + "9" * 400 + '"]', (NUMBER,)),
        ("[" + "9" * 300 + "]", "[" + "9" * 300 + "]", ()),
        ("[01e999, 1e999x, x1e999, 1.e999, NaNN, -NaN, +Infinity, 1e9e999]",) * 2 + ((),),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_may_not_stand_between_texts_is_left_out_or_made_a_text(damaged, mended, tags):
    """NULs and numbers that are none; too large ones are kept as they are written."""
    assert mend(damaged) == (mended, tags)


def as_sent_raw(value):
    """Write JSON as a sender does that escapes only quotes and backslashes."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{" + ",".join(f"{as_sent_raw(k)}:{as_sent_raw(v)}" for k, v in value.items()) + "}"
    return "[" + ",".join(map(as_sent_raw, value)) + "]"


TEXTS = st.text() | st.text(alphabet='"\\u\0\n\t\x1f{}[],:')


@given(
    st.recursive(
        TEXTS,
        lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXTS, children),
        max_leaves=10,
    )
)
def test_control_characters_come_out_as_what_they_were(value):
    """Wherever in a text they are."""
    mended, tags = mend(as_sent_raw(value))
    assert json.loads(mended) == value
    assert set(tags) <= {NUL, CONTROL}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "repeated", "behind"),
    [
        ('{"a":"', "\\", ""),
        ('{"a":"', '\\"', ""),
        ('{"a":"', "\\n", '\n"}'),
        ('{"a":"', "\\\\\\ud800", '"}'),
        ('{"a":"', "\n", '"}'),
        ('{"a":"', "\\u00", ""),
        ("{", '"', ""),
        ("{", '"k":"v",', '"k'),
        ("{", ",", ""),
        ('{"a":', "[", ""),
        ("{", "}", ""),
        ('{"a":', "9", "}"),
        ('{"a":', "9", ""),
        ('{"a":', "1.", ""),
        ('{"a":', "-", ""),
        ('{"a":', "- ", ""),
        ('{"a":', "\0 ", "}"),
        ('{"a":[', "NaN,", "NaN]}"),
        ('{"a":[', "1e999,", "0]}"),
        ('{"a"', " ", "x"),
        ('{"a":', "N a", ""),
    ],
    ids=lambda value: ascii(value)[1:-1],
)
def test_repairs_take_linear_time(before, repeated, behind, in_full):
    """In quadratic time a text of this length would take minutes."""
    length = 4_000_000 if in_full else 300_000
    text = before + repeated * (length // len(repeated)) + behind
    completed, _ = complete(text)
    mended, _ = mend(completed)
    assert len(completed) <= 2 * len(text)
    assert len(mended) <= 6 * len(completed)
