"""Intake keys in what people are shown."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest

from collector.masking import MAX_VALUES, Masker
from collector.syslog.message import KeyName

KEY = 'A "key"]\\of/<é+~>'
NAME = KeyName()


IN_JSON = json.dumps(KEY, ensure_ascii=False)[1:-1]


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        KEY.upper(),
        KEY.lower(),
        IN_JSON,
        IN_JSON.replace("/", "\\/"),
        json.dumps(KEY)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        json.dumps(json.dumps(KEY))[3:-3],
        json.dumps(KEY)[1:-1].replace("<", "\\u003C").replace(">", "\\u003E"),
        KEY.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]"),
        quote(KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        quote_plus(KEY),
        b64encode(KEY.encode()).decode(),
        urlsafe_b64encode(KEY.encode()).decode(),
    ],
)
def test_a_known_key_is_masked_however_it_is_written(written):
    """Wherever it stands."""
    assert Masker(NAME, [KEY]).mask(f"before {written} after".encode()) == b"before *** after"


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "x", "\n", " and more"])
@pytest.mark.parametrize("key", ["f3a1c2d4-98b7-4e65-a001-2f3e4d5c6b7a", KEY])
def test_a_known_key_is_masked_within_what_is_in_base64(before, after, key):
    """No more than two characters at its ends are left, which it shares with what is beside it."""
    encoded = b64encode(f"{before}{key}{after}".encode())
    masked = Masker(NAME, [key]).mask(b"Basic " + encoded)
    assert masked.count(b"***") == 1
    left = len(masked) - len(b"Basic ***")
    assert left <= len(b64encode(f"{before}{after}".encode())) + 4


def test_an_unknown_key_is_masked_where_keys_stand():
    """By the name of the parameter."""
    masker = Masker(KeyName("id@1", "token"))
    assert masker.mask(b'<1>1 - - - - - [id@1 token="x"] x') == (
        b'<1>1 - - - - - [id@1 token="***"] x'
    )


def test_of_two_keys_the_longer_is_masked_whole():
    """Though the other is its beginning."""
    assert Masker(NAME, ["key", "key-two"]).mask(b"key-two key") == b"*** ***"


def test_the_beginning_of_a_key_is_masked_where_a_message_was_cut():
    """Unless it is so short that it says nothing."""
    masker = Masker(NAME, ["secret-key"])
    assert masker.mask(b"text secret-k", is_cut=True) == b"text ***"
    assert masker.mask(b"text secr", is_cut=True) == b"text ***"
    assert masker.mask(b"text sec", is_cut=True) == b"text sec"
    assert masker.mask(b"text secret-k") == b"text secret-k"


@pytest.mark.parametrize("length", [1, 6, 7, 8, 14, 15, 16, 40])
def test_a_key_is_masked_wherever_it_begins(length):
    """However long it is."""
    key = "k0123456789abcdefghijklmnopqrstuvwxyzABCDE"[:length]
    for start in range(20):
        text = b"-" * start
        assert Masker(NAME, [key]).mask(text + key.encode() + b".") == text + b"***."


def test_of_what_many_keys_seem_to_be_in_nothing_is_shown():
    """To look for each of them would take too long: they all begin with what is sent."""
    keys = [f"the-name-of-this-company-{number:04}" for number in range(600)]
    masker, text = Masker(NAME, keys), "the-name-of-this-company-" * 10_000
    assert masker.mask(text.encode()) == b"***"
    assert masker.mask(text[:250].encode()) == text[:250].encode()
    with pytest.raises(ValueError, match="too much of it looks like keys"):
        masker.read_event(json.dumps({"a": text, "b": text}).encode())
    assert masker.read_event(json.dumps(text).encode()) == "***"


def test_an_event_of_very_many_values_is_refused_where_keys_seem_to_be_in_it():
    """To mask each would take too long."""
    event = [0] * MAX_VALUES
    masker = Masker(NAME, ["secret-key"])
    assert masker.read_event(json.dumps([*event, "none"]).encode()) == [*event, "none"]
    for text in ("secret-key", "intake_key="):
        with pytest.raises(ValueError, match=f"more than {MAX_VALUES} values"):
            masker.read_event(json.dumps([*event, text]).encode())


def test_the_beginning_of_a_key_is_masked_at_the_end_of_any_text_of_a_cut_event():
    """Also where half a character was cut."""
    masker = Masker(NAME, ["secrét-key"])
    event = {"a": "x secrét-k", "b": [1, "x secr\ufffd", "SECR", "secr x", "sec"], "secr": "\ufffd"}
    assert masker.read_event(json.dumps(event).encode(), is_cut=True) == {
        "a": "x ***",
        "b": [1, "x ***", "***", "secr x", "sec"],
        "***": "\ufffd",
    }
    assert masker.read_event(json.dumps(event).encode()) == event
    assert Masker(NAME).read_event(json.dumps(event).encode(), is_cut=True) == event


def test_the_texts_of_an_event_are_masked():
    """However JSON has them, names too; the rest stays as it is."""
    masker = Masker(NAME, [KEY])
    event = {"a": [f"x {KEY}", 1, None, True], KEY: {"b": 'intake_key="other"'}, "c": 1.5}
    expected = {"a": ["x ***", 1, None, True], "***": {"b": 'intake_key="***"'}, "c": 1.5}
    for text in (json.dumps(event), json.dumps(event, ensure_ascii=False)):
        assert masker.read_event(text.encode()) == expected
    assert masker.read_event(b'{"a":"b"}') == {"a": "b"}


def test_an_event_that_cannot_be_told_is_refused():
    """What is nested deeper than orjson writes."""
    with pytest.raises(ValueError, match="ecursion"):
        Masker(NAME).read_event(b"[" * 300 + b"]" * 300)


def test_any_text_can_be_masked():
    """Halves of characters are replaced."""
    assert Masker(NAME, ["key"]).mask_text("\ud800 key") == "\ufffd\ufffd\ufffd ***"
