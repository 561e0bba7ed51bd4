"""Secrets are planted wherever settings and messages can have them, then looked for everywhere."""

import asyncio
import base64
import json
import os
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import quote

import yaml
from aiohttp import web

from tests.calling import call
from tests.certificates import Authority
from tests.daemon import Daemon, free_port
from tests.fake_sink import FakeSink
from tests.http_server import HttpServer

WHOLE = "a message that quotes its own header"
LOCAL = {"host": "127.0.0.1", "port": 0}


class Secrets:
    """Gives texts that stand nowhere else, and finds them again.

    Attributes:
        planted: by their names.
    """

    def __init__(self):
        self.planted = {}

    def plant(self, name, ending=""):
        """Return a secret of this name, which is no part of it; always the same."""
        number = len(self.planted)
        return self.planted.setdefault(name, f"planted.{number:03}.q7Zk{ending}")

    def found(self, output):
        """Name the secrets that stand in an output in any form, each with what is around it."""
        found = {}
        for name, secret in self.planted.items():
            for form in forms(secret):
                at = output.find(form)
                if at >= 0:
                    found[name] = output[max(0, at - 120) : at + 60]
        return found


def forms(secret):
    """Return a secret as texts may have it."""
    in_quotes = "".join(f"\\{c}" if c in '"\\]' else c for c in secret)
    encoded = base64.b64encode(secret.encode()).decode()
    return {secret, json.dumps(secret)[1:-1], in_quotes, quote(secret, safe=""), encoded}


class Mirror(HttpServer):
    """A sink, or a proxy, that refuses everything and repeats all it knows of the request.

    Attributes:
        asked: how many requests came.
        status: of its answers.
    """

    def __init__(self, status):
        super().__init__()
        self.status = status
        self.asked = 0

    async def _post(self, request):
        self.asked += 1
        self._tell()
        credentials = [
            base64.b64decode(value.removeprefix("Basic ")).decode()
            for value in request.headers.values()
            if value.startswith("Basic ")
        ]
        said = {
            "url": str(request.url),
            "target": request.raw_path,
            "query": dict(request.query),
            "headers": dict(request.headers),
            "credentials": credentials,
        }
        body = (await request.read()).decode()
        said_in_words = " ".join([request.raw_path, *request.headers.values(), *credentials])
        text = f"{said_in_words} {json.dumps(said)} {body}"
        if self.status == 422:
            return web.Response(status=422, text=body)
        if self.status == 407:
            return web.Response(status=407, reason=said_in_words[:500], text=text)
        return web.Response(status=self.status, text=text)


