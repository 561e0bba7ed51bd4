"""Carrying out what the command line asks for."""

import asyncio
import json
import sqlite3
from collections import Counter

import pytest
import structlog

from collector import dead_letters
from collector.dead_letters import CHUNK, Office, buried_letters
from collector.sinks.encoders import COMPRESS
from collector.spool import Batch, Letter, Share
from collector.spool.entries import Entry, pack_entries
from collector.spool.letters import Choice
from collector.spool.requests import Request
from collector.stream import AwayError


def letter(number, *, sink="", reason="unknown_intake"):
    identifier = f"{number:032x}"
    return Letter(
        reason, "", identifier, "", sink, "tcp", "", 1.0, b"x", is_frame=True, number=number
    )


def batch():
    entries = [Entry(f"{number:032x}", "edr", "192.0.2.1", 5.0) for number in (1, 2)]
    body = COMPRESS["gzip"](b'{"message":"a"}\n{"message":"b"}\n')
    return Batch("gone", "ndjson:event", "gzip", body, 2, 32, 5.0, pack_entries(entries))


class Spool:
    """Holds dead letters, and notes in which order it is told things."""

    def __init__(self):
        self.is_roomy = True
        self.letters = []
        self.batches = []
        self.answers = {}
        self.story = []
        self.is_writing = True

    def has_room(self, sinks, part):
        self.asked = sinks, part
        return self.is_roomy

    async def choose_letters(self, choice, after, limit):
        chosen = [
            item
            for item in self.letters
            if item.number > after
            and choice.reason in (None, item.reason)
            and (choice.last is None or item.number <= choice.last)
        ]
        return chosen[:limit]

    def release(self, letters):
        self.story.append(("release", [item.number for item in letters]))
        self.letters = [item for item in self.letters if item not in letters]

    def when_durable(self, callback):
        if self.is_writing:
            callback()

    async def purge(self, choice):
        gone = (await self.choose_letters(choice, 0, 10**6))[:2]
        self.letters = [item for item in self.letters if item not in gone]
        return Counter(item.reason for item in gone)

    def gone(self):
        return ["gone"] if self.batches else []

    async def take(self, sink):
        assert sink == "gone"
        return self.batches.pop(0)

    def postpone(self, item):
        self.batches.append(item)

    def give_back(self, sink):
        self.story.append(("give back", sink))

    def bury(self, _batch, letters):
        self.letters += letters

    async def answer(self, number, state, answer):
        self.answers[number] = (state, answer)


class Room:
    """An office with what surrounds it; it replays all but the letters in `stubborn`."""

    def __init__(self):
        self.spool = Spool()
        self.stubborn = set()
        self.shares = {"siem": Share(None, "block"), "other": Share(100, "drop")}
        self.office = Office(self, [self], self.spool, self.shares)

    def replay(self, item):
        self.spool.story.append(("replay", item.number))
        if item.number == 666:
            raise KeyError(item.number)
        return item.number not in self.stubborn

    def flush(self):
        self.spool.story.append(("flush",))

    async def ask(self, command, arguments=None, *, state="waiting", answer=None):
        """Have a request carried out; return its state and answer."""
        request = Request(1, 0.0, "uid 7", command, arguments or {}, state, answer or {})
        await self.office.carry_out([request])
        return self.spool.answers.get(1)


@pytest.fixture
def room():
    return Room()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(dead_letters, "PATIENCE_SECONDS", 0.01)


async def test_letters_are_replayed_and_let_go_of_together(room):
    """Nothing of others is in the batches that are written with them; what cannot go stays."""
    room.spool.letters = [letter(1), letter(2), letter(3)]
    room.stubborn = {2}
    assert await room.ask("replay") == ("done", {"replayed": 2, "kept": 1})
    assert room.spool.story == [
        ("flush",),
        ("replay", 1),
        ("replay", 2),
        ("replay", 3),
        ("flush",),
        ("release", [1, 3]),
    ]
    assert [item.number for item in room.spool.letters] == [2]


async def test_only_what_is_chosen_is_replayed(room):
    room.spool.letters = [letter(1), letter(2, reason="refused"), letter(3, reason="refused")]
    choice = Choice(reason="refused", last=2)
    assert await room.ask("replay", choice.as_dict()) == ("done", {"replayed": 1, "kept": 0})
    assert [item.number for item in room.spool.letters] == [1, 3]


