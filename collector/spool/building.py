"""The spool that settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collector.spool import Share
from collector.spool.memory import MemorySpool
from collector.spool.sqlite import SqliteSpool
from collector.spool.store import Bounds

if TYPE_CHECKING:
    from collector.config import Config
    from collector.ledger import Ledger


def build_spool(config: Config, ledger: Ledger) -> MemorySpool | SqliteSpool:
    """Make the spool of a daemon; it is to be started.

    Args:
        config: the settings.
        ledger: accounts of the process.
    """
    settings, kept = config.spool, config.dead_letters
    if settings.type == "memory":
        return MemorySpool(settings.bound, shares(config), ledger)
    return SqliteSpool(
        Path(settings.path),
        settings.bound,
        shares(config),
        ledger,
        synchronous=settings.synchronous,
        bounds=Bounds(kept.max_bytes, kept.unknown_intake_max_bytes),
        max_age=kept.max_age,
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