class Place:
    """What the daemon of the test has around it.

    Args:
        directory: for all files.
        stack: ends what is begun.
    """

    def __init__(self, directory, stack):
        self.directory = directory
        self.secrets = Secrets()
        self.stack = stack
        self.admin_port = free_port()

    async def begin(self):
        """Have sinks of every kind that repeat what they are sent, and one that accepts."""
        self.accepting = await self.stack.enter_async_context(FakeSink())
        self.mirrors = {
            status: await self.stack.enter_async_context(Mirror(status))
            for status in (400, 401, 407, 422, 503)
        }
        self.certificate = Authority(self.directory).server()
        key = self.certificate.key_file.read_text().splitlines()
        self.secrets.planted |= {f"TLS key, line {n}": line for n, line in enumerate(key[1:-1])}
        os.environ["PLANTED_KEY"] = self.secrets.plant("key of the environment")

    def file(self, name, ending=""):
        """Return the path of a file that holds a secret."""
        path = self.directory / name.replace(" ", "-")
        path.write_text(self.secrets.plant(name, ending))
        return str(path)

    def sinks(self, suffix):
        """Return sinks whose credentials are of all kinds; `suffix` tells one set from another."""
        plant, mirrors = lambda name: self.secrets.plant(name + suffix), self.mirrors
        query = f"?token={quote(plant('query') + '+/=', safe='')}&name=x"
        retry = {"retry": {"initial": "20ms", "max": "100ms"}}
        basic = {"username": "collector", "password": plant("password")}
        path = f"/ingest/{quote(plant('path of a proxy') + '+é', safe='')}"
        return [
            {"name": "accepting", "url": self.accepting.url},
            {
                "name": "bearer",
                "url": f"{mirrors[401].url}{query}",
                "auth": {"bearer": {"token": plant("token")}},
                "headers": {"X-Extra": self.secrets.plant(f"header{suffix}", '"\\')},
                **retry,
            },
            {
                "name": "basic",
                "url": f"{mirrors[503].url}/services/{plant('path')}",
                "auth": {"basic": basic},
                **retry,
            },
            {
                "name": "splunk",
                "url": mirrors[400].url,
                "format": "splunk_hec",
                "auth": {"bearer": {"token_file": self.file(f"token file{suffix}")}},
                **retry,
            },
            {
                "name": "sekoia",
                "url": mirrors[400].url,
                "format": "sekoia",
                "payload": "raw",
                "compression": "none",
                **retry,
            },
            {
                "name": "repeating",
                "url": mirrors[422].url,
                "payload": "raw",
                "compression": "none",
                "batch": {"max_events": 1},
                **retry,
            },
            {
                "name": "elastic",
                "url": mirrors[401].url,
                "format": "elasticsearch",
                "auth": {"header": {"name": "X-Key", "value_file": self.file(f"value{suffix}")}},
                **retry,
            },
            {
                "name": "proxied",
                "url": f"http://sink.example{path}",
                "proxy": f"http://user:{plant('proxy')}@127.0.0.1:{mirrors[407].port}",
                **retry,
            },
            {
                "name": "away",
                "url": f"https://127.0.0.1:{mirrors[401].port}/hooks/{plant('path away')}{query}",
                **retry,
            },
        ]

    def config(self, suffix="", **settings):
        tls = {
            "cert_file": str(self.certificate.cert_file),
            "key_file": str(self.certificate.key_file),
        }
        return {
            "listeners": [
                {"name": "tcp", "transport": "tcp", "max_message_bytes": "1KiB", **LOCAL},
                {"name": "tls", "transport": "tcp", "tls": tls, **LOCAL},
                {"name": "udp", "transport": "udp", **LOCAL},
                {"name": "relp", "transport": "relp", **LOCAL},
            ],
            "intakes": [
                {
                    "name": "raw",
                    "parser": "raw",
                    "key": [self.secrets.plant(f"key{suffix}"), self.awkward(suffix)],
                },
                {
                    "name": "cybereason",
                    "parser": "cybereason",
                    "key_file": self.file(f"key file{suffix}"),
                },
                {"name": "harfanglab", "parser": "harfanglab", "key": "${PLANTED_KEY}"},
            ],
            "sinks": self.sinks(suffix),
            "admin": {"port": self.admin_port, "token_file": self.file("admin token")},
            "spool": {"type": "sqlite", "path": str(self.directory / "spool")},
            "shutdown_grace": "200ms",
            **settings,
        }

    def awkward(self, suffix=""):
        """Return a key with characters that are escaped wherever it stands."""
        return self.secrets.plant(f"awkward key{suffix}", '"\\]é')

    def keys(self, suffix=""):
        """Return all keys of messages, one that is none of ours among them."""
        names = [f"key{suffix}", f"key file{suffix}", "key of the environment", "unknown key"]
        return [*map(self.secrets.plant, names), self.awkward(suffix)]


@asynccontextmanager
async def place(directory):
    async with AsyncExitStack() as stack:
        made = Place(directory, stack)
        await made.begin()
        yield made


def messages(keys):
    """Return messages with keys where they belong, where they do not, and in broken ones."""
    for key in keys:
        value = "".join(f"\\{c}" if c in '"\\]' else c for c in key)
        element = f'[SEKOIA@53288 intake_key="{value}"]'
        yield from (
            f"<134>1 - - - - - {element} good",
            f'<134>1 - - - - - {element} {{"log_type": "x", "secret": "of nobody"}}',
            f"<134>1 - - - - - {element} CEF:0|broken",
            f"<134>1 - - - - - {element} {WHOLE} {element}",
            f"<134>1 - - - - - {element}{element}",
            f"<134>1 - - - - - {element[:-1]} never closed",
            f"<134>1 - - - - - {element[:-2]} never closed",
            f"<134>1 - - - - - [SEKOIA@53288 intake_key={value}] without quotes",
            f"<134>1 2026-13-45T99:99:99 {element} too early",
            f"<134>Oct 11 22:14:15 host app: {element} of another kind",
            f"{element} alone",
            f"<134>1 - - - - - {element} {'x' * 2000} too long",
        )


