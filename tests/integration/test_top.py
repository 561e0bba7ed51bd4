"""`collector top` asks a daemon that is at work, of one process or of several."""

from __future__ import annotations

import asyncio

import pytest
import yaml

from tests.calling import call
from tests.station import KEY, Station, send


def rows(lines, column):
    """Return the rows of the table whose first column has a name."""
    begin = next(at for at, line in enumerate(lines) if line.split("\t")[0] == column)
    names = lines[begin].split("\t")
    end = lines.index("", begin) if "" in lines[begin:] else len(lines)
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[begin + 1 : end]]


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_the_daemon_does_is_shown(tmp_path, workers):
    """What it received and delivered, where it waits, and who sends."""
    async with Station(tmp_path) as station, station.daemon(workers=workers) as daemon:
        await send(daemon, range(20))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 20)
        station.go_away()
        await send(daemon, range(20, 30))
        await daemon.ledger_when(lambda ledger: ledger["spooled"] == 10)
        asking = tmp_path / "asking.yaml"
        port = int(daemon.admin_url.rpartition(":")[2])
        asking.write_text(yaml.safe_dump({**station.config(), "admin": {"port": port}}))
        arguments = ("top", "-c", str(asking), "--once", "--interval", "0.5")
        code, lines, _ = await asyncio.to_thread(call, *arguments)
    assert code == 0
    assert lines[0].endswith(", listening")
    flow = {row["messages"]: row["count"] for row in rows(lines, "messages")}
    assert (flow["+ received"], flow["- delivered"], flow["= spooled"]) == ("30", "20", "10")
    (sink,) = rows(lines, "sink")
    assert (sink["state"], sink["waiting"]) == ("DOWN", "10")
    assert "503" in sink["problem"]
    (intake,) = rows(lines, "intake")
    assert intake["events"] == "30"
    assert [row["sender"] for row in rows(lines, "sender")] == ["127.0.0.1"]
    assert KEY not in "\n".join(lines)
    if workers > 1:
        assert len(rows(lines, "worker")) == workers
