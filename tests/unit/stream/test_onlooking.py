"""Looking at the streams from outside, with servers of NATS."""

import pytest
import pytest_asyncio

from collector.config import SpoolSettings
from collector.spool.letters import ALL
from collector.spool.looking import look_through
from collector.stream import AwayError, onlooking, topology, wire
from collector.stream.asking import Asker
from collector.stream.onlooking import looking_on
from tests.nats import Nats
from tests.peers import steady_port
from tests.spools import batch_of
from tests.spools import letter_of as made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory):
    async with Nats(tmp_path_factory.mktemp("nats")) as running:
        yield running


pytestmark = pytest.mark.asyncio(loop_scope="module")


def settings(servers, name):
    given = {
        "type": "jetstream",
        "servers": servers,
        "stream": name,
        "replicas": 1,
        "max_bytes": "16MiB",
    }
    return SpoolSettings.model_validate(given)


async def fill(servers, spool, *items):
    """Make both streams, with a batch for a sink and dead letters."""
    async with servers.client() as client:
        asker = Asker()
        await asker.bind(client)
        for wanted in (topology.batch_stream(spool), topology.letter_stream(spool, 1 << 20)):
            await asker.api(f"STREAM.CREATE.{wanted['name']}", wanted)
        messages = [wire.letter_message(spool.stream, item, str(n)) for n, item in enumerate(items)]
        messages.append(wire.batch_message(spool.stream, batch_of(1, 2, 3, sink="a.b"), "b"))
        for message in messages:
            await asker.ask(message.subject, message.body, dict(message.headers))


async def test_what_the_streams_hold_can_be_seen(servers):
    """Letters, how many there are of each reason, and what waits for whom."""
    spool = settings(servers.urls, "seen")
    await fill(servers, spool, made(1), made(2, "gave_up", event=b"{}"), made(3))
    async with looking_on(spool) as onlooker:
        found = [letter async for letter in look_through(onlooker.letters, "seen", ALL)]
        assert [letter.raw for letter in found] == [b"1", b"2", b"3"]
        assert await onlooker.letter_counts() == {"refused": 2, "gave_up": 1}
        assert await onlooker.last_letter() == 3
        assert await onlooker.waiting() == {"a.b": 3}


async def test_a_stream_that_nobody_has_made_is_not_made(servers):
    spool = settings(servers.urls, "none")
    async with looking_on(spool) as onlooker:
        with pytest.raises(AwayError, match="stream none: stream not found"):
            await onlooker.waiting()
        with pytest.raises(AwayError, match="stream none-dead-letters: stream not found"):
            await onlooker.letter_counts()
    async with servers.client() as client:
        names = [info.config.name for info in await client.jetstream().streams_info()]
    assert not [name for name in names if name.startswith("none")]


async def test_one_server_that_answers_is_enough(servers):
    dead = f"nats://127.0.0.1:{steady_port()}"
    async with looking_on(settings([dead, *servers.urls], "none")) as onlooker:
        with pytest.raises(AwayError, match="stream none: stream not found"):
            await onlooker.waiting()


async def test_why_no_server_lets_us_in_is_said():
    """Each says so for itself."""
    spool = settings([f"nats://127.0.0.1:{steady_port()}" for _ in range(2)], "any")
    with pytest.raises(AwayError) as raised:
        async with looking_on(spool):
            pass
    for server in spool.servers:
        assert f"{server}: " in str(raised.value)


async def test_servers_that_do_not_answer_are_not_waited_for_long(monkeypatch):
    class Silent:
        def __init__(self, *_, **__):
            pass

        async def run(self):
            await onlooking.asyncio.sleep(3600)

    monkeypatch.setattr(onlooking, "Link", Silent)
    with pytest.raises(AwayError, match="no answer in time"):
        async with looking_on(settings(["nats://127.0.0.1:1"], "any"), patience=0.01):
            pass
