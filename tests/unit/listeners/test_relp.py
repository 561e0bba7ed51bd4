"""RELP on connections: answers, their time and their order."""

import asyncio
import re
import ssl

import pytest
import structlog

from collector.listeners import connections, relp
from collector.listeners.buffers import Buffers
from collector.syslog.framing import CutFrame
from collector.syslog.relp import SERVER_CLOSE, frame
from tests.unit.listeners.conftest import SECONDS, check_times, ended, until

OPEN = frame(1, b"open", b"relp_version=0\nrelp_software=test\ncommands=syslog")
ANSWER = re.compile(rb"([0-9]+) rsp ([0-9]+) ")


def syslog(number, text=b"x"):
    return frame(number, b"syslog", text)


async def answers(reader, count):
    """Read answers; return the number and the code of each."""
    found = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            number, octets = ANSWER.fullmatch(await until_third_space(reader)).groups()
            data = await reader.readexactly(int(octets) + 1)
            found.append((int(number), int(data[:3])))
    return found


async def until_third_space(reader):
    return b"".join([await reader.readuntil(b" ") for _ in range(3)])


async def rest(reader):
    """Read to the end of the connection."""
    async with asyncio.timeout(SECONDS):
        return await reader.read()


@pytest.fixture
def opened():
    """Return what opens a session at a listener that runs."""

    async def open_session(running, **more):
        reader, writer = await running.connect(**more)
        writer.write(OPEN)
        assert await answers(reader, 1) == [(1, 200)]
        return reader, writer

    return open_session


async def test_a_session_is_opened(serving):
    """The client learns what speaks to it, and which commands there are."""
    async with serving(transport="relp") as running:
        reader, writer = await running.connect()
        writer.write(OPEN)
        greeting = await reader.readuntil(b"commands=syslog\n")
        assert re.fullmatch(
            rb"1 rsp \d+ 200 OK\nrelp_version=0\nrelp_software=collector,.*\ncommands=syslog\n",
            greeting,
        )


async def test_messages_are_answered_once_they_are_safe(serving, pipeline, durability, opened):
    """And not before: the client may forget them then."""
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2, b"one") + syslog(3, b"two"))
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        durability.commit()
        assert await answers(reader, 2) == [(2, 200), (3, 200)]
        assert pipeline.fed == [(b"one", "127.0.0.1"), (b"two", "127.0.0.1")]


async def test_answers_come_in_the_order_of_the_commands(serving, pipeline, durability, opened):
    """One that waits for nothing waits for those before it."""
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2, b"one") + frame(3, b"unknown") + syslog(4, b"two"))
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        durability.commit()
        assert await answers(reader, 3) == [(2, 200), (3, 500), (4, 200)]


async def test_what_settings_reject_is_answered_500_in_its_turn(
    serving, pipeline, durability, opened
):
    """Over several reads, and with neighbours that are kept."""
    pipeline.refused = {b"unknown"}
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2, b"one") + syslog(3, b"unknown"))
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        writer.write(syslog(4, b"unknown") + syslog(5, b"two"))
        await pipeline.until(lambda: len(pipeline.fed) == 4)
        durability.commit()
        assert await answers(reader, 4) == [(2, 200), (3, 500), (4, 500), (5, 200)]


async def test_a_message_that_is_too_long_is_answered_500_where_it_is_rejected(
    serving, pipeline, durability, opened
):
    """It is read to its end, and the connection goes on."""
    more = ", max_message_bytes: 1KiB, when_oversize: reject"
    async with serving(more, transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2, b"x" * 100_000) + syslog(3, b"ok"))
        await pipeline.until(lambda: pipeline.fed)
        durability.commit()
        assert await answers(reader, 2) == [(2, 500), (3, 200)]
        assert pipeline.frames == [b"ok"]
        assert pipeline.rejected == [("oversize", "127.0.0.1")]


async def test_a_message_that_is_too_long_is_cut_else(serving, pipeline, durability, opened):
    """It is kept, and its client can forget it."""
    async with serving(", max_message_bytes: 1KiB", transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2, b"x" * 2000))
        await pipeline.until(lambda: pipeline.fed)
        durability.commit()
        assert await answers(reader, 1) == [(2, 200)]
        assert pipeline.frames == [b"x" * 1024]
        assert type(pipeline.frames[0]) is CutFrame


async def test_a_client_that_closes_gets_all_its_answers_first(
    serving, pipeline, durability, opened, stats
):
    """The last is that to its close; then it is told that the connection ends."""
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2) + frame(3, b"close"))
        await pipeline.until(lambda: pipeline.fed)
        durability.commit()
        assert await answers(reader, 2) == [(2, 200), (3, 200)]
        assert await rest(reader) == SERVER_CLOSE
        await until(lambda: stats.connections == 0)
        assert stats.connections_rejected == {}


