"""Every protocol under damaged input, a million times each in the long run.

What must hold is said by the functions at the top: nothing raises but what may, and the result does
not depend on the cutting, or is what a slower and plainer reading gives. The unit tests try the
same with Hypothesis.
"""

import re
from datetime import UTC, datetime
from ipaddress import ip_address
from random import Random

import pytest

from collector import samples
from collector.listeners.proxy_protocol import MAX_HEADER_BYTES, Header, ProxyHeaderError
from collector.listeners.proxy_protocol import parse as parse_proxy_header
from collector.parsers import cef
from collector.parsers.base import ParseError
from collector.syslog.framing import CutFrame, Framer
from collector.syslog.message import KeyName, envelope, parse
from collector.syslog.relp import MAX_DATA_OCTETS, SERVER_CLOSE, FrameReader, Session, frame
from tests.fuzz.mutations import cuttings, inputs

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY_NAME = KeyName()
HEAD = b"<134>1 2026-01-02T03:04:05.678Z host app 12 id "
OPEN = b"1 open 14 relp_version=0\n"
PAYLOADS = [sample.raw.encode()[:400] for sample in samples.load("cybereason")]


def limits(random):
    """Return a bound and what becomes of longer messages."""
    limit = random.choice((1, 2, 5, 12, 100, 1000))
    return {"max_message_bytes": limit, "when_oversize": random.choice(("truncate", "reject"))}


# What must hold.


def check_framing(octets, random):
    """Frames are bounded, and the same in any cutting."""
    framing = random.choice(("auto", "octet-counted", "lf", "nul"))
    settings = limits(random)
    whole = frames_of([octets], framing, settings)
    assert frames_of(cuttings(octets, random), framing, settings) == whole


def frames_of(pieces, framing, settings):
    framer, found = Framer(framing, **settings), []
    limit = settings["max_message_bytes"]
    for piece in pieces:
        found += framer.feed(piece)
        assert framer.held <= max(limit, 9)
    found += framer.close()
    for one in found:
        assert 0 < len(one) <= limit
        assert len(one) == limit or not isinstance(one, CutFrame)
    assert framer.incomplete is None or len(framer.incomplete) <= limit
    kinds = [type(one) for one in found]
    return found, kinds, framer.oversize, framer.incomplete, framer.mismatch


def check_header(octets, _):
    """Both ways of reading agree, and no text is lost."""
    found = parse(octets, now=NOW)
    key, text = envelope(octets, KEY_NAME)
    assert text == found.message or KEY_NAME.mask(found.message.encode()).decode() == text
    assert octets.decode("utf-8", "replace").endswith(found.message)
    assert found.pri is None or 0 <= found.pri <= 191
    assert found.timestamp is None or found.timestamp.tzinfo is UTC
    assert key is None or found.structured_data is not None


def check_structured_data(octets, _):
    """It is what reading it octet by octet gives, and so is the intake key."""
    found = parse(HEAD + octets, now=NOW)
    data, end = elements_of(octets)
    assert found.structured_data == (data or None)
    rest = octets[end:].removeprefix(b" ").removeprefix(b"\xef\xbb\xbf")
    assert found.message == rest.decode("utf-8", "replace")
    values = data.get("SEKOIA@53288", {}).get("intake_key")
    value = values[0] if isinstance(values, list) else values
    assert envelope(HEAD + octets, KEY_NAME)[0] == (value or None)


def elements_of(octets):
    """Read structured data (RFC 5424, section 6.3) as far as it is well formed.

    Returns:
        Its parameters, and where it ends.
    """
    data, end = {}, 0
    if octets[:2] in {b"-", b"- "}:
        return data, 1
    while (element := element_at(octets, end)) is not None:
        name, params, end = element
        known = data.setdefault(name.decode(), {})
        for param, value in params:
            text = re.sub(rb'\\(["\\\]])', rb"\1", value).decode("utf-8", "replace")
            before = known.get(param.decode())
            if before is None:
                known[param.decode()] = text
            else:
                known[param.decode()] = [*(before if isinstance(before, list) else [before]), text]
    return data, end


