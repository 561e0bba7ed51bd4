"""The stream as a whole, with real servers: what is lost and comes back, and what never is lost."""

import asyncio
import json
from contextlib import suppress

import pytest
import structlog

from collector.stream import (
    AwayError,
    FullError,
    MismatchError,
    RefusedError,
    cluster,
    condition,
    link,
    topology,
    wire,
)
from collector.stream.aligning import MOST_ADDED
from collector.stream.publishing import ObjectionError
from tests.certificates import Authority
from tests.nats import Nats
from tests.unit.stream.conftest import (
    LETTERS_MAX_BYTES,
    SECONDS,
    WINDOW,
    Member,
    batch_of,
    change,
    settings_of,
    until,
)

TOKEN = "a-token-that-nobody-guesses"
TLS = 'tls {{ cert_file: "{cert}", key_file: "{key}" }}\n'


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(cluster, "SURVEY_SECONDS", 0.1)
    monkeypatch.setattr(cluster, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(cluster, "HOPELESS_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "CONSUMERS_SECONDS", 0.1)


async def test_a_batch_goes_from_one_member_to_another(nats):
    """What is acknowledged is deleted; until then both know that it waits."""
    batch = batch_of(1, 2, 3, sink="front.door")
    async with Member(nats) as receiver, Member(nats) as deliverer:
        await receiver.publish(*wire.batch_message("collector", batch, "id-1"))
        deliverer.receive("front.door").ask(5, WINDOW)
        await until(lambda: deliverer.deliveries)
        (delivery,) = deliverer.deliveries
        got = wire.read_batch("collector", delivery.stored)
        assert (got.sink, got.body, got.entries) == ("front.door", batch.body, batch.entries)
        assert got.place == 1
        for one in (receiver, deliverer):
            await until(lambda one=one: one.holdings.events == {"front.door": 3})
        delivery.ack()
        await until(lambda: receiver.holdings.messages == 0)


async def test_a_batch_that_is_published_again_is_there_once(member):
    """Its id says so, for the time that the servers remember it."""
    for number in (1, 1, 2):
        await member.send(number)
    member.receive().ask(3, WINDOW)
    await until(lambda: len(member.deliveries) == 2)
    assert (member.numbers, member.sequences) == ([1, 2], [1, 2])
    await until(lambda: member.holdings.messages == 2)


async def test_what_is_held_is_told_by_sink(member):
    """Events, by their sinks' names, octets and age."""
    await member.publish(*wire.batch_message("collector", batch_of(1, 2, 3), "id-1"))
    await member.send(4, "b.c")
    await until(lambda: member.holdings.messages == 2)
    held = member.holdings
    assert held.events == {"a": 3, "b.c": 1}
    assert held.octets_of("a") == held.octets * 3 // 4
    assert (held.leader, member.letter_holdings.leader) == ("n0", "n0")
    assert held.oldest is not None
    assert member.letter_holdings.oldest is None


async def test_a_stream_that_is_full_says_so_and_stays_up(nats):
    """What was not stored is the publisher's still."""
    async with Member(nats, max_bytes="1MiB") as member:
        for number in range(10):
            await member.send(number, octets=100_000)
        with pytest.raises(FullError) as caught:
            await member.send(10, octets=100_000)
        assert caught.value.is_bound
        assert member.is_up
        await until(lambda: member.holdings.messages == 10)


async def test_a_message_that_is_too_long_costs_no_connection(tmp_path):
    """nats-server would close it: headers count too, which nats-py forgets."""
    async with (
        Nats(tmp_path / "nats", more="max_payload: 100000\n") as nats,
        Member(nats) as member,
    ):
        assert member.largest == 100_000 - cluster.SPARE_OCTETS
        most = member.largest + MOST_ADDED
        assert most < 100_000
        with pytest.raises(RefusedError, match=f"{most} octets"):
            await member.send(1, octets=most)
        message = wire.batch_message("collector", batch_of(2), "id-2")
        room = member.largest - message.size
        await member.send(3, octets=room - 10)
        member.receive().ask(1, WINDOW)
        await until(lambda: member.deliveries)
        assert (member.numbers, member.sequences) == ([3], [1])
        assert member.changes == [True]


async def test_a_server_that_cannot_see_to_the_stream_is_left_for_another(tmp_path, monkeypatch):
    """As one that has lost the others: it goes on to let members in."""
    monkeypatch.setattr(cluster, "USELESS_SECONDS", 0.3)
    monkeypatch.setattr(link.random, "sample", lambda servers, _: list(servers))
    async with (
        Nats(tmp_path / "lost", more="jetstream: disabled\n") as lost,
        Nats(tmp_path / "nats") as nats,
        Member(lost, servers=(*lost.urls, *nats.urls)) as member,
    ):
        assert member.is_up
        await member.send(1)
        member.receive().ask(1, WINDOW)
        await until(lambda: member.numbers == [1])


async def test_the_only_server_is_not_left(tmp_path, monkeypatch):
    """There is no other to go to; it may come to see to the stream."""
    monkeypatch.setattr(cluster, "USELESS_SECONDS", 0.1)
    async with Nats(tmp_path / "lost", more="jetstream: disabled\n") as lost:
        member = Member(lost, patience=1)
        async with member:
            assert (member.is_up, member.is_connected) == (False, True)


async def test_servers_that_take_hardly_anything_are_refused(tmp_path):
    """Each event would be too long for them."""
    async with Nats(tmp_path / "nats", more="max_payload: 4096\n") as nats:
        with pytest.raises(MismatchError, match=r"4096 octets a message .*, 66560 are needed"):
            await Member(nats).start(SECONDS)


async def test_a_stream_that_differs_is_an_error_that_names_each_setting(nats):
    """Of both streams, with what is there and what settings say; nothing is changed."""
    async with Member(nats):
        pass
    other = Member(nats, max_bytes="32MiB", max_age="2h")
    other._letter_keeper._wanted["max_bytes"] = 1 << 20
    with pytest.raises(MismatchError) as caught:
        await other.start(SECONDS)
    assert str(caught.value) == (
        "stream collector: spool.max_bytes: settings say 33554432, the stream has 67108864;"
        " spool.max_age: settings say 7200s, the stream has none;"
        " stream collector-dead-letters:"
        " dead_letters.max_bytes: settings say 1048576, the stream has 67108864"
    )
    async with Member(nats):
        pass


@pytest.mark.parametrize("name", ["collector", "collector-dead-letters"])
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("sources", [{"name": "other"}], "name other"),
        ("republish", {"src": ">", "dest": "copy.>"}, "src > dest copy.>"),
        (
            "subject_transform",
            {"src": "collector.*.*", "dest": "else.{{wildcard(1)}}.{{wildcard(2)}}"},
            "src collector.*.* dest else.{{wildcard(1)}}.{{wildcard(2)}}",
        ),
        ("consumer_limits", {"max_ack_pending": 10}, "max_ack_pending 10"),
    ],
)
async def test_a_stream_that_takes_events_elsewhere_is_not_used(nats, name, setting, value, said):
    """Somebody has made it as settings want it, but for that.

    A release that does not know the setting leaves it out, and that stream is as wanted.
    """
    letters = topology.letter_stream(settings_of(nats), LETTERS_MAX_BYTES)
    streams = {"collector": topology.batch_stream(settings_of(nats)), letters["name"]: letters}
    async with nats.client() as somebody:
        await create(somebody, {"name": "other", "subjects": ["other.>"]})
        made = await create(somebody, {**streams[name], setting: value})
    if setting not in made:
        async with Member(nats) as member:
            assert member.is_up
        return
    with pytest.raises(MismatchError) as caught:
        await Member(nats).start(SECONDS)
    needed = f"stream {name}: {setting}: nothing is needed, the stream has {said}"
    assert needed in str(caught.value)


