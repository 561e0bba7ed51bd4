"""Settings become a spool."""

import pytest

from collector.board import Post
from collector.config import Config
from collector.ledger import Ledger
from collector.roles import Role
from collector.spool import Share
from collector.spool.building import build_spool, shares
from collector.spool.jetstream import JetstreamSpool
from collector.spool.memory import MemorySpool
from collector.spool.sqlite import SqliteSpool

MIB = 1024 * 1024


def config(tmp_path, **sections):
    return Config.model_validate(
        {
            "listeners": [{"name": "tcp", "transport": "tcp", "port": 0}],
            "intakes": [{"name": "any", "parser": "raw", "key": "k"}],
            "sinks": [
                {"name": "a", "url": "http://siem.example/"},
                {
                    "name": "b",
                    "url": "http://siem.example/",
                    "batch": {"max_bytes": "4MiB", "max_events": 50},
                    "spool": {"max_bytes": "1MiB", "when_full": "drop"},
                },
            ],
            "spool": {"path": str(tmp_path), "max_bytes": "64MiB", **sections},
        }
    )


def test_each_sink_has_its_share(tmp_path):
    """What it does not say itself is said for all; and how large its batches are."""
    assert shares(config(tmp_path, when_full="block")) == {
        "a": Share(None, "block", MIB, max_events=1000),
        "b": Share(MIB, "drop", 4 * MIB, max_events=50),
    }
    assert shares(config(tmp_path, when_full="drop"))["a"] == Share(
        None, "drop", MIB, max_events=1000
    )


@pytest.mark.parametrize(("kind", "expected"), [("memory", MemorySpool), ("sqlite", SqliteSpool)])
def test_settings_say_where_things_are_kept(tmp_path, kind, expected):
    """And how much of them; files come with the start."""
    spool = build_spool(config(tmp_path, type=kind), Ledger(), Post.alone())
    assert type(spool) is expected
    assert spool.max_bytes == 64 * MIB
    assert spool.gates.keys() == {"a", "b"}
    assert list(tmp_path.iterdir()) == []


def test_a_sink_that_takes_one_request_at_a_time_is_ordered(tmp_path):
    """Whatever keeps its batches brings them in order."""
    settings = config(tmp_path)
    first, second = settings.sinks
    sinks = (first.model_copy(update={"concurrency": 1}), second)
    known = shares(settings.model_copy(update={"sinks": sinks}))
    assert (known["a"].is_ordered, known["b"].is_ordered) == (True, False)


async def test_a_spool_that_is_shared_has_a_file_beside_the_stream(tmp_path):
    """With a bound of its own; nothing is opened before the start."""
    settings = config(
        tmp_path,
        type="jetstream",
        servers=["nats://127.0.0.1:4222"],
        local_max_bytes="32MiB",
        stream="ours",
        max_age="2h",
    )
    spool = build_spool(settings, Ledger(), Post.alone(), Role.DELIVER)
    assert type(spool) is JetstreamSpool
    assert spool.max_bytes == 32 * MIB
    assert spool.gates.keys() == {"a", "b"}
    stream = spool.status()["stream"]
    assert (stream["name"], stream["max_bytes"]) == ("ours", 64 * MIB)
    assert stream["max_age_seconds"] == 7200
    assert not stream["connected"]
    assert list(tmp_path.iterdir()) == []


async def test_a_spool_on_disk_is_where_settings_say(tmp_path):
    """Its bounds leave room for the files of SQLite and for batches under way."""
    spool = build_spool(config(tmp_path / "spool", type="sqlite"), Ledger(), Post.alone())
    await spool.start()
    status = spool.status()
    await spool.close()
    assert status["path"] == str(tmp_path / "spool")
    assert status["max_bytes"] == 64 * MIB
    assert (tmp_path / "spool" / "spool.db").is_file()
