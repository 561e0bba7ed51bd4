"""Where fields are not as ECS has them, and why.

Fields outside ECS that are a vendor's own (``cybereason.*``, ``harfanglab.*``) or the intake
format's (``action.*``, ``sekoiaio.*``) are no deviations: ECS leaves such names to others.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

OWN_NAMES: Final = ("cybereason", "harfanglab", "action", "sekoiaio")
"""The objects that are not ECS's and need no reason."""

ECS_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "http.request.body.content": "wildcard",
        "message": "match_only_text",
        "url.full": "wildcard",
        "url.original": "wildcard",
        "url.path": "wildcard",
    }
)
"""Texts that the mapping specification calls ``keyword``, with the type ECS has for them."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A field that ECS does not have, or has in another shape.

    Attributes:
        reason: what the difference is and what asks for it.
        type: the type that is not ECS's; None where the field as such is not in ECS.
    """

    reason: str
    type: str | None = None


_ONE_TEXT: Final = Deviation(
    "one text, as the samples of the integration documentation have it; ECS has a list", "keyword"
)

DEVIATIONS: Final[Mapping[str, Deviation]] = MappingProxyType(
    {
        "event.category": _ONE_TEXT,
        "event.event.outcome": Deviation(
            "not in ECS: the samples of the integration documentation have it beside event.outcome"
        ),
        "event.type": _ONE_TEXT,
        "log.hostname": Deviation(
            "not in ECS: the public intake format writes the agent's host name here as well"
        ),
        "log.source.address": Deviation(
            "not in ECS: the name under which log shippers write a message's network peer"
        ),
        "log.syslog.timestamp": Deviation(
            "not in ECS: the time in the syslog header, which need not be that of the event"
        ),
        "user.roles": Deviation(
            "one text with commas, as the public intake format has it; ECS has a list", "keyword"
        ),
    }
)
"""Every deviation by the name of its field."""


def deviation(name: str, types: Collection[str]) -> str | None:
    """Say why a field with these types is not as ECS has it; None if it is."""
    found = DEVIATIONS.get(name)
    if found is None or (found.type is not None and found.type not in types):
        return None
    return found.reason
