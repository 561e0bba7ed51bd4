"""The live tail: what is shown of messages, to whom, and how many."""

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime

import orjson
import pytest

from collector.events.envelope import Receipt
from collector.masking import Masker
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName
from collector.tail import (
    MAX_EVENT,
    MAX_HELD,
    MAX_HELD_OCTETS,
    MAX_PROBLEM,
    MAX_SHOWN,
    PER_SECOND,
    SEARCH_SHARE,
    SHOW_SHARE,
    Dealt,
    Tail,
    Wanted,
    Watch,
    shown,
)

RECEIPT = Receipt(
    datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z", UTC, "10.0.0.1", "tcp"
)


KEY = "very-secret"
MASKER = Masker(KeyName(), [KEY])


def dealt(frame=b"<1>text", *, intake="edr", outcome="ok", event=b"{}", problem=""):
    return Dealt(frame, intake, outcome, event, problem, RECEIPT)


class Clock:
    """Says what the test says."""

    now = 0.0

    def __call__(self):
        return self.now


class Ticking(Clock):
    """Goes on by as much each time that it is asked."""

    def __init__(self, tick):
        self.tick = tick

    def __call__(self):
        self.now += self.tick
        return self.now


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["a", "b", "c"]),
        (Wanted(intake="edr"), ["a", "b"]),
        (Wanted(outcome="pipeline_error"), ["b"]),
        (Wanted(text="ROOT"), ["a", "c"]),
        (Wanted(intake="edr", outcome="ok", text="Root"), ["a"]),
        (Wanted(text="nowhere"), []),
    ],
)
async def test_what_is_wanted_is_shown(wanted, expected):
    """Intake, outcome and text, which may be in upper or lower case."""
    watch = Watch(wanted, MASKER)
    watch.offer(dealt(b"a: as root"))
    watch.offer(dealt(b"b: as user", outcome="pipeline_error"))
    watch.offer(dealt(b"c: as RooT", intake="other"))
    watch.skip(1)
    held, skipped = await watch.take()
    assert [item.frame[:1].decode() for item in held] == expected
    assert skipped == 1


async def test_a_run_is_shown_as_its_messages_are():
    """Each with its event."""
    watch = Watch(Wanted(text="b"), MASKER)
    watch.offer_run([b"a", b"b"], [b"1", b"2"], "edr", RECEIPT)
    watch.offer_run([b"b"], [b"3"], "other", RECEIPT)
    held, _ = await watch.take()
    assert [(item.frame, item.event, item.intake, item.outcome) for item in held] == [
        (b"b", b"2", "edr", "ok"),
        (b"b", b"3", "other", "ok"),
    ]
    watch = Watch(Wanted(outcome="pipeline_error"), MASKER)
    watch.offer_run([b"a"], [b"1"], "edr", RECEIPT)
    watch.skip(1)
    assert await watch.take() == ([], 1)


async def test_of_a_long_run_the_first_are_shown():
    """And the others counted, with a text that is looked for or without."""
    for wanted in (Wanted(), Wanted(text="x")):
        watch = Watch(wanted)
        watch.offer_run([b"x"] * 30, [b"%d" % n for n in range(30)], "edr", RECEIPT)
        watch.offer_run([b"y"], [b"y"], "other", RECEIPT)
        held, skipped = await watch.take()
        assert [item.event for item in held] == [b"%d" % n for n in range(int(PER_SECOND))]
        assert skipped == 30 - PER_SECOND + (0 if wanted.text else 1)


async def test_nobody_is_shown_more_than_can_be_read():
    """The others are counted, and with time there is room again."""
    clock = Clock()
    watch = Watch(Wanted(), MASKER, clock=clock)
    for _ in range(100):
        watch.offer(dealt())
    held, skipped = await watch.take()
    assert (len(held), skipped) == (PER_SECOND, 100 - PER_SECOND)
    clock.now = 0.1
    for _ in range(10):
        watch.offer(dealt())
    held, skipped = await watch.take()
    assert (len(held), skipped) == (PER_SECOND / 10, 10 - PER_SECOND / 10)


async def test_messages_that_come_faster_than_text_can_be_looked_for_are_counted():
    """They are not looked at; with time there is room again."""
    clock = Ticking(0.001)
    watch = Watch(Wanted(text="needle"), MASKER, clock=clock)
    for _ in range(1000):
        watch.offer(dealt(b"hay"))
    looked_at = 1000 - (await watch.take())[1]
    # Each look lasts some ticks, of which so many fit into what may be spent of the time.
    assert 0 < looked_at < 1000 * SEARCH_SHARE * 3
    clock.now += 2
    watch.offer(dealt(b"a needle"))
    held, skipped = await watch.take()
    assert (len(held), skipped) == (1, 0)


