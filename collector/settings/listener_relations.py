"""What the settings of a listener ask of one another.

As in `collector.settings.relations`, problems are found in settings as written.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from collector.settings.kinds import BOOLEAN, KindError
from collector.settings.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def asked_for_certificates(written: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what needs the certificates of senders where they are not asked for, or may be absent.

    Args:
        written: The settings of TLS on a listener.
    """
    required = _boolean(written.get("require_client_cert"))
    has_authority = "client_ca_file" in written
    if required and not has_authority:
        yield Problem("require_client_cert", "needs authorities; accepted with client_ca_file")
    if written.get("allowed_names", []) == []:
        return
    if not has_authority:
        yield Problem("allowed_names", "of no certificate; accepted with client_ca_file")
    elif required is False:
        what = "not asked of a sender without a certificate"
        yield Problem("allowed_names", f"{what}; accepted with require_client_cert: true")


def _boolean(value: object) -> bool | None:
    with suppress(KindError):
        return bool(BOOLEAN.read(value))
    return None
