"""Lines in and lines out."""

import io

import pytest

from collector.parsers import ParseError
from collector.parsers.repairs import INVALID_UTF8, OCTET_COUNT
from collector.streams import InputForm, lines, octets, payload, write_frames
from collector.syslog.message import KeyName

KEY_NAME = KeyName("SEKOIA@53288", "intake_key")


class Stdout:
    """Takes the place of stdout."""

    def __init__(self):
        self.buffer = io.BytesIO()


def test_lines_come_without_their_ends(tmp_path):
    """LF or CR LF, and a last line without either."""
    file = tmp_path / "f"
    file.write_bytes(b"a\nb\r\n\nc\r\r\nd")
    assert list(lines(file)) == [b"a", b"b", b"", b"c\r", b"d"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'"a\\nb"', b"a\nb"),
        ('"é"'.encode(), "é".encode()),
        (b'"\\ud83d\\ude00"', "😀".encode()),
        (b'"\\ud800"', "\ufffd".encode()),
        (b'{"b64": "/w=="}', b"\xff"),
    ],
)
def test_a_line_of_json_stands_for_octets(line, expected):
    """A lone surrogate has no octets and is replaced."""
    assert octets(line) == expected


@pytest.mark.parametrize(
    "line", [b"", b"x", b"1", b"null", b'{"b64": 1}', b'{"b64": "x"}', b"\xff"]
)
def test_what_is_no_json_string_has_one_reason(line):
    """Whatever else it is."""
    with pytest.raises(ParseError) as caught:
        octets(line)
    assert caught.value.reason == "not_json_string"


@pytest.mark.parametrize(
    ("line", "form", "text", "tags"),
    [
        (b'"a"', InputForm.lines, '"a"', ()),
        (b"a\xff", InputForm.lines, "a\ufffd", (INVALID_UTF8,)),
        (b'"<13>a"', InputForm.json, "<13>a", ()),
        (b'"345 <13>a"', InputForm.json, "345 <13>a", ()),
        (b'{"b64": "/w=="}', InputForm.json, "\ufffd", (INVALID_UTF8,)),
        (b'"<13>1 - - - - - - a"', InputForm.wire, "a", ()),
        (b'"345 <13>1 - - - - - - a"', InputForm.wire, "a", (OCTET_COUNT,)),
        (b'"345 CEF:0|a"', InputForm.wire, "CEF:0|a", (OCTET_COUNT,)),
        (b'""', InputForm.wire, "", ()),
    ],
)
def test_each_form_of_input_gives_the_payload(line, form, text, tags):
    """As it stands, as a JSON string, or out of a syslog message; with the repairs it took."""
    assert payload(line, form, KEY_NAME) == (text, tags)


def test_frames_are_written_as_json(monkeypatch):
    """Octets that are not UTF-8 in base64."""
    stdout = Stdout()
    monkeypatch.setattr("sys.stdout", stdout)
    write_frames(["é\n".encode(), b"\xff"])
    assert stdout.buffer.getvalue() == '"é\\n"\n{"b64":"/w=="}\n'.encode()
