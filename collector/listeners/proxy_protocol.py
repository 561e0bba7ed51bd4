"""The PROXY protocol, version 1 and 2: who is behind a proxy.

Source: HAProxy's "The PROXY protocol, Versions 1 & 2" (proxy-protocol.txt), whose sections are
named here. The header comes before anything else on a connection, also before TLS.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

MAX_HEADER_BYTES: Final = 4096
"""The longest header that is read, in octets.

Version 2 could announce 64 KiB. Addresses take 216 octets at most, and section 2.2.7 counts on a
header that fits into one segment; what proxies add (SNI, identifiers, a certificate's names) stays
far below this.
"""

_V1_BEGINS: Final = b"PROXY "
_V1_MAX: Final = 107  # section 2.1, with CR LF
_V1_FAMILIES: Final = (b"TCP4 ", b"TCP6 ", b"UNKNOWN")
_V1_LINE: Final = re.compile(rb"[ -~]*\r?")  # as much of it as there is
_PORT: Final = "(0|[1-9][0-9]{0,4})"
_V1: Final = re.compile(f"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) {_PORT} {_PORT}")
_V1_UNKNOWN: Final = re.compile("PROXY UNKNOWN( [ -~]*)?")
_MAX_PORT: Final = 65535

# Section 2.2: signature, version and command, family and transport, length of what follows.
_V2_BEGINS: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_COMMAND_AT: Final = 12
_V2_FAMILY_AT: Final = 13
_V2_FIXED: Final = 16
_VERSION_2: Final = 2
_LOCAL, _PROXY = 0, 1
_INET, _INET6, _UNIX = 1, 2, 3
_STREAM, _DATAGRAM = 1, 2
_ADDRESSES: Final = {_INET: 2 * 4 + 4, _INET6: 2 * 16 + 4, _UNIX: 2 * 108}  # octets


class ProxyHeaderError(Exception):
    """Octets that are no header of the PROXY protocol, or none that fits a stream.

    Args:
        problem: What is wrong; nothing of it is the peer's own text.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Header(NamedTuple):
    """A header that is complete.

    Attributes:
        length: How many octets it takes; what follows belongs to the connection.
        source: The sender's address, without port, as `192.0.2.1` or `2001:db8::1`; None where the
            proxy speaks for itself, as in its health checks, or for a sender without an IP address.
    """

    length: int
    source: str | None


def parse(data: bytes) -> Header | None:
    """Read the header with which a connection begins.

    Args:
        data: The first octets of the connection; more than the header does no harm.

    Returns:
        The header, or None while it is incomplete, which it is within `MAX_HEADER_BYTES` octets.

    Raises:
        ProxyHeaderError: This cannot become a header. It is said at the first octet that does not
            fit, but for the fields of version 1, which are looked at once the line is complete.
    """
    if _agree(data, _V1_BEGINS):
        return _parse_v1(data[:_V1_MAX])
    if _agree(data, _V2_BEGINS):
        return _parse_v2(data)
    raise ProxyHeaderError("there is no PROXY header")


def _agree(data: bytes, beginning: bytes) -> bool:
    """Say whether octets begin so, or are the beginning of that."""
    return data.startswith(beginning[: len(data)])


def _parse_v1(data: bytes) -> Header | None:
    """Read a header of version 1 (section 2.1).

    Args:
        data: No more than such a header can be long.
    """
    family = data[len(_V1_BEGINS) :]
    if not any(_agree(family, known) for known in _V1_FAMILIES):
        raise ProxyHeaderError("the PROXY header names an unknown family")
    line, end, _ = data.partition(b"\r\n")
    if not _V1_LINE.fullmatch(line):
        raise ProxyHeaderError("the PROXY header is not a line of ASCII that ends in CR LF")
    if end:
        return Header(len(line) + len(end), _v1_source(line.decode("ascii")))
    if len(data) == _V1_MAX:
        raise ProxyHeaderError(f"the PROXY header is longer than {_V1_MAX} bytes")
    return None


def _v1_source(line: str) -> str | None:
    """Return the source of a line without its end."""
    if _V1_UNKNOWN.fullmatch(line):
        return None
    fields = _V1.fullmatch(line)
    if fields is None:
        raise ProxyHeaderError("the PROXY header has not the form of version 1")
    version, source, destination, *ports = fields.groups()
    kind = IPv4Address if version == "4" else IPv6Address
    try:
        kind(destination)
        address = kind(source)
    except ValueError:
        raise ProxyHeaderError(f"the PROXY header holds no valid IPv{version} address") from None
    if any(int(port) > _MAX_PORT for port in ports):
        raise ProxyHeaderError("the PROXY header holds a port beyond 65535")
    return str(address)


def _parse_v2(data: bytes) -> Header | None:
    """Read a header of version 2 (section 2.2); what follows the addresses is skipped.

    Of a LOCAL command nothing counts but the length, and an unspecified family or transport leaves
    it to the receiver to use the connection's own address.
    """
    command = _v2_command(data)
    family, transport = _v2_family(data, command)
    if len(data) < _V2_FIXED:
        return None
    rest = int.from_bytes(data[_V2_FIXED - 2 : _V2_FIXED])
    length = _V2_FIXED + rest
    if length > MAX_HEADER_BYTES:
        raise ProxyHeaderError(f"the PROXY header is longer than {MAX_HEADER_BYTES} bytes")
    if rest < _ADDRESSES.get(family, 0):
        raise ProxyHeaderError("the PROXY header has no room for its addresses")
    if len(data) < length:
        return None
    if transport != _STREAM or family not in {_INET, _INET6}:
        return Header(length, None)
    if family == _INET:
        return Header(length, str(IPv4Address(data[_V2_FIXED : _V2_FIXED + 4])))
    return Header(length, str(IPv6Address(data[_V2_FIXED : _V2_FIXED + 16])))


def _v2_command(data: bytes) -> int:
    """Return the command as far as it is there; LOCAL before."""
    if len(data) <= _V2_COMMAND_AT:
        return _LOCAL
    version, command = divmod(data[_V2_COMMAND_AT], 16)
    if version != _VERSION_2:
        raise ProxyHeaderError("the PROXY header is of an unknown version")
    if command not in {_LOCAL, _PROXY}:
        raise ProxyHeaderError("the PROXY header holds an unknown command")
    return command


def _v2_family(data: bytes, command: int) -> tuple[int, int]:
    """Return family and transport as far as they are there; zeros, unspecified, before."""
    if command == _LOCAL or len(data) <= _V2_FAMILY_AT:
        return 0, 0
    family, transport = divmod(data[_V2_FAMILY_AT], 16)
    if family > _UNIX or transport > _DATAGRAM:
        raise ProxyHeaderError("the PROXY header names an unknown family or transport")
    if transport == _DATAGRAM:
        raise ProxyHeaderError("the PROXY header is for datagrams, and this is a stream")
    return family, transport
