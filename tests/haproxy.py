"""HAProxy in front of a daemon: it tells, by the PROXY protocol, whose connection it passes on."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.peers import require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_CONFIG = """
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen all
  bind fd@{descriptor}
  server collector {host}:{port} {option}
"""


@asynccontextmanager
async def haproxy(
    directory: Path, address: tuple[str, int], option: str = "send-proxy-v2"
) -> AsyncIterator[tuple[str, int]]:
    """Run HAProxy before a TCP address; give the address that it has itself.

    Args:
        directory: where its settings go.
        address: of the collector.
        option: how it says who is behind it; empty says nothing.
    """
    program = require("haproxy")
    host, port = address
    # A socket that it is handed has a free port, and takes connections at once.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = directory / "haproxy.cfg"
        config.write_text(
            _CONFIG.format(descriptor=listening.fileno(), host=host, port=port, option=option)
        )
        process = await asyncio.create_subprocess_exec(
            *(program, "-db", "-f", str(config)), pass_fds=[listening.fileno()]
        )
        try:
            yield listening.getsockname()
        finally:
            process.kill()
            await process.wait()
