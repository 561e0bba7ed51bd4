"""What of a stream a deliverer uses: the consumer of each sink, and whether it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.describe.quantities import count
from collector.doctor.account import most_consumers
from collector.doctor.findings import Finding
from collector.stream import topology

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collector.config import Config, SpoolSettings

_SUBJECT: Final = "consumer"

# What the servers refuse, or do not understand, and so nothing comes of it but what permissions do:
# no JSON where a consumer is to be made, a text where batches are to be counted, and an
# acknowledgement of a kind that there is none of, for no message.
_NO_JSON: Final = b"?"
_NO_NUMBER: Final = b'{"batch":"?"}'
_NO_ACKNOWLEDGEMENT: Final = b"?"


def wanted_by(config: Config) -> list[dict[str, Any]]:
    """Return the consumer of each sink as settings want it, in the order of the sinks."""
    return [
        topology.consumer(config.spool, sink.name, is_ordered=sink.concurrency == 1)
        for sink in config.sinks
    ]


def trials(spool: SpoolSettings, wanted: Mapping[str, Any]) -> dict[str, bytes]:
    """Return messages that show whether a consumer may be made and used, by subject.

    Args:
        spool: settings of it.
        wanted: the consumer, in the form of the API.
    """
    stream, name = spool.stream, wanted["name"]
    return {
        f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{wanted['filter_subject']}": _NO_JSON,
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}": _NO_NUMBER,
        f"$JS.ACK.{stream}.{name}.0.0.0.0.0": _NO_ACKNOWLEDGEMENT,
    }


def on_permissions(index: int, forbidden: Sequence[str]) -> Iterator[Finding]:
    """Say under which subjects a deliverer would have to publish, and may not."""
    if forbidden:
        found = f"the servers do not let us publish under {', '.join(forbidden)}"
        advice = "the permissions of a deliverer for this user: deploy/cluster/nats-server.conf"
        yield Finding("error", _SUBJECT, f"sinks[{index}]", found, advice)


def on_limit(
    info: Mapping[str, Any], replicas: int, there: Mapping[str, Any], wanted: Sequence[str]
) -> Iterator[Finding]:
    """See that the account allows as many consumers as there are to be.

    Args:
        info: of the account, as `$JS.API.INFO` says it.
        replicas: of the stream.
        there: the consumers that there are, by name.
        wanted: the names of those of the sinks.
    """
    most = most_consumers(info, replicas)
    missing = sum(name not in there for name in wanted)
    if most is not None and missing and len(there) + missing > most:
        found = (
            f"the account's limit of consumers of a stream is {most} (error 10026):"
            f" there are {len(there)}, {missing} more to be made"
        )
        advice = (
            "a higher limit for the account, or fewer sinks; `nats consumer rm` for what is left"
            " over of sinks that there are no longer"
        )
        yield Finding("error", _SUBJECT, "sinks", found, advice)


def on_consumer(index: int, wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> Finding:
    """Hold the consumer of a sink against what settings want.

    Args:
        index: of the sink.
        wanted: the consumer, in the form of the API.
        found: what the servers know of it; None where it is not there.
    """
    where, name = f"sinks[{index}]", f"consumer {wanted['name']}"
    if found is None:
        return Finding(
            "note", _SUBJECT, where, f"{name} is not there: the first deliverer makes it"
        )
    has = found.get("config") or {}
    if said := topology.fixed_differences(wanted, has):
        advice = (
            "`nats consumer rm`: a deliverer makes it again, and what waits stays in the stream"
        )
        return Finding("error", _SUBJECT, where, f"{name}: {'; '.join(said)}", advice)
    if differing := topology.differing(wanted, has):
        text = f"{name} has another {', '.join(differing)}: a deliverer changes it"
        return Finding("note", _SUBJECT, where, text)
    waiting, out = found.get("num_pending") or 0, found.get("num_ack_pending") or 0
    text = f"{name} is as settings have it, {count(waiting)} messages wait, {count(out)} are out"
    return Finding("ok", _SUBJECT, where, text)
