"""Sample messages: what the vendors' documentation shows, as it is sent.

One file per message, octet for octet; the pretty-printed one keeps its line feeds.
"""

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Sample:
    """A message without its syslog header.

    Attributes:
        name: what it is, such as ``malop_created``.
        vendor: whose it is; also the name of its parser.
        raw: the text of the message.
    """

    name: str
    vendor: str
    raw: str


def load(vendor: str) -> list[Sample]:
    """Read the samples of a vendor, in the order of their names.

    Args:
        vendor: ``cybereason`` or ``harfanglab``.

    Raises:
        FileNotFoundError: there are no samples of such a vendor.
    """
    files = (resources.files(__package__) / vendor).iterdir()
    return [
        # Decoded from bytes: reading text would translate line endings.
        Sample(file.name.rpartition(".")[0], vendor, file.read_bytes().decode())
        for file in sorted(files, key=lambda file: file.name)
    ]
