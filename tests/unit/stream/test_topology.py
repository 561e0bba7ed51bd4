"""Streams and consumers as settings want them, and how they are compared with what there is."""

import pytest

from collector.config import SpoolSettings
from collector.stream import AwayError, Holdings, MismatchError, topology, wire
from collector.stream.asking import ApiError
from collector.stream.topology import Keeper

SETTINGS = SpoolSettings(type="jetstream", servers=("nats://a",), max_bytes="1GiB")


class Api:
    """Answers by subject, and remembers what it was asked."""

    def __init__(self, **answers):
        self.answers = {name: list(given) for name, given in answers.items()}
        self.asked = []

    async def api(self, subject, request=None, **_):
        self.asked.append((subject, request))
        given = self.answers[subject.split(".")[1]]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def info(config=None, **more):
    """Return what the servers say of a stream with three messages."""
    state = {"messages": 3, "bytes": 300, "first_ts": "1970-01-01T00:00:12.5Z"}
    state["subjects"] = {"collector.a.2": 2, "collector.b.1": 1}
    made = {"config": config or topology.batch_stream(SETTINGS), "state": state}
    return {**made, "cluster": {"leader": "n1"}, **more}


def keeper(api):
    """Return what keeps the stream of batches."""
    return Keeper.of_batches(
        api, SETTINGS, lambda subjects: wire.events_by_sink("collector", subjects)
    )


def test_the_stream_of_batches_is_a_work_queue_with_a_bound():
    """One that refuses what is more, and keeps what nobody has dealt with."""
    made = topology.batch_stream(SETTINGS)
    assert (made["name"], made["subjects"]) == ("collector", ["collector.*.*"])
    assert (made["retention"], made["discard"]) == ("workqueue", "new")
    assert (made["max_bytes"], made["num_replicas"], made["max_age"]) == (1 << 30, 3, 0)
    assert made["duplicate_window"] == 600 * 10**9


def test_ids_are_remembered_no_longer_than_messages_are_kept():
    """The servers accept nothing else."""
    made = topology.batch_stream(SETTINGS.model_copy(update={"max_age": 60.0}))
    assert (made["max_age"], made["duplicate_window"]) == (60 * 10**9, 60 * 10**9)


def test_the_stream_of_dead_letters_keeps_them():
    """For as long as the daemons want."""
    made = topology.letter_stream(SETTINGS, 1 << 20)
    assert (made["name"], made["subjects"]) == (
        "collector-dead-letters",
        ["collector-dead-letters.*"],
    )
    assert (made["retention"], made["max_age"], made["max_bytes"]) == ("limits", 0, 1 << 20)


@pytest.mark.parametrize(("is_ordered", "at_once"), [(True, 1), (False, 1000)])
def test_a_sink_that_wants_order_has_one_message_out(is_ordered, at_once):
    """Whoever delivers it."""
    made = topology.consumer(SETTINGS, "front.door", is_ordered=is_ordered)
    assert (made["durable_name"], made["filter_subject"]) == (
        "front=door",
        "collector.front=door.*",
    )
    assert (made["max_ack_pending"], made["ack_wait"]) == (at_once, 30 * 10**9)


def test_what_is_as_wanted_does_not_differ():
    """The servers leave out what is false, and add what nobody asked for."""
    wanted = topology.batch_stream(SETTINGS)
    found = {name: value for name, value in wanted.items() if value is not False}
    assert topology.differing(wanted, {**found, "compression": "none"}) == []


def test_each_difference_is_told_for_people():
    """By the name of the setting, where settings decide."""
    wanted = topology.batch_stream(SETTINGS)
    found = {**wanted, "num_replicas": 1, "retention": "limits", "max_age": 3600 * 10**9}
    found |= {"subjects": ["a", "b"], "duplicate_window": None, "no_ack": True}
    assert topology.mismatches(wanted, found, {"num_replicas": "spool.replicas"}) == [
        "spool.replicas: settings say 3, the stream has 1",
        "no_ack: false is needed, the stream has true",
        "subjects: collector.*.* is needed, the stream has a, b",
        "retention: workqueue is needed, the stream has limits",
        "max_age: none is needed, the stream has 3600s",
        "duplicate_window: 600s is needed, the stream has nothing",
    ]


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        (
            "subject_transform",
            {"src": "c.*.*", "dest": "ZZ.{{wildcard(1)}}"},
            "nothing is needed, the stream has src c.*.* dest ZZ.{{wildcard(1)}}",
        ),
        (
            "republish",
            {"src": ">", "dest": "copy.>", "headers_only": True},
            "nothing is needed, the stream has src > dest copy.> headers_only true",
        ),
        ("mirror", {"name": "other"}, "nothing is needed, the stream has name other"),
        (
            "sources",
            [{"name": "one"}, {"name": "two", "filter_subject": "x.>"}],
            "nothing is needed, the stream has name one, name two filter_subject x.>",
        ),
        (
            "consumer_limits",
            {"inactive_threshold": 5 * 10**9, "max_ack_pending": 10},
            "nothing is needed, the stream has inactive_threshold 5s max_ack_pending 10",
        ),
        ("discard_new_per_subject", True, "false is needed, the stream has true"),
        ("allow_rollup_hdrs", True, "false is needed, the stream has true"),
        ("subject_delete_marker_ttl", 60 * 10**9, "nothing is needed, the stream has 60s"),
        ("allow_msg_counter", True, "false is needed, the stream has true"),
        ("persist_mode", "async", "nothing is needed, the stream has async"),
        ("sealed", True, "false is needed, the stream has true"),
        ("deny_delete", True, "false is needed, the stream has true"),
        ("no_ack", True, "false is needed, the stream has true"),
        ("max_msgs", 10, "-1 is needed, the stream has 10"),
        ("max_msgs_per_subject", 1, "-1 is needed, the stream has 1"),
        ("max_msg_size", 100, "-1 is needed, the stream has 100"),
        ("max_consumers", 1, "-1 is needed, the stream has 1"),
    ],
)
@pytest.mark.parametrize(
    "wanted", [topology.batch_stream(SETTINGS), topology.letter_stream(SETTINGS, 1 << 20)]
)
def test_what_loses_or_holds_back_events_is_in_neither_stream(wanted, name, found, said):
    """Though settings say nothing of it."""
    assert topology.mismatches(wanted, {**wanted, name: found}, {}) == [f"{name}: {said}"]


