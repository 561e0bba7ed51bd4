"""The settings in `deploy` and in the image, in a daemon that runs with them.

Only places are others: the directories, the ports, and the address of the sink.
"""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
import yaml

from collector import samples
from tests.bench.load import generate
from tests.daemon import Daemon
from tests.elastic import mapping, misfits
from tests.fake_siem import FakeElasticsearch, FakeHec
from tests.fake_sink import FakeSink
from tests.support import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = ROOT / "Dockerfile"
SETTINGS = ROOT / "config" / "collector.yaml"
KUBERNETES = DEPLOY / "kubernetes" / "base"
VENDORS = ("cybereason", "harfanglab")

ENOUGH = 300
"""More messages than a vendor has samples: their values differ."""

NO_EVENT = "neither CEF nor JSON"


@asynccontextmanager
async def deployed(path, directory, siem=None, **envelope):
    """Run a daemon with the settings of a file; secrets are files of the directory.

    Args:
        path: the file.
        directory: of the spool, and of what is below /run/secrets.
        siem: what its sink has the address of, in place of its own.
        envelope: what each intake adds.
    """
    settings = yaml.safe_load(path.read_text().replace("/run/secrets", str(directory)))
    for listener in settings["listeners"]:
        listener.update(host="127.0.0.1", port=0)
        listener.pop("allowed_sources", None)
    for intake in settings["intakes"]:
        intake.update(envelope)
    if siem is not None:
        settings["sinks"][0]["url"] = siem.url
    settings["admin"] = {**settings.get("admin", {}), "port": 0}
    settings["spool"] = {**settings.get("spool", {}), "path": str(directory / "spool")}
    async with Daemon(directory, settings, defaults={}) as daemon:
        daemon.admin_url = daemon.admin_url.replace("0.0.0.0", "127.0.0.1")
        await daemon.logged("audit", action="start")
        yield daemon


async def send(daemon, listener, messages):
    """Send messages over one connection, counted."""
    _, writer = await asyncio.open_connection(*daemon.address(listener))
    writer.write(b"".join(b"%d %b" % (len(message), message) for message in messages))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def messages(vendor):
    """Return each sample with its header, more like them, and one that no parser reads.

    None names its intake: the listeners are bound to theirs.
    """
    found = [f"<134>1 - - - - - - {sample.raw}".encode() for sample in samples.load(vendor)]
    key, other = rb"\[SEKOIA@[^]]*\]", b'[origin ip="192.0.2.7"]'
    found += [re.sub(key, other, message, count=1) for message in generate(vendor, ENOUGH).messages]
    return [*found, f"<134>1 - - - - - - {NO_EVENT}".encode()]


async def send_everything(daemon):
    """Send the messages of each vendor to the listener of its intake, and wait for their sink."""
    for vendor in VENDORS:
        await send(daemon, vendor, messages(vendor))
    count = sum(len(messages(vendor)) for vendor in VENDORS)
    ledger = await daemon.ledger_when(lambda ledger: ledger["in_memory"] + ledger["spooled"] == 0)
    return count, ledger


# The image, and Docker Compose.


def composed():
    """Return the environment of the collector's container where nobody has set a variable."""
    services = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"]
    return {
        name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
        for name, value in services["collector"]["environment"].items()
    }


@pytest.fixture
def container(monkeypatch):
    """Set variables as Docker Compose does."""
    for name, value in composed().items():
        monkeypatch.setenv(name, value)
    return monkeypatch


