"""The way through the stream of dead letters."""

import pytest

from collector.spool import Letter
from collector.spool.letters import Choice
from collector.spool.looking import (
    FIRST_NUMBER,
    MAX_AHEAD,
    identifier_of,
    is_remote,
    letter_of,
    look_through,
    scan,
    sequence_of,
)
from collector.stream import Stored
from collector.stream.wire import FOREIGN_LETTER, MAX_FOREIGN_OCTETS, Message, letter_message
from tests import spools
from tests.letter_stream import LetterStream


def kept(number=1, **changes):
    letter = spools.letter_of(number, **{"kept": 20.0 + number, **changes})
    letter.number = number
    return letter


def fields(letter):
    return {name: getattr(letter, name) for name in Letter.__dataclass_fields__}


def published(letter):
    return letter_message("s", letter, "id")


def read(message):
    stored = Stored(5, message.subject, message.headers, message.body, 30.0)
    return letter_of("s", stored)


def test_a_letter_has_a_number_of_the_stream():
    """All else is as it was."""
    letter = kept(event=b"{}")
    found = read(published(letter))
    assert fields(found) == {**fields(letter), "number": FIRST_NUMBER + 5}
    assert (is_remote(found), sequence_of(found)) == (True, 5)
    assert not is_remote(kept(10**14))


def test_no_two_letters_of_members_have_one_id():
    """Not even those of a new file, which begins its numbers again."""
    letters = [kept(1), kept(2), kept(1)]
    letters[2].kept += 0.001
    ids = {identifier_of(letter, member) for letter in letters for member in ("m", "n")}
    assert len(ids) == 6


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (published(kept(reason=FOREIGN_LETTER)), "its reason is none"),
        (published(kept(reason="of somebody's")), "its reason is none"),
        (published(kept(reason="r" * 65)), "its reason is none"),
        (published(kept(identifier="7")), "identifier: none of an event"),
        (published(kept(received=-1.0)), "received: no date"),
        (published(kept(received=1e300)), "received: no date"),
        (published(kept(event=b"[]")), "the event is no object"),
        (published(kept(event=b"{")), "unexpected end of data"),
        (Message("s-dead-letters.x", {}, b"what is this?"), "there is no header"),
        (Message("s-other.x", {}, b""), "the subject is no dead letter's"),
    ],
)
def test_what_is_no_letter_is_a_foreign_one(message, problem):
    """It can be looked at and deleted as others can."""
    letter = read(message)
    assert letter.reason == FOREIGN_LETTER
    assert letter.problem.startswith(f"no dead letter of a collector: {problem}")
    assert (letter.raw, letter.number) == (message.body, FIRST_NUMBER + 5)
    assert (letter.received, letter.kept, letter.intake, letter.sink) == (30.0, 30.0, "", "")


def test_a_foreign_letter_shows_the_beginning_of_what_there_is():
    letter = read(Message("s-dead-letters.x", {}, b"x" * (MAX_FOREIGN_OCTETS + 1)))
    assert (len(letter.raw), letter.is_cut) == (MAX_FOREIGN_OCTETS, True)


@pytest.fixture
def stream():
    return LetterStream()


def fill(stream, count=1, **changes):
    for number in range(1, count + 1):
        message = published(kept(number, **changes))
        stream.put(message.subject, message.body, message.headers)


async def scanned(stream, after=0):
    return [stored.sequence async for stored in scan(stream, after)]


async def test_all_that_the_stream_holds_is_found_in_order(stream):
    """Also where others were deleted in between."""
    fill(stream, 100)
    assert await scanned(stream) == list(range(1, 101))
    assert await scanned(stream, after=98) == [99, 100]
    for sequence in (1, 5, 6, *range(20, 90), 100):
        del stream.held[sequence]
    assert await scanned(stream) == [2, 3, 4, *range(7, 20), *range(90, 100)]
    stream.held.clear()
    assert await scanned(stream) == []


async def test_letters_that_stand_together_are_asked_for_together(stream):
    """A way through many takes about as many questions as there are letters."""
    fill(stream, 1000)
    await scanned(stream)
    assert len(stream.story) <= 1000 + 2 * MAX_AHEAD
    stream.story.clear()
    stream.held = {sequence: it for sequence, it in stream.held.items() if sequence % 100 == 0}
    await scanned(stream)
    assert len(stream.story) <= 2 * 10 + 2


async def chosen(stream, choice, after=0):
    return [sequence_of(letter) async for letter in look_through(stream, "s", choice, after)]


async def test_only_what_is_meant_is_found(stream):
    fill(stream, 3)
    fill(stream, 1, reason="gave_up")
    assert await chosen(stream, Choice(reason="refused")) == [1, 2, 3]
    assert await chosen(stream, Choice(reason="refused", until=22.0)) == [1, 2]
    assert await chosen(stream, Choice(reason="refused"), after=2) == [3]


async def test_letters_that_stood_there_are_meant_whatever_the_clocks_are(stream):
    """Those who set them aside have clocks of their own; what comes later goes by its time."""
    fill(stream, 4)
    standing = FIRST_NUMBER + 2
    assert await chosen(stream, Choice(until=0.0, standing=standing)) == [1, 2]
    assert await chosen(stream, Choice(until=23.0, standing=standing)) == [1, 2, 3]
    assert await chosen(stream, Choice(since=22.0, until=0.0, standing=standing)) == [2]


async def test_what_is_looked_at_is_told_whether_it_is_meant_or_not(stream):
    """So that progress can be shown."""
    fill(stream, 3)
    looked = []
    choice = Choice(reason="gave_up")
    found = [it async for it in look_through(stream, "s", choice, on_look=lambda: looked.append(1))]
    assert (len(looked), found) == (3, [])


async def test_letters_are_found_by_their_numbers_without_looking_at_others(stream):
    fill(stream, 3)
    del stream.held[2]
    numbers = tuple(FIRST_NUMBER + sequence for sequence in (3, 2, 1, 9))
    assert await chosen(stream, Choice(numbers=(17, *numbers))) == [1, 3]
    assert len(stream.story) == 4
    assert await chosen(stream, Choice(numbers=numbers), after=1) == [3]


async def test_the_stream_is_not_asked_for_letters_of_files(stream):
    fill(stream)
    assert await chosen(stream, Choice(last=FIRST_NUMBER)) == []
    assert stream.story == []