async def test_broken_framing_is_answered_up_to_there_and_counted(
    serving, pipeline, durability, opened, stats
):
    """What came before it is safe; what is wrong is named."""
    with structlog.testing.capture_logs() as lines:
        async with serving(transport="relp") as running:
            reader, writer = await opened(running)
            writer.write(syslog(2) + b"<13>not RELP\n" + syslog(3))
            await pipeline.until(lambda: pipeline.fed)
            durability.commit()
            assert await answers(reader, 1) == [(2, 200)]
            assert await rest(reader) == SERVER_CLOSE
            await until(lambda: stats.connections == 0)
    assert pipeline.frames == [b"x"]
    assert stats.connections_rejected == {"relp_protocol": 1}
    assert lines[0]["problem"] == "not RELP: a syslog message without a frame header"


async def test_tls_on_a_plain_port_is_named(serving, stats):
    """As on any other listener, before it is looked at as RELP."""
    async with serving(transport="relp") as running:
        reader, writer = await running.connect()
        writer.write(b"\x16\x03\x01\x02\0\x01")
        assert await ended(reader)
    assert stats.connections_rejected == {"tls_on_plain_port": 1}


async def test_what_was_not_answered_is_the_clients_when_the_connection_is_lost(
    serving, pipeline, durability, opened, stats
):
    """Half a message is nobody's here; answers that become due find nobody."""
    async with serving(transport="relp") as running:
        _, writer = await opened(running)
        writer.write(syslog(2, b"one") + b"3 syslog 10 half")
        await pipeline.until(lambda: pipeline.fed)
        writer.transport.abort()
        await until(lambda: stats.connections == 0)
        durability.commit()
    assert pipeline.frames == [b"one"]
    assert (pipeline.incomplete, pipeline.rejected) == ([], [])


async def test_nothing_is_read_while_too_much_is_unanswered(
    serving, pipeline, durability, opened, monkeypatch
):
    """The client has to wait for answers; then it is read on."""
    monkeypatch.setattr(relp, "MAX_UNANSWERED", 4)
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(b"".join(syslog(number) for number in range(2, 6)))
        await pipeline.until(lambda: len(pipeline.fed) == 4)
        writer.write(syslog(6))
        await asyncio.sleep(0.1)
        assert len(pipeline.fed) == 4
        durability.commit()
        await pipeline.until(lambda: len(pipeline.fed) == 5)
        durability.commit()
        assert await answers(reader, 5) == [(number, 200) for number in range(2, 7)]


async def test_a_client_that_waits_for_its_answers_is_not_slow(
    serving, pipeline, durability, opened, monkeypatch
):
    """Neither is its next message, whose rest we do not read meanwhile."""
    monkeypatch.setattr(relp, "MAX_UNANSWERED", 1)
    more = ", frame_timeout: 500ms, idle_timeout: 500ms"
    async with serving(more, transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2) + b"3 syslog 4 ha")
        await pipeline.until(lambda: pipeline.fed)
        writer.write(b"lf\n")
        await asyncio.sleep(1.2)
        durability.commit()
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        durability.commit()
        assert await answers(reader, 2) == [(2, 200), (3, 200)]
        assert running.stats.connections_rejected == {}


async def test_a_client_that_does_not_read_its_answers_is_not_read(serving, stats):
    """Else they would fill the memory; it is read on when it has read them."""
    async with serving(transport="relp") as running:
        reader, writer = await running.connect()
        commands = [frame(number, b"unknown") for number in range(2, 400_002)]
        writer.write(OPEN + b"".join(commands))
        await quiet(stats)
        assert 0 < stats.octets < sum(map(len, commands))
        lines = 4 + len(commands)
        async with asyncio.timeout(SECONDS):
            while lines:
                lines -= (await reader.read(65_536)).count(b"\n")
        assert stats.octets == len(OPEN) + sum(map(len, commands))
        check_times(running.listener, asyncio.get_running_loop().time() + 86_400)
        assert stats.connections_rejected == {}