async def create(somebody, config):
    """Have somebody make a stream; return what the servers make of it."""
    request = json.dumps(config).encode()
    answer = await somebody.request(f"$JS.API.STREAM.CREATE.{config['name']}", request)
    return json.loads(answer.data)["config"]


async def test_what_has_waited_for_max_age_is_deleted_by_the_servers(nats):
    """They tell nobody: all that members see is that it is not there any more."""
    member = Member(nats, max_age="1h")
    member._batch_keeper._wanted |= {"max_age": 10**9, "duplicate_window": 10**9}
    async with member:
        await member.send(1)
        await until(lambda: member.holdings.messages == 1)
        assert member.holdings.events == {"a": 1}
        await until(lambda: member.holdings.messages == 0)
        assert (member.holdings.oldest, member.holdings.events) == (None, {})
        assert member.changes == [True]


async def test_replicas_that_there_are_no_servers_for_are_an_error(nats):
    """As three on a server that is alone."""
    with pytest.raises(MismatchError, match="stream collector cannot be made: replicas > 1"):
        await Member(nats, replicas=3).start(SECONDS)


async def test_a_mismatch_that_comes_later_is_a_problem_until_it_is_mended(nats, member):
    """Somebody changes the stream of a member that runs, and changes it back."""
    await change(nats, "collector", max_bytes=1 << 20)
    await until(lambda: not member.is_up)
    assert "spool.max_bytes: settings say 67108864" in member.problem
    assert member.is_connected
    # What is known to be there is brought all the same, and what is said of it is heard.
    member.receive().ask(1, WINDOW)
    await member.send(1)
    await until(lambda: member.deliveries)
    member.deliveries[0].ack()
    await change(nats, "collector", max_bytes=67108864)
    await until(lambda: member.is_up)
    assert member.problem == ""