async def send(daemon, keys):
    """Send messages over all transports; the last of each connection is not whole."""
    texts = [text.encode() for text in messages(keys)]
    _, writer = await asyncio.open_connection(*daemon.address("tcp"))
    writer.writelines(b"%d %b" % (len(text), text) for text in texts)
    for key in keys:
        cut = f'<134>1 - - - - - [SEKOIA@53288 intake_key="{key}'.encode()
        writer.write(b"%d %b" % (len(cut), cut))
    writer.write(b"500 " + texts[0])
    await writer.drain()
    writer.close()
    for octets in (b"nonsense " + texts[0], b"1 open 5 " + texts[0], b"1 syslog 999 " + texts[0]):
        reader, writer = await asyncio.open_connection(*daemon.address("relp"))
        writer.write(octets)
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()
    _, writer = await asyncio.open_connection(*daemon.address("tls"))
    writer.write(texts[0])
    await writer.drain()
    writer.close()
    return len(texts) + len(keys) + 1


def broken_files(secrets, config):
    """Return settings files with mistakes in what is secret."""
    (intake, *_), (_, sink, *_) = config["intakes"], config["sinks"]

    def written(section, entry, **changes):
        return yaml.safe_dump({**config, section: [{**entry, **changes}]})

    plant = secrets.plant
    yield from (
        f"intakes: [{{name: x, key: *{plant('broken alias')}}}]",
        f'intakes: [{{name: x, key: "{plant("broken quote")}',
        f"intakes:\n  - key: {plant('broken mapping')}: x: y",
        f"intakes:\n  - key: !{plant('broken tag')} x",
        f"intakes:\n  - key: %{plant('broken directive')}",
        f"intakes:\n  - key: &{plant('broken anchor')}\n  {plant('broken line')}",
        f"intakes:\n  - key: ${{{plant('broken variable')}",
        f"intakes:\n  - key: ${{A B:-{plant('broken default')}}}",
        f"intakes: [{{key: [{{{plant('key as a mapping')}: 1}}]}}]",
        written("intakes", intake, key={"value": plant("key in a mapping")}),
        written("intakes", intake, key=plant("key of two lines") + "\nx"),
        written("intakes", intake, key=plant("long key") * 999),
        written("intakes", intake, keys=plant("misspelt key")),
        written("sinks", sink, auth=plant("credentials as a text")),
        written("sinks", sink, auth={"bearer": plant("token as a text")}),
        written("sinks", sink, auth={"bearer": {plant("token as a name"): ""}}),
        written("sinks", sink, auth={"basic": {"username": plant("password in it") + ":x"}}),
        written("sinks", sink, auth={"bearer": {"tokn": plant("misspelt token")}}),
        written("sinks", sink, headers=[plant("header in a list")]),
        written("sinks", sink, headers={"Bad Name": plant("header of a bad name")}),
        written("sinks", sink, headers={plant("header for a name") + ": x": "y"}),
        written("sinks", sink, url=f"https://user:{plant('password of a URL')}@host/"),
        written("sinks", sink, url=f"ftp://host/?token={plant('token of a URL')}"),
        written("sinks", sink, url=f"https://host:x/?token={plant('token of a broken URL')}"),
        written("sinks", sink, url=f"ftp://host/services/{plant('path of a URL')}"),
        written("sinks", sink, url=f"https://host:x/services/{plant('path of a broken URL')}"),
        written("sinks", sink, proxy=f"socks://user:{plant('password of a proxy')}@host:1"),
        written("sinks", sink, proxy=f"http://user:{plant('password of a broken proxy')}@:x"),
        written("sinks", sink, auth={"bearer": {"token_file": plant("token for a file")}}),
        written("intakes", intake, key=[], key_file=plant("key for a file")),
    )


