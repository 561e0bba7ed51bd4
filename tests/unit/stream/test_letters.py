"""Dead letters in their stream, with a real server."""

from types import SimpleNamespace

import pytest

from collector.stream import AwayError, FullError, cluster, wire
from collector.stream.letters import read_direct
from tests.spools import letter_of
from tests.unit.stream.conftest import change, speaking, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(cluster, "SURVEY_SECONDS", 0.1)


async def publish(member, number, **changes):
    """Keep a dead letter."""
    message = wire.letter_message("collector", letter_of(number, **changes), f"l-{number}")
    return await member.letters.publish(*message)


async def test_dead_letters_are_read_one_after_the_other(member):
    """In order, each until it is deleted."""
    for number in (1, 2, 3):
        await publish(member, number)
    assert await member.letters.delete(2)
    found, after = [], 0
    while stored := await member.letters.next(after):
        found.append(wire.read_letter("collector", stored).raw)
        after = stored.sequence
    assert found == [b"1", b"3"]


async def test_who_deletes_first_hears_that_it_was_there(member):
    """So that it is counted once."""
    await publish(member, 1)
    assert await member.letters.delete(1)
    assert not await member.letters.delete(1)
    assert await member.letters.next(0) is None


async def test_dead_letters_are_counted_by_reason(member):
    """Beside batches, which they are not among."""
    await publish(member, 1)
    await publish(member, 2, reason="unmappable")
    await until(lambda: member.letter_holdings.messages == 2)
    assert member.letter_holdings.events == {"refused": 1, "unmappable": 1}
    assert member.holdings.messages == 0


async def test_a_dead_letter_that_nobody_can_read_is_brought_all_the_same(nats, member):
    """Without what cannot be read of its headers: those behind it would not be reached."""
    headers = b"NATS/1.0 999\r\n\xff\xfe: \xff\r\n\r\n"
    said = b"HPUB collector-dead-letters.x %d %d\r\n%b\r\n"
    async with speaking(nats) as send:
        send(said % (len(headers), len(headers), headers))
        await until(lambda: member.letter_holdings.messages == 1)
    stored = await member.letters.next(0)
    assert (stored.sequence, stored.subject) == (1, "collector-dead-letters.x")
    assert member.changes == [True]


async def test_a_full_stream_refuses_more(nats, member):
    """Whoever has it decides what is to go."""
    await change(nats, "collector-dead-letters", max_bytes=2000)
    with pytest.raises(FullError):
        await publish(member, 1, raw=bytes(2000))
    await publish(member, 2)
    stored = await member.letters.next(0)
    assert (stored.sequence, wire.read_letter("collector", stored).raw) == (1, b"2")


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"Status": "408", "Description": "Empty Request"},
        {"Nats-Sequence": "x", "Nats-Subject": "s", "Nats-Time-Stamp": "2026-01-01T00:00:00Z"},
        {"Nats-Sequence": "1", "Nats-Subject": "s", "Nats-Time-Stamp": "today"},
        {"Nats-Sequence": "1", "Nats-Time-Stamp": "2026-01-01T00:00:00Z"},
    ],
)
def test_another_answer_is_none(headers):
    """Neither a dead letter nor the word that there are no more."""
    with pytest.raises(AwayError):
        read_direct(SimpleNamespace(headers=headers, data=b""))


def test_a_letter_with_a_status_of_its_own_is_one():
    """Whoever published it may have given it any header."""
    told = {"Nats-Sequence": "3", "Nats-Subject": "s", "Nats-Time-Stamp": "1970-01-01T00:00:01.5Z"}
    stored = read_direct(SimpleNamespace(headers={**told, "Status": "404"}, data=b"body"))
    assert (stored.sequence, stored.moment, stored.body) == (3, 1.5, b"body")
