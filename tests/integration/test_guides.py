"""The guides of `deploy/guides`, followed: settings, files and commands, with ports of ours."""

import asyncio
import json
import re
import shlex
import sys
from contextlib import asynccontextmanager

import pytest
import yaml

from collector import samples
from tests.daemon import SECONDS, Daemon, free_port
from tests.fake_siem import FakeElasticsearch, FakeHec, FakeSekoia
from tests.fake_sink import FakeSink
from tests.guides import GUIDES, SECRETS, blocks, configurations, files, text_of, usable
from tests.peers import require, require_rsyslogd, run

VENDORS = ("cybereason", "harfanglab")
KEY = "harfanglab_key-of-the-test"
"""As `usable` makes what `harfanglab_key` holds."""

SHOWN = re.compile(r"collector_\w+\{[^}`]+\} \d+\.0")
HARFANGLAB = samples.load("harfanglab")


class Followed:
    """A daemon with the settings of a guide, and what the guide's commands are for it.

    Args:
        directory: its own.
        guide: name of the guide.
        siem: where its first sink posts to.
        number: which of the guide's configurations it is.
    """

    def __init__(self, directory, guide, siem, *, number=0):
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self._guide = GUIDES / f"{guide}.md"
        shown = yaml.safe_load(usable(configurations(self._guide)[number], directory))
        self._ports = {item["name"]: item["port"] for item in shown["listeners"]}
        for listener in shown["listeners"]:
            listener.update(host="127.0.0.1", port=0)
        shown["spool"]["type"] = "sqlite"
        shown["sinks"][0]["url"] = siem.url
        shown["sinks"][0]["batch"] = {"max_wait": "10ms"}
        self.daemon = Daemon(directory, shown)

    async def __aenter__(self):
        await self.daemon.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.daemon.__aexit__(*error)

    def address(self, port):
        """Return where the listener is that has a port in the guide."""
        (name,) = (name for name, shown in self._ports.items() if shown == port)
        return self.daemon.address(name)

    async def paste(self, step, *, only=""):
        """Run what a section of the guide has one paste; return what it writes.

        Args:
            step: what the heading of the section begins with.
            only: what the lines begin with that are run; all of them if empty.
        """
        pasted = blocks(self._guide, "sh", section=step)
        lines = [line for block in pasted for line in block.text.splitlines()]
        text = "\n".join(line for line in lines if line.startswith(only))
        assert text
        return await run("bash", "-euc", f"{OURS}\n{self.put(text)}")

    def put(self, text):
        """Put our ports, names and secrets into a text of the guide."""
        admin = self.daemon.admin_url.rpartition(":")[2]
        text = text.replace(":9514/", f":{admin}/").replace(SECRETS, str(self._directory))
        text = text.replace("YOUR-KEY", KEY).replace("collector.example", "localhost")
        for name, port in self._ports.items():
            text = re.sub(rf"\b{port}\b", str(self.daemon.address(name)[1]), text)
        return text

    def shown(self, step):
        """Return the samples of metrics that a section says one sees."""
        return SHOWN.findall(text_of(self._guide, step))


OURS = f'collector() {{ {shlex.quote(sys.executable)} -m collector "$@"; }}'
"""What the index has one say once in each shell."""


async def follow_samples(followed, step, delivered):
    """Send the samples as a section says, and see what it says that one sees."""
    said = await followed.paste(step, only="collector send")
    assert said.count("sent ") >= 1
    await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == delivered)
    seen = (await followed.paste(step, only="curl -s http://127.0.0.1")).splitlines()
    shown = followed.shown(step)
    assert shown
    assert set(shown) - set(seen) == set()


# Senders.


async def test_the_samples_of_cybereason_arrive(tmp_path):
    """By the port, as ECS has them."""
    require("curl")
    async with FakeSink() as sink, Followed(tmp_path, "cybereason-cef-forwarder", sink) as followed:
        await follow_samples(followed, "2.", 5)
    described = table(GUIDES / "cybereason-cef-forwarder.md", "CEF event class")
    assert {(row[0], row[1].strip("`"), row[3].strip("`")) for row in described} == {
        tuple(event["event"][name] for name in ("code", "action", "kind")) for event in sink.events
    }


async def test_the_samples_of_cybereason_arrive_over_tls(tmp_path):
    async with (
        FakeSink() as sink,
        Followed(tmp_path, "cybereason-cef-forwarder", sink, number=1) as followed,
    ):
        await followed.paste("TLS", only="collector send")
        await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == 5)


