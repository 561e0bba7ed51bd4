"""The spool that settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collector import sightings
from collector.spool import Share
from collector.spool.bounds import Bounds
from collector.spool.memory import MemorySpool
from collector.spool.sqlite import SqliteSpool

if TYPE_CHECKING:
    from collector.board import Post
    from collector.config import Config
    from collector.ledger import Ledger


def build_spool(
    config: Config,
    ledger: Ledger,
    post: Post,
) -> MemorySpool | SqliteSpool:
    """Make the spool of a daemon; it is to be started.

    Args:
        config: the settings.
        ledger: accounts of the process.
        post: the place of the process among the workers.
    """
    settings, kept = config.spool, config.dead_letters
    if settings.type == "memory":
        return MemorySpool(settings.bound, shares(config), ledger, post)
    return SqliteSpool(
        Path(settings.path),
        settings.bound,
        shares(config),
        ledger,
        synchronous=settings.synchronous,
        bounds=Bounds(kept.max_bytes, kept.unknown_intake_max_bytes, post),
        max_age=kept.max_age,
        post=post,
        merge={sightings.NOTE: sightings.merged},
    )


def shares(config: Config) -> dict[str, Share]:
    """Return each sink's share of the spool."""
    return {
        sink.name: Share(
            sink.spool.max_bytes,
            sink.spool.when_full or config.spool.when_full,
            sink.batch.max_bytes,
        )
        for sink in config.sinks
    }
