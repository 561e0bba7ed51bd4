"""What doctor finds of the servers of a stream; they are real ones."""

from contextlib import asynccontextmanager

import pytest

from collector.doctor.consumers import wanted_by
from collector.doctor.stream import ask_stream
from collector.roles import Role
from collector.stream import topology
from collector.stream.cluster import Cluster
from tests.accounts import Operator
from tests.daemon import free_port
from tests.nats import Nats
from tests.unit.doctor.conftest import config_of

SECONDS = 5.0
IN_THE_WAY = "is not there, and what is named before this is in the way"
SMALL = {"max_bytes": "2MiB", "replicas": 1}


@pytest.fixture
async def nats(tmp_path):
    async with Nats(tmp_path / "nats", more='authorization { token: "s3cret-token" }') as servers:
        yield servers


@pytest.fixture
def token(tmp_path):
    file = tmp_path / "token"
    file.write_text("s3cret-token")
    return file


async def look(*servers, role=Role.RECEIVE, then=lambda: None, **spool):
    """Return level, setting and finding of each thing that was found."""
    settings = {"type": "jetstream", "servers": list(servers), **SMALL, **spool}
    config = config_of(spool=settings, dead_letters={"max_bytes": "1MiB"})
    then()
    found = await ask_stream(config, role, SECONDS)
    assert {finding.subject for finding in found} <= {"stream", "consumer"}
    assert all(finding.advice for finding in found if finding.level in ("warning", "error"))
    assert "s3cret" not in str(found)
    return [(finding.level, finding.where, finding.found) for finding in found]


async def made(nats, **wanted):
    """Make a stream as somebody else would."""
    async with nats.client(token="s3cret-token") as client:
        await client.jetstream().add_stream(**wanted)


async def test_without_a_stream_nobody_is_asked():
    assert await ask_stream(config_of(spool={"type": "memory"}), Role.ALL, SECONDS) == []


async def test_streams_that_are_not_there_yet_are_left_to_the_daemon(nats, token):
    (url,) = nats.urls
    absent = "is not there: the first daemon makes it, where {} of max_file_store is free"
    assert await look(url, stream="edr", token_file=str(token)) == [
        ("ok", "spool.servers[0]", f"{url} lets us in"),
        ("note", "spool.stream", f"stream edr {absent.format('2.0 MiB')}"),
        ("note", "spool.stream", f"stream edr-dead-letters {absent.format('1.0 MiB')}"),
    ]
    async with nats.client(token="s3cret-token") as client:
        assert await client.jetstream().streams_info() == []


async def test_a_stream_that_is_not_as_settings_have_it_is_an_error(nats, token):
    """Each difference is named with its setting."""
    await made(nats, name="other", subjects=["other.*"], max_bytes=1024)
    _, (level, where, found), _ = await look(*nats.urls, stream="other", token_file=str(token))
    assert (level, where) == ("error", "spool.stream")
    assert "spool.max_bytes: settings say 2097152, the stream has 1024" in found
    assert "retention: workqueue is needed, the stream has limits" in found


async def test_one_server_that_lets_us_in_is_enough(nats, token):
    """The other may be away for a while."""
    away, (url,) = f"nats://127.0.0.1:{free_port()}", nats.urls
    (level, where, found), second, *_ = await look(away, url, token_file=str(token))
    assert (level, where) == ("warning", "spool.servers[0]")
    assert found.startswith(f"{away}: ")
    assert second == ("ok", "spool.servers[1]", f"{url} lets us in")


@pytest.mark.parametrize(
    ("spool", "said"),
    [
        ({}, "Authorization Violation"),
        ({"tls": {"ca_file": __file__}}, "holds no certificate"),
        ({"credentials_file": "broken"}, "holds no JWT with the seed of its key"),
    ],
)
async def test_servers_that_do_not_let_us_in_are_an_error(nats, tmp_path, spool, said):
    """After which no more is asked."""
    if "credentials_file" in spool:
        file = tmp_path / "credentials"
        file.write_text(Operator().user()[1])
        spool = {"credentials_file": str(file), "then": lambda: file.write_text("damaged")}
    ((level, where, found),) = await look(*nats.urls, **spool)
    assert (level, where) == ("error", "spool.servers[0]")
    assert said.lower() in found.lower(), found


