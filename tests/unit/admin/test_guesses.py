"""Wrong tokens."""

import pytest

from collector.admin.guesses import AT_ONCE, EACH_SECONDS, MAX_SENDERS, Guesses

PEER = "192.0.2.7"


class Clock:
    """Says what the test says."""

    now = 1000.0

    def __call__(self):
        return self.now


def miss(guesses, times, peer=PEER):
    for number in range(times):
        guesses.note(peer, f"wrong {number}")


def test_some_are_mistakes_at_once_then_one_after_the_other():
    """Somebody who mistypes does not notice."""
    clock = Clock()
    guesses = Guesses(clock)
    miss(guesses, AT_ONCE - 1)
    assert guesses.seconds_left(PEER) == 0
    guesses.note(PEER, "one more")
    assert guesses.seconds_left(PEER) == EACH_SECONDS
    clock.now += EACH_SECONDS - 0.5
    assert guesses.seconds_left(PEER) == 1
    clock.now += 0.5
    assert guesses.seconds_left(PEER) == 0
    guesses.note(PEER, "and again")
    assert guesses.seconds_left(PEER) == EACH_SECONDS
    clock.now += AT_ONCE * EACH_SECONDS
    miss(guesses, AT_ONCE - 1)
    assert guesses.seconds_left(PEER) == 0


def test_the_same_again_is_no_other_guess():
    """A program that has not heard of the new token goes on with the former."""
    guesses = Guesses(Clock())
    for _ in range(1000):
        guesses.note(PEER, "the former token")
    assert guesses.seconds_left(PEER) == 0


@pytest.mark.parametrize("other", ["192.0.2.8", "2001:db8::1", "::ffff:192.0.2.7", ""])
def test_others_do_not_wait(other):
    """It was not they who guessed."""
    guesses = Guesses(Clock())
    miss(guesses, AT_ONCE)
    assert guesses.seconds_left(PEER) > 0
    assert guesses.seconds_left(other) == 0


def test_many_addresses_of_one_network_are_one_sender():
    """Who has one of them has them all."""
    guesses = Guesses(Clock())
    for number in range(AT_ONCE):
        guesses.note(f"2001:db8::{number:x}", f"wrong {number}")
    assert guesses.seconds_left("2001:db8::ffff%eth0") > 0
    assert guesses.seconds_left("2001:db8:0:1::1") == 0


def test_who_is_remembered_is_bounded():
    """The one is forgotten who guessed longest ago."""
    guesses = Guesses(Clock())
    miss(guesses, AT_ONCE)
    miss(guesses, AT_ONCE, "192.0.2.8")
    miss(guesses, 1)
    for number in range(MAX_SENDERS - 1):
        guesses.note(f"10.0.{number >> 8}.{number & 255}", "x")
    assert guesses.seconds_left(PEER) > 0
    assert guesses.seconds_left("192.0.2.8") == 0
