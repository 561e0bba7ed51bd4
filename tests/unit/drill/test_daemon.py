"""The private daemon: started, asked, killed, and its error shown where it does not start."""

import pytest
import yaml

from collector.drill.daemon import DrillError, PrivateDaemon

LOCAL = {"host": "127.0.0.1", "port": 0}
SETTINGS = {
    "listeners": [
        {"name": "udp", "transport": "udp", **LOCAL},
        {"name": "tcp", "transport": "tcp", **LOCAL},
    ],
    "intakes": [{"name": "text", "parser": "raw", "key": "k"}],
    "sinks": [{"name": "sink", "url": "http://127.0.0.1:9/"}],
    "spool": {"type": "memory"},
    "admin": LOCAL,
}


def written(directory, settings):
    file = directory / "collector.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


async def test_it_listens_where_its_log_says_and_is_gone_when_killed(tmp_path):
    async with PrivateDaemon(written(tmp_path, SETTINGS), 2) as daemon:
        assert [*daemon.addresses] == ["udp", "tcp"]
        status = await daemon.status()
        ports = [listener["port"] for listener in status["listeners"]]
        assert ports == [port for _, port in daemon.addresses.values()]
        await daemon.kill()
        with pytest.raises(DrillError, match="has ended"):
            await daemon.status()
        await daemon.start()
        assert (await daemon.status())["ledger"]["received"] == 0


async def test_what_it_says_is_shown_where_it_does_not_start(tmp_path):
    daemon = PrivateDaemon(written(tmp_path, {**SETTINGS, "sinks": []}), 2)
    with pytest.raises(DrillError, match=r"does not start(.|\n)*sinks"):
        await daemon.start()


async def test_a_daemon_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("collector.drill.daemon.START_SECONDS", 0.0)
    daemon = PrivateDaemon(written(tmp_path, SETTINGS), 2)
    with pytest.raises(DrillError, match="in time"):
        await daemon.start()
