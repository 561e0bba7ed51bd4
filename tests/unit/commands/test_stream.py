"""What commands see of a stream that daemons share."""

from collections import Counter

import pytest

from collector import config as settings
from collector.commands import stream
from collector.spool.letters import Choice
from collector.spool.looking import FIRST_NUMBER
from collector.stream import AwayError
from collector.stream.wire import FOREIGN_LETTER
from tests.unit.commands.conftest import letter


@pytest.fixture
def loaded(place, shared):
    del shared  # which has changed the settings
    return settings.load(place.config)


def seen(loaded, choice):
    """Return the reasons of the letters that are shown, and whether all were."""
    reasons = []
    is_whole = stream.each_letter(loaded, choice, lambda item: reasons.append(item.reason))
    return reasons, is_whole


def test_each_letter_that_is_meant_is_seen(loaded, shared):
    shared.fill(letter("refused"), letter("gave_up"), letter("refused"))
    assert seen(loaded, Choice()) == (["refused", "gave_up", "refused"], True)
    assert seen(loaded, Choice(reason="gave_up")) == (["gave_up"], True)


def test_a_stream_that_goes_away_is_seen_in_part(loaded, shared, monkeypatch, capsys):
    """The command says so."""
    shared.fill(letter("refused"), letter("gave_up"))
    following = shared.letters.next

    async def failing(after):
        if after:
            raise AwayError("the connection was lost")
        return await following(after)

    monkeypatch.setattr(shared.letters, "next", failing)
    assert seen(loaded, Choice()) == (["refused"], False)
    told = "without what the stream s holds: the connection was lost\n"
    assert capsys.readouterr().err == told
    assert stream.count_letters(loaded, Choice(sink="siem")) is None


def test_what_is_foreign_is_counted_by_looking(loaded, shared):
    """The servers count by subject, which says nothing of it."""
    shared.letters.put("s-dead-letters.refused", b"what is this?")
    shared.fill(letter("refused"))
    foreign = stream.count_letters(loaded, Choice(reason=FOREIGN_LETTER))
    assert foreign == ({FOREIGN_LETTER: 1}, FIRST_NUMBER + 2)
    assert stream.count_letters(loaded, Choice(reason="gave_up")).by_reason == Counter()


def test_letters_whose_clock_is_ahead_are_counted(loaded, shared):
    """They stand in the stream: so they were set aside before."""
    shared.fill(letter("refused", sink="siem"), kept=2_000_000_000.0)
    choice = Choice(sink="siem", until=1_500_000_000.0)
    assert stream.count_letters(loaded, choice) == ({"refused": 1}, FIRST_NUMBER + 1)


def test_the_first_letters_are_read_and_no_more_where_the_servers_count_the_rest(loaded, shared):
    """They do so by reason alone."""
    shared.fill(*(letter("refused", sink="siem") for _ in range(100)), letter("gave_up"))
    found, total = stream.first_letters(loaded, Choice(reason="refused"), 2)
    assert ([item.number - FIRST_NUMBER for item in found], total) == ([1, 2], 100)
    assert len(shared.letters.story) < 10
    found, total = stream.first_letters(loaded, Choice(sink="siem"), 2)
    assert ([item.number - FIRST_NUMBER for item in found], total) == ([1, 2], 100)
    assert stream.first_letters(loaded, Choice(reason="gave_up"), 2)[1] == 1


def test_what_waits_is_told_by_sink(loaded, shared):
    shared.events = {"siem": 3}
    assert stream.waiting(loaded) == {"siem": 3}
    shared.problem = "no answer"
    assert stream.waiting(loaded) is None


def test_other_spools_have_no_stream(place):
    loaded = settings.load(place.config)
    assert not stream.has_stream(loaded)
    assert stream.waiting(loaded) is None
    assert seen(loaded, Choice()) == ([], False)
