"""What is said of deliveries, and that acknowledgements arrive."""

import asyncio

import pytest

from collector.stream import AwayError, Stored, acknowledging
from collector.stream.acknowledging import AckedDelivery, Acknowledger
from collector.stream.asking import ForbiddenError


class Servers:
    """Hears what is said, and answers an acknowledgement after some attempts.

    Attributes:
        heard: subjects and words, in order.
        deaf: attempts that are not answered yet.
        objection: what becomes of those.
    """

    def __init__(self):
        self.heard = []
        self.deaf = 0
        self.objection = AwayError("nobody answers")

    async def ask(self, subject, body, **_):
        self.heard.append((subject, body))
        if self.deaf:
            self.deaf -= 1
            raise self.objection

    async def tell(self, subject, body):
        self.heard.append((subject, body))


@pytest.fixture
def servers():
    return Servers()


@pytest.fixture
async def acknowledger(servers, monkeypatch):
    monkeypatch.setattr(acknowledging, "FIRST_PAUSE_SECONDS", 0.001)
    one = Acknowledger(servers, lambda: None)
    yield one
    await one.close(0)


def delivery(acknowledger, on_answer=lambda _: None):
    return AckedDelivery(Stored(1, "s", {}, b""), "reply", acknowledger, on_answer)


async def test_each_word_goes_to_the_subject_that_came_with_the_message(servers, acknowledger):
    """In the words of the protocol, times in nanoseconds."""
    one = delivery(acknowledger)
    for say in (one.in_progress, lambda: one.nak(0), lambda: one.nak(1.5), one.ack):
        say()
    await acknowledger.close(1)
    words = [b"+WPI", b"-NAK", b'-NAK {"delay":1500000000}', b"+ACK"]
    assert servers.heard == [("reply", word) for word in words]


async def test_an_acknowledgement_is_repeated_until_it_is_heard(servers, acknowledger):
    """A consumer that nobody leads hears nothing for some seconds."""
    servers.deaf = 3
    delivery(acknowledger).ack()
    await acknowledger.close(5)
    assert servers.heard == [("reply", b"+ACK")] * 4


async def test_one_that_is_not_permitted_is_told_and_repeated(servers, acknowledger):
    """Somebody has to give the right; of what passes by itself nothing is told."""
    forbidden, answers = ForbiddenError("permissions violation", "reply"), []
    servers.deaf, servers.objection = 2, forbidden
    delivery(acknowledger, answers.append).ack()
    await acknowledger.close(5)
    assert answers == [forbidden, forbidden, None]
    servers.deaf, servers.objection = 2, AwayError("nobody answers")
    delivery(acknowledger, answers.append).ack()
    await acknowledger.close(5)
    assert answers[3:] == [None]


async def test_it_is_given_up_after_a_time(servers, acknowledger, monkeypatch):
    """The consumer may be gone for good."""
    monkeypatch.setattr(acknowledging, "GIVE_UP_SECONDS", 0.02)
    servers.deaf = 1_000_000
    delivery(acknowledger).ack()
    await acknowledger.close(5)
    assert 0 < servers.deaf < 1_000_000


async def test_the_end_waits_no_longer_than_it_is_told(servers, acknowledger):
    """What was not heard by then is delivered again."""
    servers.deaf = 1_000_000
    delivery(acknowledger).ack()
    await asyncio.sleep(0)
    await acknowledger.close(0.01)
    heard = len(servers.heard)
    await asyncio.sleep(0.05)
    assert len(servers.heard) == heard
