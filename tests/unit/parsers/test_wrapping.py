"""What relays put around a payload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.wrapping import MAX_WRAPPINGS, unwrap

BOM, NUL = "repaired:bom", "repaired:nul"
COUNT, HEADER = "repaired:octet_count", "repaired:nested_header"
RFC5424 = '<134>1 2025-07-21T13:01:35.123Z mgr edr 7 - [id@1 key="a\\"b"] '
RFC3164 = "<134>Jul 21 13:01:35 mgr edr[7]: "
JSON = '{"log_type": "process", "name": "é \U0001f600"}'
CEF = "CEF:0|Vendor|Product|1|2|Name|5|src=10.0.0.1 msg=<134>"


@pytest.mark.parametrize("payload", [JSON, CEF])
@pytest.mark.parametrize(
    ("before", "behind", "tags"),
    [
        ("", "", ()),
        (" \r\n\t", "\r\n", ()),
        ("\ufeff", "", (BOM,)),
        ("\0\0", "", (NUL,)),
        ("", "\0", (NUL,)),
        ("", "\r\n\0\n", (NUL,)),
        ("\0 \ufeff\0", "\0", (NUL, BOM)),
        ("345 ", "", (COUNT,)),
        ("999999999 ", "\n", (COUNT,)),
        ("345 \ufeff", "", (COUNT, BOM)),
        (RFC5424, "", (HEADER,)),
        (RFC3164, "", (HEADER,)),
        ("<134>", "", (HEADER,)),
        ("<134>1 2025-07-21T13:01:35Z - - - - - ", "\n", (HEADER,)),
        ("<134>2025-07-21T13:01:35Z mgr ", "", (HEADER,)),
        ("412 " + RFC5424, "", (COUNT, HEADER)),
        (RFC3164 + "345 ", "", (HEADER, COUNT)),
        ("\ufeff412 " + RFC3164 + "\0" + RFC5424, "\0\n", (NUL, BOM, COUNT, HEADER)),
        (RFC5424 * MAX_WRAPPINGS, "", (HEADER,)),
    ],
)
def test_what_stands_around_a_payload_is_taken_off(payload, before, behind, tags):
    """Each kind is named once; order and number do not matter, up to a bound."""
    assert unwrap(before + payload + behind) == (payload, tags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "345 words",
        "0345 {}",
        "1234567890 {}",
        "345{}",
        "٣٤ {}",
        "<192>{}",
        "<>{}",
        "<a>{}</a>",
        "Jul 21 13:01:35 mgr edr: {}",
        "mgr edr: {}",
        "[1] {}",
        '{"a": "\ufeff\\u0000"} ',
    ],
)
def test_anything_else_stays(text):
    """Numbers, brackets and words that are neither octet count nor header."""
    assert unwrap(text) == (text, ())


def test_what_is_inside_of_the_payload_stays():
    """Only the ends of a text are wrapping."""
    payload = '{"a": "\0\n\ufeff345 {<134>1 - - - - - -'
    assert unwrap(f"{RFC3164}{payload}") == (payload, (HEADER,))


def test_nothing_is_masked():
    """What looks like an intake key may be what the event is about."""
    payload = '{"a": "intake_key=\\"x\\" [SEKOIA@53288 intake_key=y"}'
    assert unwrap(f"{RFC3164}{payload}") == (payload, (HEADER,))


def test_lone_surrogates_stay():
    """They are not for this module to replace."""
    assert unwrap(RFC3164 + '{"é": "\ud800"}\0') == ('{"é": "\ud800"}', (NUL, HEADER))


def test_wrappings_are_bounded():
    """A text may be made of nothing else."""
    headers = "<134>" * 100_000
    assert unwrap(headers) == (headers[5 * MAX_WRAPPINGS :], (HEADER,))


@pytest.mark.parametrize("text", ["\0" * 1_000_000, "\ufeff" * 1_000_000, "1 {" * 300_000])
def test_long_texts_are_unwrapped_in_linear_time(text):
    """Whatever they are made of."""
    assert len(unwrap(text)[0]) in {0, len(text) - 2}


PIECES = st.sampled_from(["\ufeff", "\0", "\n", "345 ", "<13>", RFC5424, RFC3164, JSON, CEF, "é"])


@given(st.lists(PIECES | st.text(st.characters(exclude_categories=()), max_size=5)).map("".join))
def test_a_payload_is_a_part_of_its_text(text):
    """Never raises, and makes nothing up."""
    payload, tags = unwrap(text)
    assert payload in text
    assert len(set(tags)) == len(tags)
    assert set(tags) <= {BOM, NUL, COUNT, HEADER}