async def test_a_long_run_is_searched_as_far_as_there_is_time():
    """The messages behind are counted."""
    clock = Ticking(SEARCH_SHARE / 8)
    watch = Watch(Wanted(text="x"), MASKER, clock=clock)
    watch.offer_run([b"x"] * 100, [b"{}"] * 100, "edr", RECEIPT)
    held, skipped = await watch.take()
    assert 0 < len(held) < 10
    assert skipped == 100 - len(held)


async def test_who_looks_for_text_shares_the_time_for_it():
    """However many they are."""
    tail = Tail()
    for count in (1, 2, 3):
        following = [tail.follow(Wanted(text="x")) for _ in range(count)]
        tasks = [asyncio.ensure_future(anext(one)) for one in following]
        await asyncio.sleep(0)
        shares = [watch.patience.share for watch in tail.watches]
        assert shares == [pytest.approx(SEARCH_SHARE / count)] * count
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_text_is_looked_for_in_what_is_shown():
    """A message of any length costs no more."""
    for start, count in ((MAX_SHOWN - 6, 1), (MAX_SHOWN - 5, 0)):
        watch = Watch(Wanted(text="needle"), MASKER)
        watch.offer(dealt(b"x" * start + b"needle"))
        watch.skip(1)
        assert len((await watch.take())[0]) == count


async def test_others_go_on_between_messages_that_are_shown():
    """And the more time these take, the longer nothing is shown."""
    clock, turns = Ticking(0.1), 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    tail = Tail(clock)
    async with aclosing(tail.follow(Wanted())) as following:
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        for _ in range(10):
            tail.watches[0].offer(dealt())
        turning = asyncio.ensure_future(turn())
        assert len((await first).messages) == 10
        turning.cancel()
        assert turns >= 10
        slept = []

        async def sleep(seconds):
            slept.append(seconds)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("collector.tail.asyncio.sleep", sleep)
            tail.watches[0].skip(1)
            await anext(following)
    assert slept == [pytest.approx(10 * 0.1 / SHOW_SHARE)]


async def test_what_nobody_takes_is_bounded():
    """A page that hangs costs no more than so many messages."""
    clock = Clock()
    watch = Watch(Wanted(), MASKER, clock=clock)
    for _ in range(1000):
        clock.now += 1
        watch.offer(dealt())
    held, skipped = await watch.take()
    assert (len(held), skipped) == (MAX_HELD, 1000 - MAX_HELD)


