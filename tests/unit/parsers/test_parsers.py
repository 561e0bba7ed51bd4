"""The registry of parsers; what they make of hostile messages is in `test_hostile_messages`."""

import pytest

from collector.parsers import PARSERS, ParseError, build, pipeline_error


def test_the_parsers_are_known_by_name():
    """As in the configuration and on the command line."""
    assert list(PARSERS) == ["cybereason", "harfanglab", "raw"]
    with pytest.raises(KeyError):
        build("nobody")


def test_the_profile_is_documented_unless_said_otherwise():
    """The shape of the integration documentation."""
    raw = "CEF:0|V|P|1|2|n|5|"
    assert build("cybereason")(raw)["event"]["type"] == "info"
    assert build("cybereason", "ecs")(raw)["event"]["type"] == ["info"]


def test_a_pipeline_error_keeps_the_text_and_the_reason():
    """What could not be read is not lost."""
    assert pipeline_error("text", ParseError("not_cef", "not CEF: no header")) == {
        "message": "text",
        "event": {"kind": "pipeline_error"},
        "error": {"message": "not CEF: no header", "code": "not_cef"},
    }
    assert "message" not in pipeline_error("", ParseError("not_cef", "empty"))
    assert pipeline_error("\ud800", ParseError("not_cef", "odd"))["message"] == "\ufffd"
