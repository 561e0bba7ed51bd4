"""What servers and the account allow, held against streams that are yet to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.describe.quantities import octets
from collector.doctor.findings import Finding
from collector.stream.cluster import LEAST_OCTETS, SPARE_OCTETS
from collector.stream.wire import LETTERS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SUBJECT: Final = "stream"
_LIMITS: Final = "higher limits of JetStream for the account, or less in the settings"

LEAST_PAYLOAD: Final = LEAST_OCTETS + SPARE_OCTETS
"""Octets of `max_payload` that the servers need."""


def on_payload(max_payload: int) -> Iterator[Finding]:
    """See that batches fit into what the servers take as a message."""
    if max_payload < LEAST_PAYLOAD:
        found = f"the servers take messages of {max_payload} octets, {LEAST_PAYLOAD} are needed"
        advice = "max_payload in the settings of the servers; 1MB is their default"
        yield Finding("error", _SUBJECT, "spool.servers", found, advice)


def on_replicas(replicas: int, *, is_clustered: bool) -> Iterator[Finding]:
    """See that there can be as many copies as settings want.

    Args:
        replicas: how many.
        is_clustered: whether the server is one of a cluster.
    """
    if replicas > 1 and not is_clustered:
        found = f"{replicas} are wanted, and the server is not in a cluster: no stream can be made"
        advice = "a cluster of as many servers, or spool.replicas: 1"
        yield Finding("error", _SUBJECT, "spool.replicas", found, advice)


def on_account(info: Mapping[str, Any], missing: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """See that the account has room for streams.

    Args:
        info: of the account, as `$JS.API.INFO` says it.
        missing: the streams, in the form of the API; one at least.
    """
    replicas = int(missing[0]["num_replicas"])
    usage = _usage(info, replicas)
    if usage is None:
        found = f"the account has no limits for streams with {replicas} replicas (error 10120)"
        yield Finding("error", _SUBJECT, "spool.replicas", found, _LIMITS)
        return
    limits = usage.get("limits") or {}
    there, most = int(usage.get("streams") or 0), _limit(limits, "max_streams")
    if most and there + len(missing) > most:
        found = (
            f"the account's limit of streams is {most} (error 10027): it has {there},"
            f" {len(missing)} more to be made"
        )
        yield Finding("error", _SUBJECT, "spool.stream", found, _LIMITS)
    for stream in missing:
        most = _limit(limits, "storage_max_stream_bytes")
        if most and stream["max_bytes"] > most:
            found = (
                f"stream {stream['name']} is to hold {octets(stream['max_bytes'])}, a stream of"
                f" the account may hold {octets(most)} (error 10122)"
            )
            is_letters = stream["name"].endswith(LETTERS_SUFFIX)
            where = "dead_letters.max_bytes" if is_letters else "spool.max_bytes"
            yield Finding("error", _SUBJECT, where, found, _LIMITS)
    yield from _on_storage(usage, missing, 1 if info.get("tiers") else replicas)


def _on_storage(
    usage: Mapping[str, Any], missing: Sequence[Mapping[str, Any]], copies: int
) -> Iterator[Finding]:
    """See that what streams reserve is left; release 2.9 tells only what is in use."""
    limits = usage.get("limits") or {}
    if "max_storage" not in limits or limits["max_storage"] < 0:
        return
    taken = int(usage.get("reserved_storage") or usage.get("storage") or 0)
    wanted = sum(int(stream["max_bytes"]) for stream in missing)
    room = limits["max_storage"] - taken
    if wanted * copies <= room:
        return
    found = (
        f"streams are to hold {octets(wanted * copies)}, copies included, and the account may"
        f" store {octets(room)} more"
    )
    # One copy of each is what the servers look at as they make them.
    level: Final = "error" if wanted > room else "warning"
    yield Finding(level, _SUBJECT, "spool.max_bytes", found, _LIMITS)


def most_consumers(info: Mapping[str, Any], replicas: int) -> int | None:
    """Return how many consumers a stream of the account may have; None for any number.

    Args:
        info: of the account, as `$JS.API.INFO` says it.
        replicas: of the stream.
    """
    return _limit((_usage(info, replicas) or {}).get("limits") or {}, "max_consumers")


def _usage(info: Mapping[str, Any], replicas: int) -> Mapping[str, Any] | None:
    """Return what counts for streams of so many replicas; None where none may be made."""
    tiers: Mapping[str, Any] | None = info.get("tiers")
    return info if not tiers else tiers.get(f"R{replicas}")


def _limit(limits: Mapping[str, Any], name: str) -> int | None:
    """Return a limit; 0 or less is none."""
    number = int(limits.get(name) or 0)
    return number if number > 0 else None
