"""Dead letters made of what a sink does not get."""

import pytest

from collector.sinks.formats import FORMATS
from collector.sinks.letters import letters_of
from tests.making import PEER, RECEIVED, batch_of, entry_of, form_of

ENTRIES = [entry_of(1, "edr"), entry_of(2, "other")]


@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_each_event_becomes_a_letter_that_says_what_is_known_of_it(codec):
    """With its event, and the message without its syslog header."""
    batch = batch_of(form_of(), ["one", "zwei ü"], ENTRIES, codec=codec)
    first, second = letters_of(batch, "refused", "HTTP 400")
    assert (first.reason, first.problem, first.sink) == ("refused", "HTTP 400", "siem")
    assert (first.identifier, first.intake) == (ENTRIES[0].identifier, "edr")
    assert (first.peer, first.received, first.listener) == (PEER, RECEIVED + 1, "")
    assert (first.raw, first.is_frame, first.number) == (b"one", False, 0)
    assert first.event.startswith(b'{"message":"one"')
    assert (second.intake, second.raw) == ("other", "zwei ü".encode())


@pytest.mark.parametrize("kind", FORMATS)
def test_a_letter_of_every_format_holds_the_message(kind):
    """So that it can be replayed whatever its sink wanted."""
    batch = batch_of(form_of(kind), ["one", "two"], [entry_of(1), entry_of(2)])
    assert [letter.raw for letter in letters_of(batch, "gave_up", "")] == [b"one", b"two"]


def test_what_was_sent_raw_has_no_event():
    """It is parsed again at a replay anyway."""
    (letter,) = letters_of(batch_of(form_of(payload="raw"), ["one"], ENTRIES[:1]), "refused", "")
    assert (letter.raw, letter.event) == (b"one", None)
