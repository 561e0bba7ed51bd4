"""Why a daemon does not start, or does not go by settings: in words for whoever asked for it."""

from __future__ import annotations

from typing import Final

from collector.listeners.opening import ListenError
from collector.settings.files import FileError
from collector.settings.problems import ConfigError


class RefusedError(Exception):
    """Another process of the daemon cannot go by settings; the text says why."""


REFUSALS: Final = (ConfigError, FileError, ListenError, RefusedError)
"""What going by settings may fail of: nothing has changed then."""


class StartError(Exception):
    """The daemon cannot start; the text says what is wrong and where."""
