"""What was meant to be dropped, and what was lost."""

import re
from importlib import resources

import pytest

from collector.describe.accounts import WANTED, accounts
from collector.ledger import Ledger
from collector.metrics import DROPPED


def test_what_was_dropped_is_told_from_what_was_lost():
    """Nothing else is changed."""
    dropped = {"filter:x": 1, "max_rate": 2, "spool_full": 3, "shutdown": 4}
    found = accounts({"received": 10, "dropped": dropped})
    assert found == {
        "received": 10,
        "dropped": {"filter:x": 1, "max_rate": 2},
        "lost": {"spool_full": 3, "shutdown": 4},
    }
    assert set(accounts(Ledger().as_dict())) == {*Ledger().as_dict(), "lost"}


@pytest.mark.parametrize("reason", ["filter:spool_full", "only:siem", "max_rate"])
def test_what_settings_ask_for_is_no_loss(reason):
    assert accounts({"dropped": {reason: 1}})["lost"] == {}


def test_of_the_reasons_that_there_are_always_these_are_losses():
    """A new reason is a loss until somebody says that it is not."""
    lost = accounts({"dropped": dict.fromkeys((*DROPPED, "new"), 1)})["lost"]
    assert set(lost) == {"shutdown", "spool_full", "dead_letter_evicted", "quarantined", "new"}


def test_the_status_page_has_the_same_rule_and_names():
    """It is written in another language."""
    page = resources.files("collector.admin").joinpath("page", "ledger.js").read_text()
    (rule,) = re.findall(r"^const WANTED = /(.*)/;$", page, re.MULTILINE)
    assert rule == WANTED.pattern
    assert {"Dropped", "Lost"} <= set(re.findall(r'title: "(\w+)"', page))
