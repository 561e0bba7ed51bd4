"""Fields that are known and not read."""

from collector.parsers.harfanglab import TABLE, VENDOR
from collector.parsers.harfanglab.unmapped import UNMAPPED


def test_none_of_them_is_read():
    """By no rule and no condition, neither in whole nor in part."""
    rules = (*TABLE.rules, *TABLE.ecs_rules)
    sources = {path for rule in rules for path in rule.sources}
    read = sources | {path for rule in rules if rule.when for path in rule.when.paths}
    within = {
        path for path in UNMAPPED for other in read if other.startswith((f"{path}.", f"{path}["))
    }
    parents = {path for path in UNMAPPED for other in sources if path.startswith(f"{other}.")}
    assert UNMAPPED & read == within == parents == set()


def test_none_is_within_another():
    """An object of which nothing is read is named as a whole."""
    assert not [one for one in UNMAPPED for other in UNMAPPED if one.startswith(f"{other}.")]


def test_the_vendor_knows_them():
    """And the kinds of events, from the conditions of its rules."""
    assert VENDOR.unmapped is UNMAPPED
    compared = {pair for rule in TABLE.rules if rule.when for pair in rule.when.compared}
    assert {("log_type", "dns_resolution"), ("alert_subtype", "antivirus")} <= compared
    assert VENDOR.families == ("log_type", "alert_subtype")
