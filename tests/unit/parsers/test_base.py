"""The exception of parsers."""

from collector.parsers.base import ParseError


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
