"""The live tail: what somebody watches of messages, at the moment they are dealt with.

A watch gets what the pipeline did anyway, the message and its event as octets, and nothing is made
of them before they are shown. While nobody watches, the pipeline looks at an empty tuple once per
message, or once per run of messages that are translated together.

People read some lines a second. A watch takes so many and counts the others that it would have
shown. Whoever sends messages is not to bear what it costs that somebody looks: text is looked for
during a small part of the time, and what comes beyond that is counted without a look at it; to
show messages takes a small part of the time as well, and the others go on between any two.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from collector.masking import Masker
from collector.ratelimit import TokenBucket
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from collector.events.envelope import Arrival, Receipt

Outcome = Literal["ok", "pipeline_error", "dead_letter", "rejected", "dropped"]
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)

PER_SECOND: Final = 10.0
MAX_HELD: Final = 20
"""Messages that a watch holds for somebody who does not take them."""

MAX_HELD_OCTETS: Final = 1024 * 1024
"""Of messages and events that a watch holds; the first is held however long it is."""

GATHER_SECONDS: Final = 0.2
"""Between two looks at what a watch holds."""

SEARCH_SHARE: Final = 0.03
"""Of a second that may be spent on looking for texts, for all who watch together."""

SHOW_SHARE: Final = 0.05
"""Of the time that may be spent on making messages fit to be shown, for all who watch together."""

MAX_SHOWN: Final = 64 * 1024
"""Octets of a message that are shown, and in which text is looked for."""

MAX_EVENT: Final = 256 * 1024
"""Octets of an event; a longer one is not shown."""

# Beyond what is shown, so that a key which begins there is masked whole.
_MASKED_BEYOND: Final = 4 * 1024

MAX_PROBLEM: Final = 4 * 1024
"""Characters of what was wrong with a message."""

MAX_TEXT: Final = 256
"""Characters that can be looked for."""


class Dealt(NamedTuple):
    """A message that was dealt with.

    Attributes:
        frame: as it came.
        intake: whose it is; empty if it belongs to none.
        outcome: what became of it.
        event: its JSON; empty if there is none.
        problem: what was wrong; empty if nothing was.
        receipt: how it came.
    """

    frame: bytes
    intake: str
    outcome: Outcome
    event: bytes
    problem: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown; what is empty is no matter.

    Attributes:
        intake: name of the intake.
        outcome: one of `OUTCOMES`.
        text: is to be in what is shown of the message as it came, in upper or lower case.
    """

    intake: str = ""
    outcome: str = ""
    text: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as `Wanted(**json)` reads it."""
        return asdict(self)


class Tailed(NamedTuple):
    """What there is to show since the last.

    Attributes:
        messages: as `shown` has them.
        skipped: how many others were wanted, or came so fast that nobody looked whether they were.
    """

    messages: list[dict[str, Any]]
    skipped: int


class Patience:
    """Time that may be spent on something.

    Args:
        share: seconds of each second; what one allows may be spent at once.
        clock: seconds that only go forward.

    Attributes:
        share: as above; it may change.
    """

    def __init__(self, share: float, clock: Callable[[], float]) -> None:
        self.share = share
        self._clock = clock
        self._left = share
        self._since = clock()

    def starts(self) -> bool:
        """Say whether there is time left; if so, it is spent from now on until `ends`."""
        now = self._clock()
        self._left = min(self.share, self._left + (now - self._since) * self.share)
        self._since = now
        return self._left > 0

    def lasts(self) -> bool:
        """Say whether there is still time left of what is being spent."""
        return self._clock() - self._since < self._left

    def ends(self) -> None:
        """Spend no more; what was spent beyond what there was is made up for."""
        now = self._clock()
        self._left -= now - self._since
        self._since = now


class Watch:
    """What one person watches.

    Args:
        wanted: what is to be shown.
        masker: replaces the keys in it; None where none are known.
        clock: seconds that only go forward.

    Attributes:
        masker: as above; it may change.
        patience: with looking for the text.
    """

    def __init__(
        self,
        wanted: Wanted,
        masker: Masker | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.masker = masker or Masker(KeyName())
        self.patience = Patience(SEARCH_SHARE, clock)
        self._wanted = wanted
        self._needle = wanted.text.encode().lower()
        self._clock = clock
        self._held: list[Dealt] = []
        self._octets = 0
        self._skipped = 0
        self._pace = TokenBucket(PER_SECOND)
        self._news = asyncio.Event()

    def offer(self, dealt: Dealt) -> None:
        """Hold a message if it is wanted, or count it as skipped."""
        if not self._wants(dealt.intake, dealt.outcome):
            return
        if self._needle and not self._search((dealt.frame,)):
            return
        if self._admit(1):
            self._hold(dealt)

    def offer_run(
        self, frames: Sequence[bytes], events: Sequence[bytes], intake: str, receipt: Receipt
    ) -> None:
        """Do the same for messages of one intake, each of which became an event."""
        if not self._wants(intake, "ok"):
            return
        found = self._search(frames) if self._needle else range(len(frames))
        if admitted := self._admit(len(found)):
            for number in found[:admitted]:
                self._hold(Dealt(frames[number], intake, "ok", events[number], "", receipt))

    def skip(self, count: int) -> None:
        """Count messages that somebody else has skipped."""
        if count:
            self._skipped += count
            self._news.set()

    async def take(self) -> tuple[list[Dealt], int]:
        """Wait for something to show; return it, and how many messages were skipped since."""
        await self._news.wait()
        self._news.clear()
        held, skipped = self._held, self._skipped
        self._held, self._octets, self._skipped = [], 0, 0
        return held, skipped

    def _wants(self, intake: str, outcome: str) -> bool:
        wanted = self._wanted
        return wanted.intake in ("", intake) and wanted.outcome in ("", outcome)

    def _search(self, frames: Sequence[bytes]) -> Sequence[int]:
        """Return which of frames have the text in them; count those that are not looked at."""
        patience = self.patience
        if not patience.starts():
            self.skip(len(frames))
            return ()
        found = []
        for number, frame in enumerate(frames):
            if self._finds(frame):
                found.append(number)
            if not patience.lasts():
                self.skip(len(frames) - number - 1)
                break
        patience.ends()
        return found

    def _finds(self, frame: bytes) -> bool:
        """Say whether the text is in what may be shown: asking for a key does not find it out."""
        needle, shown = self._needle, frame
        if len(frame) > MAX_SHOWN:
            shown = frame[: MAX_SHOWN + _MASKED_BEYOND]
        return needle in shown.lower() and needle in _masked(frame, self.masker).lower()

    def _admit(self, count: int) -> int:
        """Return how many of so many messages are held; the others are counted as skipped."""
        if not count:
            return 0
        now, room, admitted = self._clock(), min(count, MAX_HELD - len(self._held)), 0
        while admitted < room and self._pace.admit(now):
            admitted += 1
        self._skipped += count - admitted
        self._news.set()
        return admitted

    def _hold(self, dealt: Dealt) -> None:
        octets = len(dealt.frame) + len(dealt.event)
        if self._held and self._octets + octets > MAX_HELD_OCTETS:
            self._skipped += 1
        else:
            self._octets += octets
            self._held.append(dealt)


class Tail:
    """All that is watched in this process.

    Args:
        clock: seconds that only go forward.

    Attributes:
        watches: what the pipeline offers messages to; empty nearly always.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.watches: tuple[Watch, ...] = ()
        self._masker = Masker(KeyName())
        self._clock = clock

    def go_by(self, masker: Masker) -> None:
        """Mask other keys from now on."""
        self._masker = masker
        for watch in self.watches:
            watch.masker = masker

    def show(
        self,
        outcome: Outcome,
        arrival: Arrival,
        intake: str = "",
        *,
        event: bytes = b"",
        problem: str = "",
    ) -> None:
        """Offer a message to all watches; see `Dealt`."""
        for watch in self.watches:
            watch.offer(Dealt(arrival.frame, intake, outcome, event, problem, arrival.receipt))

    def show_run(
        self, frames: Sequence[bytes], events: Sequence[bytes], intake: str, receipt: Receipt
    ) -> None:
        """Offer messages of one intake, each of which became an event."""
        for watch in self.watches:
            watch.offer_run(frames, events, intake, receipt)

    async def follow(self, wanted: Wanted) -> AsyncGenerator[Tailed]:
        """Yield what there is to show, until the generator is closed."""
        watch = Watch(wanted, self._masker, clock=self._clock)
        self._set_watches((*self.watches, watch))
        try:
            while True:
                held, skipped = await watch.take()
                messages, spent = await self._shown(held, watch)
                yield Tailed(messages, skipped)
                rest = spent / SHOW_SHARE * len(self.watches)
                await asyncio.sleep(max(GATHER_SECONDS, rest))
        finally:
            self._set_watches(tuple(other for other in self.watches if other is not watch))

    def _set_watches(self, watches: tuple[Watch, ...]) -> None:
        self.watches = watches
        for watch in watches:
            watch.patience.share = SEARCH_SHARE / len(watches)

    async def _shown(self, held: list[Dealt], watch: Watch) -> tuple[list[dict[str, Any]], float]:
        """Return messages as they are shown, and the seconds that it took to make them so."""
        messages, spent = [], 0.0
        for dealt in held:
            began = self._clock()
            messages.append(shown(dealt, watch.masker))
            spent += self._clock() - began
            await asyncio.sleep(0)
        return messages, spent