async def test_long_messages_that_nobody_takes_are_bounded():
    """By their octets, those of their events too; one of them is shown however long it is."""
    watch = Watch(Wanted(), MASKER)
    for length, fit in ((MAX_HELD_OCTETS * 2, 1), (MAX_HELD_OCTETS // 4, 2)):
        frame, event = b"x" * length, b"y" * length
        watch.offer(dealt(frame, event=event))
        watch.offer_run([frame] * 3, [event] * 3, "edr", RECEIPT)
        held, skipped = await watch.take()
        assert (len(held), skipped) == (fit, 4 - fit)


async def test_who_waits_is_woken_by_what_comes():
    """And not before."""
    watch = Watch(Wanted(), MASKER)
    taking = asyncio.ensure_future(watch.take())
    await asyncio.sleep(0)
    assert not taking.done()
    watch.offer(dealt())
    assert (await taking)[0] == [dealt()]


async def test_a_tail_is_offered_messages_while_somebody_follows():
    """Afterwards the pipeline looks at nothing again."""
    tail = Tail()
    assert not tail.watches
    async with aclosing(tail.follow(Wanted())) as following:
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        (watch,) = tail.watches
        watch.offer(dealt())
        tailed = await first
        assert ([message["raw"] for message in tailed.messages], tailed.skipped) == (["<1>text"], 0)
    assert not tail.watches


def test_a_message_is_shown_with_its_event():
    """As JSON can hold it."""
    message = dealt(b"<1>\xff\x00<script>", event=b'{"a":{"b":1}}')
    assert json.loads(json.dumps(shown(message, MASKER))) == {
        "at": RECEIPT.created,
        "listener": "tcp",
        "peer": "10.0.0.1",
        "intake": "edr",
        "outcome": "ok",
        "raw": "<1>\ufffd\x00<script>",
        "event": {"a": {"b": 1}},
        "problem": None,
        "truncated": False,
    }
    lost = shown(dealt(intake="", outcome="dead_letter", event=b"", problem="no key"), MASKER)
    assert (lost["intake"], lost["event"], lost["problem"]) == (None, None, "no key")


def test_intake_keys_are_not_shown():
    """In the message, in its event, and in what was wrong with it."""
    header = b'<1>1 - - - - - [SEKOIA@53288 intake_key="another"] '
    event = b'{"structured_data":{"x":{"y":["very-\\u0073ecret"]}},"n":1}'
    message = shown(dealt(header + b"very-secret", event=event, problem=f"no {KEY}"), MASKER)
    assert message["raw"] == '<1>1 - - - - - [SEKOIA@53288 intake_key="***"] ***'
    assert message["event"] == {"structured_data": {"x": {"y": ["***"]}}, "n": 1}
    assert message["problem"] == "no ***"


def test_intake_keys_are_not_shown_in_part():
    """Where what is shown ends, or where the message was cut."""
    beginning = b"<1>1 - - - - - [SEKOIA@53288 intake_key="
    for length in range(len(beginning), len(beginning) + 16):
        frame = b"x" * (MAX_SHOWN - length) + beginning + b'"very-secret"] text'
        assert '"ve' not in shown(dealt(frame), MASKER)["raw"]
    many = b'very-secret intake_key="' * 6000
    assert "very" not in shown(dealt(many), MASKER)["raw"]
    for length in range(4, len(KEY)):
        cut = CutFrame(b"<1>text " + KEY[:length].encode())
        assert shown(dealt(cut), MASKER)["raw"] == "<1>text ***"
    assert shown(dealt(b"<1>text very"), MASKER)["raw"] == "<1>text very"


def test_the_beginning_of_a_key_is_not_shown_in_the_event_of_a_message_that_was_cut():
    """Nor in what was wrong with it."""
    frame = b"<1>text " + KEY[:7].encode()
    event = orjson.dumps({"message": "text " + KEY[:7], "other": KEY[:7] + " "})
    message = shown(dealt(CutFrame(frame), event=event, problem=f"x {KEY[:7]}"), MASKER)
    assert message["event"] == {"message": "text ***", "other": KEY[:7] + " "}
    assert (message["raw"], message["problem"]) == ("<1>text ***", "x ***")
    assert shown(dealt(frame, event=event), MASKER)["event"]["message"] == "text " + KEY[:7]


async def test_asking_for_a_key_does_not_find_it_out():
    """Neither what is shown nor what is skipped tells whether a text stands in a key."""
    frame = b'<1>1 - - - - - [SEKOIA@53288 intake_key="other"] very-secret text'
    for text in ("very", "very-secret", 'intake_key="o', "secret TEXT"):
        watch = Watch(Wanted(text=text), MASKER)
        watch.offer(dealt(frame))
        watch.offer_run([frame], [b"{}"], "edr", RECEIPT)
        watch.skip(1)
        assert await watch.take() == ([], 1)
    watch = Watch(Wanted(text="Text"), MASKER)
    watch.offer(dealt(frame))
    assert len((await watch.take())[0]) == 1


async def test_keys_that_are_replaced_are_masked_from_then_on():
    """For those who watch already as well."""
    tail = Tail()
    async with aclosing(tail.follow(Wanted())) as following:
        for masker, expected in ((Masker(KeyName()), "<1>new-key"), (MASKER, "<1>new-key")):
            tail.go_by(masker)
            assert await following_raw(tail, following) == expected
        tail.go_by(Masker(KeyName(), ["new-key"]))
        assert await following_raw(tail, following) == "<1>***"


async def following_raw(tail, following):
    """Offer a message; return how it is shown."""
    taken = asyncio.ensure_future(anext(following))
    while not tail.watches:
        await asyncio.sleep(0)
    tail.watches[0].offer(dealt(b"<1>new-key"))
    return (await taken).messages[0]["raw"]


@pytest.mark.parametrize("depth", [200, 260, 1000])
def test_what_is_nested_too_deep_to_be_told_is_not_shown(depth):
    """The message is, and one can be sent on as JSON."""
    event = b"[" * depth + b'"very-secret"' + b"]" * depth
    message = shown(dealt(event=event), MASKER)
    assert (message["event"] is None) == (depth > 250)
    assert (message["problem"] is None) == (depth < 250)
    assert b"very" not in orjson.dumps({"kind": "tail", "messages": [message]})


def test_what_is_long_is_cut():
    """A page is not sent a megabyte for each message."""
    message = shown(dealt(b"x" * (MAX_SHOWN + 1), event=b'"%b"' % (b"y" * MAX_EVENT)), MASKER)
    assert (len(message["raw"]), message["truncated"], message["event"]) == (MAX_SHOWN, True, None)
    assert message["problem"] == f"the event is not shown: it has more than {MAX_EVENT} octets"
    assert len(shown(dealt(problem="x" * 100_000), MASKER)["problem"]) == MAX_PROBLEM
