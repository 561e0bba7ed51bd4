"""Settings become a spool."""

import pytest

from collector.board import Post
from collector.config import Config
from collector.ledger import Ledger
from collector.spool import Share
from collector.spool.building import build_spool, shares
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
                    "batch": {"max_bytes": "4MiB"},
                    "spool": {"max_bytes": "1MiB", "when_full": "drop"},
                },
            ],
            "spool": {"path": str(tmp_path), "max_bytes": "64MiB", **sections},
        }
    )


def test_each_sink_has_its_share(tmp_path):
    """What it does not say itself is said for all; and how large its batches are."""
    assert shares(config(tmp_path, when_full="block")) == {
        "a": Share(None, "block", MIB),
        "b": Share(MIB, "drop", 4 * MIB),
    }
    assert shares(config(tmp_path, when_full="drop"))["a"] == Share(None, "drop", MIB)


@pytest.mark.parametrize(("kind", "expected"), [("memory", MemorySpool), ("sqlite", SqliteSpool)])
def test_settings_say_where_things_are_kept(tmp_path, kind, expected):
    """And how much of them; files come with the start."""
    spool = build_spool(config(tmp_path, type=kind), Ledger(), Post.alone())
    assert type(spool) is expected
    assert spool.max_bytes == 64 * MIB
    assert spool.gates.keys() == {"a", "b"}
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