async def test_the_samples_of_harfanglab_arrive(tmp_path):
    """By the port, and over TLS by key."""
    require("curl")
    async with FakeSink() as sink, Followed(tmp_path, "harfanglab", sink) as followed:
        await follow_samples(followed, "3.", 8)
    assert sink.headers[0]["Authorization"] == "Bearer siem_token-of-the-test"


def table(guide, first):
    """Return the rows of the table whose head begins with a text."""
    _, _, rest = guide.read_text().partition(f"| {first}")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


async def test_a_line_feed_in_cef_is_read_where_the_message_is_whole(tmp_path):
    """And makes pieces of it over plain lines, which are counted as the guide says."""
    whole = "CEF:0|Cybereason|Cybereason|1.0|1|Malop Created|5|requestContext=one\ntwo duser=alice"
    async with FakeSink() as sink, Followed(tmp_path, "cybereason-cef-forwarder", sink) as followed:
        for framed in (f"{len(whole)} {whole}", f"{whole}\n"):
            _, writer = await asyncio.open_connection(*followed.address(5515))
            writer.write(framed.encode())
            writer.close()
            await writer.wait_closed()
        await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == 3)
        metrics = await followed.daemon.metrics()
    assert sorted(event["message"] for event in sink.events) == sorted([whole, *whole.split("\n")])
    assert metrics['collector_parse_errors_total{intake="cybereason",reason="not_cef"}'] == 1


# A Sekoia.io forwarder's settings.


async def test_what_was_imported_goes_on_to_sekoia(tmp_path):
    """From each port under the key of its intake; the message of the guide too."""
    require("curl")
    require("logger")
    keys = [f"3f1c4ed2-0000-4000-8000-00000000000{number}" for number in (1, 2, 3)]
    async with (
        FakeSekoia(*keys) as sekoia,
        Followed(tmp_path, "sekoia-forwarder", sekoia) as followed,
    ):
        await followed.paste("3.", only="logger")
        await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == 1)
        assert set(followed.shown("3.")) <= set(
            (await followed.paste("3.", only="curl -s http://127.0.0.1")).splitlines()
        )
        for port, options in ((20516, ()), (20517, ("--transport", "tls"))):
            host, ours = followed.address(port)
            trusted = ("--ca-file", str(tmp_path / "ca.pem")) if options else ()
            vendor = VENDORS[port - 20516]
            await send(f"{host}:{ours}", "--vendor", vendor, *options, *trusted)
        await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == 10)
    assert sekoia.taken == {
        keys[0]: [sample.raw for sample in samples.load("cybereason")],
        keys[1]: [sample.raw for sample in HARFANGLAB],
        keys[2]: ["the collector was here"],
    }


async def send(to, *options):
    await run(sys.executable, "-m", "collector", "send", "--to", to, *options)


# rsyslog.


@asynccontextmanager
async def rsyslog(directory, *parts):
    """Run rsyslogd with files of guides, one after the other; give the port of its inputs."""
    program = require_rsyslogd("imudp", "imtcp")
    directory.mkdir()
    port = free_port()
    text = "\n".join(parts).replace('port="514"', f'address="127.0.0.1" port="{port}"')
    file = directory / "rsyslog.conf"
    file.write_text(text.replace("/var/spool/rsyslog", str(directory)).replace("YOUR-KEY", KEY))
    said = await run(program, "-N1", "-f", str(file))
    assert "End of config validation run. Bye." in said
    assert "error" not in said
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, "-n", "-f", str(file), "-i", str(directory / "pid"), stderr=log
        )
    try:
        async with asyncio.timeout(SECONDS):
            while not await is_open(port):
                assert process.returncode is None, (directory / "log").read_text()
                await asyncio.sleep(0.02)
        yield port
    finally:
        process.kill()
        await process.wait()


