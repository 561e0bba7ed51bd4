"""What is sent: numbered, readable by its parser, and sent again where the daemon went away."""

import asyncio
import re
from contextlib import asynccontextmanager

import orjson
import pytest

from collector import config as settings
from collector.drill.load import Load, marked_payloads
from collector.parsers import PARSERS, build
from collector.syslog.framing import Framer

NUMBER = re.compile(rb"collector-drill-(\d+)")


def config(framing="auto", transport="tcp"):
    listener = {"name": "in", "transport": transport, "host": "127.0.0.1", "port": 0}
    if transport == "tcp":
        listener["framing"] = framing
    return settings.build(
        {
            "listeners": [listener],
            "intakes": [
                {"name": "edr", "parser": "cybereason", "key": "key-0"},
                {"name": "text", "parser": "raw", "key": "key-1", "sinks": ["a"]},
            ],
            "sinks": [{"name": name, "url": "http://x/"} for name in ("a", "b")],
            "routing": {"structured_data_id": "id@1", "parameter": "k"},
        },
        source="test",
    )


@asynccontextmanager
async def listening(framing="auto"):
    """Collect the frames of each connection; a connection whose number is in `cut` is reset."""
    connections, cut = [], set()

    async def collect(reader, writer):
        framer, frames = Framer(framing), []
        connections.append(frames)
        while data := await reader.read(65536):
            frames += framer.feed(data)
            if len(connections) - 1 in cut and frames:
                writer.transport.abort()
                return
        writer.close()

    async with await asyncio.start_server(collect, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname(), connections, cut


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("framing", ["auto", "octet-counted", "lf", "nul"])
async def test_every_message_has_a_number_and_arrives_whole(framing):
    load = Load(config(framing), transport="tcp", rate=1000)
    async with listening(framing) as (address, connections, _):
        sending = asyncio.create_task(load.run(address))
        await until(lambda: load.sent >= 20)
        load.stop()
        await sending
    (frames,) = connections
    assert [int(NUMBER.search(frame)[1]) for frame in frames] == list(range(load.sent))
    assert all(frame.startswith(b"<134>1 ") for frame in frames)


async def test_intakes_take_turns_each_with_its_key_and_its_copies():
    load = Load(config(), transport="tcp", rate=1000)
    async with listening() as (address, connections, _):
        sending = asyncio.create_task(load.run(address))
        await until(lambda: load.sent >= 10)
        load.stop()
        await sending
    keys = [re.search(rb'\[id@1 k="(.*?)"\]', frame)[1] for frame in connections[0]]
    assert keys[:4] == [b"key-0", b"key-1", b"key-0", b"key-1"]
    assert load.copies == 2 * keys.count(b"key-0") + keys.count(b"key-1")


async def test_a_connection_that_breaks_is_made_again_and_numbers_go_on():
    load = Load(config(), transport="tcp", rate=1000)
    async with listening() as (address, connections, cut):
        cut.add(0)
        sending = asyncio.create_task(load.run(address))
        await until(lambda: len(connections) > 1 and len(connections[1]) > 5)
        load.stop()
        await sending
    first, second = ([int(NUMBER.search(frame)[1]) for frame in found] for found in connections)
    assert second == list(range(second[0], load.sent))
    assert second[0] > first[-1]
    assert load.connections == 2


async def test_a_stop_ends_a_long_wait_for_the_next_message():
    load = Load(config(), transport="tcp", rate=0.001)
    async with listening() as (address, connections, _):
        sending = asyncio.create_task(load.run(address))
        await until(lambda: load.sent == 1)
        load.stop()
        async with asyncio.timeout(20):
            await sending
    assert len(connections[0]) == 1


async def test_datagrams_are_one_message_each():
    received = asyncio.Queue()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data, _):
            received.put_nowait(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
    load = Load(config(transport="udp"), transport="udp", rate=1000)
    sending = asyncio.create_task(load.run(transport.get_extra_info("sockname")))
    found = [await received.get() for _ in range(3)]
    load.stop()
    await sending
    transport.close()
    assert [NUMBER.search(datagram)[1] for datagram in found] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("parser", PARSERS)
def test_numbered_payloads_are_read_by_their_parser_and_stay_in_the_message(parser):
    payloads = marked_payloads(parser)
    assert payloads
    for payload in payloads:
        event = build(parser)(payload)
        assert event["message"] == payload
        assert payload.count("@number@") == 1
        assert "\n" not in payload
        assert "pipeline_error" not in orjson.dumps(event).decode()


@pytest.mark.parametrize("parser", PARSERS)
def test_the_number_stands_where_the_shortest_message_is_not_cut(parser):
    assert all(payload.index("@number@") < 500 for payload in marked_payloads(parser))