async def test_a_long_replay_is_done_a_part_at_a_time(room, monkeypatch):
    """Other requests have their turn in between, and it goes on behind what it has tried."""
    monkeypatch.setattr(dead_letters, "CHUNKS_AT_ONCE", 1)
    room.spool.letters = [letter(number) for number in range(1, CHUNK + 2)]
    room.stubborn = {1}
    state, answer = await room.ask("replay")
    assert state == "running"
    assert answer == {"replayed": CHUNK - 1, "kept": 1, "after": CHUNK, "waits": False}
    state, answer = await room.ask("replay", state=state, answer=answer)
    assert (answer["replayed"], answer["after"]) == (CHUNK, CHUNK + 1)
    assert await room.ask("replay", state=state, answer=answer) == (
        "done",
        {"replayed": CHUNK, "kept": 1},
    )


async def test_a_replay_leaves_room_for_what_arrives(room):
    """It waits while there is less; what is known already is not written again."""
    room.spool.is_roomy = False
    room.spool.letters = [letter(1, sink="siem"), letter(2)]
    state, answer = await room.ask("replay")
    assert (state, answer["replayed"], answer["waits"]) == ("running", 0, True)
    assert room.spool.asked == ({"siem", ""}, 1 / 2)
    room.spool.answers.clear()
    assert await room.ask("replay", state=state, answer=answer) is None
    room.spool.is_roomy = True
    assert (await room.ask("replay", state=state, answer=answer))[0] == "done"


async def test_a_replay_goes_on_only_once_what_went_is_durable(room):
    room.spool.letters = [letter(number) for number in range(1, CHUNK + 2)]
    room.spool.is_writing = False
    state, answer = await room.ask("replay")
    assert (state, answer["replayed"], answer["waits"]) == ("running", CHUNK, True)


async def test_a_letter_that_breaks_the_replay_costs_the_request_alone(room):
    """What went before it is let go of; who asked is told, and the log has the details."""
    room.spool.letters = [letter(1), letter(666), letter(667)]
    with structlog.testing.capture_logs() as logged:
        state, answer = await room.ask("replay")
    assert state == "failed"
    assert answer == {"problem": "the daemon could not carry it out; its log has the details"}
    assert [item.number for item in room.spool.letters] == [666, 667]
    assert room.spool.story[-2:] == [("flush",), ("release", [1])]
    assert logged[0]["event"] == "request failed, please report it"
    assert logged[0]["exc_info"]


