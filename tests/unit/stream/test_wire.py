"""Batches and dead letters as messages, there and back, and what somebody else may have made."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.spool import Letter
from collector.stream import Stored, wire
from tests.spools import letter_of
from tests.unit.stream.conftest import batch_of

NAMES = st.text("abzAZ09_.-", min_size=1, max_size=64)


def stored(message, sequence=7):
    """Return a message as it comes back, its headers trimmed as nats-py does it."""
    headers = {name: value.strip() for name, value in message.headers.items()}
    return Stored(sequence, message.subject, headers, message.body)


def changed(message, **headers):
    """Return a message that somebody else published; None leaves a header out."""
    names = {"form": "Collector-Form", "octets": "Collector-Octets"}
    names |= {"received": "Collector-Received", "lengths": "Collector-Lengths"}
    told = {**message.headers, **{names[name]: value for name, value in headers.items()}}
    kept = {name: value for name, value in told.items() if value is not None}
    return stored(message._replace(headers=kept))


@pytest.fixture
def message():
    """A batch of three events."""
    return wire.batch_message("spool", batch_of(1, 2, 3, sink="front.door"), "id")


@given(
    sink=NAMES,
    body=st.binary(max_size=100),
    numbers=st.lists(st.integers(0, 99), min_size=1),
    received=st.floats(0, wire.LAST_SECOND),
)
def test_a_batch_comes_back_as_it_was(sink, body, numbers, received):
    """But for its place, which is that in the stream, and what is of one process."""
    batch = replace(batch_of(*numbers, sink=sink), body=body, received=received, codec="zstd")
    got = wire.read_batch("spool", stored(wire.batch_message("spool", batch, "id")))
    for name in ("sink", "form", "codec", "body", "events", "octets", "received", "entries"):
        assert getattr(got, name) == getattr(batch, name)
    assert (got.place, got.number, got.refused_at) == (7, 0, None)


def test_the_subject_tells_sink_and_events(message):
    """A consumer filters by the former; nobody else's subject does it."""
    assert message.subject == "spool.front=door.3"
    assert wire.subject_of_sink("spool", "front.door") == "spool.front=door.*"
    assert wire.read_subject("spool", message.subject) == ("front.door", 3)


@pytest.mark.parametrize(
    "subject",
    [
        *("spool", "spool.a", "other.a.1", "spool.a.", "spool..1", "spool.a.0", "spool.a.x"),
        *("spool.a.1.2", "spool.a.-1", "spool.a.²", "spool.a.1000001", "spool.a." + "9" * 5000),
    ],
)
def test_another_subject_is_no_batch(message, subject):
    """Also one whose number of events cannot be."""
    with pytest.raises(ValueError, match=r"subject|events"):
        wire.read_batch("spool", stored(message._replace(subject=subject)))


@pytest.mark.parametrize(
    "headers",
    [
        {"form": None},
        {"lengths": None},
        {"lengths": "x"},
        {"lengths": "1,2"},
        {"lengths": "99999"},
        {"lengths": "3"},
        {"octets": "-1"},
        {"octets": "9" * 5000},
        {"octets": str(wire.MAX_OCTETS + 1)},
        {"received": "nan"},
        {"received": "inf"},
        {"received": "-1e300"},
        {"received": "1e300"},
        {"received": "today"},
    ],
)
def test_headers_that_cannot_be_are_an_error(message, headers):
    """A number is not read before it is known to be short."""
    with pytest.raises(ValueError, match=r"."):
        wire.read_batch("spool", changed(message, **headers))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\n" + bytes(48),
        b"{}\n" + bytes(48),
        b"[1]\n" + bytes(48),
        b'[[3,"i","p",1.0]]\n' + bytes(47),
        b'[[3,"i","p",1.0]]\n' + bytes(64),
        b'[[2,"i","p",1.0]]\n' + bytes(48),
        b'[[4,"i","p",1.0],[-1,"i","p",1.0]]\n' + bytes(48),
        b'[[3,"i",5,1.0]]\n' + bytes(48),
        b'[[true,"i","p",1.0],[2,"i","p",1.0]]\n' + bytes(48),
        b'[[3,"i","p"]]\n' + bytes(48),
        b'[[3,"' + b"i" * 65 + b'","p",1.0]]\n' + bytes(48),
        b'[[3,"a b","p",1.0]]\n' + bytes(48),
        b'[[3,"i","' + b"p" * 256 + b'",1.0]]\n' + bytes(48),
        b'[[3,"i","\\u001b[2J",1.0]]\n' + bytes(48),
        b'[[3,"i","p",-1]]\n' + bytes(48),
        b'[[3,"i","p",1e300]]\n' + bytes(48),
    ],
)
def test_entries_that_are_not_as_many_as_the_events_are_an_error(packed):
    """Whoever unpacks them takes that for granted."""
    batch = replace(batch_of(1, 2, 3), entries=packed)
    with pytest.raises(ValueError, match=r"."):
        wire.read_batch("spool", stored(wire.batch_message("spool", batch, "id")))


def test_the_size_of_a_message_is_that_of_the_protocol(message):
    """`NATS/1.0`, a line for each header, an empty one, and the body."""
    lines = ["NATS/1.0", *(f"{name}: {value}" for name, value in message.headers.items()), "", ""]
    assert message.size == len("\r\n".join(lines)) + len(message.body)


def test_a_message_names_its_id_and_the_stream_that_it_is_for(message):
    """So that another stream with these subjects would refuse it."""
    assert message.headers[wire.MESSAGE_ID] == "id"
    assert message.headers[wire.EXPECTED_STREAM] == "spool"


