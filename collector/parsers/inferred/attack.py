"""MITRE ATT&CK tags, as Sigma rules have them: ``attack.t1547.001``, ``attack.persistence``."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from collector.parsers.convert import fields_of
from collector.parsers.inferred.attack_names import TACTICS, TECHNIQUES

_FRAMEWORK: Final = "MITRE ATT&CK"
_SITE: Final = "https://attack.mitre.org"
_MAX_TAGS: Final = 256  # a rule has a handful; each becomes up to six texts
_BY_ID: Final = re.compile(r"attack\.(?:(ta[0-9]{4})|(t[0-9]{4})(\.[0-9]{3})?)")
_TACTIC_IDS: Final = {f"attack.{name.lower()}": ident for ident, name in TACTICS.items()}
_DESCRIPTION: Final = ("id", "name", "reference")


@fields_of(
    {
        "framework": "keyword",
        **{
            f"{what}.{field}": "array of keyword"
            for what in ("tactic", "technique", "technique.subtechnique")
            for field in _DESCRIPTION
        },
    }
)
def attack(value: Any) -> dict[str, Any] | None:
    """Describe the tactics and techniques among some tags, in the order in which they come.

    A sub-technique gives its technique, too. A technique that has no name in our table is there
    with its id and its page. Tags of software and groups (``attack.s0057``), and whatever else
    stands in the list, say nothing here.
    """
    tactics: dict[str, None] = {}  # as sets that keep their order
    techniques: dict[str, None] = {}
    subtechniques: dict[str, None] = {}
    for tag in value[:_MAX_TAGS] if isinstance(value, list) else [value]:
        tactic, technique, sub = _read(tag)
        if tactic:
            tactics[tactic] = None
        if technique:
            techniques[technique] = None
        if technique and sub:
            subtechniques[technique + sub] = None
    threat: dict[str, Any] = {}
    if tactics:
        threat["tactic"] = _described(tactics, TACTICS, "tactics")
    if techniques:
        threat["technique"] = _described(techniques, TECHNIQUES, "techniques")
    if subtechniques:
        threat["technique"]["subtechnique"] = _described(subtechniques, TECHNIQUES, "techniques")
    return {"framework": _FRAMEWORK, **threat} if threat else None


def _read(tag: Any) -> tuple[str | None, str | None, str | None]:
    """Return the ids of the tactic and of the technique in a tag, and the sub-technique's end."""
    if not isinstance(tag, str):
        return None, None, None
    text = tag.lower()
    if found := _BY_ID.fullmatch(text):
        tactic, technique, sub = found.groups()
        return tactic and tactic.upper(), technique and technique.upper(), sub
    return _TACTIC_IDS.get(text.replace("_", " ").replace("-", " ")), None, None


def _described(
    identifiers: Iterable[str], names: Mapping[str, str], directory: str
) -> dict[str, list[str]]:
    """Write ids, names and pages as three lists."""
    ids = [*identifiers]
    described = {
        "id": ids,
        "name": [names[identifier] for identifier in ids if identifier in names],
        "reference": [f"{_SITE}/{directory}/{identifier.replace('.', '/')}/" for identifier in ids],
    }
    return {field: texts for field, texts in described.items() if texts}