@pytest.mark.parametrize(
    "found",
    [
        {"consumer_limits": {}, "sources": [], "mirror": None, "allow_rollup_hdrs": False},
        {"persist_mode": "default", "mirror_direct": False, "metadata": {"_nats.ver": "2.11.0"}},
        {"compression": "s2", "placement": {"tags": ["ssd"]}, "first_seq": 1000},
        {"description": "ours", "deny_purge": True, "allow_msg_ttl": True, "allow_atomic": True},
    ],
)
def test_what_loses_nothing_is_for_others_to_choose(found):
    """And what a release says of itself is no difference."""
    wanted = topology.batch_stream(SETTINGS)
    assert topology.mismatches(wanted, {**wanted, **found}, {}) == []


def test_a_stream_is_made_without_a_word_that_a_release_may_not_know():
    """What is left out is off."""
    for made in (topology.batch_stream(SETTINGS), topology.letter_stream(SETTINGS, 1 << 20)):
        assert not made.keys() & {"subject_transform", "consumer_limits", "persist_mode"}


async def test_a_look_tells_what_the_stream_holds():
    """Events by sink, and from how many subjects that was added up."""
    api = Api(INFO=[info()])
    held = Holdings(3, 300, 12.5, {"a": 4, "b": 1}, "n1", {})
    assert await keeper(api).survey("n0") == (held, 2)
    assert api.asked == [("STREAM.INFO.collector", {"subjects_filter": "collector.>"})]


async def test_an_empty_stream_has_no_oldest_message():
    """The servers give the year 1."""
    state = {"messages": 0, "bytes": 0, "first_ts": "0001-01-01T00:00:00Z"}
    held, subjects = await keeper(Api(INFO=[info(state=state)])).survey("n0")
    assert (held.oldest, held.events, subjects) == (None, {}, 0)


async def test_a_server_that_is_alone_leads():
    """It says nothing of a cluster."""
    held, _ = await keeper(Api(INFO=[info(cluster=None)])).survey("n0")
    assert held.leader == "n0"


async def test_a_stream_that_nobody_leads_is_away():
    """Though somebody answers for it."""
    with pytest.raises(AwayError, match="stream collector: nobody leads it"):
        await keeper(Api(INFO=[info(cluster={"name": "c"})])).survey("n0")


async def test_a_stream_that_is_not_there_is_made():
    """And looked at."""
    missing = ApiError(404, 10059, "stream not found")
    api = Api(INFO=[missing, info()], CREATE=[{}])
    assert (await keeper(api).survey("n0"))[0].messages == 3
    assert api.asked[1] == ("STREAM.CREATE.collector", topology.batch_stream(SETTINGS))


@pytest.mark.parametrize(
    ("number", "error"),
    [
        *((10074, MismatchError), (10065, MismatchError), (10052, MismatchError)),
        *((10005, AwayError), (10058, AwayError), (10023, AwayError)),
    ],
)
async def test_a_stream_that_cannot_be_made_is_an_error_or_tried_again(number, error):
    """A cluster that is forming has no room for it for some seconds."""
    missing = ApiError(404, 10059, "stream not found")
    api = Api(INFO=[missing], CREATE=[ApiError(400, number, "no")])
    with pytest.raises(error, match=rf"stream collector cannot be made: no \({number}\)"):
        await keeper(api).survey("n0")


async def test_another_error_is_no_reason_to_make_a_stream():
    """As that the servers have no JetStream."""
    api = Api(INFO=[ApiError(503, 10039, "not enabled")])
    with pytest.raises(AwayError, match="stream collector: not enabled"):
        await keeper(api).survey("n0")


@pytest.mark.parametrize(
    "state",
    [None, {}, {"messages": "many"}, {"messages": 1, "bytes": 1, "first_ts": "today"}, []],
)
async def test_an_answer_that_cannot_be_read_is_none(state):
    """What is known of the stream stays as it is."""
    with pytest.raises(AwayError, match="cannot be read"):
        await keeper(Api(INFO=[info(state=state)])).survey("n0")


async def test_all_pages_of_consumers_are_read():
    """The servers give 256 at a time."""
    pages = [
        {"total": 3, "consumers": [{"name": "a"}, {"name": "b"}]},
        {"total": 3, "consumers": [{"name": "c"}]},
    ]
    api = Api(LIST=pages)
    assert list(await topology.consumers(api, "s")) == ["a", "b", "c"]
    assert api.asked == [("CONSUMER.LIST.s", {"offset": 0}), ("CONSUMER.LIST.s", {"offset": 2})]


@pytest.mark.parametrize("page", [{"total": 9, "consumers": None}, {"total": 9}, {"total": 0}])
async def test_a_page_without_consumers_is_the_last(page):
    """Whatever the servers count."""
    assert await topology.consumers(Api(LIST=[page]), "s") == {}


async def test_consumers_that_cannot_be_read_are_no_answer():
    """What is known of them stays as it is."""
    with pytest.raises(AwayError, match="cannot be read"):
        await topology.consumers(Api(LIST=[{"consumers": [{}]}]), "s")