async def test_a_file_that_cannot_be_used_at_present_fails_no_request(room, monkeypatch):
    """It is carried out once that is over."""

    async def choose_letters(*_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(room.spool, "choose_letters", choose_letters)
    with pytest.raises(sqlite3.OperationalError):
        await room.ask("replay")


async def test_a_replay_waits_for_a_stream_that_is_away(room, monkeypatch):
    """What went before is told, and it goes on from there."""
    room.spool.letters = [letter(number) for number in range(1, CHUNK + 2)]
    choose_letters = room.spool.choose_letters

    async def away(choice, after, limit):
        if after:
            raise AwayError("no answer")
        return await choose_letters(choice, after, limit)

    monkeypatch.setattr(room.spool, "choose_letters", away)
    state, answer = await room.ask("replay")
    assert (state, answer) == (
        "running",
        {"replayed": CHUNK, "kept": 0, "after": CHUNK, "away": True},
    )
    monkeypatch.setattr(room.spool, "choose_letters", choose_letters)
    assert await room.ask("replay", state=state, answer=answer) == (
        "done",
        {"replayed": CHUNK + 1, "kept": 0},
    )


async def test_letters_are_purged_until_none_is_left(room):
    """Piece by piece; how many they were is told by reason."""
    room.spool.letters = [letter(1), letter(2), letter(3, reason="refused")]
    assert await room.ask("purge") == ("done", {"purged": {"unknown_intake": 2, "refused": 1}})
    assert room.spool.letters == []


async def test_a_long_purge_is_gone_on_with(room, monkeypatch):
    monkeypatch.setattr(dead_letters, "DELETIONS_AT_ONCE", 1)
    room.spool.letters = [letter(number) for number in range(1, 4)]
    state, answer = await room.ask("purge")
    assert (state, answer) == ("running", {"purged": {"unknown_intake": 2}})
    _, answer = await room.ask("purge", state=state, answer=answer)
    assert answer == {"purged": {"unknown_intake": 3}}


async def test_a_purge_waits_for_a_stream_that_is_away(room, monkeypatch):
    room.spool.letters = [letter(number) for number in range(1, 6)]
    purge, answers = room.spool.purge, iter([True, False])

    async def away(choice):
        if next(answers):
            return await purge(choice)
        raise AwayError("no answer")

    monkeypatch.setattr(room.spool, "purge", away)
    state, answer = await room.ask("purge")
    assert (state, answer) == ("running", {"purged": {"unknown_intake": 2}, "away": True})
    monkeypatch.setattr(room.spool, "purge", purge)
    assert await room.ask("purge", state=state, answer=answer) == (
        "done",
        {"purged": {"unknown_intake": 5}},
    )


async def test_what_waits_for_a_sink_that_is_gone_is_buried(room):
    """Each event becomes a dead letter of that sink, as it was received."""
    room.spool.batches = [batch(), batch()]
    assert await room.ask("bury", {"sink": "gone"}) == ("done", {"buried": 4})
    first = room.spool.letters[0]
    assert (first.reason, first.sink, first.intake) == ("buried", "gone", "edr")
    assert (first.raw, first.event) == (b"a", b'{"message":"a"}')
    assert (first.received, first.peer) == (5.0, "192.0.2.1")
    assert room.spool.story == [("give back", "gone")]


async def test_what_waits_for_a_configured_sink_is_not_buried(room):
    """The daemon knows best what it delivers to."""
    state, answer = await room.ask("bury", {"sink": "siem"})
    assert state == "failed"
    assert "'siem' is configured in the running daemon" in answer["problem"]


async def test_what_others_have_taken_meanwhile_is_not_waited_for(room, monkeypatch):
    """Of a stream it is known a moment later what is left."""
    monkeypatch.setattr(dead_letters, "TAKE_SECONDS", 0.01)
    monkeypatch.setattr(room.spool, "gone", lambda: ["gone"])

    async def take(_):
        await asyncio.sleep(3600)

    monkeypatch.setattr(room.spool, "take", take)
    state, answer = await room.ask("bury", {"sink": "gone"})
    assert (state, answer) == ("running", {"buried": 0})
    monkeypatch.setattr(room.spool, "gone", list)
    assert await room.ask("bury", {"sink": "gone"}, state=state, answer=answer) == (
        "done",
        {"buried": 0},
    )
    assert room.spool.story == [("give back", "gone")]


async def test_a_batch_that_cannot_be_buried_goes_on_waiting(room):
    broken = batch()
    broken.body = b"no gzip"
    room.spool.batches = [broken]
    state, _ = await room.ask("bury", {"sink": "gone"})
    assert state == "failed"
    assert room.spool.batches == [broken]
    assert room.spool.story == [("give back", "gone")]


async def test_nothing_is_given_back_of_what_was_not_taken(room):
    assert await room.ask("bury", {"sink": "gone"}) == ("done", {"buried": 0})
    assert room.spool.story == []


@pytest.mark.parametrize(
    ("command", "arguments", "problem"),
    [
        ("resurrect", {}, "this version of the daemon knows no 'resurrect'"),
        ("purge", {"colour": 1}, "this version of the daemon does not understand {'colour': 1}"),
    ],
)
async def test_requests_of_another_version_are_refused(room, command, arguments, problem):
    """A purge that is understood in part would delete too much."""
    room.spool.letters = [letter(1)]
    assert await room.ask(command, arguments) == ("failed", {"problem": problem})
    assert len(room.spool.letters) == 1


def audited(capsys):
    """Return the audit lines so far, without what is the same in each."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    common = {"event": "audit", "level": "info", "actor": "uid 7", "request": 1}
    for line in lines:
        assert line.pop("timestamp")
        assert {name: line.pop(name) for name in common} == common
    return lines


async def test_the_audit_says_who_asked_for_what_and_what_came_of_it(room, capsys):
    """When it begins and when it is done."""
    room.spool.letters = [letter(1)]
    await room.ask("purge", {"reason": "unknown_intake"})
    assert audited(capsys) == [
        {"action": "purge", "state": "begun", "arguments": {"reason": "unknown_intake"}},
        {"action": "purge", "state": "done", "result": {"purged": {"unknown_intake": 1}}},
    ]


async def test_the_audit_tells_the_beginning_of_a_long_request_once(room, capsys, monkeypatch):
    """Not of each piece of it, and of one that a restart goes on with that it is such."""
    monkeypatch.setattr(dead_letters, "DELETIONS_AT_ONCE", 1)
    room.spool.letters = [letter(number) for number in range(1, 5)]
    state, answer = await room.ask("purge")
    assert await room.ask("purge", state=state, answer=answer) == (
        "running",
        {"purged": {"unknown_intake": 4}},
    )
    assert [line["state"] for line in audited(capsys)] == ["begun"]
    restarted = Office(room, [room], room.spool, room.shares)
    await restarted.carry_out([Request(1, 0.0, "uid 7", "purge", {}, "running", answer)])
    assert [line["state"] for line in audited(capsys)] == ["continued", "done"]


async def test_the_audit_tells_of_a_request_that_failed(room, capsys):
    await room.ask("bury", {"sink": "siem"})
    begun, failed = audited(capsys)
    assert (begun["state"], failed["state"]) == ("begun", "failed")
    assert "'siem' is configured in the running daemon" in failed["result"]["problem"]


def test_a_buried_event_says_why():
    assert {item.problem for item in buried_letters(batch())} == {
        "its sink is no longer configured"
    }
