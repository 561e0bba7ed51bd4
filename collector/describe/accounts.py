"""The accounts of the ledger as people are shown them: what was meant to be dropped, and what not.

The status page has the same accounts and the same rule (`admin/page/ledger.js`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WANTED: Final = re.compile(r"^(filter|only):|^max_rate$|^dead_letter_(purged|expired)$")
"""Reasons for which the settings, or somebody, ask for copies to be dropped."""

LOST: Final = "lost"
"""The account of copies that were given up although nobody wanted it."""


def accounts(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """Return the accounts of a ledger; of what it has dropped, `dropped` is what was asked for.

    Args:
        ledger: a number for each account, or one for each reason.

    Raises:
        LookupError or AttributeError: it is not the ledger of a collector of this version.
    """
    dropped: Mapping[str, int] = ledger["dropped"]
    wanted = {reason: count for reason, count in dropped.items() if WANTED.search(reason)}
    lost = {reason: count for reason, count in dropped.items() if reason not in wanted}
    return {**ledger, "dropped": wanted, LOST: lost}
