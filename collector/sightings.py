"""Who has sent what, and when last: for each intake, the sources whose messages it has taken.

A source is the address of a peer; all peers without one, which speak through a socket of this
machine, are one source. What is known outlives the process as a note in its spool.

Silence is told of intakes that say how often their senders speak (`expect_every`). It begins when a
source was last seen, but no earlier than the daemon listens: for what it could not hear it blames
nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collector.logs import Reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

log = structlog.get_logger(__name__)

NOTE: Final = "sightings"
"""The name of the note in the spool."""

CHECK_SECONDS: Final = 10.0
"""How often `Sightings.check` is to be called, and what it returns be noted in the spool."""

LOCAL: Final = "local"
"""The source of what comes without an address, from a Unix socket."""

# Of an intake. Whoever can forge addresses can fill it: the ones least recently seen go.
MAX_SOURCES: Final = 1000

# A source that was not seen for so long, or for twice the time its intake waits, is no longer one.
FORGET_SECONDS: Final = 90 * 86400.0

# Lines of the log that one check writes of an intake, and how many silent sources it shows.
MAX_TOLD: Final = 20

# Between checks that are further apart the machine slept, or its clock was set.
MAX_GAP_SECONDS: Final = 6 * CHECK_SECONDS

_SILENT: Final = "silent for longer than expect_every"
_ABSENT: Final = "no source seen for longer than expect_every"


class Sighting(NamedTuple):
    """A source of an intake, and when it was last seen, in seconds since 1970."""

    intake: str
    source: str
    at: float


class _Note(BaseModel):
    """What is noted: by intake and source, when that was last seen."""

    model_config = ConfigDict(strict=True)

    version: Literal[1] = 1
    intakes: dict[str, dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]]


@dataclass(slots=True)
class _Sources:
    """What is known of the sources of one intake.

    Attributes:
        intake: its name.
        since: since when it is listened for, in seconds since 1970.
        expect_every: seconds of silence after which a source is reported; None for never.
        is_configured: whether there is such an intake now; what is known of one that is gone waits
            for its return.
        seen: when each source was last seen, the least recently seen first.
        silent: those that were reported, and when each had last been seen.
        is_absent: whether it was reported that there is no source at all.
    """

    intake: str
    since: float
    expect_every: float | None = None
    is_configured: bool = False
    seen: dict[str, float] = field(default_factory=dict)
    silent: dict[str, float] = field(default_factory=dict)
    is_absent: bool = False

    def count_anew(self, now: float) -> None:
        """Count silence from now on; what lies in the future was seen just now at the latest."""
        self.since = now
        for source, at in self.seen.items():
            self.seen[source] = min(at, now)

    def forget(self, now: float) -> None:
        """Forget the sources that were not seen for very long."""
        horizon = now - max(FORGET_SECONDS, 2 * (self.expect_every or 0.0))
        for source in [source for source, at in self.seen.items() if at < horizon]:
            del self.seen[source]
            if self.silent.pop(source, None) is not None:
                log.info("silent sender is forgotten", intake=self.intake, source=source)

    def check(self, now: float) -> None:
        """Report who has fallen silent, and who is heard again."""
        horizon = -inf if self.expect_every is None else now - self.expect_every
        is_long = self.since < horizon
        silent = {source: at for source, at in self.seen.items() if is_long and at < horizon}
        fallen = [source for source in silent if source not in self.silent]
        heard = [
            source
            for source, at in self.silent.items()
            if source not in silent and self.seen.get(source, at) > at
        ]
        self.silent = silent
        self._tell(log.warning, "sender is silent for longer than expect_every", fallen)
        self._tell(log.info, "sender is heard again", heard)
        self._check_presence(is_absent=is_long and not self.seen)

    def _check_presence(self, *, is_absent: bool) -> None:
        if is_absent and not self.is_absent:
            log.warning("no sender is seen for longer than expect_every", intake=self.intake)
        if self.is_absent and self.seen:
            log.info("a sender is seen", intake=self.intake, source=next(iter(self.seen)))
        self.is_absent = is_absent

    def _tell(self, write: Callable[..., Any], event: str, sources: list[str]) -> None:
        """Write a line for each of some sources; beyond a bound, one for all the others."""
        for source in sources[:MAX_TOLD]:
            last_seen = as_text(self.seen[source])
            write(event, intake=self.intake, source=source, last_seen=last_seen)
        if len(sources) > MAX_TOLD:
            write(event, intake=self.intake, more_sources=len(sources) - MAX_TOLD)

    def degraded(self) -> Iterator[dict[str, str]]:
        """Yield who is silent, as `/readyz` has it; beyond a bound, only how many others are."""
        if self.is_absent:
            yield {"intake": self.intake, "reason": _ABSENT}
        for source in list(self.silent)[:MAX_TOLD]:
            yield {"intake": self.intake, "source": source, "reason": _SILENT}
        if len(self.silent) > MAX_TOLD:
            more = len(self.silent) - MAX_TOLD
            yield {"intake": self.intake, "reason": f"{more} more sources {_SILENT}"}


class Sightings:
    """When each source of each intake was last seen. Times are in seconds since 1970."""

    def __init__(self) -> None:
        self._intakes: dict[str, _Sources] = {}
        self._checked: float | None = None
        self._reports = Reports(log)

    def configure(self, expected: Mapping[str, float | None], now: float) -> None:
        """Take over what intakes there are; what is known of their sources stays.

        Args:
            expected: for each intake, after how many seconds a silent source is reported; None for
                never.
            now: from when on a new intake is listened for.
        """
        for intake in self._intakes.keys() - expected.keys():
            gone = self._intakes[intake]
            gone.is_configured, gone.expect_every = False, None
        for intake, expect_every in expected.items():
            sources = self._intakes.setdefault(intake, _Sources(intake, now))
            if not sources.is_configured:
                sources.is_configured, sources.since = True, now
            sources.expect_every = expect_every

    def saw(self, intake: str, peer: str, now: float) -> None:
        """Note that an intake has taken messages of a peer.

        Args:
            intake: its name.
            peer: the sender's address as text; empty if it has none.
            now: when they were received.
        """
        try:
            seen = self._intakes[intake].seen
        except KeyError:
            seen = self._intakes.setdefault(intake, _Sources(intake, now)).seen
        source = peer or LOCAL
        if seen.pop(source, None) is None and len(seen) >= MAX_SOURCES:
            self._make_room(intake, seen)
        seen[source] = now

    def _make_room(self, intake: str, seen: dict[str, float]) -> None:
        del seen[next(iter(seen))]
        self._reports.warning(
            intake,
            "more senders than are remembered, the least recently seen are forgotten",
            intake=intake,
            remembered=MAX_SOURCES,
        )

    def check(self, now: float) -> bytes:
        """Report who has fallen silent and who is heard again; forget who is long gone.

        It is to be called every `CHECK_SECONDS`: where the time between two calls is another, the
        machine slept or its clock was set, and silence is counted anew.

        Returns:
            What is known, for the spool to note (`NOTE`).
        """
        before, self._checked = self._checked, now
        has_gap = before is not None and not before <= now <= before + MAX_GAP_SECONDS
        for intake, sources in list(self._intakes.items()):
            if has_gap:
                sources.count_anew(now)
            sources.forget(now)
            sources.check(now)
            if not sources.seen and not sources.is_configured:
                del self._intakes[intake]
        return self.packed()

    def degraded(self) -> list[dict[str, str]]:
        """Name who is silent, and each intake that nobody sends to, with the reason."""
        return [found for sources in self._intakes.values() for found in sources.degraded()]

    def silent(self) -> dict[str, int]:
        """Return how many sources are silent, of each intake that says how often they speak.

        An intake that nobody sends to counts as one.
        """
        return {
            sources.intake: len(sources.silent) + sources.is_absent
            for sources in self._intakes.values()
            if sources.is_configured and sources.expect_every is not None
        }

    def newest(self, intake: str, limit: int) -> list[tuple[str, float]]:
        """Return the sources of an intake and when each was last seen, the latest first.

        Args:
            intake: its name.
            limit: how many at most.
        """
        sources = self._intakes.get(intake)
        if sources is None:
            return []
        return list(islice(reversed(sources.seen.items()), limit))

    def __iter__(self) -> Iterator[Sighting]:
        """Yield what is known of the intakes there are."""
        for sources in self._intakes.values():
            if sources.is_configured:
                yield from (Sighting(sources.intake, *item) for item in sources.seen.items())

    def packed(self) -> bytes:
        """Return what is known, also of intakes that are gone, as `restore` reads it."""
        known = {intake: sources.seen for intake, sources in self._intakes.items() if sources.seen}
        return _Note.model_construct(intakes=known).model_dump_json().encode()

    def restore(self, packed: bytes | None, now: float) -> None:
        """Go on from what an earlier process knew; before anything is seen.

        What cannot be understood, being damaged or of another version, is left, and the log says
        so: to know less is no reason not to start.

        Args:
            packed: as `packed` returned it; None if there is nothing.
            now: nothing was seen later than that.
        """
        for intake, seen in _unpacked(packed).items():
            self._learn(intake, seen, now)

    def absorb(self, packed: bytes, now: float) -> None:
        """Learn what another process has seen meanwhile.

        Args:
            packed: as its `packed` returned it.
            now: nothing was seen later than that.
        """
        for intake, seen in _unpacked(packed).items():
            known = self._intakes[intake].seen if intake in self._intakes else {}
            self._learn(intake, _latest(known, seen), now)

    def _learn(self, intake: str, seen: Mapping[str, float], now: float) -> None:
        newest = sorted(seen.items(), key=lambda item: item[1])[-MAX_SOURCES:]
        sources = self._intakes.setdefault(intake, _Sources(intake, now))
        sources.seen = {source: min(at, now) for source, at in newest}


def merged(one: bytes, other: bytes) -> bytes:
    """Return what two processes have seen, each as its `Sightings.packed` returned it."""
    known = _unpacked(one)
    for intake, seen in _unpacked(other).items():
        known[intake] = _latest(known.get(intake, {}), seen)
    return _Note.model_construct(intakes=known).model_dump_json().encode()


def _latest(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Return when each source of either was last seen."""
    return {
        source: max(one.get(source, 0.0), other.get(source, 0.0)) for source in {**one, **other}
    }


def _unpacked(packed: bytes | None) -> dict[str, dict[str, float]]:
    """Return what was noted, by intake and source; nothing, and a line of the log, if damaged."""
    if packed is None:
        return {}
    try:
        return _Note.model_validate_json(packed).intakes
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]["msg"]
        log.warning("when senders were last seen is not known any more", problem=problem)
        return {}


def as_text(at: float) -> str:
    """Return a time, in seconds since 1970, as it is shown: in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
