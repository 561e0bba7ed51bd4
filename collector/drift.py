"""Drift: what vendors send today that their parsers have never heard of.

A watch looks at a sample of an intake's messages and keeps what is new in them: how often it came,
when first and last, and one value, masked. Nothing that is found changes what becomes of a message.

**What it costs.** Examining a message takes about as long as making an event of it, some 50 µs for
the documented samples on a slow core, and longer for one that is made to take long. So the time is
what is bounded: it is measured, and all watches of a process together take one part in `PARTS` of
it, a quarter of a percent of a core, whatever arrives. What a watch did not use it may use later,
back to `SAVED`: 25 ms at once after ten quiet seconds. So rare intakes are examined whole and busy
ones are sampled, of 15,000 messages a second about 50; and in any two seconds it is less than 2 %,
but for the one message that overdraws. Messages longer than `MAX_TEXT` are not examined: one of
16 MiB takes up to twelve seconds, and no other would be looked at for more than an hour.
A message that is not examined costs one comparison, some 30 ns.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import structlog

from collector import samples
from collector.logs import Reports
from collector.parsers import PARSERS, ParseError
from collector.parsers.vocabulary import JSON_TYPES, FindingKind, Vocabulary

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from collector.config import Config
    from collector.metrics import Stats
    from collector.parsers import Vendor
    from collector.parsers.vocabulary import Finding

PARTS: Final = 400
"""All watches of a process together take one part in so many of its time."""

SAVED: Final = 10_000_000_000
"""Nanoseconds of the past of which a watch may still use its part."""

MAX_TEXT: Final = 65_536
"""Characters of a message that is examined. The documented ones have 4,000 at most."""

MAX_ENTRIES: Final = 200
"""Entries of one watch. Senders choose the names; further ones count together as `OTHER`."""

OTHER: Final = "(other)"
"""Stands for the fields beyond `MAX_ENTRIES`."""

MAX_FIELD: Final = 100
"""Characters of a field's name; a longer one ends in an ellipsis."""

MAX_SAMPLE: Final = 60
"""Characters of a masked text; a longer one ends in an ellipsis."""

WITHOUT_VALUE: Final = JSON_TYPES[NoneType]
"""The sample of what had no value yet, which says nothing as long as there is no other."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Entry:
    """Something new, and how it was seen; times are nanoseconds since 1970.

    Attributes:
        intake: whose messages had it.
        kind: what is new, see `FindingKind`.
        field: the path of the field, printable and at most `MAX_FIELD` characters.
        sample: type and masked value of the first that was not null.
        first_seen: when an examined message first had it.
        last_seen: when one last had it.
        count: how many examined messages had it.
    """

    intake: str
    kind: FindingKind
    field: str
    sample: str
    first_seen: int
    last_seen: int
    count: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as `/api/status` shows it."""
        return {
            "intake": self.intake,
            "kind": self.kind,
            "field": self.field,
            "count": self.count,
            "sample": self.sample,
            "first_seen": _iso(self.first_seen),
            "last_seen": _iso(self.last_seen),
        }


