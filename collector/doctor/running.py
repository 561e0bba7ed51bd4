"""The daemon that may run with these settings: what it says of itself, or why it says nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.admin import client
from collector.settings.files import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.config import AdminSettings
    from collector.doctor.ports import Holder


class Daemon(NamedTuple):
    """What answers at the admin server's address.

    Attributes:
        status: what it says (`/api/status`); None where no collector does.
        problem: why there is none; empty where there is, or nobody can be asked.
        is_closed: whether something answers but tells us nothing without its token: that may be the
            collector.
        holder: the process that has the address; None if that is not to be seen.
    """

    status: Mapping[str, Any] | None = None
    problem: str = ""
    is_closed: bool = False
    holder: Holder | None = None

    def may_hold(self, place: Holder | None) -> bool:
        """Say whether it may be a closed daemon that has a place, as far as is to be seen.

        Args:
            place: the process that has it; None if that is not to be seen.
        """
        if place is None or self.holder is None:
            return self.is_closed
        # Workers of a daemon hold places too: processes of their own, started by it.
        return self.is_closed and place.group == self.holder.group


async def ask_daemon(admin: AdminSettings, seconds: float) -> Daemon:
    """Ask the daemon that may run with these settings.

    Args:
        admin: where it would listen, and its token.
        seconds: that it may take.
    """
    if not admin.port:
        return Daemon()
    try:
        async with asyncio.timeout(seconds):
            status = await client.get(admin, "/api/status")
    except (client.RefusedError, FileError) as error:
        return Daemon(problem=str(error), is_closed=True)
    except client.AdminError as error:
        return Daemon(problem=str(error))
    except TimeoutError:
        return Daemon(problem=f"no answer in {seconds:g} seconds")
    if not _is_collectors(status):
        return Daemon(problem="what answers there is no collector of this version")
    return Daemon(status)


def _is_collectors(status: Any) -> bool:
    """Say whether an answer holds what is looked at here."""
    try:
        for listener in status["listeners"]:
            _ = listener["transport"], listener.get("path"), listener.get("port")
        for intake in status["intakes"]:
            _ = intake["name"].isprintable(), [entry["source"] for entry in intake["last_seen"]]
        _ = status["version"].isprintable(), status["spool"].get("path")
    except (LookupError, TypeError, AttributeError):
        return False
    return True
