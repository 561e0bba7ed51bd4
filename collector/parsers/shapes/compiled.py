"""Whether the kernel of shapes is there: it is compiled when the package is built, if it can be."""

import os
from importlib.util import find_spec
from typing import Final

SWITCH: Final = "COLLECTOR_KERNEL"
"""The environment variable that, set to ``off``, has everything read the general way."""

IS_THERE: Final = (
    os.environ.get(SWITCH) != "off" and find_spec("collector.parsers.shapes.kernel") is not None
)
