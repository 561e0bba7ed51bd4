"""Messages that are brought here, with a real server: asked for, sent back, and lost on the way."""

import asyncio

import orjson
import pytest
import structlog

from collector.stream import cluster, condition, pulling, wire
from tests.nats import Nats
from tests.unit.stream.conftest import WINDOW, Member, number_of, speaking, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(pulling, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(pulling, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(pulling, "EXPIRY_SECONDS", 0.5)
    monkeypatch.setattr(pulling, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(cluster, "CONSUMERS_SECONDS", 0.1)
    monkeypatch.setattr(cluster, "SURVEY_SECONDS", 0.1)


async def waiting(nats, name="a"):
    """Return how many requests for messages of a sink the server has."""
    async with nats.client() as somebody:
        answer = await somebody.request(f"$JS.API.CONSUMER.INFO.collector.{name}")
        return orjson.loads(answer.data).get("num_waiting", 0)


async def test_as_many_come_as_are_asked_for(member):
    """A second request while some are due is none."""
    for number in range(5):
        await member.send(number)
    consumer = member.receive()
    consumer.ask(2, WINDOW)
    consumer.ask(9, WINDOW)
    await until(lambda: len(member.deliveries) == 2)
    consumer.ask(1, WINDOW)
    await until(lambda: len(member.deliveries) == 3)
    await asyncio.sleep(0.1)
    assert member.numbers == [0, 1, 2]


async def test_more_may_be_asked_for_as_one_comes(member):
    """As whoever takes one at a time does."""
    for number in range(20):
        await member.send(number)

    def take(delivery):
        member.deliveries.append(delivery)
        consumer.ask(1, WINDOW)

    consumer = member.consumer("a", is_ordered=False, on_delivery=take)
    consumer.ask(1, WINDOW)
    await until(lambda: member.numbers == list(range(20)))


async def test_a_request_outlives_its_time_and_what_comes_later_is_brought(member):
    """The servers forget requests; this end repeats them."""
    member.receive().ask(1, WINDOW)
    await asyncio.sleep(0.7)
    await member.send(1)
    await until(lambda: member.numbers == [1])


async def test_what_is_withdrawn_does_not_come(nats, member):
    """The server has no request left, and what comes all the same goes back at once."""
    async with Member(nats) as other:
        consumer = member.receive()
        consumer.ask(100, WINDOW)
        async with asyncio.timeout(10):
            while not await waiting(nats):
                await asyncio.sleep(0.01)
        sends = [asyncio.create_task(other.send(number)) for number in range(50)]
        await until(lambda: member.deliveries)
        consumer.withdraw()
        seen = len(member.deliveries)
        other.receive().ask(100, WINDOW)
        await asyncio.gather(*sends)
        await until(lambda: len(set(member.numbers + other.numbers)) == 50)
        assert len(member.deliveries) == seen
        consumer.ask(100, WINDOW)
        await other.send(50)


async def test_two_members_share_what_there_is(nats, member):
    """Each message goes to one of them."""
    async with Member(nats) as other:
        member.receive().ask(5, WINDOW)
        other.receive().ask(5, WINDOW)
        for number in range(10):
            await member.send(number)
        await until(lambda: len(member.deliveries) + len(other.deliveries) == 10)
        assert sorted(member.numbers + other.numbers) == list(range(10))


async def test_a_sink_in_order_has_one_message_out_over_all_members(nats, member):
    """The next comes when that is dealt with, and one that goes back comes first again."""
    async with Member(nats) as other:
        for number in range(3):
            await member.send(number)
        member.receive(is_ordered=True).ask(3, WINDOW)
        await until(lambda: member.numbers == [0])
        other.receive(is_ordered=True).ask(3, WINDOW)
        member.drop_consumer("a")
        member.deliveries[0].nak(0.1)
        await until(lambda: other.numbers == [0])
        for count in (1, 2, 3):
            await until(lambda count=count: len(other.deliveries) == count)
            other.deliveries[-1].ack()
        assert other.numbers == [0, 1, 2]


async def test_what_nobody_is_heard_of_for_ack_wait_goes_to_another(nats, member):
    """Not what is shown to be dealt with."""
    async with Member(nats) as other:
        for number in (1, 2):
            await member.send(number)
        member.receive().ask(2, WINDOW)
        await until(lambda: len(member.deliveries) == 2)
        member.drop_consumer("a")
        other.receive().ask(2, WINDOW)
        dealt_with, forgotten = member.deliveries
        while not other.deliveries:
            dealt_with.in_progress()
            await asyncio.sleep(0.1)
        assert other.numbers == [number_of(forgotten)]
        await until(lambda: member.holdings.redelivered == {"a": 1})


async def test_a_consumer_that_is_deleted_is_made_again(nats, member):
    """What waits is still there."""
    consumer = member.receive()
    consumer.ask(2, WINDOW)
    await member.send(1)
    await until(lambda: member.numbers == [1])
    member.deliveries[0].ack()
    async with nats.client() as somebody:
        await somebody.jetstream().delete_consumer("collector", "a")
    await member.send(2)
    await until(lambda: member.numbers == [1, 2])


async def test_a_consumer_that_is_gone_without_a_word_is_made_again(nats, member):
    """As where it was deleted while nothing was asked for: the server does not answer then."""
    consumer = member.receive()
    consumer.ask(1, WINDOW)
    await member.send(1)
    await until(lambda: member.numbers == [1])
    member.deliveries[0].ack()
    await until(lambda: member.holdings.messages == 0)
    async with nats.client() as somebody:
        await somebody.jetstream().delete_consumer("collector", "a")
    await member.send(2)
    consumer.ask(1, WINDOW)
    await until(lambda: member.numbers == [1, 2])


async def test_a_consumer_that_is_changed_is_changed_back(nats, member):
    """By somebody, or by a restart of all servers of release 2.9, which forgets changes."""
    member.receive(is_ordered=True).ask(1, WINDOW)
    async with asyncio.timeout(10):
        while not await waiting(nats):
            await asyncio.sleep(0.01)
    async with nats.client() as somebody:
        stream = somebody.jetstream()
        config = (await stream.consumer_info("collector", "a")).config
        with structlog.testing.capture_logs() as lines:
            await stream.add_consumer("collector", config.evolve(max_ack_pending=77))
            async with asyncio.timeout(10):
                while (await stream.consumer_info("collector", "a")).config.max_ack_pending != 1:
                    await asyncio.sleep(0.02)
    assert [line["settings"] for line in lines] == [["max_ack_pending"]]
    await member.send(1)
    await until(lambda: member.numbers == [1])


async def test_who_wants_order_has_it_while_others_want_more(nats, member, monkeypatch):
    """Whoever came last; and once nobody wants it any more, the others have what they want."""
    async with Member(nats) as other:
        for number in range(3):
            await member.send(number)
        member.receive(is_ordered=True).ask(1, WINDOW)
        await until(lambda: member.numbers == [0])
        other.receive(is_ordered=False).ask(3, WINDOW)
        async with asyncio.timeout(10):
            while not await waiting(nats):
                await asyncio.sleep(0.01)
        puller = other._pullers["a"]
        await until(lambda: puller._concession._since is not None)
        assert other.numbers == []
        member.drop_consumer("a")
        member.deliveries[0].ack()
        monkeypatch.setattr(puller._concession, "_patience", 0.0)
        await until(lambda: {1, 2} <= set(other.numbers))


async def test_who_wants_order_makes_it_where_others_had_more(nats, member):
    """As in the course of a change of settings from more to one."""
    async with Member(nats) as other:
        other.receive(is_ordered=False).ask(1, WINDOW)
        await member.send(0)
        await until(lambda: other.numbers == [0])
        for number in (1, 2):
            await member.send(number)
        member.receive(is_ordered=True).ask(1, WINDOW)
        async with asyncio.timeout(10):
            while not await waiting(nats):
                await asyncio.sleep(0.01)
        await until(lambda: other._pullers["a"]._concession._since is not None)
        assert member.numbers == []
        other.deliveries[0].ack()
        await until(lambda: member.numbers == [1])


async def test_no_more_octets_come_than_are_asked_for(member):
    """However many messages; more come when more is asked for."""
    for number in range(9):
        await member.send(number, octets=800)
    consumer = member.receive()
    consumer.ask(9, 4000)
    await until(lambda: len(member.deliveries) == 3)
    puller = member._pullers["a"]
    await until(lambda: puller._due == 0)
    assert member.numbers == [0, 1, 2]
    consumer.ask(9, 3000)
    await until(lambda: len(member.deliveries) == 5)
    consumer.ask(9, 1 << 20)  # while some are asked for, perhaps
    await until(lambda: member.numbers == list(range(9)))


async def test_a_message_that_is_longer_than_what_is_asked_for_comes_alone(member):
    """Or nothing would come any more."""
    for number in range(3):
        await member.send(number, octets=1000)
    member.receive().ask(3, 500)
    await until(lambda: member.numbers == [0])
    await until(lambda: member._pullers["a"]._due == 0)
    assert member.numbers == [0]


async def test_more_may_be_asked_for_by_octets_as_one_comes(member):
    """As whoever has a window does, which is full for a while again and again."""
    for number in range(30):
        await member.send(number, octets=1000)

    def take(delivery):
        member.deliveries.append(delivery)
        consumer.ask(9, 4000)

    consumer = member.consumer("a", is_ordered=False, on_delivery=take)
    consumer.ask(9, 4000)
    await until(lambda: member.numbers == list(range(30)))


HOSTILE = {
    "headers": (b"collector.a.1", b"NATS/1.0 999\r\n\xff\xfe: \xff\r\n\r\n"),
    "hardly any headers": (b"collector.a.1", b"ab"),
    "a subject that is not UTF-8": (b"collector.a.\xff", b"NATS/1.0\r\n\r\n"),
    "a subject with a vertical tab": (b"collector.a.\x0b1", b"NATS/1.0\r\n\r\n"),
    "a subject with a form feed": (b"collector.a.1\x0c", b"NATS/1.0\r\n\r\n"),
}


async def test_what_nobody_can_read_costs_no_connection(nats, member):
    """It is brought as what can be read of it; whoever may publish decides what it has."""
    async with speaking(nats) as send:
        for subject, headers in HOSTILE.values():
            send(b"HPUB %b %d %d\r\n%b\r\n" % (subject, len(headers), len(headers), headers))
        member.receive().ask(9, WINDOW)
        await until(lambda: len(member.deliveries) == len(HOSTILE))
    await member.send(7)
    await until(lambda: len(member.deliveries) == len(HOSTILE) + 1)
    assert member.changes == [True]
    for delivery in member.deliveries[:-1]:
        with pytest.raises(ValueError, match=r"events|subject|header"):
            wire.read_batch("collector", delivery.stored)


async def test_a_mistake_in_it_is_told(member, monkeypatch):
    """Nothing would come any more, and nobody would know why."""
    failures = []
    member.on_failure = lambda: failures.append(1)

    async def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(pulling.topology, "create_consumer", fail)
    with structlog.testing.capture_logs() as lines:
        member.receive().ask(1, WINDOW)
        await until(lambda: failures)
    assert [line["event"] for line in lines] == [
        "a part of the stream has failed, please report it"
    ]


async def test_a_consumer_that_servers_refuse_is_told_and_tried_again(nats, member):
    """As one that somebody made with another policy: it is theirs to delete."""
    async with nats.client() as somebody:
        stream = somebody.jetstream()
        await stream.add_consumer(
            "collector", durable_name="other", filter_subject="collector.a.*", ack_policy="explicit"
        )
        await member.send(1)
        with structlog.testing.capture_logs() as lines:
            member.receive().ask(1, WINDOW)
            await until(lambda: lines)
        assert lines[0]["event"] == "the servers refuse a consumer"
        assert lines[0]["log_level"] == "error"
        await stream.delete_consumer("collector", "other")
    await until(lambda: member.numbers == [1])


RECEIVER = (
    "$JS.API.STREAM.CREATE.*",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.CONSUMER.LIST.*",
    "$JS.API.DIRECT.GET.*",
    "collector.*.*",
)
CREATE = "$JS.API.CONSUMER.CREATE.collector.>"
NEXT = "$JS.API.CONSUMER.MSG.NEXT.collector.*"
ACK = "$JS.ACK.collector.>"


def permitting(*subjects: str) -> str:
    """Return settings of a server whose user may publish under some subjects."""
    listed = ", ".join(f'"{subject}"' for subject in (*RECEIVER, *subjects))
    return (
        'authorization { users: [{ user: "u", password: "sesame",'
        f" permissions: {{ publish: [{listed}] }} }}] }}\n"
    )


async def test_what_is_not_permitted_is_a_problem_until_it_is(tmp_path):
    """As for a deliverer with the rights of a receiver, that gets one after the other."""
    (tmp_path / "password").write_text("sesame")
    user = {"user": "u", "password_file": str(tmp_path / "password")}
    async with (
        Nats(tmp_path / "nats", more=permitting()) as nats,
        Member(nats, ack_wait="1h", **user) as member,
    ):
        await member.send(1)
        consumer = member.receive()
        assert consumer.problem == ""
        consumer.ask(1, WINDOW)
        await until(lambda: consumer.problem)
        assert consumer.problem == (
            "nothing comes from the stream:"
            " $JS.API.CONSUMER.CREATE.collector.a.collector.a.* is not permitted"
        )
        nats.reconfigure(permitting(CREATE))
        await until(lambda: "MSG.NEXT" in consumer.problem)
        assert consumer.problem == (
            "nothing comes from the stream: $JS.API.CONSUMER.MSG.NEXT.collector.a is not permitted"
        )
        nats.reconfigure(permitting(CREATE, NEXT))
        await until(lambda: member.numbers == [1])
        assert consumer.problem == ""
        member.deliveries[0].ack()
        await until(lambda: consumer.problem)
        assert consumer.problem == (
            "what is delivered stays in the stream and comes again:"
            " $JS.ACK.collector.a.> is not permitted"
        )
        nats.reconfigure(permitting(CREATE, NEXT, ACK))
        await until(lambda: member.holdings.messages == 0)
        await until(lambda: not consumer.problem)


async def test_too_many_consumers_are_a_problem(tmp_path):
    """The account has a bound of them, or the stream's server has."""
    (tmp_path / "password").write_text("sesame")
    user = {"user": "u", "password_file": str(tmp_path / "password")}
    more = (
        "accounts { A { jetstream: { max_consumers: 1 },"
        ' users: [{ user: "u", password: "sesame" }] } }\n'
    )
    async with Nats(tmp_path / "nats", more=more) as nats, Member(nats, **user) as member:
        first, second = member.receive("a"), member.receive("b")
        await member.send(1, "b")
        first.ask(1, WINDOW)
        await until(lambda: member._pullers["a"]._is_there)
        second.ask(1, WINDOW)
        await until(lambda: second.problem)
        assert second.problem == (
            "nothing comes from the stream: maximum consumers limit reached (10026)"
        )
        assert first.problem == ""
        member.drop_consumer("a")
        async with nats.client(user="u", password="sesame") as somebody:
            await somebody.jetstream().delete_consumer("collector", "a")
        await until(lambda: member.numbers == [1])
        assert second.problem == ""


FIXED = {
    "push": (
        {"deliver_subject": "elsewhere"},
        (
            "deliver_subject: nothing is needed, the consumer has elsewhere;"
            " max_waiting: 512 is needed, the consumer has nothing"
        ),
    ),
    "fewer who wait": (
        {"max_waiting": 7},
        "max_waiting: 512 is needed, the consumer has 7",
    ),
}


@pytest.mark.parametrize(("settings", "said"), FIXED.values(), ids=FIXED)
async def test_what_cannot_be_changed_in_a_consumer_is_named(nats, member, settings, said):
    """Somebody made one of that name; once it is deleted it is made as it is to be."""
    async with nats.client() as somebody:
        stream = somebody.jetstream()
        known = {"filter_subject": "collector.a.*", "ack_policy": "explicit"}
        await stream.add_consumer("collector", durable_name="a", **known, **settings)
        await member.send(1)
        consumer = member.receive()
        consumer.ask(1, WINDOW)
        await until(lambda: consumer.problem)
        assert consumer.problem == f"nothing comes from the stream: consumer a: {said}"
        await stream.delete_consumer("collector", "a")
    await until(lambda: member.numbers == [1])
    assert consumer.problem == ""


async def test_servers_that_come_back_are_no_problem(nats, member, monkeypatch):
    """Neither while they are away, nor afterwards: only what lasts is one."""
    monkeypatch.setattr(condition, "PATIENCE_SECONDS", 0.0)
    consumer = member.receive()
    consumer.ask(1, WINDOW)
    await until(lambda: member._pullers["a"]._is_there)
    await nats.kill()
    await until(lambda: not member.is_connected)
    assert consumer.problem == ""
    monkeypatch.setattr(condition, "PATIENCE_SECONDS", 60.0)
    nats.start()
    await until(lambda: member.is_up)
    await member.send(1)
    await until(lambda: member.numbers == [1])
    assert consumer.problem == ""


async def test_silence_that_lasts_is_a_problem_until_there_is_a_sign_of_life(
    nats, member, monkeypatch
):
    """Whatever the reason; a server that hangs is one, for as long as no ping finds it out."""
    monkeypatch.setattr(condition, "PATIENCE_SECONDS", 0.0)
    consumer = member.receive()
    consumer.ask(1, WINDOW)
    await until(lambda: member._pullers["a"]._is_there)
    nats.pause(0)
    try:
        await until(lambda: consumer.problem)
    finally:
        nats.resume(0)
    assert consumer.problem == "nothing comes from the stream: no sign of life"
    await until(lambda: not consumer.problem)


async def test_a_message_of_somebody_else_is_brought_as_it_is(nats, member):
    """Even if its headers look like a sign of the server's."""
    member.receive().ask(2, WINDOW)
    async with nats.client() as somebody:
        await somebody.publish("collector.a.1", b"", headers={"Status": "503"})
        await somebody.publish("collector.a.x", b"body")
    await until(lambda: len(member.deliveries) == 2)
    first, second = (delivery.stored for delivery in member.deliveries)
    assert (first.subject, first.headers["Status"]) == ("collector.a.1", "503")
    assert (second.headers, second.body) == ({}, b"body")
    with pytest.raises(ValueError, match="events"):
        wire.read_batch("collector", second)
