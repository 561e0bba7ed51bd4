"""Whether the kernel of shapes is there: it is compiled when the package is built, if it can be."""

from importlib import import_module
from typing import Final


def _is_there() -> bool:
    """Say whether it can be used; one that was built for another system cannot."""
    try:
        import_module("collector.parsers.shapes.kernel")
    except ImportError:
        return False
    return True


IS_THERE: Final = _is_there()
