"""What the functions of an intake make of a message, whatever goes wrong in them.

A mistake of ours costs time, fields, or the moment at which a sink gets its copy, never the
message: it is logged with its traceback, and the message goes on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import orjson

from collector.events.envelope import finisher
from collector.octets import fitted
from collector.parsers import ParseError, pipeline_error, repairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.events.envelope import Arrival, Receipt
    from collector.logs import Reports
    from collector.parsers import Event
    from collector.pipeline.intake import Intake, Outlet
    from collector.pipeline.origin import Header

    Encoded = tuple[Event, bytes, ParseError | None]
    """An event, its JSON, and why it could not be parsed; None if it could."""

# For an event that could not be completed as the settings of its intake ask for.
_FINISH: Final = finisher()
_INTERNAL: Final = ParseError("internal", "the parser failed; the log has the details")


class Stages:
    """Calls the functions of intakes.

    Args:
        reports: log what failed.
    """

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def translate_run(
        self, header: Header, frames: Sequence[bytes], first: int, number: int, receipt: Receipt
    ) -> list[bytes]:
        """Return the events of frames behind a known header, see `Translator.translate_run`."""
        translate = header.translator.translate_run
        try:
            return translate(frames, first, header.tail, number, receipt)
        except Exception:  # noqa: BLE001 - a mistake of ours costs time: each is taken by itself
            self._report("translator", header.intake)
            return []

    def encode(self, intake: Intake, text: str, arrival: Arrival) -> Encoded:
        """Return the event of a message, and count it by its outcome."""
        try:
            translated = self._translated(intake, text, arrival)
        except Exception:  # noqa: BLE001 - a mistake of ours costs time
            self._report("translator", intake)
            translated = None
        if translated is not None:
            return translated
        try:
            return self._parsed(intake, text, arrival)
        except Exception:  # noqa: BLE001 - a mistake of ours costs fields, not the message
            self._report("parser", intake)
        event = pipeline_error(text, _INTERNAL)
        _FINISH(event, arrival)
        self._count(intake, _INTERNAL, arrival.repairs)
        return event, fitted(orjson.dumps(event)), _INTERNAL

    def _translated(self, intake: Intake, text: str, arrival: Arrival) -> Encoded | None:
        """Return the event of a message of a known shape; None of any other."""
        translator = intake.translator
        if translator is None or arrival.repairs:
            return None
        encoded = translator.translate(text.encode(), arrival)
        if encoded is None:
            return None
        self._count(intake, None, ())
        return orjson.loads(encoded), encoded, None

    def _parsed(self, intake: Intake, text: str, arrival: Arrival) -> Encoded:
        """Return the event of a message; one that cannot be parsed becomes a pipeline_error."""
        failure = None
        try:
            event = intake.parse(text)
        except ParseError as error:
            failure = error
            event = pipeline_error(text, error)
        repaired = arrival.repairs
        if "tags" in event:
            repaired = (*repaired, *event["tags"])
        intake.finish(event, arrival)
        encoded = fitted(orjson.dumps(event))
        self._count(intake, failure, repaired)
        return event, encoded, failure

    def _count(self, intake: Intake, failure: ParseError | None, tags: tuple[str, ...]) -> None:
        """Count an event by its outcome, and each repair that its tags name."""
        stats = intake.stats
        if tags:
            stats.repaired.update({*filter(None, map(repairs.name_of, tags))})
        if failure is None:
            stats.ok += 1
            return
        stats.pipeline_error += 1
        stats.parse_errors[failure.reason] += 1
        self._reports.warning(
            f"parse {intake.name} {failure.reason}",
            "message cannot be parsed, "
            + ("kept as a dead letter" if intake.keep_unparsed else "forwarded as pipeline_error"),
            intake=intake.name,
            reason=failure.reason,
            problem=str(failure),
        )

    def select(self, intake: Intake, event: Event) -> tuple[Sequence[Outlet], Counter[str]]:
        """Return the outlets that get an event, and how many copies go nowhere, by reason."""
        dropped: Counter[str] = Counter()
        if intake.select is None:
            return intake.outlets, dropped
        try:
            return intake.select(event, dropped), dropped
        except Exception:  # noqa: BLE001 - an event whose filter fails goes everywhere
            self._report("filter", intake)
            return intake.outlets, Counter()

    def document(
        self, intake: Intake, outlet: Outlet, encoded: Encoded, text: str, arrival: Arrival
    ) -> bytes | None:
        """Return what a sink gets of an event; None if that cannot be made."""
        event, octets, _ = encoded
        try:
            return outlet.document(event, octets, text, arrival)
        except Exception:  # noqa: BLE001 - a mistake of ours keeps one sink waiting for its copy
            self._report("format", intake)
            return None

    def _report(self, stage: str, intake: Intake) -> None:
        self._reports.error(
            f"internal {stage} {intake.name}",
            f"{stage} failed, please report it",
            intake=intake.name,
            exc_info=True,
        )
