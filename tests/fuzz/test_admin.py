"""The admin server under damaged requests, over connections that do as they like.

Afterwards the daemon answers as before, has let go of every connection, and its log tells of no
mistake of ours. Every answer says what a page may not do, and no secret is in any.
"""

import asyncio
import re
from contextlib import suppress
from random import Random

import pytest

from collector.admin.connections import MAX_CONNECTIONS
from tests.crowds import open_files, resident_bytes, until
from tests.fuzz.mutations import cuttings, inputs
from tests.station import KEY, Station

TOGETHER = 16
TOKEN = "the-token-of-the-test"
MIB = 1024 * 1024
USUAL = {200, 400, 404, 405}
"""What some of the requests are answered with."""

HEADS = {
    "local": b"Host: 127.0.0.1\r\n",
    "bearer": b"Host: 127.0.0.1\r\nAuthorization: Bearer %b\r\n" % TOKEN.encode(),
    "cookie": b"Host: collector\r\nCookie: collector_session=1800000000.ab.cd; x=y\r\n",
    "octets": b"Host: localhost\r\nX-Collector-Inbox: \xff\x80\r\nAuthorization: Basic \xff\r\n",
    "page": b"Host: a:1\r\nOrigin: http://a:1\r\nSec-Fetch-Site: same-origin\r\n",
    "proxy": b"Host: [::1]\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Mode: navigate\r\n",
}
TARGETS = (
    *(b"/", b"/page/main.js", b"/page/../server.py", b"/metrics", b"/healthz", b"/readyz", b"*"),
    *(b"/api/status", b"/api/inbox", b"/api/live", b"//api/status", b"/%2fapi/status", b"/\xff"),
    *(
        b"/api/tail?text=%0a%ff\xff&outcome=ok",
        b"/api/tail?outcome=%00",
        b"/api/tail?text=%ed%a0%80",
    ),
    *(b"/api/reload", b"/login", b"/logout", b"/inbox", b"/api/parse", b"http://a/api/status"),
)
PARSE = b'{"parser":"raw","profile":"ecs","raw":"<13>1 - - - - - - a \\ud800 \\u0000"}'
BODIES = (
    b"",
    b"Content-Length: 0\r\n",
    b"Content-Length: 11\r\n|token=wrong",
    b"Content-Length: 99999999999999\r\n|{",
    b"Content-Length: 5\r\nContent-Encoding: gzip\r\n|\x1f\x8b\x08\0x",
    b"Transfer-Encoding: chunked\r\n|5\r\ntoken\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n|fffffffffffffffff\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n|abc",
    b"Expect: 100-continue\r\nContent-Length: 3\r\n|abc",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 4\r\n|--x\n",
    b"X: %b\r\n" % (b"x" * 9000),
    b"X: y\r\n" * 200,
    b"Content-Length: %d\r\n|%b" % (len(PARSE), PARSE),
)


def seeds():
    """Yield requests of all kinds, valid ones and others."""
    for method in (b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"PRI"):
        for number, target in enumerate(TARGETS):
            for place, head in enumerate(HEADS.values()):
                body = BODIES[(number + place) % len(BODIES)]
                headers, _, content = body.partition(b"|")
                line = b"%b %b HTTP/1.1\r\n" % (method, target)
                yield line + head + headers + b"\r\n" + content


async def exchange(address, octets, random):
    """Send octets in pieces; return the beginning of what comes back, however it ends."""
    reader, writer = await asyncio.open_connection(*address)
    answer = b""
    with suppress(ConnectionError, TimeoutError):
        for piece in cuttings(octets, random)[:20]:
            writer.write(piece)
            await writer.drain()
        if random.random() < 0.5:
            writer.write_eof()
        async with asyncio.timeout(random.choice((0.01, 0.1, 0.5))):
            answer = await reader.read(65536)
    if random.random() < 0.5:
        writer.transport.abort()
    writer.close()
    return answer


def checked(answer):
    """Return the status of an answer; 0 if there is none."""
    if not answer:
        return 0
    head = answer.partition(b"\r\n\r\n")[0]
    found = re.match(rb"HTTP/[0-9]\.[0-9] ([0-9]{3}) ", head)
    assert found, answer
    status = int(found[1])
    assert status < 500 or status == 503, answer
    if status >= 200:
        assert b"Content-Security-Policy: default-src 'none'" in head
        assert b"X-Content-Type-Options: nosniff" in head
    assert TOKEN.encode() not in answer
    assert KEY.encode() not in answer
    return status


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("has_token", [False, True])
async def test_no_request_harms_the_daemon(tmp_path, has_token, in_full):
    """Whether somebody has to show a token or not."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    admin = {"port": 0, **({"token_file": str(token)} if has_token else {})}
    random, found, valid = Random(7), set(), list(seeds())
    async with Station(tmp_path) as station, station.daemon(admin=admin) as daemon:
        daemon.headers = {"Authorization": f"Bearer {TOKEN}"} if has_token else {}
        before = await at_rest(daemon)
        damaged = inputs(valid, random, 20_000 if in_full else 400)
        waiting = iter([*valid, *damaged])

        async def ask():
            for octets in waiting:
                try:
                    found.add(checked(await exchange(place_of(daemon), octets, random)))
                except Exception as error:
                    error.add_note(repr(octets))
                    raise

        async with asyncio.TaskGroup() as asking:
            for _ in range(TOGETHER):
                asking.create_task(ask())
        assert USUAL | ({401} if has_token else {403}) <= found
        files, memory = await at_rest(daemon)
        assert files <= before[0] + 2
        assert memory < before[1] + 64 * MIB
        assert await daemon.stop() == 0
    for secret in (TOKEN, KEY, "Traceback", "please report"):
        assert secret not in daemon.text


def place_of(daemon):
    """Return where the admin server listens."""
    host, _, port = daemon.admin_url.removeprefix("http://").rpartition(":")
    return host, int(port)


async def at_rest(daemon):
    """Wait until nobody is connected; return how many files the daemon has open, and its memory."""
    assert (await daemon.get("/api/status"))[0] == 200  # though of wrong tokens there were many
    process = daemon.process.pid
    counts = []

    def is_quiet():
        counts.append(open_files(process))
        return len(counts) > 10 and len(set(counts[-10:])) == 1

    await until(is_quiet)
    return counts[-1], resident_bytes(process)


async def test_connections_that_say_nothing_do_not_keep_others_out(tmp_path):
    """Nor do those that do not end what they say, nor those that read nothing."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        before = open_files(daemon.process.pid)
        opened = [
            await asyncio.open_connection(*place_of(daemon)) for _ in range(2 * MAX_CONNECTIONS)
        ]
        for number, (_, writer) in enumerate(opened):
            with suppress(ConnectionError):
                writer.write((b"", b"GET / HTTP/1.1\r\n", b"POST /login HTTP/1.1\r\n")[number % 3])
        assert (await daemon.get("/api/status"))[0] == 200
        assert open_files(daemon.process.pid) <= before + MAX_CONNECTIONS + 2
        for _, writer in opened:
            writer.transport.abort()
        assert (await daemon.get("/healthz")) == (200, "alive\n")
