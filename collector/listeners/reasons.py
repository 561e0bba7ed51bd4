"""Why connections are refused or ended by us: the words under which that is counted."""

from __future__ import annotations

from typing import Final

from collector.listeners import tls

# Before anything was read.
SOURCE_NOT_ALLOWED: Final = "source_not_allowed"
MAX_CONNECTIONS: Final = "max_connections"
MAX_CONNECTIONS_PER_SOURCE: Final = "max_connections_per_source"
MAX_HANDSHAKES: Final = "max_handshakes"
NO_WORKER: Final = "no_worker"
OPEN_FILES: Final = "open_files"
PROXY_HEADER: Final = "proxy_header"
NAME_NOT_ALLOWED: Final = "tls_name_not_allowed"

# Later.
TLS_ON_PLAIN_PORT: Final = "tls_on_plain_port"
RELP_PROTOCOL: Final = "relp_protocol"
ANSWERS_UNREAD: Final = "answers_unread"
FRAME_TIMEOUT: Final = "frame_timeout"
IDLE_TIMEOUT: Final = "idle_timeout"
MAX_BUFFERED_BYTES: Final = "max_buffered_bytes"
SETTINGS_CHANGED: Final = "settings_changed"

ALL: Final = (
    ANSWERS_UNREAD,
    FRAME_TIMEOUT,
    IDLE_TIMEOUT,
    MAX_BUFFERED_BYTES,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_SOURCE,
    MAX_HANDSHAKES,
    NAME_NOT_ALLOWED,
    NO_WORKER,
    OPEN_FILES,
    PROXY_HEADER,
    RELP_PROTOCOL,
    SETTINGS_CHANGED,
    SOURCE_NOT_ALLOWED,
    TLS_ON_PLAIN_PORT,
    *tls.REASONS,
)
"""All of them, those of TLS included."""
