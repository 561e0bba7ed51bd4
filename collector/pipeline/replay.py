"""The way of messages that come again: dead letters, and events that are to be made anew."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.events.envelope import Arrival, finisher
from collector.frames import FRAME_TAGS, read
from collector.identity import content_id
from collector.octets import fitted
from collector.parsers import build
from collector.routing import peer_address
from collector.syslog.framing import CutFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.ledger import Ledger
    from collector.parsers import Event
    from collector.pipeline.intake import Intake, Outlet
    from collector.pipeline.rules import Rules
    from collector.pipeline.stages import Stages
    from collector.spool import Letter
    from collector.spool.entries import Entry

# For what belongs to an intake that is gone.
_RAW: Final = build("raw")
_FINISH: Final = finisher()


class Replayer:
    """Treats messages that were received before by the rules of today.

    Args:
        rules: what settings decide.
        stages: make events and documents.
        ledger: accounts of the process.
    """

    def __init__(self, rules: Rules, stages: Stages, ledger: Ledger) -> None:
        self._rules = rules
        self._stages = stages
        self._ledger = ledger

    def replay(self, letter: Letter) -> bool:
        """Send a dead letter on its way, see `Pipeline.replay`."""
        found = self._reread(letter)
        if found is None:
            return False
        intake, text, arrival = found
        if letter.sink and all(outlet.batcher.sink != letter.sink for outlet in intake.outlets):
            return False
        encoded = self._stages.encode(intake, text, arrival)
        event, _, failure = encoded
        if failure is not None and intake.keep_unparsed:
            return False
        outlets, dropped = self._stages.select(intake, event)
        if letter.sink:
            outlets, dropped = _for_one(letter.sink, outlets, dropped)
        documents: list[bytes] = []
        for outlet in outlets:
            document = self._stages.document(intake, outlet, encoded, text, arrival)
            if document is None:
                return False
            documents.append(document)
        self._ledger.dead_lettered[letter.reason] -= 1
        self._ledger.copies += len(documents) + dropped.total() - 1
        self._ledger.dropped.update(dropped)
        for outlet, document in zip(outlets, documents, strict=True):
            outlet.batcher.add(document, arrival, intake.name)
        return True

    def read_again(self, raw: str, entry: Entry) -> tuple[Event, bytes, Arrival]:
        """Return what a stored message is today, see `Pipeline.read_again`."""
        receipt = self._rules.receipt(entry.received, "", entry.peer)
        arrival = Arrival(entry.identifier, b"", (), receipt, {})
        intake = self._rules.router.by_name.get(entry.intake)
        if intake is None:
            event = _RAW(raw)
            _FINISH(event, arrival)
            return event, fitted(orjson.dumps(event)), arrival
        event, encoded, _ = self._stages.encode(intake, raw, arrival)
        return event, encoded, arrival

    def _reread(self, letter: Letter) -> tuple[Intake, str, Arrival] | None:
        """Return what is found out of a frame, as far as it is known of a dead letter.

        Returns:
            The intake, the text and how it came; None if it belongs to no intake.
        """
        receipt = self._rules.receipt(letter.received, letter.listener, letter.peer)
        if not letter.is_frame:
            intake = self._rules.router.by_name.get(letter.intake)
            if intake is None:
                return None
            repaired, header = _known_of_frame(letter.event)
            arrival = Arrival(letter.identifier, b"", repaired, receipt, header)
            return intake, letter.raw.decode("utf-8", "replace"), arrival
        frame = CutFrame(letter.raw) if letter.is_cut else letter.raw
        key, text, repaired = read(frame, self._rules.key_name)
        intake = self._intake_of(key, letter)
        if intake is None:
            return None
        identifier = letter.identifier
        if self._rules.identify_by_content and not letter.intake:
            # The id of a message that belonged to no intake did not follow from its content.
            identifier = content_id(intake.name, frame)
        return intake, text, Arrival(identifier, frame, repaired, receipt)

    def _intake_of(self, key: str | None, letter: Letter) -> Intake | None:
        router = self._rules.router
        if key is None:
            peer = peer_address(letter.peer) if letter.peer else None
            return router.without_key(letter.listener, peer)
        slot = router.by_key.get(key)
        return None if slot is None else slot.intake


def _for_one(
    sink: str, outlets: Sequence[Outlet], dropped: Counter[str]
) -> tuple[Sequence[Outlet], Counter[str]]:
    """Return of what `Stages.select` returns that which concerns one sink of the intake."""
    own = [outlet for outlet in outlets if outlet.batcher.sink == sink]
    if own:
        return own, Counter()
    # Its own filter left it out, or one of the intake left out all.
    reason = f"only:{sink}"
    return own, Counter([reason if reason in dropped else next(iter(dropped))])


def _known_of_frame(event: bytes | None) -> tuple[tuple[str, ...], dict[str, Any] | None]:
    """Return what an event knows of the frame it came in: its repairs and its header's fields."""
    if event is None:
        return (), {}
    found = orjson.loads(event)
    tags = found.get("tags") or []
    header = (found.get("log") or {}).get("syslog") or {}
    return tuple(tag for tag in FRAME_TAGS if tag in tags), header