async def is_open(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def send_samples(port):
    """Send HarfangLab's samples to rsyslog, counting octets, as a manager does."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for number, sample in enumerate(HARFANGLAB):
        message = f"<134>1 2026-01-02T03:04:0{number}Z manager hurukai - - - {sample.raw}".encode()
        writer.write(b"%d %b" % (len(message), message))
    writer.close()
    await writer.wait_closed()


def common():
    return files(GUIDES / "rsyslog.md", "conf")["10-edr.conf"]


def passed_on(guide, file, **changes):
    """Return a file of a guide with other texts in the place of its own."""
    text = files(GUIDES / f"{guide}.md", "conf")[file]
    for before, after in changes.values():
        assert before in text
        text = text.replace(before, after)
    return text


@pytest.mark.parametrize(("way", "port"), [("relp", 2514), ("tcp", 5514), ("tls", 6514)])
async def test_messages_come_through_rsyslog(tmp_path, way, port):
    """Each way of the guide, over UDP and TCP into rsyslog, with the address of who sent them."""
    logger = require("logger")
    require_rsyslogd(*{"relp": ["omrelp"], "tls": ["lmnsd_gtls"]}.get(way, []))
    own = tmp_path / "collector"
    async with FakeSink() as sink, Followed(own, "rsyslog", sink) as followed:
        host, ours = followed.address(port)
        changes = {
            "target": ('target="collector.example"', f'target="{host}"'),
            "port": (f'port="{port}"', f'port="{ours}"'),
        }
        if way == "tls":
            changes["authority"] = ("/etc/rsyslog.d/ca.pem", str(own / "ca.pem"))
        action = passed_on("rsyslog", f"20-edr-{way}.conf", **changes)
        async with rsyslog(tmp_path / "rsyslog", common(), action) as entrance:
            await send_samples(entrance)
            address = ("--server", "127.0.0.1", "--port", str(entrance), "--udp")
            await run(logger, *address, "--rfc5424", "--", '{"log_type": "process"}')
            await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == 5)
        ledger = (await followed.daemon.status())["ledger"]
    assert (ledger["received"], ledger["rejected"], ledger["dead_lettered"]) == (5, {}, {})
    assert sorted(event["message"] for event in sink.events) == sorted(
        [*(sample.raw.rstrip("\n") for sample in HARFANGLAB), '{"log_type": "process"}']
    )
    for event in sink.events:
        assert event["event"]["kind"] != "pipeline_error"
        assert event["log"]["syslog"]["structured_data"]["origin"] == {"ip": "127.0.0.1"}
    names = {event["log"]["syslog"]["hostname"] for event in sink.events}
    assert "manager" in names
    assert KEY not in json.dumps(sink.events)


# SIEMs.


async def test_elasticsearch_gets_each_event_once_in_the_data_stream_of_its_vendor(tmp_path):
    """Also where its answer is lost."""
    require("curl")
    async with FakeElasticsearch() as es, Followed(tmp_path, "elasticsearch", es) as followed:
        es.after = lambda number: 503 if number == 1 else None
        await follow_samples(followed, "4.", 9)
    assert {name: len(found) for name, found in es.indices.items()} == {
        "logs-edr.cybereason-default": 5,
        "logs-edr.harfanglab-default": 4,
    }
    assert es.headers[0]["Authorization"] == "elastic-of-the-test"


async def test_splunk_gets_events_under_the_source_types_of_the_app(tmp_path):
    require("curl")
    async with (
        FakeHec("splunk_token-of-the-test") as hec,
        Followed(tmp_path, "splunk", hec) as followed,
    ):
        hec.indexes = ["main", "edr"]
        await follow_samples(followed, "4.", 9)
    types = [(item["index"], item["sourcetype"]) for item in hec.indexed]
    assert {pair: types.count(pair) for pair in types} == {
        ("edr", "collector:cybereason"): 5,
        ("edr", "collector:harfanglab"): 4,
    }


async def test_sekoia_gets_messages_under_the_key_of_their_intake(tmp_path):
    require("curl")
    keys = [f"{vendor}_key-of-the-test" for vendor in VENDORS]
    async with FakeSekoia(*keys) as sekoia, Followed(tmp_path, "sekoia", sekoia) as followed:
        await follow_samples(followed, "3.", 9)
    assert sekoia.taken == {
        key: [sample.raw for sample in samples.load(vendor)]
        for key, vendor in zip(keys, VENDORS, strict=True)
    }


class Endpoint:
    """The guide's own, which prints what it gets."""

    def __init__(self):
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/"

    async def __aenter__(self):
        (text,) = (b.text for b in blocks(GUIDES / "webhook.md", "sh") if "BaseHTTP" in b.text)
        (program,) = re.findall(r"<<'(\w+)'\n(.*?)^\1$", text, re.DOTALL | re.MULTILINE)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program[1].replace("8080", str(self._port))),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(SECONDS):
            while not await is_open(self._port):
                await asyncio.sleep(0.02)
        return self

    async def __aexit__(self, *_):
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def printed(self):
        """End it; return the lines that it has printed."""
        self._process.terminate()
        output, _ = await self._process.communicate()
        return [line for line in output.decode().splitlines() if line]


