"""Asks the servers of a stream: whether they let us in, and whether all is as settings want.

Nothing is made or changed, and no message is published or taken. All servers are asked at the same
time, and each step has its time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import nats.errors

from collector.describe.quantities import count, octets
from collector.doctor import account, consumers
from collector.doctor.findings import Finding
from collector.doctor.servers import NOBODY, Visit, advice, visit
from collector.roles import STREAM
from collector.stream import StreamError, topology
from collector.stream.asking import ApiError
from collector.stream.link import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.config import Config
    from collector.doctor.findings import Level
    from collector.roles import Role

_SUBJECT: Final = "stream"

_ALLOWED: Final = (
    "servers with JetStream that have elected who leads, and permission for $JS.API.STREAM.INFO"
)
_AS_WANTED: Final = "change the settings, or the stream: `nats stream edit`"

_MAKE: Final = "permission for that, or streams that are made before: `nats stream add`"
_LISTED: Final = "permission for $JS.API.CONSUMER.LIST, and servers that have elected who leads"

# What is no JSON makes no stream; only permissions come of it.
_NO_JSON: Final = b"?"


async def ask_stream(config: Config, role: Role, seconds: float) -> list[Finding]:
    """Find out whether the stream of settings can be used; nothing where they have none.

    Args:
        config: the settings.
        role: of the daemon; one that does not deliver needs no consumers.
        seconds: that each step may take.
    """
    spool = config.spool
    if spool.type != STREAM:
        return []
    attempts = await asyncio.gather(*(visit(spool, server, seconds) for server in spool.servers))
    visits = [found for found in attempts if isinstance(found, Visit)]
    # One server is enough.
    level: Level = "warning" if visits else "error"
    findings = []
    for index, found in enumerate(attempts):
        where, server = f"spool.servers[{index}]", spool.servers[index]
        if isinstance(found, Visit):
            findings.append(Finding("ok", _SUBJECT, where, f"{server} lets us in"))
        else:
            text = f"{server}: {describe(found)}"
            findings.append(Finding(level, _SUBJECT, where, text, advice(found)))
    try:
        if visits:
            findings += await _Look(config, role, visits[0], seconds).findings()
    finally:
        for one in visits:
            one.end()
    return findings


class _Look:
    """A look at what there is, with the help of a server that has let us in.

    Args:
        config: the settings.
        role: of the daemon.
        visit: the server.
        seconds: that each step may take.
    """

    def __init__(self, config: Config, role: Role, visit: Visit, seconds: float) -> None:
        self._config = config
        self._role = role
        self._visit = visit
        self._seconds = seconds

    async def findings(self) -> list[Finding]:
        """Look at both streams, at what is in the way of one that is missing, and at consumers."""
        client = self._visit.client
        found = list(account.on_payload(client.max_payload))
        try:
            await self._visit.asker.bind(client)
            info = await self._account()
            found += await self._streams(info, is_possible=not found)
            if self._role.delivers and "error" not in {one.level for one in found}:
                found += await self._consumers(info)
        except (nats.errors.Error, TimeoutError) as error:
            found.append(Finding("error", _SUBJECT, "spool.servers", describe(error), NOBODY))
        return found

    async def _account(self) -> dict[str, Any] | None:
        """Return what the servers say of the account; None where they do not."""
        try:
            return await self._visit.asker.api("INFO", seconds=topology.SURVEY_SECONDS)
        except StreamError:
            return None  # as where the rights are those that a member needs, and no more

    async def _streams(self, info: Mapping[str, Any] | None, *, is_possible: bool) -> list[Finding]:
        spool = self._config.spool
        batches = topology.batch_stream(spool)
        letters = topology.letter_stream(spool, self._config.dead_letters.max_bytes)
        looks = {
            str(batches["name"]): await self._stream(batches, topology.BATCH_SETTINGS),
            str(letters["name"]): await self._stream(letters, topology.LETTER_SETTINGS),
        }
        missing = [one for one in (batches, letters) if looks[one["name"]] is None]
        obstacles = await self._obstacles(info, missing) if missing else []
        is_possible = is_possible and "error" not in {one.level for one in obstacles}
        for one in missing:
            looks[one["name"]] = _absent(one, is_possible=is_possible, is_told=info is not None)
        return [*obstacles, *(look for look in looks.values() if look is not None)]

    async def _stream(
        self, wanted: Mapping[str, Any], settings: Mapping[str, str]
    ) -> Finding | None:
        """Hold a stream against what settings want; None where it is not there."""
        name, where = f"stream {wanted['name']}", "spool.stream"
        try:
            info = await self._visit.asker.api(
                f"STREAM.INFO.{wanted['name']}", seconds=topology.SURVEY_SECONDS
            )
        except StreamError as error:
            if isinstance(error, ApiError) and error.number == topology.NO_STREAM:
                return None
            # Who may not hear answers gets none.
            deaf = [said for said in self._visit.objections if "subscription" in said]
            found = "; ".join((f"{name}: {error}", *deaf))
            return Finding("error", _SUBJECT, where, found, _ALLOWED)
        said = topology.mismatches(wanted, info.get("config") or {}, settings)
        if said:
            return Finding("error", _SUBJECT, where, f"{name}: {'; '.join(said)}", _AS_WANTED)
        found = f"{name} is as settings have it, {_held(info, wanted)}"
        return Finding("ok", _SUBJECT, where, found)

    async def _obstacles(
        self, info: Mapping[str, Any] | None, missing: Sequence[Mapping[str, Any]]
    ) -> list[Finding]:
        """Find what keeps streams from being made, as far as that can be asked."""
        replicas = self._config.spool.replicas
        found = list(account.on_replicas(replicas, is_clustered=self._visit.is_clustered))
        if info is not None:
            found += account.on_account(info, missing)
        trials = {f"$JS.API.STREAM.CREATE.{one['name']}": _NO_JSON for one in missing}
        for subject in await self._visit.forbidden(trials, self._seconds):
            text = f"the servers do not let us publish under {subject}"
            found.append(Finding("error", _SUBJECT, "spool.stream", text, _MAKE))
        return found

    async def _consumers(self, info: Mapping[str, Any] | None) -> list[Finding]:
        spool = self._config.spool
        try:
            there = await topology.consumers(self._visit.asker, spool.stream)
        except StreamError as error:
            if not isinstance(error, ApiError) or error.number != topology.NO_STREAM:
                return [Finding("error", "consumer", "sinks", str(error), _LISTED)]
            there = {}
        wanted = consumers.wanted_by(self._config)
        names = [str(one["name"]) for one in wanted]
        found: list[Finding] = []
        if info is not None:
            found += consumers.on_limit(info, spool.replicas, there, names)
        for index, one in enumerate(wanted):
            forbidden = await self._visit.forbidden(consumers.trials(spool, one), self._seconds)
            found += consumers.on_permissions(index, forbidden)
            found.append(consumers.on_consumer(index, one, there.get(names[index])))
        return found


def _absent(wanted: Mapping[str, Any], *, is_possible: bool, is_told: bool) -> Finding:
    """Say what becomes of a stream that is not there.

    Args:
        wanted: the stream, in the form of the API.
        is_possible: whether nothing is known to be in the way.
        is_told: whether the account's limits are known.
    """
    name, where = f"stream {wanted['name']}", "spool.stream"
    if not is_possible:
        found = f"{name} is not there, and what is named before this is in the way"
        return Finding("error", _SUBJECT, where, found, "do away with that first")
    room = f"{octets(wanted['max_bytes'])} of max_file_store"
    servers = wanted["num_replicas"]
    where_free = "is free" if servers == 1 else f"is free on {servers} servers"
    found = f"{name} is not there: the first daemon makes it, where {room} {where_free}"
    if not is_told:
        found += ", if the account's limits, which we may not ask for, allow it"
    return Finding("note", _SUBJECT, where, found)


def _held(info: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say how much a stream holds."""
    state = info.get("state") or {}
    messages, taken = state.get("messages", 0), state.get("bytes", 0)
    return f"{count(messages)} messages in {octets(taken)} of {octets(wanted['max_bytes'])}"
