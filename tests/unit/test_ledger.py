"""The accounts."""

from collections import Counter

from collector.ledger import Ledger


def test_accounts_balance_when_every_copy_is_somewhere():
    """received + copies is what all other accounts hold together."""
    ledger = Ledger(
        received=10,
        copies=5,
        rejected=Counter(oversize=1, unknown_intake=2),
        in_memory=3,
        spooled=4,
        delivered=2,
        dead_lettered=Counter(refused=1),
        dropped=Counter(shutdown=2),
    )
    assert ledger.imbalance() == 0
    ledger.spooled -= 1
    assert ledger.imbalance() == 1


def test_accounts_balance_for_who_takes_from_others_and_hands_over():
    """What is taken over came in as well, and what is handed over is somewhere too."""
    ledger = Ledger(received=10, taken_over=4, delivered=3, dead_lettered=Counter(refused=1))
    assert ledger.imbalance() == 10
    ledger.handed_over += 10
    assert ledger.imbalance() == 0


def test_what_was_handed_and_taken_over_is_restored():
    """It outlives the process as other accounts do."""
    before = Ledger(received=5, handed_over=5, taken_over=2, delivered=2)
    after = Ledger()
    after.restore(before.stored(0))
    assert after == before


def test_the_status_form_has_every_account():
    """Names are those of the interface."""
    ledger = Ledger(received=1, rejected=Counter(oversize=1))
    assert ledger.as_dict() == {
        "received": 1,
        "copies": 0,
        "rejected": {"oversize": 1},
        "in_memory": 0,
        "spooled": 0,
        "delivered": 0,
        "dead_lettered": {},
        "dropped": {},
        "handed_over": 0,
        "taken_over": 0,
    }
