"""RELP, the client's side: numbers, and what answers mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.syslog.relp import MAX_TXNR, Session
from collector.syslog.relp_client import Client

OPEN = b"1 open 49 relp_version=0\nrelp_software=test\ncommands=syslog\n"
GREETING = b"1 rsp 21 200 OK\nrelp_version=0\n"


def new():
    """Return a client whose `open` was accepted."""
    client = Client(software="test")
    assert client.open() == OPEN
    client.feed(GREETING)
    assert client.is_open
    return client


def test_commands_are_numbered():
    """From 1 on."""
    client = new()
    assert client.message(b"<34>a\n") == b"2 syslog 6 <34>a\n\n"
    assert client.message(b"b") == b"3 syslog 1 b\n"
    assert client.close() == b"4 close 0\n"


def test_after_the_largest_number_comes_1():
    """0 is of hints."""
    client = new()
    client._number = MAX_TXNR - 1
    assert client.message(b"a") == b"999999999 syslog 1 a\n"
    assert client.message(b"b") == b"1 syslog 1 b\n"


def test_answers_are_counted():
    """200 is accepted, anything else refused; what is said first is kept."""
    client = new()
    for _ in range(5):
        client.message(b"x")
    client.feed(b"2 rsp 6 200 OK\n3 rsp 12 500 too long\n4 rsp 17 500 other\nabc def\n5 rs")
    assert (client.accepted, client.refused, client.unanswered) == (1, 2, 2)
    client.feed(b"p 3 200\n")
    assert (client.accepted, client.refused, client.unanswered) == (2, 2, 1)
    assert client.refusal == "500 too long"
    assert client.broken is None


def test_what_is_said_can_be_printed():
    """Control characters cannot, and it is not long."""
    client = new()
    client.message(b"x")
    client.feed(b"2 rsp 513 500 \x1b[2J\xff" + b"y" * 504 + b"\n")
    assert client.refusal is not None
    assert client.refusal.startswith("500 ?[2J\N{REPLACEMENT CHARACTER}yyy")
    assert len(client.refusal) == 200


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"1 rsp 11 500 no room\n", "open was refused: 500 no room"),
        (b"1 rsp 6 200 OK\n", "the server offers no relp_version that is known, 0 or 1"),
        (b"1 rsp 0\n", "protocol error: an answer without a code"),
        (b"1 rsp 2 OK\n", "protocol error: an answer without a code"),
        (b"1 rsp 4 2000\n", "protocol error: an answer without a code"),
        (b"2 rsp 6 200 OK\n", "protocol error: an answer to a command that was not sent"),
        (b"1 syslog 1 a\n", "protocol error: an answer to a command that was not sent"),
        (b"220 mail.example ESMTP\r\n", "not RELP: no frame header where one was due"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_no_more(answer, reason):
    """Nothing is read after that."""
    client = Client(software="test")
    client.open()
    client.feed(answer + GREETING)
    assert (client.broken, client.is_open) == (reason, False)
    client.feed(GREETING)
    assert (client.broken, client.is_open) == (reason, False)


def test_an_answer_counts_once():
    """The second one is to no command."""
    client = new()
    client.message(b"x")
    client.feed(b"2 rsp 6 200 OK\n2 rsp 6 200 OK\n")
    assert client.accepted == 1
    assert client.broken == "protocol error: an answer to a command that was not sent"


@pytest.mark.parametrize(
    "words", [b"2 rsp 6 200 OK\n", b"2 rsp 0\n", b"0 serverclose 0\n", b"2 rsp 0 \n0 x 1 y\n"]
)
def test_the_end_comes_as_an_answer_or_a_hint(words):
    """librelp answers `close` without a code; other hints mean nothing."""
    client = new()
    client.feed(b"0 hint 0\n")
    client.close()
    assert not client.ended
    client.feed(words)
    assert client.ended
    assert client.broken is None


@given(
    messages=st.lists(st.binary(max_size=30)),
    refused=st.frozensets(st.integers(0, 10)),
    cut=st.integers(1, 40),
)
def test_client_and_session_understand_each_other(messages, refused, cut):
    """Whatever the messages hold, and however the octets are cut."""
    client, session = Client(software="test"), Session(software="test")
    received = []
    for command in [client.open(), *map(client.message, messages), client.close()]:
        received += session.feed(command)
    given_out = [message for message in messages if message]
    assert received == given_out
    for ordinal in refused:
        session.refuse(ordinal)
    session.accept(session.messages)
    answers = session.answers()
    for start in range(0, len(answers), cut):
        client.feed(answers[start : start + cut])
    assert client.refused == len([ordinal for ordinal in refused if ordinal < len(given_out)])
    assert client.unanswered == 0
    assert client.ended
    assert client.broken is None


@given(words=st.lists(st.binary(max_size=20) | st.sampled_from([GREETING, b"2 rsp 3 200\n"])))
def test_nothing_that_a_server_says_raises(words):
    """It may be anything."""
    client = Client(software="test")
    client.open()
    client.message(b"x")
    for word in words:
        client.feed(word)
    assert client.unanswered in {0, 1}
