"""Messages on their way to a collector, and what becomes of them."""

import socket
import ssl
import time

import pytest

from collector.sending import connections, transports
from collector.sending.connections import TlsFiles
from collector.sending.transports import WINDOW, LostError, Tally, send
from tests.certificates import Authority
from tests.receivers import RelpReceiver, read_all, serving, tls_context


def sent(messages, port, transport, **options):
    """Send; return the tally and how far the progress went."""
    progress = []
    tally = send(
        messages,
        host="127.0.0.1",
        port=port,
        transport=transport,
        progressed=progress.append,
        **options,
    )
    return tally, sum(progress)


def lost(messages, serve):
    """Send over RELP to a collector on which the connection is lost; return what is raised."""
    with serving(serve) as port, pytest.raises(LostError) as caught:
        sent(messages, port, "relp")
    return caught.value


def test_tcp_messages_are_counted():
    """One after another over one connection."""
    received = []
    with serving(read_all(received)) as port:
        assert sent([b"one", b"four"], port, "tcp") == (Tally(messages=2, octets=7), 2)
    assert b"".join(received) == b"3 one4 four"


def test_udp_messages_are_datagrams():
    """One each, at the rate that is asked for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        port = server.getsockname()[1]
        assert sent([b"one", b"two"], port, "udp", rate=1000) == (Tally(messages=2, octets=6), 2)
        assert [server.recv(100), server.recv(100)] == [b"one", b"two"]


def test_tcp_goes_over_tls(tmp_path):
    """With the same framing."""
    authority, received = Authority(tmp_path), []
    context = TlsFiles(ca_file=authority.ca_file).context()
    with serving(read_all(received), tls_context(authority.server())) as port:
        tally, _ = sent([b"one", b"four"], port, "tcp", context=context)
    assert tally.messages == 2
    assert b"".join(received) == b"3 one4 four"


def test_relp_messages_are_answered():
    """Every one, before the connection is closed in order."""
    receiver = RelpReceiver()
    messages = [b"message %d\n" % number for number in range(1000)]
    with serving(receiver) as port:
        tally, progress = sent(messages, port, "relp")
    assert receiver.messages == messages
    assert receiver.ended
    assert tally == Tally(messages=1000, octets=sum(map(len, messages)), accepted=1000)
    assert (tally.unanswered, progress) == (0, 1000)


def test_no_more_relp_messages_are_sent_than_the_window_holds():
    """The next one waits for an answer."""
    receiver = RelpReceiver(answers_from=WINDOW)
    with serving(receiver) as port:
        tally, _ = sent([b"x"] * 1000, port, "relp")
    assert tally.accepted == 1000
    assert receiver.most_unanswered == WINDOW


def test_relp_goes_over_tls(tmp_path):
    """From the first octet on; at a rate, answers are taken in between."""
    authority, receiver = Authority(tmp_path), RelpReceiver()
    context = TlsFiles(ca_file=authority.ca_file).context()
    with serving(receiver, tls_context(authority.server())) as port:
        tally, progress = sent([b"x"] * 20, port, "relp", context=context, rate=1000)
    assert (tally.accepted, progress, len(receiver.messages)) == (20, 20, 20)


def test_a_refused_message_is_counted():
    """With what the collector says of the first one."""
    with serving(RelpReceiver(refused=[1, 3])) as port:
        tally, progress = sent([b"a", b"b", b"c", b"d"], port, "relp")
    assert tally == Tally(
        messages=4,
        octets=4,
        accepted=2,
        refused=2,
        refusal="500 message rejected by the settings",
    )
    assert (tally.unanswered, progress) == (0, 4)


def test_a_lost_connection_leaves_messages_unanswered():
    """How many is known."""
    failure = lost([b"a", b"b", b"c"], RelpReceiver(answers_from=4, hangs_up_at=3))
    assert str(failure) == "the collector has ended the connection"
    assert failure.tally == Tally(messages=3, octets=3)
    assert failure.tally.unanswered == 3


def test_a_collector_that_closes_the_session_answers_no_more():
    """It says so by a hint, before it ends the connection."""

    def serve(connection):
        connection.recv(65_536)
        connection.sendall(b"1 rsp 21 200 OK\nrelp_version=0\n")
        connection.recv(65_536)
        connection.sendall(b"0 serverclose 0\n")
        read_all([])(connection)

    assert str(lost([b"a"], serve)) == "the collector has closed the session"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<134>1 - - - - - -\n", "not RELP: a syslog message without a frame header"),
        (b"\x15\x03\x01\0\x02\x02\x16", "not RELP: a TLS record where plain RELP was expected"),
        (b"1 rsp 6 500 no\n", "open was refused: 500 no"),
        (b"", "the collector has ended the connection"),
    ],
)
def test_a_collector_that_speaks_something_else_is_told(answer, reason):
    """Nothing is sent to it."""

    def serve(connection):
        connection.recv(65_536)
        connection.sendall(answer)

    failure = lost([b"a"], serve)
    assert (str(failure), failure.tally) == (reason, Tally())


def test_a_collector_that_does_not_answer_speaks_no_relp(monkeypatch):
    """It is not waited for without end."""
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.05)
    assert str(lost([b"a"], read_all([]))) == ("no answer to open: no RELP is spoken on that port")


def test_a_refusal_by_tls_is_the_reason(tmp_path):
    """Also where it comes while we write, and the connection is reset."""
    authority = Authority(tmp_path)
    server = tls_context(authority.server(), client_ca_file=authority.ca_file)
    context = TlsFiles(ca_file=authority.ca_file).context()
    with serving(read_all([]), server) as port, pytest.raises(LostError) as caught:
        sent([b"x"], port, "relp", context=context)
    assert caught.value.cause.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"

    def messages():
        yield b"x"
        while True:  # until the connection is reset
            time.sleep(0.001)
            yield b"x" * 65_536

    with serving(read_all([]), server) as port, pytest.raises(ssl.SSLError) as refused:
        sent(messages(), port, "tcp", context=context)
    assert refused.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_the_rate_is_kept(monkeypatch):
    """A message waits until it is due; one that is late is not waited for."""
    clock, waits = [100.0], []

    def wait(seconds):
        waits.append(round(seconds, 3))
        clock[0] += seconds

    monkeypatch.setattr(transports.time, "monotonic", lambda: clock[0])
    for number, _ in enumerate(transports._paced([b"x"] * 5, 10, wait)):
        clock[0] += 0.25 if number == 1 else 0.02
    assert waits == [0.0, 0.08, 0.0, 0.0, 0.01]
