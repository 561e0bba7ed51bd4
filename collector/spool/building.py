"""The spool that settings ask for."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from collector import sightings
from collector.roles import Role
from collector.spool import Share
from collector.spool.bounds import Bounds
from collector.spool.jetstream import JetstreamSpool
from collector.spool.memory import MemorySpool
from collector.spool.sqlite import SqliteSpool

if TYPE_CHECKING:
    from collections import Counter

    from collector.board import Post
    from collector.config import Config
    from collector.ledger import Ledger


def build_spool(
    config: Config,
    ledger: Ledger,
    post: Post,
    role: Role = Role.ALL,
    dead_lettered: Counter[tuple[str, str]] | None = None,
) -> MemorySpool | SqliteSpool | JetstreamSpool:
    """Make the spool of a daemon; it is to be started. For `jetstream` an event loop must run.

    Args:
        config: the settings.
        ledger: accounts of the process.
        post: the place of the process among the workers.
        role: what the daemon does of the work that several share over a stream.
        dead_lettered: counts the dead letters that a spool makes itself, by intake and reason.
    """
    settings = config.spool
    if settings.type == "memory":
        return MemorySpool(settings.bound, shares(config), ledger, post)
    file = _file(config, ledger, post)
    if settings.type == "sqlite":
        return file
    # Half a second, for the libraries of NATS, which others need not.
    from collector.stream.cluster import Cluster  # noqa: PLC0415 - as above

    stream = Cluster(settings, config.dead_letters.max_bytes, _name_here(post))
    return JetstreamSpool(
        file,
        stream,
        shares(config),
        ledger,
        name=settings.stream,
        max_bytes=settings.stream_bound,
        ack_wait=settings.ack_wait,
        letters_max_bytes=config.dead_letters.max_bytes,
        max_age=config.dead_letters.max_age,
        events_max_age=settings.max_age,
        role=role,
        dead_lettered=dead_lettered,
    )


def _file(config: Config, ledger: Ledger, post: Post) -> SqliteSpool:
    settings, kept = config.spool, config.dead_letters
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


def _name_here(post: Post) -> str:
    """Return what the servers of a stream call this process: for people who look there."""
    host = socket.gethostname()
    return host if post.count == 1 else f"{host} {post.number}"


def shares(config: Config) -> dict[str, Share]:
    """Return each sink's share of the spool."""
    return {
        sink.name: Share(
            sink.spool.max_bytes,
            sink.spool.when_full or config.spool.when_full,
            sink.batch.max_bytes,
            is_ordered=sink.concurrency == 1,
            max_events=sink.batch.max_events,
        )
        for sink in config.sinks
    }
