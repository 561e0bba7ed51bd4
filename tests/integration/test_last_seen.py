"""When senders were last seen, and who was not, as the running daemon tells it."""

import asyncio

from tests.daemon import Daemon
from tests.spools import stored_notes

SOURCE = "127.0.0.1"
LAST_SEEN = f'collector_last_seen_timestamp_seconds{{intake="edr",source="{SOURCE}"}}'
LAST_USED = 'collector_intake_key_last_used_timestamp_seconds{intake="edr",slot="%d"}'


def settings(directory):
    return {
        "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
        "intakes": [
            {"name": "edr", "parser": "raw", "key": ["old", "new"], "expect_every": "1s"},
        ],
        "sinks": [{"name": "siem", "url": "http://127.0.0.1:1/"}],
        "spool": {"type": "sqlite", "path": str(directory / "spool")},
        "shutdown_grace": "1s",
    }


async def send(daemon):
    _, writer = await asyncio.open_connection(*daemon.address("tcp"))
    writer.write(b'<13>1 - - - - - [SEKOIA@53288 intake_key="new"] hello\n')
    writer.close()
    await daemon.ledger_when(lambda ledger: ledger["received"] == 1)


async def test_what_was_seen_survives_a_restart(tmp_path):
    """When a key was last used does not: it is told of this process."""
    async with Daemon(tmp_path, settings(tmp_path)) as daemon:
        await send(daemon)
        before = await daemon.metrics()
        assert before[LAST_SEEN] == before[LAST_USED % 1]
        assert LAST_USED % 0 not in before
        await daemon.stop()
    async with Daemon(tmp_path, settings(tmp_path)) as daemon:
        after = await daemon.metrics()
        assert after[LAST_SEEN] == before[LAST_SEEN]
        assert LAST_USED % 1 not in after
        (intake,) = (await daemon.status())["intakes"]
        assert [seen["source"] for seen in intake["last_seen"]] == [SOURCE]


async def test_a_silent_sender_is_told_and_what_is_known_survives_a_sigkill(tmp_path, hurried):
    """Both happen when the daemon looks after its senders, every ten seconds elsewhere."""
    hurried({"collector.sightings.CHECK_SECONDS": 0.5})
    async with Daemon(tmp_path, settings(tmp_path)) as daemon:
        await send(daemon)
        fallen = await daemon.logged("sender is silent for longer than expect_every")
        assert (fallen["intake"], fallen["source"]) == ("edr", SOURCE)
        reason = "silent for longer than expect_every"
        silent = {"intake": "edr", "source": SOURCE, "reason": reason}
        assert silent in (await daemon.status())["degraded"]
        async with asyncio.timeout(30):
            while SOURCE.encode() not in stored_notes(tmp_path / "spool").get("sightings", b""):
                await asyncio.sleep(0.05)
        daemon.process.kill()
        await daemon.ended()
    async with Daemon(tmp_path, settings(tmp_path)) as daemon:
        assert LAST_SEEN in await daemon.metrics()