async def test_a_stream_that_was_away_is_no_problem_of_its_consumers(nats, member, monkeypatch):
    """Nothing could come meanwhile; they are not blamed for it once it is back."""
    consumer = member.receive()
    await change(nats, "collector", max_bytes=1 << 20)
    await until(lambda: not member.is_up)
    monkeypatch.setattr(condition, "PATIENCE_SECONDS", 0.0)
    member._pullers["a"]._condition.missed("no sign of life")
    assert consumer.problem == "nothing comes from the stream: no sign of life"
    await change(nats, "collector", max_bytes=67108864)
    await until(lambda: member.is_up)
    assert consumer.problem == ""


async def test_no_server_is_no_reason_not_to_start(tmp_path):
    """The start ends after its patience, and the member is up as soon as there is one."""
    nats = Nats(tmp_path / "nats")
    async with Member(nats, patience=0.1) as member:
        await until(lambda: "refused" in member.problem)
        assert not member.is_up
        assert not member.is_connected
        with pytest.raises(AwayError, match="not connected"):
            await member.send(1)
        async with nats:
            await until(lambda: member.is_up)
            await member.send(1)
            await until(lambda: member.holdings.messages == 1)


async def test_a_message_that_is_objected_to_does_not_take_the_stream_away(member, monkeypatch):
    """Others are stored."""

    async def object_to(*_):
        raise ObjectionError("no", is_lasting=True)

    with monkeypatch.context() as patched:
        patched.setattr(member._publisher, "publish", object_to)
        with pytest.raises(AwayError):
            await member.send(1)
    await member.send(2)
    assert member.changes == [True]


async def test_a_sealed_stream_is_away(nats, member):
    """It takes nothing any more: nothing of what is published is refused for that."""
    await change(nats, "collector", sealed=True)
    await until(lambda: not member.is_up)
    assert "sealed: false is needed, the stream has true" in member.problem


