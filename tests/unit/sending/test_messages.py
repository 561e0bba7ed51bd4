"""Messages that `collector send` sends."""

from datetime import UTC, datetime, timedelta, timezone

from collector.sending import Outgoing, message, octet_counted
from collector.syslog.message import KeyName, envelope

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def made(key, *, now=NOW):
    return message(
        Outgoing("cybereason", "CEF:0|é", key),
        now=now,
        hostname="laptop",
        sd_id="SEKOIA@53288",
        parameter="intake_key",
    )


def test_a_message_carries_its_key_in_the_structured_data():
    """RFC 5424, local0.info, UTC."""
    assert made("k").decode() == (
        "<134>1 2026-01-02T03:04:05.678901Z laptop cybereason - - "
        '[SEKOIA@53288 intake_key="k"] CEF:0|é'
    )


def test_without_a_key_there_is_no_structured_data():
    """Bound ports need none."""
    assert b" cybereason - - - CEF:0|" in made(None)


def test_the_time_is_utc():
    """Whatever zone the clock is in."""
    assert made("k", now=NOW.astimezone(timezone(timedelta(hours=2)))) == made("k")


def test_any_key_comes_out_as_it_went_in():
    """Quotes, backslashes and brackets are escaped (RFC 5424, section 6.3.3)."""
    key = 'a"b\\c]d'
    assert envelope(made(key), KeyName("SEKOIA@53288", "intake_key")) == (key, "CEF:0|é")


def test_an_octet_count_counts_octets():
    """Not characters."""
    assert octet_counted("é".encode()) == b"2 \xc3\xa9"
