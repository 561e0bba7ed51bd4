"""The exception of parsers."""

import re

from collector.parsers.base import REASONS, ParseError
from tests.support import ROOT


def test_a_parse_error_has_a_reason_and_reads_as_its_detail():
    """The reason is for metrics, the detail for people."""
    error = ParseError("not_cef", "not CEF: no header")
    assert (error.reason, error.detail, str(error)) == (
        "not_cef",
        "not CEF: no header",
        "not CEF: no header",
    )


def test_the_detail_is_bounded():
    """It goes into events and into the log."""
    error = ParseError("not_json", "x" * 1000)
    assert error.detail == str(error) == "x" * 200


def test_every_reason_that_is_given_is_known():
    """They are exported before the first of a kind."""
    sources = [
        path.read_text()
        for folder in ("parsers", "pipeline")
        for path in (ROOT / "collector" / folder).rglob("*.py")
    ]
    given = set(re.findall(r'ParseError\(\s*"(\w+)"', "".join(sources)))
    assert set(REASONS) - {"too_deep"} == given  # that one is chosen by `jsonobject`