async def test_all_servers_killed_and_back(nats, member):
    """What was acknowledged is there, what was asked for comes, and what was outstanding fails."""
    await member.send(1)
    nats.pause(0)
    outstanding = asyncio.create_task(member.send(2))
    await asyncio.sleep(0.1)
    await nats.kill()
    with pytest.raises(AwayError, match="the connection was lost"):
        await outstanding
    member.receive().ask(2, WINDOW)
    nats.start()
    await until(lambda: member.is_up)
    await member.send(2)
    await until(lambda: sorted(member.numbers) == [1, 2])
    assert member.changes == [True, False, True]


async def test_an_acknowledgement_is_repeated_over_a_connection_that_is_lost(nats, member):
    """So that the batch is not delivered a second time: neither by this consumer nor to others."""
    await member.send(1)
    member.receive().ask(1, WINDOW)
    await until(lambda: member.deliveries)
    await nats.kill()
    member.deliveries[0].ack()
    nats.start()
    await until(lambda: member.is_up and member.holdings.messages == 0)
    assert member.numbers == [1]


async def test_a_server_that_hangs_is_left(nats, monkeypatch):
    """It answers no ping: what is outstanding fails, though nothing was closed."""
    monkeypatch.setattr(link, "PING_SECONDS", 0.2)
    async with Member(nats) as member:
        nats.pause(0)
        with pytest.raises(AwayError, match="the connection was lost: stale connection"):
            await member.send(1)
        assert not member.is_up
        nats.resume(0)
        await until(lambda: member.is_up)
        await member.send(1)
        await until(lambda: member.holdings.messages == 1)


