"""The table of ATT&CK names."""

import re

from collector.parsers.inferred.attack_names import TACTICS, TECHNIQUES


def test_every_tactic_and_technique_of_the_version_is_there():
    """14 tactics, 202 techniques, 435 sub-techniques of which each belongs to a technique."""
    subtechniques = {identifier for identifier in TECHNIQUES if "." in identifier}
    assert len(TACTICS) == 14
    assert len(subtechniques) == 435
    assert len(TECHNIQUES) - len(subtechniques) == 202
    assert {identifier.partition(".")[0] for identifier in subtechniques} < TECHNIQUES.keys()


def test_ids_and_names_are_written_as_mitre_does():
    """In order."""
    assert all(re.fullmatch(r"TA\d{4}", identifier) for identifier in TACTICS)
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", identifier) for identifier in TECHNIQUES)
    assert list(TECHNIQUES) == sorted(TECHNIQUES)
    assert all(name.strip() == name != "" for name in (*TACTICS.values(), *TECHNIQUES.values()))
    assert TACTICS["TA0011"] == "Command and Control"
    assert TECHNIQUES["T1055.013"] == "Process Doppelgänging"
