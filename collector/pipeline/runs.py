"""The short way: messages whose headers and shapes are known, several at a time.

Most messages of a connection differ in their values alone. What the header of one said is
remembered, and as long as those that follow have headers that end alike and are of known shapes,
they are translated one after the other without a look at anything else. The first that is not such
a message ends the run; it is taken by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.pipeline.origin import Header
from collector.spool.entries import consecutive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.ledger import Ledger
    from collector.pipeline.intake import Intake
    from collector.pipeline.origin import Origin, Reading
    from collector.pipeline.stages import Stages
    from collector.routing import KeySlot
    from collector.sightings import Sightings
    from collector.tail import Tail


class Runs:
    """Takes messages as long as they are such as came before.

    Args:
        stages: call the translators.
        ledger: accounts of the process.
        sightings: who was seen last.
        tail: is shown what is dealt with.
    """

    def __init__(self, stages: Stages, ledger: Ledger, sightings: Sightings, tail: Tail) -> None:
        self._tail = tail
        self._stages = stages
        self._ledger = ledger
        self._sightings = sightings

    def take(self, frames: Sequence[bytes], position: int, number: int, reading: Reading) -> int:
        """Add the events of a run to the batches of their sinks.

        Args:
            frames: messages.
            position: the first of them that is to be taken.
            number: its id; those that follow count up.
            reading: what all have in common.

        Returns:
            How many were taken.
        """
        header = _known_header(frames[position], reading.origin)
        if header is None:
            return 0
        intake, receipt = header.intake, reading.receipt
        if reading.nanoseconds >= intake.watch.due:
            return 0
        events = self._stages.translate_run(header, frames, position, number, receipt)
        if not events:
            return 0
        if header.slot is not None:
            header.slot.last_used = reading.received
        reading.see(intake, self._sightings)
        intake.stats.ok += len(events)
        self._ledger.copies += (len(intake.outlets) - 1) * len(events)
        identifiers = consecutive(number, len(events))
        for outlet in intake.outlets:
            outlet.batcher.extend(events, identifiers, intake.name, receipt)
            if outlet.batcher.gate.closed:
                reading.closed.add(outlet.batcher.gate)
        if self._tail.watches:
            run = frames[position : position + len(events)]
            self._tail.show_run(run, events, intake.name, receipt)
        return len(events)


def remember(origin: Origin, frame: bytes, text: str, intake: Intake, slot: KeySlot | None) -> None:
    """Keep what the header of a message said, for those that follow.

    Args:
        origin: who sent it.
        frame: the message.
        text: its text.
        intake: whose message it is; one that `takes_runs`.
        slot: the place of its key; None if it had none.
    """
    translator = intake.translator
    if translator is None or _known_header(frame, origin) is not None:
        return
    tail = translator.tail_of(frame, text)
    if tail:
        origin.headers.append(Header(tail, intake, translator, slot))


def _known_header(frame: bytes, origin: Origin) -> Header | None:
    """Return that of the remembered headers which the header of a frame says the same as."""
    for header in origin.headers:
        if header.translator.fits(frame, header.tail):
            return header
    return None
