"""Dead letters made of events that a sink does not get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.sinks.encoders import documents_of
from collector.sinks.formats import stored
from collector.spool import Letter
from collector.spool.entries import unpack

if TYPE_CHECKING:
    from collector.spool import Batch


def letters_of(batch: Batch, reason: str, problem: str) -> list[Letter]:
    """Return a dead letter for each event of a batch.

    Args:
        batch: what its sink does not get.
        reason: why, one of a few words of the code.
        problem: the same for people; no secrets.
    """
    kind, is_raw = stored(batch.form)
    letters = []
    for document, entry in zip(documents_of(batch), unpack(batch.entries), strict=True):
        content = kind.content(document, is_raw=is_raw)
        letters.append(
            Letter(
                reason=reason,
                problem=problem,
                identifier=entry.identifier,
                intake=entry.intake,
                sink=batch.sink,
                listener="",
                peer=entry.peer,
                received=entry.received,
                raw=content.raw.encode(),
                is_frame=False,
                event=content.event,
            )
        )
    return letters