def shown(dealt: Dealt, masker: Masker) -> dict[str, Any]:
    """Return a message as it is shown: JSON can hold it, and intake keys are masked.

    Args:
        dealt: the message.
        masker: replaces the keys.
    """
    receipt, is_cut = dealt.receipt, dealt.frame.__class__ is CutFrame
    event, obstacle = _event(dealt.event, masker, is_cut=is_cut)
    problems = (masker.mask_text(dealt.problem, is_cut=is_cut), obstacle)
    return {
        "at": receipt.created,
        "listener": receipt.listener,
        "peer": receipt.peer,
        "intake": dealt.intake or None,
        "outcome": dealt.outcome,
        "raw": _masked(dealt.frame, masker).decode("utf-8", "replace"),
        "event": event,
        "problem": "; ".join(filter(None, problems))[:MAX_PROBLEM] or None,
        "truncated": len(dealt.frame) > MAX_SHOWN,
    }


def _masked(frame: bytes, masker: Masker) -> bytes:
    """Return what is shown of a message as it came."""
    looked_at = frame[: MAX_SHOWN + _MASKED_BEYOND]
    is_cut = frame.__class__ is CutFrame or len(looked_at) < len(frame)
    return masker.mask(looked_at, is_cut=is_cut)[:MAX_SHOWN]


def _event(octets: bytes, masker: Masker, *, is_cut: bool) -> tuple[Any, str]:
    """Return an event as it is shown; None where there is none, or with why it is not shown."""
    if not octets:
        return None, ""
    if len(octets) > MAX_EVENT:
        return None, f"the event is not shown: it has more than {MAX_EVENT} octets"
    try:
        return masker.read_event(octets, is_cut=is_cut), ""
    except ValueError as error:
        return None, f"the event is not shown: {error}"