async def test_a_client_that_does_not_read_its_answers_for_too_long_is_ended(
    serving, opened, stats, monkeypatch
):
    """It has as long as a frame may take; then the answers that it did not read are given up."""
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.1)
    async with serving(", frame_timeout: 10m, idle_timeout: 10m", transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(b"2 x 0\n" * 400_000)
        await quiet(stats)
        now = asyncio.get_running_loop().time()
        check_times(running.listener, now + 500)
        assert stats.connections_rejected == {}
        check_times(running.listener, now + 700)
        assert stats.connections_rejected == {"answers_unread": 1}
        await until(lambda: stats.connections == 0)
        assert await ended(reader)


async def quiet(stats):
    """Wait until nothing more is read."""
    before = -1
    while before != stats.octets:
        before = stats.octets
        await asyncio.sleep(0.3)


async def test_a_message_that_is_rejected_for_its_length_has_ended_too(serving, opened, stats):
    """The time of the next one is its own."""
    more = ", max_message_bytes: 1KiB, when_oversize: reject, frame_timeout: 10m"
    first, second = (frame(number, b"syslog", b"x" * 3000) for number in (2, 3))
    async with serving(more, transport="relp") as running:
        _, writer = await opened(running)
        before = stats.octets
        writer.write(first[:2000])
        await until(lambda: stats.octets == before + 2000)
        first_began_before = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        writer.write(first[2000:] + second[:2000])
        await until(lambda: stats.octets == before + len(first) + 2000)
        check_times(running.listener, first_began_before + 600.01)
        assert stats.connections_rejected == {}
        check_times(running.listener, first_began_before + 3600)
        assert stats.connections_rejected == {"frame_timeout": 1}


async def test_what_was_not_read_when_a_client_leaves_is_its_own(
    serving, pipeline, stats, tls, authority
):
    """It would not be answered, and the client sends it again."""
    pipeline.gate.close()
    sent = OPEN + b"".join(syslog(number, b"%d" % number) for number in (2, 3, 4))
    pieces = sent[: sent.index(b"3 syslog")], sent[sent.index(b"3 syslog") :]
    async with serving(tls(), transport="relp") as running:
        context = ssl.create_default_context(cafile=authority.ca_file)
        _, writer = await running.connect(ssl=context, server_hostname="localhost")
        writer.write(pieces[0])
        await pipeline.until(lambda: pipeline.fed)
        writer.write(pieces[1])
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await until(lambda: stats.connections == 0)
    assert pipeline.frames == [b"2"]


async def test_what_unfinished_messages_hold_is_counted(serving, opened):
    """Of a frame, also of a client that is ended for it."""
    buffers = Buffers(100_000)
    async with serving(transport="relp", buffers=buffers) as running:
        _, writer = await opened(running)
        writer.write(b"2 syslog 5000 " + b"x" * 4000)
        await until(lambda: buffers.octets == 4000)
        reader, other = await opened(running)
        other.write(b"2 syslog 200000 " + b"x" * 100_001)
        assert await ended(reader)
        assert buffers.octets == 4000
    assert buffers.octets == 0


# The end.


async def test_stopping_answers_all_that_was_read(serving, pipeline, durability, opened, stats):
    """As long as it takes to make it safe; then the client is told that we close."""
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2) + syslog(3) + b"4 syslog 10 half")
        await pipeline.until(lambda: len(pipeline.fed) == 2)
        stopping = asyncio.create_task(running.listener.stop())
        await asyncio.sleep(0.3)
        assert stats.connections == 1
        durability.commit()
        assert await answers(reader, 2) == [(2, 200), (3, 200)]
        assert await rest(reader) == SERVER_CLOSE
        await stopping
        assert stats.connections == 0


async def test_stopping_tells_clients_that_wait_for_nothing(serving, opened):
    """At once."""
    async with serving(transport="relp") as running:
        reader, _ = await opened(running)
        await running.listener.stop()
        assert await rest(reader) == SERVER_CLOSE


@pytest.mark.usefixtures("quick_drain")
async def test_stopping_does_not_wait_for_ever(serving, pipeline, durability, opened, stats):
    """What cannot be made safe is not answered, and its client keeps it."""
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2))
        await pipeline.until(lambda: pipeline.fed)
        await running.listener.stop()
        assert stats.connections == 0
        assert b"rsp" not in await rest(reader)
        durability.commit()


# Other settings.


async def test_a_session_goes_on_under_other_settings(serving, pipeline, durability, opened):
    """Other bounds hold from the next message on."""
    more = ", max_message_bytes: 1KiB, when_oversize: reject"
    async with serving(more, transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2, b"x" * 2000))
        assert await answers(reader, 1) == [(2, 500)]
        running.reconfigure(", max_message_bytes: 2KiB")
        writer.write(syslog(3, b"x" * 2000))
        await pipeline.until(lambda: pipeline.fed)
        durability.commit()
        assert await answers(reader, 1) == [(3, 200)]
        assert pipeline.frames == [b"x" * 2000]


async def test_a_client_that_may_no_longer_send_gets_its_answers(
    serving, pipeline, durability, opened, stats
):
    """And is told that we close."""
    async with serving(transport="relp") as running:
        reader, writer = await opened(running)
        writer.write(syslog(2))
        await pipeline.until(lambda: pipeline.fed)
        running.reconfigure(", allowed_sources: [192.0.2.0/24]")
        durability.commit()
        assert await answers(reader, 1) == [(2, 200)]
        assert await rest(reader) == SERVER_CLOSE
        await until(lambda: stats.connections == 0)
        assert stats.connections_rejected == {"settings_changed": 1}