async def test_a_server_that_offers_no_tls_is_not_spoken_to(nats, token):
    """Nor told the token."""
    url = nats.urls[0].replace("nats:", "tls:")
    ((level, _, found),) = await look(url, token_file=str(token))
    assert (level, found) == ("error", f"{url}: the server offers no TLS")


@pytest.fixture
def limited(tmp_path):
    """Return a server whose account has limits, and credentials of a user of it."""

    @asynccontextmanager
    async def run(**limits):
        operator = Operator(**limits)
        file = tmp_path / "credentials"
        file.write_text(operator.user()[1])
        async with Nats(tmp_path / "limited", more=operator.settings) as servers:
            yield servers.urls[0], str(file)

    return run


@pytest.mark.parametrize(
    ("limits", "where", "said"),
    [
        ({"streams": 1}, "spool.stream", "streams is 1 (error 10027): it has 0, 2 more to be made"),
        ({"disk_storage": 5 << 19}, "spool.max_bytes", "to hold 3.0 MiB, copies included"),
        ({"disk_max_stream_bytes": 1 << 20}, "spool.max_bytes", "hold 1.0 MiB (error 10122)"),
    ],
)
async def test_limits_of_the_account_keep_streams_from_being_made(limited, limits, where, said):
    """What a daemon would find out; nothing is made to know it."""
    async with limited(**limits) as (url, credentials):
        _, obstacle, *absent = await look(url, credentials_file=credentials)
    assert obstacle[:2] == ("error", where)
    assert said in obstacle[2]
    assert absent == [
        ("error", "spool.stream", f"stream {name} {IN_THE_WAY}")
        for name in ("collector", "collector-dead-letters")
    ]


async def test_a_cluster_makes_streams_with_replicas(tmp_path):
    """Each of so many servers has to have room."""
    async with Nats(tmp_path / "nats", 3) as servers:
        *_, (level, _, found), _ = await look(servers.urls[0], replicas=3)
    assert level == "note"
    assert found.endswith("makes it, where 2.0 MiB of max_file_store is free on 3 servers")


async def test_replicas_need_a_cluster(nats, token):
    """A single server makes no stream with three."""
    _, obstacle, *_ = await look(*nats.urls, token_file=str(token), replicas=3)
    assert obstacle == (
        "error",
        "spool.replicas",
        "3 are wanted, and the server is not in a cluster: no stream can be made",
    )


@pytest.fixture
def look_as(tmp_path):
    """Return what examines servers as a user who has some rights."""

    async def look_as(*, role=Role.RECEIVE, **rights):
        operator = Operator()
        file = tmp_path / "credentials"
        file.write_text(operator.user(**rights)[1])
        async with Nats(tmp_path / "nats", more=operator.settings) as servers:
            return await look(*servers.urls, role=role, credentials_file=str(file))

    return look_as


async def test_messages_that_are_too_small_for_batches_are_an_error(tmp_path):
    """No stream is made then."""
    async with Nats(tmp_path / "nats", more="max_payload: 64KB") as servers:
        _, found, absent, _ = await look(*servers.urls, role=Role.ALL)
    assert absent == ("error", "spool.stream", f"stream collector {IN_THE_WAY}")
    words = "the servers take messages of 65536 octets, 66560 are needed"
    assert found == ("error", "spool.servers", words)


async def test_who_may_not_make_a_stream_is_told(look_as):
    """And what the account's limits are, where that may not be asked."""
    _, *obstacles, _, absent = await look_as(publish=("$JS.API.STREAM.INFO.>",))
    assert [found for *_, found in obstacles] == [
        f"the servers do not let us publish under $JS.API.STREAM.CREATE.{name}"
        for name in ("collector", "collector-dead-letters")
    ]
    assert absent[2] == f"stream collector-dead-letters {IN_THE_WAY}"


