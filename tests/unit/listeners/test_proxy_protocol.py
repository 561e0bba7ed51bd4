"""The PROXY protocol: every header in every cutting, and nothing that is none."""

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.listeners.proxy_protocol import MAX_HEADER_BYTES, Header, ProxyHeaderError, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = ipaddress.IPv4Address("192.0.2.1").packed + ipaddress.IPv4Address("192.0.2.2").packed
IPV6 = ipaddress.IPv6Address("2001:db8::1").packed + ipaddress.IPv6Address("2001:db8::2").packed
PORTS = struct.pack("!HH", 51234, 6514)
TLV = b"\x04\0\x02hi"


def v2(body=b"", *, command=0x21, family=0x00, length=None):
    return (
        SIGNATURE
        + struct.pack("!BBH", command, family, len(body) if length is None else length)
        + body
    )


HEADERS = [
    pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 51234 6514\r\n", "192.0.2.1", id="TCP4"),
    pytest.param(
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        "255.255.255.255",
        id="TCP4, longest",
    ),
    pytest.param(b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0", id="TCP4, zeros"),
    pytest.param(b"PROXY TCP6 2001:DB8::1 2001:db8::2 51234 6514\r\n", "2001:db8::1", id="TCP6"),
    pytest.param(
        b"PROXY TCP6 " + b" ".join([b":".join([b"ffff"] * 8)] * 2) + b" 65535 65535\r\n",
        ":".join(["ffff"] * 8),
        id="TCP6, longest",
    ),
    pytest.param(b"PROXY UNKNOWN\r\n", None, id="UNKNOWN"),
    pytest.param(b"PROXY UNKNOWN what ever 1 2 3\r\n", None, id="UNKNOWN with more"),
    pytest.param(
        b"PROXY UNKNOWN " + b" ".join([b":".join([b"ffff"] * 8)] * 2) + b" 65535 65535\r\n",
        None,
        id="longest of version 1",
    ),
    pytest.param(v2(IPV4 + PORTS, family=0x11), "192.0.2.1", id="IPv4"),
    pytest.param(v2(IPV4 + PORTS + TLV, family=0x11), "192.0.2.1", id="IPv4 and a TLV"),
    pytest.param(v2(IPV6 + PORTS, family=0x21), "2001:db8::1", id="IPv6"),
    pytest.param(v2(IPV6 + PORTS + TLV * 100, family=0x21), "2001:db8::1", id="IPv6 and TLVs"),
    pytest.param(v2(bytes(216), family=0x31), None, id="unix"),
    pytest.param(v2(), None, id="unspecified"),
    pytest.param(v2(TLV), None, id="unspecified with a TLV"),
    pytest.param(v2(IPV4 + PORTS, family=0x10), None, id="IPv4, transport unspecified"),
    pytest.param(v2(command=0x20), None, id="LOCAL"),
    pytest.param(v2(IPV4 + PORTS, command=0x20, family=0x11), None, id="LOCAL with addresses"),
    pytest.param(v2(b"x", command=0x20, family=0xFF), None, id="LOCAL with anything"),
    pytest.param(
        v2(IPV4 + PORTS + bytes(MAX_HEADER_BYTES - 28), family=0x11), "192.0.2.1", id="longest"
    ),
]


@pytest.mark.parametrize(("header", "source"), HEADERS)
def test_a_header_is_read_once_it_is_complete(header, source):
    """Whatever follows it, and not before."""
    expected = Header(len(header), source)
    assert parse(header) == expected
    for more in (b"<34>1 a", b"\r\n", header, b"\0" * 10_000, b"\xff"):
        assert parse(header + more) == expected
    assert [parse(header[:cut]) for cut in range(len(header))] == [None] * len(header)


def test_an_ipv4_address_in_ipv6_form_is_left_to_the_caller():
    """As the kernel gives them too."""
    header = parse(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n")
    assert ipaddress.ip_address(header.source).ipv4_mapped == ipaddress.ip_address("192.0.2.1")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"<", "there is no PROXY header"),
        (b"<34>1 - - - - - -\n", "there is no PROXY header"),
        (b"\x16\x03\x01", "there is no PROXY header"),
        (b"proxy TCP4", "there is no PROXY header"),
        (b"PROXY\r\n", "there is no PROXY header"),
        (b"PROXYTCP4", "there is no PROXY header"),
        (b"\r\n\r\n\0\r\nQUIT\r", "there is no PROXY header"),
        (b"PROXY U1", "the PROXY header names an unknown family"),
        (b"PROXY TCP5", "the PROXY header names an unknown family"),
        (b"PROXY  TCP4", "the PROXY header names an unknown family"),
        (b"PROXY TCP4\r", "the PROXY header names an unknown family"),
        (b"PROXY \r\n", "the PROXY header names an unknown family"),
    ],
)
def test_it_is_said_at_once_that_there_is_no_header(data, problem):
    """At the first octet that does not fit, without waiting for a line to end."""
    with pytest.raises(ProxyHeaderError, match=f"^{problem}$") as caught:
        parse(data)
    assert caught.value.problem == problem


