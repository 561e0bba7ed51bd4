"""Messages that `collector send` sends."""

import socket
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from collector.sending import Outgoing, message, octet_counted, send
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


def received_by(server, octets):
    received = b""
    connection, _ = server.accept()
    with connection:
        while len(received) < octets:
            received += connection.recv(1000)
    return received


def test_tcp_messages_are_counted():
    """One after another over one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        received = []
        thread = threading.Thread(target=lambda: received.append(received_by(server, 11)))
        thread.start()
        sizes = []
        host, port = server.getsockname()
        send([b"one", b"four"], host=host, port=port, transport="tcp", rate=None, sent=sizes.append)
        thread.join(30)
    assert received == [b"3 one4 four"]
    assert sizes == [3, 4]


def test_udp_messages_are_datagrams():
    """One each, at the rate that is asked for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        host, port = server.getsockname()
        sizes = []
        send([b"one", b"two"], host=host, port=port, transport="udp", rate=1000, sent=sizes.append)
        assert [server.recv(100), server.recv(100)] == [b"one", b"two"]
    assert sizes == [3, 3]


def test_a_collector_that_is_not_there_is_an_error():
    """The command says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
    with pytest.raises(ConnectionRefusedError):
        send([b"x"], host=host, port=port, transport="tcp", rate=None, sent=lambda _: None)
