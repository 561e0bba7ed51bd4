"""Questions and answers, with a real server and somebody who answers."""

import asyncio

import pytest
from nats.aio.client import Client

from collector.stream import AwayError, RefusedError
from collector.stream.asking import ApiError, Asker, ForbiddenError, NobodyError, read_answer
from tests.peers import require, steady_port


@pytest.fixture
async def asked(nats):
    """What asks, and who is asked: `echo` answers with what it is sent, `deaf` never."""
    async with nats.client() as client, nats.client() as somebody:

        async def echo(message):
            await message.respond(message.data)

        async def keep_silent(_):
            return

        await somebody.subscribe("echo", cb=echo)
        await somebody.subscribe("deaf", cb=keep_silent)
        await somebody._flush_pending(force_flush=True)  # or the ping would go before it
        await somebody.flush()
        asker = Asker()
        await asker.bind(client)
        yield asker


async def test_each_question_gets_its_answer(asked):
    """However many there are."""
    answers = await asyncio.gather(*(asked.ask("echo", b"%d" % n) for n in range(100)))
    assert [answer.data for answer in answers] == [b"%d" % n for n in range(100)]


async def test_nobody_is_known_at_once(asked):
    """As a stream that nobody leads."""
    with pytest.raises(NobodyError):
        await asked.ask("nobody", b"")


async def test_an_answer_is_waited_for_a_while(asked):
    """And no longer; one that comes late is nobody's."""
    with pytest.raises(AwayError, match=r"no answer within 0\.05 seconds"):
        await asked.ask("deaf", b"", seconds=0.05)
    assert asked._waiting == {}


async def test_a_message_that_is_too_long_is_refused(asked):
    """Before it is sent."""
    with pytest.raises(RefusedError, match="longer than the 1047552 octets"):
        await asked.ask("echo", bytes(2 << 20))


async def test_what_is_outstanding_fails_when_the_connection_is_lost(asked):
    """At once, and what is asked after that too."""
    outstanding = asyncio.create_task(asked.ask("deaf", b""))
    await asyncio.sleep(0.05)
    asked.unbind("it is lost")
    with pytest.raises(AwayError, match="it is lost"):
        await outstanding
    with pytest.raises(AwayError, match="not connected"):
        await asked.ask("echo", b"")
    await asked.tell("echo", b"")


async def test_what_is_forbidden_fails_at_once(asked):
    """What is under another subject goes on."""
    forbidden = asyncio.create_task(asked.ask("deaf", b""))
    other = asyncio.create_task(asked.ask("echo", b"x"))
    await asyncio.sleep(0)
    asked.forbid('permissions violation for publish to "deaf"')
    with pytest.raises(ForbiddenError, match="permissions violation") as caught:
        await forbidden
    assert caught.value.subject == "deaf"
    assert (await other).data == b"x"


async def test_the_api_is_asked_in_json(asked):
    """And its errors have numbers."""
    with pytest.raises(ApiError, match="stream not found") as caught:
        await asked.api("STREAM.INFO.none", {"subjects_filter": ">"})
    assert (caught.value.code, caught.value.number) == (404, 10059)


async def test_servers_without_jetstream_are_told_as_such(tmp_path):
    """They have nobody who answers to its API."""
    file = tmp_path / "nats.conf"
    port = steady_port()
    file.write_text(f'listen: "127.0.0.1:{port}"\n')
    server = await asyncio.create_subprocess_exec(
        *(require("nats-server"), "-c", str(file), "-l", str(tmp_path / "log"))
    )
    client = Client()
    try:
        async with asyncio.timeout(10):
            await client.connect(f"nats://127.0.0.1:{port}", reconnect_time_wait=0, error_cb=_wait)
        asker = Asker()
        await asker.bind(client)
        with pytest.raises(NobodyError, match="no JetStream"):
            await asker.api("STREAM.INFO.s")
        await client.close()
    finally:
        server.kill()
        await server.wait()


async def _wait(_):
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"error":1}', b'{"error":[1]}'])
def test_an_answer_that_cannot_be_read_is_none(body):
    """Nothing is made of it."""
    with pytest.raises(AwayError, match="cannot be read"):
        read_answer(body)
