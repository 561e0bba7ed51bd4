"""What the environment switches off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.parsers.shapes import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

KERNEL: Final = "COLLECTOR_KERNEL"
"""The variable that, set to ``off``, has everything read the general way."""


def uses_kernel(environ: Mapping[str, str]) -> bool:
    """Say whether messages are read by the compiled kernel: where it was built, unless it is off.

    Args:
        environ: holds `KERNEL` where it was set.
    """
    return compiled.IS_THERE and environ.get(KERNEL) != "off"
