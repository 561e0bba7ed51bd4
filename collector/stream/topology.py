"""The streams and consumers as settings want them, beside those that the servers have."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from collector.stream import AwayError, Holdings, MismatchError
from collector.stream.aligning import bound
from collector.stream.asking import ANSWER_SECONDS, ApiError
from collector.stream.wire import LETTERS_SUFFIX, subject_of_sink, token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.config import SpoolSettings
    from collector.stream.asking import Asker

NANOSECONDS: Final = 1_000_000_000

REMEMBERED_SECONDS: Final = 600
"""How long the servers know the id of a message: a batch that may have been stored is published
again within that time, or may be there twice."""

MAX_IN_HAND: Final = 1000
"""Messages of a sink that all its deliverers together may have in hand."""

MAX_WAITING: Final = 512
"""Requests for messages of a sink that may wait, one of each deliverer."""

# Creating takes an election of who leads the new stream.
CREATE_SECONDS: Final = 10.0
SURVEY_SECONDS: Final = 2.0

# A request is lost without a word where the leader of servers or consumer dies, and nothing is
# brought until there is an answer. Asking again does no harm, so what takes longer is asked again.
CONSUMER_SECONDS: Final = 2.0

# nats-server's server/errors.json.
NO_STREAM: Final = 10059

# What creating a stream is refused with for good: settings that the servers do not take, subjects
# that another stream has, replicas without a cluster.
_IMPOSSIBLE: Final = frozenset({10052, 10065, 10074})

# What of a stream settings decide, by its name there.
BATCH_SETTINGS: Final = {
    "max_bytes": "spool.max_bytes",
    "max_age": "spool.max_age",
    "num_replicas": "spool.replicas",
}
LETTER_SETTINGS: Final = {
    "max_bytes": "dead_letters.max_bytes",
    "num_replicas": "spool.replicas",
}

# What a stream is to be without, and how the lack of it is called. No stream is made with a word of
# these: releases that do not know one may refuse it, and what is left out is off in all of them.
#
# What else a stream may have, up to release 2.12, neither loses nor withholds an event, and is its
# operators' to choose: allow_atomic, allow_msg_schedules and allow_msg_ttl, which a publisher asks
# for with each message, and we do not; compression, deny_purge, description, first_seq, metadata,
# mirror_direct, placement, template_owner.
_WITHOUT: Final[Mapping[str, str]] = {
    # Events go elsewhere, or come from there.
    "subject_transform": "nothing",  # stored under a subject that no consumer has: never delivered
    "republish": "nothing",  # copied to whoever listens, whatever the intakes and sinks say
    "mirror": "nothing",  # takes nothing but what the other stream has
    "sources": "nothing",  # others' messages, which nobody here accounts for
    # Events are held back, or deleted.
    "consumer_limits": "nothing",  # refuse our consumers, or delete them with what they know
    "discard_new_per_subject": "false",
    "allow_rollup_hdrs": "false",  # lets those who may only publish delete what is there
    "subject_delete_marker_ttl": "nothing",  # the servers put messages of their own
    "allow_msg_counter": "false",  # takes nothing but numbers to add up
    "persist_mode": "nothing",  # async: acknowledged before it is written
}

_DEFAULT: Final[Mapping[str, Any]] = {"persist_mode": "default"}
"""Values that mean the same as nothing."""

_IN_NANOSECONDS: Final = frozenset(
    {
        "max_age",
        "duplicate_window",
        "ack_wait",
        "inactive_threshold",
        "subject_delete_marker_ttl",
    }
)


def batch_stream(settings: SpoolSettings) -> dict[str, Any]:
    """Return the stream of batches as settings want it, in the form of the API.

    Each message goes to one of those that take them, and is deleted when that one is done with it.
    """
    age = round((settings.max_age or 0) * NANOSECONDS)
    remembered = REMEMBERED_SECONDS * NANOSECONDS
    return {
        **_common(settings.stream, settings.replicas),
        "subjects": [f"{settings.stream}.*.*"],
        "retention": "workqueue",
        "max_bytes": bound(settings.stream_bound),
        "max_age": age,
        "duplicate_window": min(remembered, age) if age else remembered,
    }


def letter_stream(settings: SpoolSettings, max_bytes: int) -> dict[str, Any]:
    """Return the stream of dead letters as settings want it.

    Args:
        settings: of the spool.
        max_bytes: octets of dead letters that are kept.
    """
    return {
        **_common(settings.stream + LETTERS_SUFFIX, settings.replicas),
        "subjects": [f"{settings.stream}{LETTERS_SUFFIX}.*"],
        "retention": "limits",
        "max_bytes": bound(max_bytes),
        "max_age": 0,
        "duplicate_window": REMEMBERED_SECONDS * NANOSECONDS,
    }


def _common(name: str, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "no_ack": False,
        "sealed": False,
        "deny_delete": False,
        # Switched on later, release 2.9 does not serve it.
        "allow_direct": True,
    }


def consumer(settings: SpoolSettings, sink: str, *, is_ordered: bool) -> dict[str, Any]:
    """Return a sink's consumer as settings want it, in the form of the API.

    Args:
        settings: of the spool.
        sink: its name.
        is_ordered: whether one message of it is out at a time.
    """
    name = token(sink)
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": subject_of_sink(settings.stream, sink),
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "replay_policy": "instant",
        "ack_wait": round(settings.ack_wait * NANOSECONDS),
        "max_deliver": -1,
        "max_ack_pending": 1 if is_ordered else MAX_IN_HAND,
        "max_waiting": MAX_WAITING,
    }


# What the servers do not let be changed in a consumer, beside what settings want.
_FIXED: Final = ("ack_policy", "deliver_policy", "max_waiting", "replay_policy")


def fixed_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say what of a consumer is not as it is to be and cannot be changed.

    Args:
        wanted: the consumer as it is to be, in the form of the API.
        found: as the servers have it; empty where there is none.
    """
    # One that has a subject to deliver to is a push consumer.
    needed = {"deliver_subject": "", **{name: wanted[name] for name in _FIXED}}
    return [
        f"{name}: {_shown(name, needed[name] or None)} is needed,"
        f" the consumer has {_shown(name, found.get(name))}"
        for name in (differing(needed, found) if found else ())
    ]


def differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return which of what is wanted is not so; what is false or 0 is left out by the servers."""
    return [name for name, value in wanted.items() if found.get(name, type(value)()) != value]


def mismatches(
    wanted: Mapping[str, Any], found: Mapping[str, Any], settings: Mapping[str, str]
) -> list[str]:
    """Say of each difference between streams what is wanted and what is.

    What a stream is made with is compared, and what is to be in none that we use: that would have
    events stored where nobody looks for them, sent elsewhere, held back or deleted.

    Args:
        wanted: the stream as it is to be.
        found: the stream as the servers have it.
        settings: the setting that decides, by the name in the stream; what is not there is not for
            settings to decide.
    """
    said = []
    for name in differing(wanted, found):
        has = _shown(name, found.get(name))
        if name in settings:
            asked = _shown(name, wanted[name])
            said.append(f"{settings[name]}: settings say {asked}, the stream has {has}")
        else:
            asked = _shown(name, wanted[name])
            said.append(f"{name}: {asked} is needed, the stream has {has}")
    for name, lack in _WITHOUT.items():
        value = found.get(name)
        if value and value != _DEFAULT.get(name):
            said.append(f"{name}: {lack} is needed, the stream has {_shown(name, value)}")
    return said


def _shown(name: str, value: Any) -> str:
    if name == "max_age" and not value:
        return "none"
    if name in _IN_NANOSECONDS and isinstance(value, int):
        return f"{value / NANOSECONDS:g}s"
    if isinstance(value, list):
        return ", ".join(_shown(name, item) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{part} {_shown(part, item)}" for part, item in value.items())
    if isinstance(value, str):
        return value
    return "nothing" if value is None else str(value).lower()


class Keeper:
    """Creates and checks one stream, and says what it holds.

    Args:
        asker: asks the servers.
        wanted: the stream as it is to be.
        settings: as `mismatches` has them.
        events: adds up messages by subject to what `Holdings.events` is to have.
    """

    def __init__(
        self,
        asker: Asker,
        wanted: Mapping[str, Any],
        settings: Mapping[str, str],
        events: Callable[[Mapping[str, int]], dict[str, int]],
    ) -> None:
        self._asker = asker
        self._wanted = wanted
        self._settings = settings
        self._events = events
        self.name = str(wanted["name"])

    @classmethod
    def of_batches(
        cls,
        asker: Asker,
        settings: SpoolSettings,
        events: Callable[[Mapping[str, int]], dict[str, int]],
    ) -> Keeper:
        """Return what keeps the stream of batches."""
        return cls(asker, batch_stream(settings), BATCH_SETTINGS, events)

    @classmethod
    def of_letters(
        cls,
        asker: Asker,
        settings: SpoolSettings,
        max_bytes: int,
        events: Callable[[Mapping[str, int]], dict[str, int]],
    ) -> Keeper:
        """Return what keeps the stream of dead letters."""
        return cls(asker, letter_stream(settings, max_bytes), LETTER_SETTINGS, events)

    async def survey(self, server: str) -> tuple[Holdings, int]:
        """See that the stream is there, make it where it is not, and see what it holds.

        Args:
            server: the name of the server that is asked, which leads where there is no cluster.

        Returns:
            What it holds, and how many subjects that was added up from.

        Raises:
            MismatchError: the stream is not as it is to be, or cannot be.
            AwayError: there is no answer, or nobody leads the stream.
        """
        try:
            info = await stream_info(self._asker, self.name, seconds=SURVEY_SECONDS)
        except ApiError as error:
            if error.number != NO_STREAM:
                raise AwayError(f"stream {self.name}: {error}") from error
            await self._create()
            return await self.survey(server)
        said = mismatches(self._wanted, info.get("config") or {}, self._settings)
        if said:
            raise MismatchError(f"stream {self.name}: {'; '.join(said)}")
        return self._read(info, server)

    async def _create(self) -> None:
        try:
            await self._asker.api(
                f"STREAM.CREATE.{self.name}", self._wanted, seconds=CREATE_SECONDS
            )
        except ApiError as error:
            text = f"stream {self.name} cannot be made: {error}"
            if error.number in _IMPOSSIBLE:
                raise MismatchError(text) from error
            raise AwayError(text) from error

    def _read(self, info: Mapping[str, Any], server: str) -> tuple[Holdings, int]:
        try:
            state = info["state"]
            leader = str((info.get("cluster") or {"leader": server}).get("leader") or "")
            subjects = state.get("subjects") or {}
            holdings = Holdings(
                messages=int(state["messages"]),
                octets=int(state["bytes"]),
                oldest=_moment(state["first_ts"]) if state["messages"] else None,
                events=self._events(subjects),
                leader=leader,
                redelivered={},
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise AwayError("the servers' answer cannot be read") from error
        if not leader:
            raise AwayError(f"stream {self.name}: nobody leads it")
        return holdings, len(subjects)


def _moment(text: str) -> float:
    """Return a time of the API, with up to nine digits of a second, in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