async def test_limits_that_may_not_be_asked_for_are_told_as_unknown(look_as):
    """As with the rights that deploy/cluster gives."""
    _, (level, _, found), _ = await look_as(publish=("$JS.API.STREAM.>",))
    assert level == "note"
    assert found.endswith("if the account's limits, which we may not ask for, allow it")


async def test_who_may_not_hear_answers_is_told(look_as):
    """Instead of that nobody answers."""
    _, (level, _, found), _ = await look_as(subscribe=("elsewhere.>",))
    assert level == "error"
    assert 'permissions violation for subscription to "_inbox.' in found


async def test_a_deliverer_has_its_consumers_looked_at(nats, token):
    """Each sink has one: made by the first deliverer, and as settings want it from then on."""
    settings = {"token_file": str(token), "role": Role.DELIVER}
    *_, found = await look(*nats.urls, **settings)
    absent = "consumer siem is not there: the first deliverer makes it"
    assert found == ("note", "sinks[0]", absent)
    await _make(nats, settings)
    *_, found = await look(*nats.urls, **settings)
    there = "consumer siem is as settings have it, 0 messages wait, 0 are out"
    assert found == ("ok", "sinks[0]", there)
    *_, found = await look(*nats.urls, **settings, ack_wait="7s")
    assert found[0] == "note"
    assert "another ack_wait: a deliverer changes it" in found[2]


async def test_a_receiver_needs_no_consumers(nats, token):
    assert len(await look(*nats.urls, token_file=str(token))) == 3


async def test_looking_takes_no_message_and_acknowledges_none(nats, token):
    """What is sent to find out about permissions has no other effect."""
    settings = {"token_file": str(token), "role": Role.DELIVER}
    await look(*nats.urls, **settings)
    await _make(nats, settings)
    async with nats.client(token="s3cret-token") as client:
        stream = client.jetstream()
        for number in range(2):
            await client.jetstream().publish("collector.siem.1", b"%d" % number)
        await (await stream.pull_subscribe_bind("siem", "collector")).fetch(1)
        before = await stream.consumer_info("collector", "siem")
        *_, found = await look(*nats.urls, **settings)
        after = await stream.consumer_info("collector", "siem")
    assert found[2].endswith("1 messages wait, 1 are out")
    for name in ("delivered", "ack_floor", "num_pending", "num_ack_pending", "num_waiting"):
        assert getattr(after, name) == getattr(before, name), name


async def test_a_deliverer_that_may_not_use_its_consumer_is_told(look_as):
    """Under which subjects it would publish."""
    *_, found, _ = await look_as(
        role=Role.ALL, publish=("$JS.API.STREAM.>", "$JS.API.INFO", "$JS.API.CONSUMER.LIST.>")
    )
    said = (
        "the servers do not let us publish under"
        " $JS.API.CONSUMER.CREATE.collector.siem.collector.siem.*,"
        " $JS.API.CONSUMER.MSG.NEXT.collector.siem, $JS.ACK.collector.siem.0.0.0.0.0"
    )
    assert found == ("error", "sinks[0]", said)


async def test_consumers_that_may_not_be_listed_are_an_error(look_as):
    """Deliverers look at them all the time."""
    *_, (level, where, found) = await look_as(role=Role.ALL, publish=("$JS.API.STREAM.>",))
    assert (level, where) == ("error", "sinks")
    assert "$js.api.consumer.list.collector" in found.lower()


async def _make(nats, settings):
    """Make the streams and the consumer of the sink, as a deliverer would."""
    spool = {name: value for name, value in settings.items() if name != "role"}
    config = config_of(
        spool={"type": "jetstream", "servers": list(nats.urls), **SMALL, **spool},
        dead_letters={"max_bytes": "1MiB"},
    )
    cluster = Cluster(config.spool, config.dead_letters.max_bytes, "m")
    await cluster.start(SECONDS)
    (wanted,) = wanted_by(config)
    await topology.create_consumer(cluster._asker, "collector", wanted)
    await cluster.close()