def test_the_id_of_a_batch_is_that_of_its_sink_member_number_and_events():
    """The servers ask for the id of all subjects together, and numbers may come again."""
    batch = replace(batch_of(1), number=255)
    ids = {
        wire.identifier("m", batch),
        wire.identifier("n", batch),
        wire.identifier("m", replace(batch, sink="b")),
        wire.identifier("m", replace(batch, number=256)),
        wire.identifier("m", replace(batch_of(2), number=255)),
    }
    assert len(ids) == 5
    assert wire.identifier("m", batch) == wire.identifier("m", replace(batch, body=b"other"))


def test_events_are_added_up_by_sink():
    """What is no batch's counts for nothing."""
    subjects = {"spool.a.3": 2, "spool.a.1": 4, "spool.b=c.10": 1, "spool.a.x": 9, "other.a.1": 9}
    foreign = {"spool.x y.7": 1, "spool.é.7": 1, f"spool.{'x' * 65}.7": 1}
    assert wire.events_by_sink("spool", {**subjects, **foreign}) == {"a": 10, "b.c": 10}


def test_dead_letters_are_counted_by_reason():
    """Their subjects name it; what is none counts as foreign."""
    words = {"refused": 2, "foreign_letter": 1, "x y": 3, "é": 4, "x" * 65: 5, "": 6}
    subjects = {f"spool-dead-letters.{word}": count for word, count in words.items()}
    counts = wire.letters_by_reason("spool", {**subjects, "spool.a.1": 1})
    assert counts == {"refused": 2, "foreign_letter": 1 + 3 + 4 + 5 + 6}


def test_headers_take_no_more_than_what_is_left_for_them():
    """Beside the form, whatever settings and clocks say."""
    longest = {"sink": "s" * 64, "form": "é" * 1000, "codec": "gzip", "number": 2**63}
    batch = replace(batch_of(1), **longest, octets=wire.MAX_OCTETS, received=1_234_567_890.123456)
    message = wire.batch_message("s" * 64, batch, wire.identifier("f" * 16, batch))
    headers = message.size - len(message.body)
    assert wire.form_octets(batch.form) == 2000
    assert headers < 2000 + wire.HEADERS_OCTETS


@given(
    letter=st.builds(
        Letter,
        reason=st.just("refused"),
        problem=st.text(),
        identifier=st.text(),
        intake=st.just("") | NAMES,
        sink=st.just("") | NAMES,
        listener=st.just("") | NAMES,
        peer=st.ip_addresses().map(str),
        received=st.floats(0, wire.LAST_SECOND),
        raw=st.binary(),
        is_frame=st.booleans(),
        event=st.none() | st.binary(),
        is_cut=st.booleans(),
        kept=st.floats(0, wire.LAST_SECOND),
    )
)
def test_a_dead_letter_comes_back_as_it_was(letter):
    """Line breaks in its texts and all."""
    got = wire.read_letter("spool", stored(wire.letter_message("spool", letter, "id")))
    for name in Letter.__dataclass_fields__:
        assert getattr(got, name) == getattr(letter, name), name


@pytest.mark.parametrize(
    ("subject", "lengths", "body"),
    [
        ("spool.refused", "2,0", b"{}"),
        ("spool-dead-letters.", "2,0", b"{}"),
        ("spool-dead-letters.refused", "2", b"{}"),
        ("spool-dead-letters.refused", "2,1", b"{}"),
        ("spool-dead-letters.refused", "2,0", b"[]"),
        ("spool-dead-letters.refused", "2,0", b"{]"),
        ("spool-dead-letters.refused", "2,0", b"{}"),
    ],
)
def test_what_is_no_dead_letter_is_an_error(subject, lengths, body):
    """By its subject, its parts or what is told of it."""
    with pytest.raises(ValueError, match=r"."):
        wire.read_letter("spool", Stored(1, subject, {"Collector-Lengths": lengths}, body))


def test_a_dead_letter_with_a_field_of_another_kind_is_an_error():
    """As one that somebody else published."""
    message = wire.letter_message("spool", letter_of(), "id")
    body = message.body.replace(b'"is_frame":false', b'"is_frame":0    ')
    with pytest.raises(ValueError, match="is_frame"):
        wire.read_letter("spool", stored(message._replace(body=body)))


@pytest.mark.parametrize(
    "changes",
    [
        *({"intake": "x" * 65}, {"sink": "a b"}, {"listener": "\n"}, {"peer": "\x1b[2J"}),
        *({"peer": "p" * 256}, {"received": -1.0}, {"received": 1e300}, {"kept": 1e300}),
    ],
)
def test_a_dead_letter_with_a_field_that_cannot_be_is_an_error(changes):
    """It would be shown, and names what is counted."""
    message = wire.letter_message("spool", letter_of(**changes), "id")
    with pytest.raises(ValueError, match=next(iter(changes))):
        wire.read_letter("spool", stored(message))


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.spool.a.1.42.7.1600000000500000000.0",
        "$JS.ACK.domain.account.spool.a.1.42.7.1600000000500000000.0.token",
    ],
)
def test_a_delivery_names_sequence_and_time(reply):
    """In the form that servers have, and in the one that they are going to have."""
    assert wire.read_reply(reply) == (42, 1600000000.5)


@pytest.mark.parametrize("reply", ["", "_INBOX.x.1", "$JS.ACK.spool.a.1", "$JS.ACK.a.b.c.d.e.f.g"])
def test_what_is_no_delivery_is_an_error(reply):
    """As a sign of life."""
    with pytest.raises(ValueError, match=r"."):
        wire.read_reply(reply)
