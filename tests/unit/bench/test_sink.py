"""How the benchmark's sink counts what it is sent."""

import json
import zlib

import pytest

from tests.bench.sink import Connection, Received, count_lines, unchunk


class Transport:
    """Keeps what is written to it."""

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += data


def post(body, path="/events", headers=b""):
    """Return a request as its octets."""
    return b"POST %b HTTP/1.1\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path.encode(),
        len(body),
        headers,
        body,
    )


def received(*pieces):
    """Give pieces to a connection; return what was counted and what was answered."""
    found, transport = Received(), Transport()
    connection = Connection(found)
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
    return found, transport.written


@pytest.mark.parametrize(
    ("body", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"a\nb\n", 2)]
)
def test_each_line_is_an_event(body, lines):
    """The last one may lack its line feed."""
    assert count_lines(body) == lines


def test_requests_are_counted_in_whatever_pieces_they_come():
    """Whole, together, or octet by octet."""
    request = post(b"a\nb\n")
    whole, _ = received(request * 3)
    pieces, answers = received(*(bytes([octet]) for octet in request * 3))
    assert (whole.events, whole.requests, whole.octets) == (6, 3, 12)
    assert (pieces.events, pieces.requests, pieces.octets) == (6, 3, 12)
    assert answers.count(b"HTTP/1.1 200 OK") == 3


def test_a_body_may_come_in_chunks():
    """As clients send it that do not know its length beforehand."""
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    request = head + b"4\r\na\nb\n\r\n2;x=y\r\nc\n\r\n0\r\n\r\n"
    found, _ = received(*(bytes([octet]) for octet in request * 2))
    assert (found.events, found.requests) == (6, 2)


def test_chunks_that_are_not_complete_wait():
    """Whatever is missing of them."""
    whole = b"3\r\nabc\r\n0\r\n\r\n"
    assert unchunk(whole, 0) == (b"abc", len(whole))
    assert [unchunk(whole[:end], 0) for end in range(len(whole))] == [None] * len(whole)


def test_a_compressed_body_is_counted_by_what_it_holds():
    """The octets are those that were sent."""
    packed = zlib.compress(b"a\nb\n" * 100, wbits=31)
    found, _ = received(post(packed, headers=b"Content-Encoding: gzip\r\n"))
    assert (found.events, found.octets) == (200, len(packed))


def test_a_bulk_request_has_two_lines_for_an_event():
    """Elasticsearch's clients look into the answer."""
    body = b'{"index":{}}\n{"a":1}\n' * 2
    found, answer = received(post(body, path="/_bulk"))
    assert (found.events, found.sample) == (2, '{"a":1}')
    assert b'"errors":false' in answer


def test_a_client_that_waits_to_be_asked_is_asked():
    """As curl does before it sends much (RFC 9110, section 10.1.1)."""
    request = post(b"a\n", headers=b"Expect: 100-continue\r\n")
    found, answer = received(request[:-2], request[-2:])
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    assert found.events == 1


def test_what_has_come_can_be_asked_for():
    """With the first event, to see what a program made of a message."""
    _, answer = received(post(b'{"a":1}\n{"b":2}\n'), b"GET / HTTP/1.1\r\n\r\n")
    found = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    assert (found["events"], found["sample"]) == (2, '{"a":1}')
    assert found["last"] > 0
