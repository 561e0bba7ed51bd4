"""What the servers say of a message that was published."""

from types import SimpleNamespace

import orjson
import pytest

from collector.stream import AwayError, FullError, RefusedError, publishing
from collector.stream.publishing import (
    MAX_REMEMBERED,
    PATIENCE,
    TRIES,
    ObjectionError,
    Publisher,
    UnderWayError,
    check_stored,
)


class Servers:
    """Answers each message with the same.

    Attributes:
        answer: what they answer.
        ids: of the messages that came.
    """

    def __init__(self):
        self.answer = b""
        self.ids = []

    async def ask(self, _subject, _body, headers):
        self.ids.append(headers["Nats-Msg-Id"])
        return SimpleNamespace(data=self.answer)


@pytest.fixture
def servers():
    return Servers()


@pytest.fixture
def publish(servers):
    """Publish a message with an id."""
    publisher = Publisher(servers)
    return lambda name: publisher.publish("s", {"Nats-Msg-Id": name}, b"")


def refusal(number, code=503, text="no"):
    """Return an error as the servers tell it."""
    error = {"code": code, "err_code": number, "description": text}
    return orjson.dumps({"error": error, "stream": "s", "seq": 0})


@pytest.mark.parametrize("more", [b"", b',"duplicate":true'])
async def test_a_message_that_is_stored_is_so_for_good(servers, publish, more):
    """Now, or before: the servers say where it is."""
    servers.answer = b'{"stream":"s","seq":7%b}' % more
    await publish("a")


@pytest.mark.parametrize("number", [10077, 10002, 10023, 10028, 10047])
def test_no_room_is_full(number):
    """In the stream, on the servers, or for the account."""
    with pytest.raises(FullError, match=rf"no \({number}\)") as caught:
        check_stored(refusal(number))
    assert not caught.value.is_bound


@pytest.mark.parametrize("text", ["maximum bytes exceeded", "maximum messages exceeded"])
def test_a_bound_of_the_stream_is_told_apart(text):
    """Deleting some of what it holds makes room."""
    with pytest.raises(FullError) as caught:
        check_stored(refusal(10077, text=text))
    assert caught.value.is_bound


@pytest.mark.parametrize("number", [10054, 10060, 10097])
def test_what_would_be_refused_again_is_refused(number):
    """Too long, or for another stream."""
    with pytest.raises(RefusedError):
        check_stored(refusal(number, 400))


@pytest.mark.parametrize("number", [10008, 10039, 10999])
@pytest.mark.parametrize("code", [503, 408])
def test_any_other_error_of_who_is_away_passes(number, code):
    """Rather wait for it than lose what was published."""
    with pytest.raises(AwayError) as caught:
        check_stored(refusal(number, code))
    assert type(caught.value) is AwayError


@pytest.mark.parametrize(("code", "is_lasting"), [(400, True), (404, True), (500, False)])
def test_any_other_error_may_be_the_messages(code, is_lasting):
    """It does not say that the stream is away."""
    with pytest.raises(ObjectionError) as caught:
        check_stored(refusal(10999, code))
    assert caught.value.is_lasting is is_lasting


async def test_a_message_that_is_objected_to_again_and_again_is_refused(servers, publish):
    """The others go on, and are counted by themselves."""
    servers.answer = refusal(10999, 400)
    for _ in range(TRIES - 1):
        with pytest.raises(ObjectionError):
            await publish("a")
    with pytest.raises(ObjectionError):
        await publish("b")
    with pytest.raises(RefusedError, match="no"):
        await publish("a")


async def test_an_error_of_the_servers_is_never_the_messages(servers, publish):
    """However often it comes."""
    servers.answer = refusal(10999, 500)
    for _ in range(2 * TRIES):
        with pytest.raises(ObjectionError):
            await publish("a")


async def test_a_message_that_is_stored_at_last_is_forgotten(servers, publish):
    """It may be published again."""
    for _ in range(TRIES):
        servers.answer = refusal(10999, 400)
        with pytest.raises(ObjectionError):
            await publish("a")
        servers.answer = b'{"seq":1}'
        await publish("a")


async def test_only_so_many_messages_are_remembered(servers, publish, monkeypatch):
    """The one that was tried longest ago is forgotten."""
    monkeypatch.setattr(publishing, "TRIES", 2)
    servers.answer = refusal(10999, 400)
    for number in range(MAX_REMEMBERED + 1):
        with pytest.raises(ObjectionError):
            await publish(f"{number}")
    with pytest.raises(ObjectionError):
        await publish("0")
    with pytest.raises(RefusedError):
        await publish(f"{MAX_REMEMBERED}")


UNDER_WAY = [b'{"stream":"s","seq":0,"duplicate":true}', refusal(10158, 409)]


@pytest.mark.parametrize("answer", UNDER_WAY, ids=["2.10", "later"])
async def test_a_message_that_is_on_its_way_is_not_stored(servers, publish, answer):
    """It has its id for as long as it may come to be stored, and another one then."""
    servers.answer = answer
    for _ in range(PATIENCE + 1):
        with pytest.raises(UnderWayError):
            await publish("a")
    assert servers.ids == ["a"] * PATIENCE + ["a-1"]
    servers.answer = b'{"seq":7}'
    await publish("a")
    await publish("a")
    assert servers.ids[-2:] == ["a-1", "a"]


async def test_a_message_that_there_was_no_room_for_gets_another_id(servers, publish):
    """Which it keeps until something else is heard of it: servers may know that which it had."""
    servers.answer = refusal(10077, text="maximum bytes exceeded")
    for _ in range(2):
        with pytest.raises(FullError):
            await publish("a")
    servers.answer = refusal(10008)
    for _ in range(2):
        with pytest.raises(AwayError):
            await publish("a")
    assert servers.ids == ["a", "a-1", "a-2", "a-2"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"7", b'{"seq":"x"}', b'{"error":7}', b'{"error":{"code":"x"}}']
)
def test_an_answer_that_cannot_be_read_is_none(body):
    """The message may have been stored."""
    with pytest.raises(AwayError, match="cannot be read"):
        check_stored(body)