NOT_A_LINE = "the PROXY header is not a line of ASCII that ends in CR LF"
NOT_V1 = "the PROXY header has not the form of version 1"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"UNKNOWN\n", NOT_A_LINE),
        (b"UNKNOWN\r\r\n", NOT_V1),
        (b"UNKNOWN a\rb", NOT_A_LINE),
        (b"UNKNOWN \x00", NOT_A_LINE),
        (b"UNKNOWN \xff", NOT_A_LINE),
        (b"UNKNOWN " + b"x" * 92 + b"\n", NOT_A_LINE),
        (b"UNKNOWN " + b"x" * 93, "the PROXY header is longer than 107 bytes"),
        (b"UNKNOWN " + b"x" * 92 + b"\r", "the PROXY header is longer than 107 bytes"),
        (b"UNKNOWNS\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", NOT_V1),
        (b"TCP4 192.0.2.1  192.0.2.2 1 2\r\n", NOT_V1),
        (b"TCP4  192.0.2.1 192.0.2.2 1 2\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 1\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2\r\n", NOT_V1),
        (b"TCP4 \r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 01 2\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 1_0 2\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 1 999999\r\n", NOT_V1),
        (b"TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "the PROXY header holds a port beyond 65535"),
        (b"TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "the PROXY header holds a port beyond 65535"),
        (b"TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "the PROXY header holds no valid IPv4 address"),
        (b"TCP4 192.0.02.1 192.0.2.2 1 2\r\n", "the PROXY header holds no valid IPv4 address"),
        (b"TCP4 192.0.2.1 ::1 1 2\r\n", "the PROXY header holds no valid IPv4 address"),
        (b"TCP4 1 2 1 2\r\n", "the PROXY header holds no valid IPv4 address"),
        (b"TCP6 192.0.2.1 ::1 1 2\r\n", "the PROXY header holds no valid IPv6 address"),
        (b"TCP6 ::1 ::1::1 1 2\r\n", "the PROXY header holds no valid IPv6 address"),
        (b"TCP6 fe80::1%lo ::1 1 2\r\n", NOT_V1),
    ],
)
def test_a_line_that_is_no_header_of_version_1_is_refused(line, problem):
    """Syntax is strict: another receiver may read what is loose in another way."""
    with pytest.raises(ProxyHeaderError, match=f"^{problem}$"):
        parse(b"PROXY " + line)


UNKNOWN_FAMILY = "the PROXY header names an unknown family or transport"
NO_ROOM = "the PROXY header has no room for its addresses"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (SIGNATURE + b"\x11", "the PROXY header is of an unknown version"),
        (SIGNATURE + b"\x31", "the PROXY header is of an unknown version"),
        (SIGNATURE + b"\x22", "the PROXY header holds an unknown command"),
        (SIGNATURE + b"\x21\x41", UNKNOWN_FAMILY),
        (SIGNATURE + b"\x21\x13", UNKNOWN_FAMILY),
        (SIGNATURE + b"\x21\x12", "the PROXY header is for datagrams, and this is a stream"),
        (SIGNATURE + b"\x21\x32", "the PROXY header is for datagrams, and this is a stream"),
        (v2(family=0x11, length=11), NO_ROOM),
        (v2(family=0x21, length=35), NO_ROOM),
        (v2(family=0x31, length=215), NO_ROOM),
        (v2(family=0x11, length=0), NO_ROOM),
        (v2(family=0x11, length=4081), "the PROXY header is longer than 4096 bytes"),
        (v2(command=0x20, length=0xFFFF), "the PROXY header is longer than 4096 bytes"),
    ],
)
def test_what_is_no_header_of_version_2_is_refused(data, problem):
    """As soon as the octet is there that says so."""
    with pytest.raises(ProxyHeaderError, match=f"^{problem}$"):
        parse(data)
    assert parse(data[: 14 if len(data) == 16 else -1]) is None


BEGINNINGS = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1 ::1 ", b"PROXY UNKNOWN", SIGNATURE]
    + [v2(family=family, length=length)[:-1] for family in (0, 0x11, 0x21) for length in (12, 36)]
)
OCTETS = st.binary(max_size=200) | st.text("0123456789abcdef:. \r\n").map(str.encode)


@given(BEGINNINGS, OCTETS)
@example(b"PROXY UNKNOWN", b"\r\n")
def test_no_octets_do_harm_in_any_cutting(beginning, octets):
    """Every prefix is incomplete until one is a header, or none, which no more octets change."""
    data = beginning + octets
    results = [outcome(data[:cut]) for cut in range(len(data) + 1)]
    incomplete = next((cut for cut, result in enumerate(results) if result), len(results))
    decided = results[incomplete:]
    assert None not in decided
    if decided and isinstance(decided[0], Header):
        assert set(decided) == {decided[0]}
        assert decided[0].length == incomplete
    else:
        assert all(isinstance(result, str) for result in decided)


@given(st.binary(max_size=2 * MAX_HEADER_BYTES))
def test_nothing_is_incomplete_beyond_the_bound(rest):
    """Whoever reads may stop there."""
    for beginning in (b"PROXY UNKNOWN ", SIGNATURE + b"\x21\x11", SIGNATURE + b"\x20\0"):
        data = (beginning + rest).ljust(MAX_HEADER_BYTES, b" ")
        assert outcome(data) is not None


def outcome(data):
    """Return a header, None, or the problem as text."""
    try:
        return parse(data)
    except ProxyHeaderError as error:
        return error.problem