async def healthcheck(daemon):
    """Run what the image asks its container; return the exit code."""
    (text,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    command = json.loads(text.replace("http://127.0.0.1:9514", daemon.admin_url))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


@pytest.mark.usefixtures("container")
async def test_the_container_is_healthy_without_any_variable(tmp_path):
    """For a first look; its page is for those who have its token."""
    async with deployed(SETTINGS, tmp_path) as daemon:
        assert await healthcheck(daemon) == 0
        assert (await daemon.get("/api/status"))[0] == 403
        assert (await daemon.get("/metrics"))[0] == 200
        assert await daemon.stop() == 0
        assert await healthcheck(daemon) != 0


async def test_the_container_delivers_to_a_sink_with_a_token(tmp_path, container):
    """Both in files, as the head of docker-compose.yml has it."""
    for name in ("sink_token", "admin_token"):
        (tmp_path / name).write_text(f"the-{name}\n")
        container.setenv(f"{name.upper()}_FILE", str(tmp_path / name))
    async with FakeSink() as sink:
        container.setenv("SINK_URL", sink.url)
        async with deployed(SETTINGS, tmp_path) as daemon:
            daemon.headers["Authorization"] = "Bearer the-admin_token"
            count, ledger = await send_everything(daemon)
    assert ledger["delivered"] == len(sink.events) == count
    assert {headers["Authorization"] for headers in sink.headers} == {"Bearer the-sink_token"}


# Kubernetes.


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """Set variables and make files as the base and its example of a Secret do."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    (literals,) = [maker["literals"] for maker in kustomization["configMapGenerator"][1:]]
    for literal in literals:
        monkeypatch.setenv(*literal.split("=", 1))
    secret = yaml.safe_load((KUBERNETES / "secret.example.yaml").read_text())["stringData"]
    (tmp_path / "collector").mkdir()
    for name, text in secret.items():
        file = tmp_path / "collector" / name
        file.write_text(text)
        file.chmod(0o440)
    return secret


async def test_a_pod_becomes_ready_and_delivers(tmp_path, pod):
    """Messages without a key at the port of their intake, others by theirs."""
    async with (
        FakeSink() as sink,
        deployed(KUBERNETES / "collector.yaml", tmp_path, sink) as daemon,
    ):
        assert (await daemon.get("/readyz"))[0] == 200
        assert (await daemon.get("/metrics"))[0] == 200
        assert (await daemon.get("/api/status"))[0] == 401
        daemon.headers["Authorization"] = f"Bearer {pod['admin_token']}"
        _, ledger = await send_everything(daemon)
        key = f'[SEKOIA@53288 intake_key="{pod["harfanglab_intake_key"]}"]'
        await send(daemon, "syslog-tcp", [f"<134>1 - - - - - {key} {{}}".encode()])
        await daemon.ledger_when(lambda now: now["delivered"] > ledger["delivered"])
    assert {headers["Authorization"] for headers in sink.headers} == {f"Bearer {pod['sink_token']}"}


# Elasticsearch.


async def test_elasticsearch_has_a_field_for_all_that_it_gets(tmp_path):
    """With the settings of the guide, all that intakes may add, and what no parser reads."""
    (tmp_path / "elastic").write_text("ApiKey of-the-collector")
    envelope = {"envelope": ["received", "syslog", "source"]}
    async with (
        FakeElasticsearch() as siem,
        deployed(DEPLOY / "elastic" / "collector.yaml", tmp_path, siem, **envelope) as daemon,
    ):
        count, ledger = await send_everything(daemon)
    assert ledger["delivered"] == len(siem.documents) == count
    assert {headers["Authorization"] for headers in siem.headers} == {"ApiKey of-the-collector"}
    assert siem.indices.keys() == {f"logs-edr.{vendor}-default" for vendor in VENDORS}
    for vendor in VENDORS:
        documents = siem.indices[f"logs-edr.{vendor}-default"]
        fields = mapping(vendor)
        assert sum("error" in document for document in documents.values()) == 1
        assert [odd for each in documents.values() if (odd := misfits(each, fields))] == []


# Splunk.


async def test_splunk_gets_the_source_type_and_the_time_of_each_event(tmp_path):
    """Of the app's stanzas, and without its having to look for the time in the text."""
    (tmp_path / "splunk_token").write_text("the-token")
    async with FakeHec() as siem:
        siem.indexes = ["edr"]
        async with deployed(DEPLOY / "splunk" / "collector.yaml", tmp_path, siem) as daemon:
            count, ledger = await send_everything(daemon)
    assert ledger["delivered"] == len(siem.indexed) == count
    props = (DEPLOY / "splunk" / "TA-collector" / "default" / "props.conf").read_text()
    stanzas = set(re.findall(r"^\[(.+)\]$", props, re.MULTILINE))
    assert {item["sourcetype"] for item in siem.indexed} == stanzas
    for item in siem.indexed:
        moment = datetime.fromisoformat(item["event"]["@timestamp"])
        assert item["time"] == pytest.approx(moment.timestamp(), abs=1e-5)