async def test_a_token_that_is_withdrawn_and_given_again(tmp_path):
    """The file is read at each attempt; neither problem nor log holds what is in it."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    said = 'authorization {{ token: "{}" }}\n'
    with structlog.testing.capture_logs() as lines:
        async with (
            Nats(tmp_path / "nats", more=said.format(TOKEN)) as nats,
            Member(nats, token_file=str(file)) as member,
        ):
            nats.reconfigure(said.format("another-token"))
            await until(lambda: "authorization violation" in member.problem.lower())
            file.write_text("another-token")
            await until(lambda: member.is_up)
            await member.send(1)
            await until(lambda: member.holdings.messages == 1)
    assert TOKEN not in str(lines)
    assert "another-token" not in str(lines)


async def test_a_user_with_a_password(tmp_path):
    """As with a token."""
    file = tmp_path / "password"
    file.write_text("sesame\n")
    more = 'authorization { user: "collector", password: "sesame" }\n'
    async with (
        Nats(tmp_path / "nats", more=more) as nats,
        Member(nats, user="collector", password_file=str(file)) as member,
    ):
        assert member.is_up


async def test_what_is_not_permitted_fails_at_once_and_keeps_the_stream_away(tmp_path, monkeypatch):
    """The servers answer nothing then, so that each publish would wait for its time to pass."""
    monkeypatch.setattr(cluster, "HOPELESS_SECONDS", 60.0)
    file = tmp_path / "password"
    file.write_text("sesame")
    more = (
        'authorization { users: [{ user: "u", password: "sesame",'
        ' permissions: { publish: { deny: "collector.Secret.*" } } }] }\n'
    )
    async with (
        Nats(tmp_path / "nats", more=more) as nats,
        Member(nats, user="u", password_file=str(file)) as member,
    ):
        with pytest.raises(AwayError, match="permissions violation"):
            await member.send(1, "Secret")
        assert "permissions violation" in member.problem
        assert not member.is_up


async def test_tls_with_the_right_authority(tmp_path):
    """And a certificate of our own, which the server asks for."""
    authority = Authority(tmp_path)
    issued, own = authority.server(), authority.issue("collector", name="own")
    more = (
        f'tls {{ cert_file: "{issued.cert_file}", key_file: "{issued.key_file}",'
        f' ca_file: "{authority.ca_file}", verify: true }}\n'
    )
    async with Nats(tmp_path / "nats", more=more) as nats:
        files = {"cert_file": str(own.cert_file), "key_file": str(own.key_file)}
        async with Member(nats, tls={"ca_file": str(authority.ca_file), **files}) as member:
            assert member.is_up
            await member.send(1)


async def test_a_server_that_nobody_vouches_for_is_not_used(tmp_path):
    """It is tried again and again, which leaves no connection behind."""
    issued = Authority(tmp_path, "theirs").server()
    ours = Authority(tmp_path, "ours")
    more = TLS.format(cert=issued.cert_file, key=issued.key_file)
    async with Nats(tmp_path / "nats", more=more) as nats:
        tls = {"ca_file": str(ours.ca_file)}
        async with Member(nats, patience=0.2, tls=tls) as member:
            await until(lambda: "certificate is not trusted" in member.problem)
            assert len(await nats.connections()) <= 1


async def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(nats, tmp_path):
    """Neither the token nor a message: nats-py by itself would send them in plain text."""
    (tmp_path / "token").write_text(TOKEN)
    tls = {"ca_file": str(Authority(tmp_path).ca_file)}
    nats.reconfigure("trace: true, debug: true\n")
    async with Member(nats, patience=0.2, tls=tls, token_file=str(tmp_path / "token")) as member:
        await until(lambda: "offers no TLS" in member.problem)
    assert "CONNECT {" not in nats.log().read_text()


async def test_close_sends_what_was_said(nats):
    """An acknowledgement at the very end counts, and what is not dealt with goes back at once."""
    async with Member(nats, ack_wait="1h") as other:
        async with Member(nats, ack_wait="1h") as member:
            for number in (1, 2):
                await member.send(number)
            member.receive().ask(2, WINDOW)
            await until(lambda: len(member.deliveries) == 2)
            member.deliveries[0].ack()
            member.deliveries[1].nak(0)
        other.receive().ask(1, WINDOW)
        await until(lambda: other.numbers == [2])
        await until(lambda: other.holdings.messages == 1)


async def test_a_close_without_servers_takes_no_time(tmp_path):
    """Nothing can be sent."""
    nats = Nats(tmp_path / "nats")
    async with Member(nats, patience=0) as member:
        member.receive().ask(1, WINDOW)
    assert not member.is_up


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_when_servers_are_killed(tmp_path, in_full):
    """Each of three, and then all at once, for some seconds each."""
    if not in_full:
        pytest.skip("with -m slow; shortened, tests/integration/test_cluster_kills.py shows it")
    async with (
        Nats(tmp_path / "nats", 3) as nats,
        Member(nats, replicas=3) as receiver,
        Member(nats, replicas=3) as deliverer,
    ):

        def take(delivery):
            deliverer.deliveries.append(delivery)
            delivery.ack()
            consumer.ask(20, WINDOW)

        consumer = deliverer.consumer("a", is_ordered=False, on_delivery=take)
        consumer.ask(20, WINDOW)
        numbers = []
        sending = asyncio.create_task(_send_on(receiver, numbers))
        for victims in ((0,), (1,), (2,), (0, 1, 2)):
            await _until_longer_by(50, numbers)
            await nats.kill(*victims)
            await asyncio.sleep(5)
            nats.start(*victims)
            await nats.ready()
        await _until_longer_by(50, numbers)
        sending.cancel()
        await asyncio.wait([sending])
        await until(lambda: set(numbers) <= set(deliverer.numbers))
        await until(lambda: receiver.is_up and not receiver.holdings.events)
        # What was on its way when its server died comes again, with the id that it had.
        twice = len(deliverer.deliveries) - len(set(deliverer.numbers))
        assert twice <= len(numbers) // 10


async def _send_on(member, numbers):
    """Publish batches until cancelled, each until it is acknowledged, and tell which were."""
    for number in range(1_000_000):
        await _send_until_acked(member, number)
        numbers.append(number)
        await asyncio.sleep(0.01)


async def _until_longer_by(count, numbers):
    before = len(numbers)
    await until(lambda: len(numbers) >= before + count)


async def _send_until_acked(member, number):
    while True:
        with suppress(AwayError):
            await member.send(number)
            return
        await asyncio.sleep(0.05)