async def pages(daemon):
    """Return all that the admin server shows, with the token and without, asked well and badly."""
    host, port = daemon.admin_url.removeprefix("http://").split(":")
    shown = ""
    token = daemon.headers["Authorization"]
    for line in (
        f"GET /api/status HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\x01\r\n\r\n",
        f"GET /api/status?token={token[7:]} HTTP/9\r\n\r\n",
        f"{token} nonsense\r\n\r\n",
        f"GET /api/status HTTP/1.1\r\nHost: x\r\nAuthorization {token}\r\n\r\n",
        f"POST /api/reload HTTP/1.1\r\nHost: x\r\nContent-Length: {token}\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(line.encode())
        writer.write_eof()
        await reader.read()  # a client sees what it has sent
        writer.close()
    for path in ("/", "/metrics", "/healthz", "/readyz", "/api/status", "/api/inbox", "/missing"):
        shown += (await daemon.get(path))[1]
    headers, daemon.headers = daemon.headers, {"Authorization": "Bearer wrong"}
    shown += (await daemon.get("/api/status"))[1]
    daemon.headers = headers
    return shown


async def commands(daemon):
    """Return what the command line shows of the daemon."""
    shown = ""
    for arguments in (
        ["check"],
        ["dead-letters", "list"],
        ["dead-letters", "list", "--format", "json"],
        ["dead-letters", "show", "--limit", "9999"],
        ["dead-letters", "show", "--limit", "9999", "--format", "json"],
        ["dead-letters", "replay", "--dry-run"],
        ["spool", "status"],
        ["spool", "status", "--format", "json"],
        ["spool", "verify"],
        ["drift"],
    ):
        code, lines, errors = await asyncio.to_thread(call, *arguments, "-c", str(daemon.file))
        assert code in {0, 2}, (arguments, errors)
        shown += "\n".join([*lines, errors])
    return shown


async def exercised(made, daemon, suffix):
    """Send messages, have every sink refuse some, and return what pages and commands show."""
    before = (await daemon.status())["ledger"]["received"]
    asked = {mirror: mirror.asked for mirror in made.mirrors.values()}
    count = await send(daemon, made.keys(suffix))
    await daemon.ledger_when(lambda ledger: ledger["received"] == before + count)
    for mirror, times in asked.items():
        await mirror.wait_until(lambda mirror=mirror, times=times: mirror.asked > times + 3)
    return await pages(daemon) + await commands(daemon)


class Heard(Daemon):
    """A daemon whose stdout is kept as well."""

    @property
    def output(self):
        return self.file.with_suffix(".stdout")

    async def _start(self, *command):
        with self.output.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                *command, stdout=output, stderr=asyncio.subprocess.PIPE
            )


async def test_no_secret_shows_anywhere(tmp_path, monkeypatch):
    """In no log line, page, metric, answer or output of a command, whatever goes wrong.

    Nor are the keys of intakes in what sinks get, apart from the one whose form asks for them.
    """
    monkeypatch.setenv("PLANTED_KEY", "")
    async with place(tmp_path) as made, Heard(tmp_path, made.config()) as daemon:
        token = made.secrets.plant("admin token")
        daemon.headers = {"Authorization": f"Bearer {token}"}
        shown = await exercised(made, daemon, "")
        config = made.config("2")
        for text in broken_files(made.secrets, config):
            daemon.file.write_text(text)
            status, answer = await daemon.reload()
            assert status == 422, text
            shown += json.dumps(answer, ensure_ascii=False)
            shown += "\n".join((await asyncio.to_thread(call, "check", "-c", str(daemon.file)))[1])
        status, answer = await daemon.reload(config)
        assert status == 200, answer
        assert len(answer["changes"]) > 5
        shown += json.dumps(answer, ensure_ascii=False)
        shown += await exercised(made, daemon, "2")
        console = made.config("3", logging={"format": "console", "level": "debug"})
        status, answer = await daemon.reload(console)
        assert status == 200, answer
        shown += json.dumps(answer, ensure_ascii=False)
        shown += await exercised(made, daemon, "3")
        assert await daemon.stop() == 0
        shown += daemon.text + daemon.output.read_text()
        assert made.secrets.found(shown) == {}
        assert "[error" in daemon.text
        assert made.accepting.events
        for event in made.accepting.events:
            # What a whole message says after its header is the sender's, and forwarded as it is.
            if not event.get("message", "").startswith(WHOLE):
                assert made.secrets.found(json.dumps(event, ensure_ascii=False)) == {}