def element_at(octets, place):
    if octets[place : place + 1] != b"[":
        return None
    end = name_end(octets, place + 1)
    name, params = octets[place + 1 : end], []
    while name and octets[end : end + 1] == b" ":
        begin = end + 1
        end = name_end(octets, begin)
        if end == begin or octets[end : end + 2] != b'="':
            return None
        close = value_end(octets, end + 2)
        if octets[close : close + 1] != b'"':
            return None
        params.append((octets[begin:end], octets[end + 2 : close]))
        end = close + 1
    return (name, params, end + 1) if name and octets[end : end + 1] == b"]" else None


def name_end(octets, place):
    while place < len(octets) and 32 < octets[place] < 127 and octets[place] not in b'="]':
        place += 1
    return place


def value_end(octets, place):
    while place < len(octets) and octets[place] not in b'"]':
        place += 2 if octets[place] == ord("\\") else 1
    return place


def check_cef(octets, _):
    """It is refused for one reason, or all of it is text of the message, read fast or slowly."""
    text = octets.decode("utf-8", "replace")
    try:
        parts, reason = cef.split(text), "not_cef"
    except ParseError as error:
        parts, reason = None, error.reason
    assert reason == "not_cef"
    if parts is not None:
        plain = text.replace("\0", "")
        assert all(key in plain for key in parts.keys)
        assert all(value in plain for value in parts.values)
        values = map(cef.unescape, parts.values)
        assert cef.parse(text).extensions == dict(zip(parts.keys, values, strict=True))
    slowly = cef._pair_up(f" {text}")
    assert [*map(list, cef._split_extension(text)[:2])] == [*map(list, slowly[:2])]


def check_relp(octets, random):
    """All commands are answered in their order, whatever the cutting and when messages are safe."""
    settings, refused = limits(random), random.randrange(8)
    if random.random() < 0.5:  # few would get beyond `open` otherwise
        octets = OPEN + octets
    whole = course_of([octets], settings, refused, lambda _, messages: messages)
    cut = cuttings(octets, random)
    assert course_of(cut, settings, refused, random.randint) == whole
    said = whole[1].removesuffix(SERVER_CLOSE)
    reader = FrameReader(max_message_bytes=settings["max_message_bytes"])
    numbers = [command.number for command in reader.feed(octets) if command.number]
    answers = FrameReader().feed(said)
    assert [answer.number for answer in answers] == numbers[: len(answers)]
    assert b"".join(frame(*answer) for answer in answers) == said
    assert {answer.command for answer in answers} <= {b"rsp"}
    assert {answer.data[:4] for answer in answers} <= {b"200 ", b"500 "}


def course_of(pieces, settings, refused, safe):
    """Return what comes of a session.

    Args:
        refused: each message whose ordinal this divides is refused; 0 for none.
        safe: says how many messages are safe, of those that were before and those there are.
    """
    session, messages, answers = Session(software="test", **settings), [], b""
    bound = max(settings["max_message_bytes"], MAX_DATA_OCTETS)
    before = 0
    for piece in pieces:
        given = session.feed(piece)
        for ordinal in range(len(messages), session.messages):
            if refused and ordinal % refused == 0:
                session.refuse(ordinal)
        messages += given
        before = safe(before, session.messages)
        session.accept(before)
        answers += session.answers()
        assert session.held <= bound
    assert session.messages == len(messages)
    session.accept(session.messages)
    answers += session.answers()
    assert session.unanswered == 0
    kinds = [type(message) for message in messages]
    return messages, answers, kinds, session.oversize, session.broken, session.ended


def check_proxy_header(octets, random):
    """What is decided stays so when more comes, and it is decided within the bound."""
    whole, part = proxy_header(octets), proxy_header(octets[: random.randrange(len(octets) + 1)])
    assert part is None or type(part) is type(whole)
    if isinstance(part, Header):
        assert part == whole
    if isinstance(whole, Header):
        assert whole.length <= min(len(octets), MAX_HEADER_BYTES)
        assert whole.source is None or str(ip_address(whole.source)) == whole.source
    assert proxy_header(octets.ljust(MAX_HEADER_BYTES, b" ")) is not None