async def test_an_endpoint_gets_the_alerts_alone(tmp_path):
    """Two of nine samples; the filter counts the others."""
    async with Endpoint() as endpoint, Followed(tmp_path, "webhook", endpoint) as followed:
        await followed.paste("2.", only="collector send")
        await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == 2)
        metrics = await followed.daemon.metrics()
        events = [json.loads(line) for line in await endpoint.printed()]
    assert [event["event"]["kind"] for event in events] == ["alert", "alert"]
    assert metrics['collector_events_dropped_total{reason="only:webhook"}'] == 7


# Two collectors.


@asynccontextmanager
async def both(directory, siem):
    """Run two collectors with the settings of the guide, each with its own directory."""
    async with (
        Followed(directory / "a", "two-collectors", siem) as one,
        Followed(directory / "b", "two-collectors", siem) as other,
    ):
        yield one, other


async def delivered(followed, copies):
    return await followed.daemon.ledger_when(lambda ledger: ledger["delivered"] == copies)


async def test_what_is_sent_to_both_is_one_document(tmp_path):
    """By the loop of the guide, in bash."""
    async with FakeElasticsearch() as es, both(tmp_path, es) as pair:
        (loop,) = (
            block.text
            for block in blocks(GUIDES / "two-collectors.md", "sh")
            if "/dev/tcp/" in block.text
        )
        hosts = " ".join(f"127.0.0.1/{followed.address(5515)[1]}" for followed in pair)
        loop = loop.partition("\ncurl")[0].replace("$host/5515", "$host")
        pasted = loop.replace("collector-a.example collector-b.example", hosts)
        assert pasted.count("127.0.0.1/") == 2
        await run("bash", "-euc", pasted)
        for followed in pair:
            await delivered(followed, 1)
            metrics = await followed.daemon.metrics()
            for line in followed.shown("2."):
                name, _, value = line.rpartition(" ")
                assert metrics[name] == float(value)
    (document,) = es.documents
    assert document["cybereason"]["malop"]["id"] == "11.42"


async def test_rsyslog_sends_to_both_and_elasticsearch_keeps_one(tmp_path):
    require_rsyslogd("omrelp")
    async with FakeElasticsearch() as es, both(tmp_path, es) as pair:
        changes = {}
        for followed, name in zip(pair, "ab", strict=True):
            host, port = followed.address(2514)
            before = f'target="collector-{name}.example" port="2514"'
            changes[name] = (before, f'target="{host}" port="{port}"')
        action = passed_on("two-collectors", "20-edr-both.conf", **changes)
        async with rsyslog(tmp_path / "rsyslog", common(), action) as entrance:
            await send_samples(entrance)
            for followed in pair:
                await delivered(followed, len(HARFANGLAB))
    assert sorted(event["message"] for event in es.documents) == sorted(
        sample.raw.rstrip("\n") for sample in HARFANGLAB
    )


HEADER = "<134>1 2026-01-02T03:04:05Z laptop-7 edr - - -"
CEF = "CEF:0|Cybereason|Cybereason|1.0|6|Malop User Added|5|cs1=11.42 cs1Label=MalopId duser=alice"


@pytest.mark.parametrize(
    ("other", "documents"),
    [
        (f"{HEADER} {CEF}", 1),
        (f"{HEADER.replace('04:05Z', '04:06Z')} {CEF}", 2),
        (f"{HEADER.replace('laptop-7', 'relay')} {CEF}", 2),
        (f'{HEADER[:-1]}[SEKOIA@53288 intake_key="{KEY}"] {CEF}', 2),
        (f"{HEADER} {CEF}\n", 2),
    ],
    ids=["the same octets", "another time", "another host", "another intake", "a line feed more"],
)
async def test_what_is_merged_are_the_same_octets_of_the_same_intake(tmp_path, other, documents):
    """As the table says, row by row; messages are counted, so that every octet is theirs."""
    async with FakeElasticsearch() as es, both(tmp_path, es) as pair:
        for followed, message in zip(pair, (f"{HEADER} {CEF}", other), strict=True):
            _, writer = await asyncio.open_connection(*followed.address(5515))
            writer.write(f"{len(message)} {message}".encode())
            writer.close()
            await writer.wait_closed()
            await delivered(followed, 1)
    assert len(es.documents) == documents


async def test_two_events_with_the_same_octets_are_one(tmp_path):
    """Which the guide warns of."""
    async with FakeElasticsearch() as es, both(tmp_path, es) as (followed, _):
        _, writer = await asyncio.open_connection(*followed.address(5515))
        writer.write(f"{CEF}\n{CEF}\n".encode())
        writer.close()
        await writer.wait_closed()
        await delivered(followed, 2)
    assert len(es.documents) == 1
