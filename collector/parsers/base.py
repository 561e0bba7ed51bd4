"""What every parser is made of: its types and its one exception."""

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, get_args

Event = dict[str, Any]
"""A normalized event: nested dicts, ready for ``orjson.dumps`` without options.

Unknown is absent: it holds no ``None``, no empty text, no empty list and no empty dict.
"""

Parser = Callable[[str], Event]
"""Turns the text of one message into an event; raises `ParseError` and nothing else."""

Profile = Literal["documented", "ecs"]
"""The shape of the events: that of the integration documentation, or that of current ECS."""

PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)

REASONS: Final = ("internal", "not_an_object", "not_cef", "not_json", "too_deep")
"""Every reason of a `ParseError`; `internal` is of a parser that failed."""

_MAX_DETAIL: Final = 200
"""Characters of an error's detail: it goes into an event and into the log."""


class ParseError(Exception):
    """A message is not what its parser reads.

    Args:
        reason: one of `REASONS`, used as a metric label.
        detail: one sentence for the operator, cut to 200 characters. It describes the message
            and never quotes it: a message may hold secrets.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail[:_MAX_DETAIL]
        super().__init__(self.detail)

    @property
    def problem(self) -> str:
        """What is wrong, for the operator: the reason and the sentence."""
        return f"{self.reason}: {self.detail}"


def add_tags(event: Event, tags: Iterable[str]) -> None:
    """Add tags to an event, but none that it has."""
    present = event.setdefault("tags", [])
    present += [tag for tag in tags if tag not in present]