async def stream_info(
    asker: Asker, stream: str, *, seconds: float = ANSWER_SECONDS
) -> dict[str, Any]:
    """Return what the servers know of a stream, with how many messages each subject has.

    They list 100,000 subjects at a time; what they know of the rest is as it was when they were
    asked for the first.

    Args:
        asker: asks the servers.
        stream: its name.
        seconds: how long each answer is waited for.

    Raises:
        AwayError: there is no answer, or none that can be read.
        ApiError: it is an error, as that there is no such stream.
    """
    request: dict[str, Any] = {"subjects_filter": f"{stream}.>"}
    info = await asker.api(f"STREAM.INFO.{stream}", request, seconds=seconds)
    try:
        page = subjects = dict((info.get("state") or {}).get("subjects") or {})
        while page and len(subjects) < int(info.get("total", 0)):
            more = {**request, "offset": len(subjects)}
            answer = await asker.api(f"STREAM.INFO.{stream}", more, seconds=seconds)
            page = dict(answer["state"].get("subjects") or {})
            subjects |= page
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise AwayError("the servers' answer cannot be read") from error
    if subjects:
        info["state"]["subjects"] = subjects
    return info


async def consumers(asker: Asker, stream: str) -> dict[str, dict[str, Any]]:
    """Return what the servers know of each consumer of a stream, by its name.

    Args:
        asker: asks the servers; where a consumer has no leader, they take seconds to answer.
        stream: its name.

    Raises:
        AwayError: there is no answer, or none that can be read.
        ApiError: it is an error, as that there is no such stream.
    """
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = await asker.api(f"CONSUMER.LIST.{stream}", {"offset": len(found)})
        try:
            before = len(found)
            found |= {str(one["name"]): dict(one) for one in page.get("consumers") or ()}
            if len(found) == before or len(found) >= int(page.get("total", 0)):
                return found
        except (LookupError, TypeError, ValueError) as error:
            raise AwayError("the servers' answer cannot be read") from error


async def create_consumer(asker: Asker, stream: str, wanted: Mapping[str, Any]) -> None:
    """Make a consumer, or change it to what is wanted.

    Release 2.9 has forgotten such a change after a restart of all servers, and goes by what the
    consumer was made with.

    Raises:
        AwayError: there is no answer, or none that can be read.
        ApiError: the servers refuse it.
    """
    await asker.api(
        f"CONSUMER.CREATE.{stream}.{wanted['name']}.{wanted['filter_subject']}",
        {"stream_name": stream, "config": wanted},
        seconds=CONSUMER_SECONDS,
    )