def proxy_header(octets):
    try:
        return parse_proxy_header(octets)
    except ProxyHeaderError as error:
        return error.problem


# What is damaged.

SEEDS = {
    check_framing: [
        *(
            b"3 abc5 de\nfg",
            b"one\ntwo\r\n\nthree\0\n",
            b"4 a\r\0b12 <34>1 - - - - ",
            b"<34>a\0<34>b",
        ),
        *(b"99 not all of it", b"999999999 x", b"0 1\n01 2\n", b"12 <34>1 - - - - -x\n7 1234567"),
    ],
    check_header: [
        HEAD + b'[a b="1" c="\\"2\\]"][SEKOIA@53288 intake_key="k"] \xef\xbb\xbfx: y',
        b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% x",
        b"<34>Oct 11 22:14:15 mymachine su[1]: 'su root' failed",
        b"<34>Oct  1 2003 22:14:15.003 CEST: fe80::1%eth0 su(pam)[1]: x",
        b"Feb 29 22:14:60 +02:00 1987 h edr {}",
        b"<13>2003-10-11T22:14:15.003Z h CEF:0|a|b",
        b"<13>su: x",
    ],
    check_structured_data: [
        b'[a b="1" c="\\"2\\]"][SEKOIA@53288 intake_key="k"] \xef\xbb\xbfx: y',
        b'[SEKOIA@53288 x="" intake_key="" intake_key="k"][SEKOIA@53288 intake_key="l"]',
        b'[a@1][a@1 b="\\\\" b="\xc3\xa9\\x"] text [b c="d"]',
        *(b"- text", b"-", b"[a] ", b'[x y="z"', b""),
    ],
    check_cef: [
        b"CEF:0|V|P|1.0|100|Name|5|src=10.0.0.1 msg=any text cs1=1 cs1Label=Count",
        b"CEF: 0|V\\|W|P|1.0|100|Na\\\\me|High|a=b\\=c d=e\\nf\\\\ k[0]=x k[0].y=z\n",
        b"0|V|P|1|2|n|5|request=http://h/?a=b&c=d  x.y-z=\t1 =",
        b"345 <134>1 2025-07-21T13:01:35Z mgr edr - - - CEF:0|V|P|1|2|n|5",
        *PAYLOADS[:3],
    ],
    check_relp: [
        b"1 open 25 relp_version=0\ncommands=a\n2 syslog 3 abc\n3 syslog 0\n4 close 0\n",
        b"1 open 14 relp_version=0\n2 syslog 5 <34>a\n0 hint 2 xy\n3 starttls 0\n4 syslog 1 b\n",
        b"1 open 14 relp_version=1\n1 open 14 relp_version=1\n999999999 syslog 12 a\nb 1 c 2 d\n",
        *(
            b"2 syslog 1 a\n3 syslog 2 bc\n4 starttls 0\n5 syslog 13 abcdefghijklm\n" * 3,
            b"1 open 14 relp_version=7\n",
            b"0 syslog 1 a\n",
            b"<34>a\n",
        ),
    ],
    check_proxy_header: [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 514\r\n12 <34>1 - - - -",
        b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n",
        *(b"PROXY UNKNOWN ffff:: x\r\n", b"PROXY UNKNOWN\r\n"),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(range(12)) + b"12 <34>1 ",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + bytes(range(36)),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8" + b"/" * 216,
        *(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13" + b"a" * 19),
    ],
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("check", SEEDS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_damaged_input_is_read_or_refused(check, in_full):
    """A failure shows the input, and with it the seed that chooses the cutting and the bounds."""
    for number, octets in enumerate(
        inputs(SEEDS[check], Random(5), 1_000_000 if in_full else 5000)
    ):
        try:
            check(octets, Random(number))
        except Exception as error:
            error.add_note(f"{check.__name__}({octets!r}, Random({number}))")
            raise
