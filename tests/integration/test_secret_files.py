"""Files of secrets and certificates that change on disk: they are gone by without a signal."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
from cryptography import x509

from tests.certificates import Authority
from tests.daemon import Daemon
from tests.station import Station

# The daemon looks at its files every few seconds; here it need not be waited for.
LOOK_OFTEN = "from collector import cli, watching; watching.WATCH_SECONDS = 0.05; cli.main()"
EXPIRY = 'collector_tls_certificate_expiry_timestamp_seconds{listener="tls"}'
LAST_USED = 'collector_intake_key_last_used_timestamp_seconds{intake="any",slot="%d"}'


class Watchful(Daemon):
    """A daemon that looks at its files often."""

    async def _start(self, *command):
        interpreter, _, _, *arguments = command
        return await super()._start(interpreter, "-c", LOOK_OFTEN, *arguments)

    async def read_again(self, *files):
        """Wait until these files, all at once, were read again."""
        expected = sorted(map(str, files))
        line = await self.logged_when(
            lambda line: (
                line.get("action") == "files read again" and sorted(line["files"]) == expected
            )
        )
        assert line["actor"] == "file"


class Mount:
    """A directory of files as Kubernetes mounts secrets: all of them are replaced at once.

    The files are links through a link, `..data`, to the directory that is the latest.
    """

    def __init__(self, directory):
        self._directory = directory
        self._versions = 0
        directory.mkdir()

    def replace(self, **contents):
        """Replace the files; return their paths, which stay the same."""
        self._versions += 1
        latest = self._directory / f"..{self._versions}"
        latest.mkdir()
        for name, content in contents.items():
            (latest / name).write_bytes(content)
            if not (self._directory / name).is_symlink():
                (self._directory / name).symlink_to(f"..data/{name}")
        link = self._directory / "..new"
        link.symlink_to(latest.name)
        link.replace(self._directory / "..data")
        return {name: self._directory / name for name in contents}


def replace(file, content):
    """Replace a file by renaming another."""
    new = file.with_suffix(".new")
    new.write_text(content)
    new.replace(file)
    return file


def syslog(text, key):
    return f'<134>1 - - - - - [SEKOIA@53288 intake_key="{key}"] {text}\n'.encode()


@asynccontextmanager
async def connected(address, context=None):
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    yield reader, writer
    writer.close()


async def received(daemon, count):
    def is_there(ledger):
        return ledger["received"] == count and not ledger["in_memory"] and not ledger["spooled"]

    return await daemon.ledger_when(is_there)


def messages(station):
    return [event["message"] for event in station.events]


def keyed(*files):
    return {"intakes": [{"name": "any", "parser": "raw", "key_file": [str(f) for f in files]}]}


async def test_keys_are_exchanged_on_disk(tmp_path):
    """For connections that stay open too. Of each key it is told when it came last."""
    old, new = (replace(tmp_path / name, f"key-{name}\n") for name in ("old", "new"))
    async with Station(tmp_path, **keyed(old, new)) as station:
        async with (
            Watchful(tmp_path, station.config()) as daemon,
            connected(daemon.address("tcp")) as (_, writer),
        ):
            writer.write(syslog("a", "key-new"))
            await received(daemon, 1)
            metrics = await daemon.metrics()
            assert LAST_USED % 0 not in metrics
            used = metrics[LAST_USED % 1]
            replace(old, "key-newest\n")
            await daemon.read_again(old)
            metrics = await daemon.metrics()
            assert LAST_USED % 0 not in metrics
            assert metrics[LAST_USED % 1] == used
            writer.write(syslog("b", "key-old") + syslog("c", "key-newest"))
            ledger = await received(daemon, 3)
            assert ledger["dead_lettered"] == {"unknown_intake": 1}
            assert (await daemon.metrics())[LAST_USED % 0] > used
        assert messages(station) == ["a", "c"]
        assert "key-" not in str(daemon.lines)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("two\nlines", "holds a line break or another control character"),
        ("key-other", "the same key as that of intakes[other]; accepted: a key used once"),
    ],
)
async def test_a_key_that_cannot_be_used_changes_nothing_until_it_is_repaired(
    tmp_path, content, problem
):
    """It is told once, and not at each look."""
    file = replace(tmp_path / "key", "key-first")
    other = {"name": "other", "parser": "raw", "key": "key-other"}
    settings = {"intakes": [other, *keyed(file)["intakes"]]}
    async with Station(tmp_path, **settings) as station:
        async with (
            Watchful(tmp_path, station.config()) as daemon,
            connected(daemon.address("tcp")) as (_, writer),
        ):
            replace(file, content)
            event = "files cannot be used, what they held before is"
            line = await daemon.logged(event)
            assert (line["level"], line["files"]) == ("error", [str(file)])
            assert problem in line["problem"]
            writer.write(syslog("by the first", "key-first"))
            await received(daemon, 1)
            replace(file, "key-second")
            await daemon.read_again(file)
            writer.write(syslog("refused", "key-first") + syslog("by the second", "key-second"))
            await received(daemon, 3)
            assert len([line for line in daemon.lines if line["event"] == event]) == 1
        assert messages(station) == ["by the first", "by the second"]
        assert "key-" not in str(daemon.lines)


async def test_a_file_that_is_missing_for_a_moment_changes_nothing(tmp_path):
    """Not every program replaces a file by renaming another."""
    file = replace(tmp_path / "key", "key-first")
    async with Station(tmp_path, **keyed(file)) as station:
        async with (
            Watchful(tmp_path, station.config()) as daemon,
            connected(daemon.address("tcp")) as (_, writer),
        ):
            file.unlink()
            writer.write(syslog("by the first", "key-first"))
            await received(daemon, 1)
            replace(file, "key-second")
            await daemon.read_again(file)
            writer.write(syslog("by the second", "key-second"))
            await received(daemon, 2)
        assert messages(station) == ["by the first", "by the second"]


async def test_a_file_for_the_servers_of_a_stream_is_not_said_to_be_in_use_still(tmp_path):
    """It is read for each connection; one that is gone keeps the daemon from the next."""
    file = replace(tmp_path / "token", "s3cret-token")
    spool = {
        "type": "jetstream",
        "servers": ["nats://127.0.0.1:1"],
        "path": str(tmp_path / "spool"),
        "token_file": str(file),
    }
    async with (
        Station(tmp_path, spool=spool) as station,
        Watchful(tmp_path, station.config()) as daemon,
    ):
        file.unlink()
        line = await daemon.logged(
            "files cannot be used, no new connection to the stream is made without them"
        )
        assert (line["files"], line["problem"]) == ([str(file)], "there is no such file")
        replace(file, "s3cret-other")
        await daemon.read_again(file)
    kept = "files cannot be used, what they held before is"
    assert kept not in [line["event"] for line in daemon.lines]


async def test_the_token_of_a_sink_is_exchanged_in_a_mounted_secret(tmp_path):
    """A sink that refused the former one is asked again at once."""
    mount = Mount(tmp_path / "secrets")
    file = mount.replace(token=b"token-first")["token"]
    sink = {
        "auth": {"bearer": {"token_file": str(file)}},
        "retry": {"initial": "10m", "max": "10m"},
    }
    async with Station(tmp_path, sink=sink) as station:
        accepted = "Bearer token-first"
        station.answer = lambda _: 200 if station.headers[-1]["Authorization"] == accepted else 401
        async with (
            Watchful(tmp_path, station.config()) as daemon,
            connected(daemon.address("tcp")) as (_, writer),
        ):
            writer.write(syslog("a", "the-key-of-the-test"))
            await received(daemon, 1)
            accepted = "Bearer token-second"
            writer.write(syslog("b", "the-key-of-the-test"))
            await daemon.logged("sink paused until it accepts a probe")
            mount.replace(token=b"token-second")
            await daemon.read_again(file)
            await received(daemon, 2)
        assert messages(station) == ["a", "b"]
        assert "token-" not in str(daemon.lines)


async def test_the_token_of_the_admin_server_is_exchanged_on_disk(tmp_path):
    file = replace(tmp_path / "token", "token-first")
    async with (
        Station(tmp_path, admin={"token_file": str(file)}) as station,
        Watchful(tmp_path, station.config()) as daemon,
    ):
        replace(file, "token-second")
        await daemon.read_again(file)
        for token, status in (("first", 401), ("second", 200)):
            daemon.headers = {"Authorization": f"Bearer token-{token}"}
            assert (await daemon.get("/api/status"))[0] == status


def contents(issued):
    return {"cert": issued.cert_file.read_bytes(), "key": issued.key_file.read_bytes()}


def not_after(issued):
    certificate = x509.load_pem_x509_certificate(issued.cert_file.read_bytes())
    return certificate.not_valid_after_utc.timestamp()


def shown(writer):
    """Return the certificate that the other side has shown."""
    return ssl.DER_cert_to_PEM_cert(writer.get_extra_info("ssl_object").getpeercert(True))


def over_tls(**tls):
    listener = {"name": "tls", "transport": "tcp", "host": "127.0.0.1", "port": 0, "tls": tls}
    return {"listeners": [listener]}


async def test_a_certificate_is_exchanged_in_a_mounted_secret(tmp_path):
    """Connections that are open go on; new ones are shown the new one, whose end is told.

    Of a certificate without its key nothing is taken over.
    """
    authority, mount = Authority(tmp_path), Mount(tmp_path / "secrets")
    first = authority.issue("127.0.0.1", name="first", valid_days=(-1, 20))
    second = authority.issue("127.0.0.1", name="second", valid_days=(-1, 90))
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    files = mount.replace(**contents(first))
    tls = over_tls(cert_file=str(files["cert"]), key_file=str(files["key"]))
    async with (
        Station(tmp_path, **tls) as station,
        Watchful(tmp_path, station.config()) as daemon,
        connected(daemon.address("tls"), trusting) as (_, early),
    ):
        assert (await daemon.metrics())[EXPIRY] == not_after(first)
        mount.replace(**contents(first) | {"cert": contents(second)["cert"]})
        line = await daemon.logged("files cannot be used, what they held before is")
        assert "key_file: " in line["problem"]
        assert (await daemon.metrics())[EXPIRY] == not_after(first)
        mount.replace(**contents(second))
        await daemon.read_again(*files.values())
        assert (await daemon.metrics())[EXPIRY] == not_after(second)
        async with connected(daemon.address("tls"), trusting) as (_, late):
            for writer, issued in ((early, first), (late, second)):
                assert shown(writer) in issued.cert_file.read_text()
                writer.write(syslog(issued.cert_file.name, "the-key-of-the-test"))
            await received(daemon, 2)


async def test_authorities_of_senders_are_exchanged_on_disk(tmp_path):
    """Whom the former ones vouched for is sent away, connections that are open included."""
    authorities = {name: Authority(tmp_path, name) for name in ("former", "later")}
    clients = {name: ca.issue("sender.example", name="c") for name, ca in authorities.items()}
    server = authorities["former"].server()
    file = replace(tmp_path / "clients.pem", authorities["former"].ca_file.read_text())
    tls = over_tls(
        cert_file=str(server.cert_file), key_file=str(server.key_file), client_ca_file=str(file)
    )

    def context(name):
        trusting = ssl.create_default_context(cafile=authorities["former"].ca_file)
        trusting.load_cert_chain(clients[name].cert_file, clients[name].key_file)
        return trusting

    async with (
        Station(tmp_path, **tls) as station,
        Watchful(tmp_path, station.config()) as daemon,
        connected(daemon.address("tls"), context("former")) as (reader, writer),
    ):
        writer.write(syslog("a", "the-key-of-the-test"))
        await received(daemon, 1)
        replace(file, authorities["later"].ca_file.read_text())
        await daemon.read_again(file)
        assert await reader.read() == b""
        metrics = await daemon.metrics()
        rejected = 'collector_connections_rejected_total{listener="tls",reason="%s"}'
        assert metrics[rejected % "settings_changed"] == 1
        async with connected(daemon.address("tls"), context("later")) as (_, later):
            later.write(syslog("b", "the-key-of-the-test"))
            await received(daemon, 2)
    assert messages(station) == ["a", "b"]