class DriftWatch:
    """Examines a sample of one intake's messages.

    Whoever has a message and the time compares the time with `due` and, if it is not earlier, hands
    the message over: that is all that a message costs which is not examined.

    Args:
        intake: the name of the intake.
        vendor: whose messages they are.
        counts: is counted up by field; holds at most `MAX_ENTRIES` names and `OTHER`.
        parts: it takes one part in so many of the time.
        familiar: messages whose fields have the types they are known to have.
        timer: nanoseconds of the processor; those in which another process had it cost nothing.

    Attributes:
        vendor: as above.
        parts: as above.
        due: from when on a message may be examined, in nanoseconds since 1970. A clock that is set
            back keeps it in the future for as long.
    """

    def __init__(
        self,
        intake: str,
        vendor: Vendor,
        *,
        counts: Counter[str],
        parts: int = PARTS,
        familiar: Iterable[str] = (),
        timer: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self.due = 0
        self._intake = intake
        self.vendor = vendor
        self._decode = vendor.decode
        self._vocabulary = Vocabulary(vendor)
        self._counts = counts
        self.parts = parts
        self._timer = timer
        self._entries: dict[tuple[FindingKind, str], Entry] = {}
        self._reports = Reports(log)
        for text in familiar:
            self._vocabulary.examine(self._decode(text)[1])

    def examine(self, text: str, nanoseconds: int) -> None:
        """Look at a message and keep what is new in it, unless it is too long; it never raises.

        Args:
            text: the message, without its syslog header.
            nanoseconds: the time, not before `due`.
        """
        if len(text) > MAX_TEXT:
            return
        began = self._timer()
        try:
            for finding in self._vocabulary.examine(self._decode(text)[1]):
                self._keep(finding, nanoseconds)
        except ParseError:
            pass  # the event says so
        except Exception:  # noqa: BLE001 - a watch that fails costs no message
            self._reports.error(
                "internal",
                "drift detection failed, please report it",
                intake=self._intake,
                exc_info=True,
            )
        spent = self._timer() - began
        # It lies in the past by the time of which the part is unused; what was spent moves it on.
        self.due = max(self.due, nanoseconds - SAVED) + spent * self.parts

    def entries(self) -> Iterator[Entry]:
        """Yield what was new."""
        yield from self._entries.values()

    def _keep(self, finding: Finding, nanoseconds: int) -> None:
        key = finding.kind, _shown(finding.field)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MAX_ENTRIES:
                key = finding.kind, OTHER
            entry = self._entries.get(key) or self._enter(key, finding.value, nanoseconds)
        entry.count += 1
        entry.last_seen = nanoseconds
        if entry.sample == WITHOUT_VALUE:
            entry.sample = masked(finding.value)
        self._counts[entry.field] += 1

    def _enter(self, key: tuple[FindingKind, str], value: Any, nanoseconds: int) -> Entry:
        kind, field = key
        entry = Entry(self._intake, kind, field, masked(value), nanoseconds, nanoseconds)
        self._entries[key] = entry
        self._reports.warning(
            kind,
            "messages hold what their parser does not know, `collector drift` lists it",
            intake=self._intake,
            kind=kind,
            field=field,
        )
        return entry


def watches(
    config: Config, stats: Stats, former: Mapping[str, DriftWatch]
) -> dict[str, DriftWatch]:
    """Return a watch for each intake, by its name; they share the time equally.

    Args:
        config: the settings.
        stats: counters of the process, those of all intakes among them.
        former: the watches there were; one goes on if its intake's messages are the same vendor's.
    """
    found = {}
    for intake in config.intakes:
        vendor, watch = PARSERS[intake.parser], former.get(intake.name)
        if watch is None or watch.vendor is not vendor:
            watch = DriftWatch(
                intake.name,
                vendor,
                counts=stats.intakes[intake.name].unmapped_fields,
                familiar=_documented(intake.parser),
            )
        watch.parts = PARTS * len(config.intakes)
        found[intake.name] = watch
    return found


def status(watches: Iterable[DriftWatch]) -> list[dict[str, Any]]:
    """List what was new, as `/api/status` shows it: what was seen last comes first."""
    entries = [entry for watch in watches for entry in watch.entries()]
    entries.sort(key=attrgetter("intake", "kind", "field"))
    entries.sort(key=attrgetter("last_seen"), reverse=True)
    return [entry.as_dict() for entry in entries]


def masked(value: Any) -> str:
    """Describe a decoded value by its type and shape, without what it says.

    Letters become ``x`` and digits ``9``; other characters of ASCII stay. Of lists and objects only
    the size is told.

    Returns:
        Printable ASCII but for the ellipsis, such as ``text xxxx-99`` or ``object of 3``.
    """
    kind = JSON_TYPES[type(value)]
    if kind in {"list", "object"}:
        return f"{kind} of {len(value)}"
    if kind in {"boolean", "null"}:
        return kind
    text = str(value)
    return f"{kind} {_cut(''.join(map(_mask, text[: MAX_SAMPLE + 1])), MAX_SAMPLE)}"


def _mask(character: str) -> str:
    if not character.isascii() or character.isalpha():
        return "x"
    if character.isdigit():
        return "9"
    return character if character.isprintable() else "?"


def _shown(field: str) -> str:
    """Return a field's name as people can be shown it, whatever a sender put into it."""
    field = _cut(field, MAX_FIELD) or "(empty)"
    if field.isprintable():
        return field
    return "".join(character if character.isprintable() else "?" for character in field)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="seconds")


def _documented(parser: str) -> list[str]:
    """Return the documented messages a parser reads; the one that reads any has none."""
    try:
        return [sample.raw for sample in samples.load(parser)]
    except FileNotFoundError:
        return []
