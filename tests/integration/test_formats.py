"""A running daemon before the SIEMs it is for: what they take, refuse and forget."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.daemon import Daemon
from tests.fake_siem import NO_ANSWER, FakeElasticsearch, FakeHec, FakeLake, FakeSekoia

RETRY = {"initial": "20ms", "max": "200ms"}


@asynccontextmanager
async def collecting(directory, siem, *, intakes=({},), spool=None, **sink):
    """Run a daemon with a listener for each intake and one sink."""
    named = [
        {"name": f"edr{number}", "parser": "raw", **intake} for number, intake in enumerate(intakes)
    ]
    config = {
        "listeners": [
            {
                "name": intake["name"],
                "transport": "tcp",
                "host": "127.0.0.1",
                "port": 0,
                "intake": intake["name"],
            }
            for intake in named
        ],
        "intakes": named,
        "sinks": [
            {
                "name": "siem",
                "url": siem.url,
                "batch": {"max_wait": "10ms"},
                "retry": RETRY,
                **sink,
            }
        ],
        "spool": spool or {"type": "memory"},
        "shutdown_grace": "100ms",
    }
    async with Daemon(directory, config) as daemon:
        yield daemon


async def send(daemon, *texts, listener="edr0"):
    """Send messages over one connection and close it."""
    _, writer = await asyncio.open_connection(*daemon.address(listener))
    for text in texts:
        message = f"<134>1 - - - - - - {text}".encode()
        writer.write(b"%d %b" % (len(message), message))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def settled(daemon, delivered, refused=0):
    """Wait until so many copies are delivered and refused; the ledger balances all the time."""

    def is_settled(ledger):
        return (ledger["delivered"], ledger["dead_lettered"].get("refused", 0)) == (
            delivered,
            refused,
        )

    return await daemon.ledger_when(is_settled)


TEXTS = [f"n{number}" for number in range(10)]
CEF = (
    "CEF:0|Cybereason|Cybereason|1.0|6|Malop User Added|5|cs1=11.42 cs1Label=MalopId duser=alice "
    "dhost=laptop-7"
)


# Plain HTTP.


@pytest.mark.parametrize("form", ["ndjson", "json"])
@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
async def test_events_arrive_in_every_codec(tmp_path, form, codec):
    """As lines or as an array."""
    async with (
        FakeLake() as lake,
        collecting(tmp_path, lake, format=form, compression=codec) as daemon,
    ):
        await send(daemon, *TEXTS)
        await settled(daemon, 10)
    assert [event["message"] for event in lake.taken] == TEXTS
    encoding = lake.headers[0].get("Content-Encoding")
    assert encoding == (None if codec == "none" else codec)


async def test_a_raw_message_arrives_as_it_was_behind_its_header(tmp_path):
    """Whatever its intake makes of it."""
    intake = {"parser": "cybereason"}
    async with (
        FakeLake() as lake,
        collecting(tmp_path, lake, intakes=[intake], payload="raw") as daemon,
    ):
        await send(daemon, CEF, 'no "CEF"\n')
        await settled(daemon, 2)
    assert lake.taken == [CEF, 'no "CEF"\n']


# Elasticsearch.


async def test_events_are_created_in_the_data_stream_of_their_intake(tmp_path):
    """Under their own ids, with what the name of the stream says."""
    intakes = [
        {"parser": "cybereason", "profile": "ecs", "fields": {"data_stream.namespace": "prod"}},
        {},
    ]
    index = "logs-edr.{intake}-{namespace}"
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, intakes=intakes, format="elasticsearch", index=index) as daemon,
    ):
        await send(daemon, CEF)
        await send(daemon, *TEXTS, listener="edr1")
        await settled(daemon, 11)
    ((identifier, event),) = es.indices["logs-edr.edr0-prod"].items()
    assert event["event"]["id"] == identifier
    assert event["data_stream"] == {"type": "logs", "dataset": "edr.edr0", "namespace": "prod"}
    others = es.indices["logs-edr.edr1-default"]
    assert [event["message"] for event in others.values()] == TEXTS
    assert all(event["event"]["id"] == identifier for identifier, event in others.items())


@pytest.mark.parametrize(
    "lost",
    [
        NO_ANSWER,
        503,
        web.Response(text="<html>a proxy says so</html>"),
        web.Response(text='{"errors":false,"items":[{"create":{"sta'),
        web.json_response({"errors": False, "items": [{"create": {"status": 201}}]}),
    ],
    ids=["no answer", "503", "a page", "cut", "too few items"],
)
async def test_an_answer_that_is_lost_makes_no_duplicates(tmp_path, lost):
    """Asked again, Elasticsearch has the events already: 409 is an acceptance."""
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, format="elasticsearch") as daemon,
    ):
        es.after = lambda number: lost if number == 1 else None
        await send(daemon, *TEXTS)
        ledger = await settled(daemon, 10)
    assert [event["message"] for event in es.documents] == TEXTS
    assert ledger["dead_lettered"] == {}
    assert len(es.bodies) >= 2


async def test_of_a_bulk_that_is_taken_in_part_only_the_rest_is_sent_again(tmp_path):
    """429 for some of its events: those wait, and arrive in order."""
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, format="elasticsearch", concurrency=1) as daemon,
    ):
        rejected = set(TEXTS[1::2])

        def judge(event):
            if event["message"] in rejected:
                rejected.remove(event["message"])
                return 429
            return 201

        es.judge = judge
        await send(daemon, *TEXTS)
        await settled(daemon, 10)
    assert sorted(event["message"] for event in es.documents) == TEXTS
    odd = [event["message"] for event in es.documents if event["message"] in TEXTS[1::2]]
    assert odd == TEXTS[1::2]
    sent = b"".join(es.bodies)
    assert all(sent.count(f'"{text}"'.encode()) == 1 for text in TEXTS[::2])


async def test_an_event_that_a_strict_mapping_refuses_is_buried_alone(tmp_path):
    """It is asked about again after others were taken; the log says why it was refused."""
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, format="elasticsearch") as daemon,
    ):
        es.judge = lambda event: 400 if event["message"] == "n4" else 201
        await send(daemon, *TEXTS)
        await es.wait_until(lambda: len(es.documents) == 9)
        await send(daemon, "another")
        ledger = await settled(daemon, 10, refused=1)
        status = await daemon.status()
    assert ledger["dead_lettered"] == {"refused": 1}
    messages = [event["message"] for event in es.documents]
    assert sorted(messages) == sorted([*TEXTS[:4], *TEXTS[5:], "another"])
    problems = " ".join(line.get("problem", "") for line in daemon.lines)
    assert "HTTP 400 document_parsing_exception: [1:9] failed to parse field [n]" in problems
    assert status["sinks"][0]["up"]


async def test_a_mapping_that_refuses_all_buries_nothing(tmp_path):
    """Mended, it gets everything."""
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, format="elasticsearch") as daemon,
    ):
        es.judge = lambda _: 400
        await send(daemon, *TEXTS[:5])
        await es.wait_until(lambda: len(es.bodies) >= 1)
        await send(daemon, *TEXTS[5:])
        await daemon.logged("sink paused until it accepts a probe")
        ledger = (await daemon.status())["ledger"]
        assert (ledger["delivered"], ledger["dead_lettered"]) == (0, {})
        es.judge = lambda _: 201
        ledger = await settled(daemon, 10)
    assert sorted(event["message"] for event in es.documents) == TEXTS
    assert ledger["dead_lettered"] == {}


async def test_an_event_in_the_failure_store_is_delivered_and_counted(tmp_path):
    """It is there, but where nobody looks: the log and a metric say so."""
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, format="elasticsearch") as daemon,
    ):
        es.judge = lambda event: "failure_store" if event["message"] in {"n1", "n2"} else 201
        await send(daemon, *TEXTS)
        await settled(daemon, 10)
        metrics = await daemon.metrics()
        line = await daemon.logged("sink kept events apart as failed, see its failure store")
    assert [event["message"] for event in es.failure_store] == ["n1", "n2"]
    assert metrics['collector_sink_failure_store_total{sink="siem"}'] == 2
    assert line["events"] == 2


async def test_a_bulk_that_is_too_large_is_halved(tmp_path):
    """And nothing is lost over it."""
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, format="elasticsearch") as daemon,
    ):
        es.before = lambda _: 413 if es.bodies[-1].count(b"\n") > 6 else None
        await send(daemon, *TEXTS)
        await settled(daemon, 10)
    assert sorted(event["message"] for event in es.documents) == TEXTS


async def test_a_cluster_that_is_busy_is_asked_again(tmp_path):
    """Whole requests are answered with 429 then."""
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, format="elasticsearch") as daemon,
    ):
        busy = web.json_response({"error": "circuit_breaking_exception"}, status=429)
        es.before = lambda number: busy if number == 1 else None
        await send(daemon, *TEXTS)
        await settled(daemon, 10)
    assert [event["message"] for event in es.documents] == TEXTS


# Splunk.

TOKEN = {"bearer": {"token": "the-token"}}


@pytest.mark.parametrize("payload", ["event", "raw"])
async def test_splunk_gets_one_object_for_each_event(tmp_path, payload):
    """With its time, host, index and source type."""
    settings = {"index": "edr", "source": "collector", "host": "event"}
    intake = {"parser": "cybereason"}
    async with (
        FakeHec() as hec,
        collecting(
            tmp_path,
            hec,
            intakes=[intake],
            format="splunk_hec",
            payload=payload,
            auth=TOKEN,
            splunk=settings,
        ) as daemon,
    ):
        hec.indexes.append("edr")
        await send(daemon, CEF)
        await settled(daemon, 1)
    (item,) = hec.indexed
    assert item["host"] == "laptop-7"
    assert (item["index"], item["source"]) == ("edr", "collector")
    assert item["sourcetype"] == "collector:edr0"
    assert hec.paths == ["/services/collector/event"]
    if payload == "raw":
        assert item["event"] == CEF
    else:
        assert item["event"]["message"] == CEF
        assert item["event"]["user"] == {"name": "alice"}


async def test_a_token_that_is_replaced_ends_the_pause(tmp_path):
    """Its file is read again before each probe; neither token is ever shown."""
    file = tmp_path / "token"
    file.write_text("the-old-token")
    async with (
        FakeHec("the-new-token") as hec,
        collecting(
            tmp_path, hec, format="splunk_hec", auth={"bearer": {"token_file": str(file)}}
        ) as daemon,
    ):
        await send(daemon, *TEXTS)
        line = await daemon.logged("sink paused until it accepts a probe")
        assert "Invalid token" in line["problem"]
        file.write_text("the-new-token")
        await settled(daemon, 10)
        shown = str(daemon.lines) + str(await daemon.status())
    assert [event["message"] for event in hec.events] == TEXTS
    assert "the-old-token" not in shown
    assert "the-new-token" not in shown


async def test_the_event_that_splunk_names_is_buried_and_all_others_arrive(tmp_path):
    """What was indexed before it in the same request may arrive twice."""
    async with (
        FakeHec() as hec,
        collecting(tmp_path, hec, format="splunk_hec", auth=TOKEN) as daemon,
    ):
        hec.judge = lambda event: event["message"] != "n4"
        await send(daemon, *TEXTS)
        ledger = await settled(daemon, 9, refused=1)
    assert {event["message"] for event in hec.events} == {*TEXTS} - {"n4"}
    assert ledger["dead_lettered"] == {"refused": 1}


async def test_a_wrong_index_buries_nothing(tmp_path):
    """It is refused event by event, and means all of them."""
    async with (
        FakeHec() as hec,
        collecting(
            tmp_path, hec, format="splunk_hec", auth=TOKEN, splunk={"index": "edr"}
        ) as daemon,
    ):
        await send(daemon, *TEXTS)
        line = await daemon.logged("sink paused until it accepts a probe")
        assert "Incorrect index" in line["problem"]
        ledger = (await daemon.status())["ledger"]
        assert (ledger["delivered"], ledger["dead_lettered"]) == (0, {})
        hec.indexes.append("edr")
        ledger = await settled(daemon, 10)
    assert {event["message"] for event in hec.events} == {*TEXTS}
    assert ledger["dead_lettered"] == {}


async def test_a_splunk_that_is_busy_is_asked_again(tmp_path):
    """503 with code 9."""
    async with (
        FakeHec() as hec,
        collecting(tmp_path, hec, format="splunk_hec", auth=TOKEN) as daemon,
    ):
        busy = web.json_response({"text": "Server is busy", "code": 9}, status=503)
        hec.before = lambda number: busy if number == 1 else None
        await send(daemon, *TEXTS)
        await settled(daemon, 10)
    assert [event["message"] for event in hec.events] == TEXTS


# Sekoia.io.


async def test_messages_reach_sekoia_under_the_key_of_their_intake(tmp_path):
    """As they came, one intake in a request; keys are nowhere to be seen."""
    intakes = [{"key": ["key-of-zero", "old-key-of-zero"]}, {"key": "key-of-one"}]
    async with (
        FakeSekoia("key-of-zero", "key-of-one") as sekoia,
        collecting(tmp_path, sekoia, intakes=intakes, format="sekoia") as daemon,
    ):
        await send(daemon, *TEXTS[:5])
        await send(daemon, *TEXTS[5:], listener="edr1")
        await settled(daemon, 10)
        shown = str(daemon.lines) + str(await daemon.status())
    assert sekoia.taken == {"key-of-zero": TEXTS[:5], "key-of-one": TEXTS[5:]}
    assert "key-of" not in shown


async def test_a_key_that_sekoia_does_not_know_yet_loses_nothing(tmp_path):
    """Not even if the answer repeats it; its file is read for each request."""
    file = tmp_path / "key"
    file.write_text("a-mistyped-key")
    async with (
        FakeSekoia("the-right-key") as sekoia,
        collecting(tmp_path, sekoia, intakes=[{"key_file": str(file)}], format="sekoia") as daemon,
    ):
        await send(daemon, *TEXTS)
        line = await daemon.logged("sink paused until it accepts a probe")
        assert "The intake key *** is not known" in line["problem"]
        file.write_text("the-right-key")
        await settled(daemon, 10)
        shown = str(daemon.lines) + str(await daemon.status())
    assert sekoia.taken == {"the-right-key": TEXTS}
    assert json.loads(sekoia.bodies[0])["intake_key"] == "a-mistyped-key"
    assert "a-mistyped-key" not in shown
    assert "the-right-key" not in shown


# Settings that change while events wait.


@pytest.fixture
def kept(tmp_path):
    """A spool that outlives its daemon."""
    return {"type": "sqlite", "path": str(tmp_path / "spool")}


async def let_wait(directory, spool, *, intakes=({},), **sink):
    """Have a daemon receive messages that its sink does not take."""
    async with FakeLake() as away:
        away.before = lambda _: 503
        async with collecting(directory, away, intakes=intakes, spool=spool, **sink) as daemon:
            await send(daemon, *TEXTS)
            await daemon.ledger_when(lambda ledger: ledger["spooled"] == 10)
            await daemon.stop()


@pytest.mark.parametrize("payload", ["event", "raw"])
async def test_what_waits_is_made_anew_for_elasticsearch(tmp_path, kept, payload):
    """Of events and of raw messages: with the ids that it had, in order."""
    await let_wait(tmp_path, kept, payload=payload, compression="zstd")
    settings = {"spool": kept, "format": "elasticsearch", "concurrency": 1}
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, **settings) as daemon,
    ):
        await settled(daemon, 10)
    (index,) = es.indices.values()
    assert [event["message"] for event in index.values()] == TEXTS
    assert [event["event"]["id"] for event in index.values()] == sorted(index)
    assert [*index] == sorted(index)


async def test_what_waits_for_another_index_goes_to_the_new_one(tmp_path, kept):
    """Its form is another, though its format is not."""
    settings = {"spool": kept, "format": "elasticsearch"}
    await let_wait(tmp_path, kept, format="elasticsearch")
    async with (
        FakeElasticsearch() as es,
        collecting(tmp_path, es, **settings, index="logs-{intake}-new") as daemon,
    ):
        await settled(daemon, 10)
    assert [*es.indices] == ["logs-edr0-new"]
    assert len(es.documents) == 10


async def test_what_waits_for_an_intake_without_a_key_waits_on(tmp_path, kept):
    """Sekoia.io would not know whose it is; once the intake is back, it goes out."""
    keyed = {"key": "key-of-zero"}
    await let_wait(tmp_path, kept, intakes=[keyed])
    other = {"name": "other", "key": "key-of-one"}
    async with FakeSekoia("key-of-zero", "key-of-one") as sekoia:
        settings = {"spool": kept, "format": "sekoia"}
        async with collecting(tmp_path, sekoia, intakes=[other], **settings) as daemon:
            line = await daemon.logged("events cannot be sent as they are and wait")
            assert "intake 'edr0' is no longer configured" in line["problem"]
            await send(daemon, "one", listener="other")
            await sekoia.wait_until(lambda: sekoia.taken["key-of-one"] == ["one"])
            await daemon.stop()
        async with collecting(tmp_path, sekoia, intakes=[keyed, other], **settings) as daemon:
            await settled(daemon, 11)
    assert sekoia.taken == {"key-of-zero": TEXTS, "key-of-one": ["one"]}
