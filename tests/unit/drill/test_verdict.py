"""What is lost, what settings took, and what a killed daemon answers for."""

from dataclasses import replace

import pytest

from collector.drill.verdict import Facts, explanations, judge

FACTS = Facts(
    transport="tcp",
    sent=100,
    copies=100,
    delivered=100,
    duplicated=0,
    most_waiting=40,
    spool_was_full=False,
    first_acceptance_seconds=0.5,
    backlog_gone_seconds=2.0,
    killed=False,
    spool_type="sqlite",
)


def ledger(received=100, copies=0, **accounts):
    empty = {"rejected": {}, "in_memory": 0, "spooled": 0, "dead_lettered": {}, "dropped": {}}
    return {"received": received, "copies": copies, "delivered": 0, **empty, **accounts}


def test_a_drill_in_which_everything_arrives_passes():
    verdict = judge(FACTS, ledger())
    assert (verdict.lost, verdict.waiting, verdict.passed) == (0, 0, True)
    assert list(explanations(verdict)) == []


def test_what_arrived_is_counted_at_the_sink_not_in_the_ledger():
    verdict = judge(replace(FACTS, delivered=98), ledger(delivered=100))
    assert (verdict.vanished, verdict.lost, verdict.passed) == (2, 2, False)


def test_what_settings_take_out_is_told_and_not_lost():
    facts = replace(FACTS, sent=100, copies=200, delivered=120)
    dropped = {"filter:noise": 20, "only:siem": 10, "max_rate": 15, "spool_full": 0}
    letters = {"parse_error": 10}
    verdict = judge(facts, ledger(copies=75, dropped=dropped, dead_lettered=letters))
    assert verdict.taken_out == {
        "dropped: filter:noise": 20,
        "dropped: only:siem": 10,
        "dropped: max_rate": 15,
        "dead_lettered: parse_error": 10,
    }
    assert (verdict.lost, verdict.passed) == (0, True)


def test_copies_that_the_ledger_forgot_to_count_are_missed():
    """Where each message was copied for its sinks, the number of copies is known without it."""
    facts = replace(FACTS, copies=200, delivered=150)
    assert judge(facts, ledger(copies=50)).vanished == 50


@pytest.mark.parametrize("reason", ["spool_full", "dead_letter_evicted"])
def test_what_the_outage_made_settings_drop_is_lost(reason):
    verdict = judge(replace(FACTS, delivered=70), ledger(dropped={reason: 30}))
    assert (verdict.lost, verdict.vanished, verdict.passed) == (30, 0, False)
    assert list(explanations(verdict)) == [
        f"30 copies were given up (dropped: {reason}), as the settings have it"
    ]


def test_a_full_spool_that_made_senders_wait_is_told():
    verdict = judge(replace(FACTS, spool_was_full=True), ledger())
    assert verdict.passed
    assert list(explanations(verdict)) == [
        "the spool was full: senders had to wait, which over UDP means loss"
    ]


def test_what_waits_is_not_lost_but_the_drill_has_not_passed():
    verdict = judge(replace(FACTS, delivered=60), ledger(in_memory=10, spooled=30))
    assert (verdict.waiting, verdict.lost, verdict.passed) == (40, 0, False)


def test_messages_that_never_arrived_at_the_daemon_are_lost():
    verdict = judge(replace(FACTS, transport="udp", delivered=90), ledger(received=90))
    assert (verdict.never_received, verdict.lost, verdict.passed) == (10, 10, False)
    assert list(explanations(verdict)) == [
        "10 messages never reached the daemon: UDP tells no sender"
    ]


def test_a_killed_daemon_answers_for_what_it_has_committed():
    facts = replace(FACTS, killed=True, delivered=90, duplicated=5)
    verdict = judge(facts, ledger(received=90))
    assert (verdict.lost, verdict.passed) == (10, True)
    lost, duplicated = explanations(verdict)
    assert "not committed yet, when the daemon was killed" in lost
    assert "event.id" in duplicated
    assert not judge(replace(facts, delivered=89), ledger(received=90)).passed


def test_with_several_sinks_a_kill_can_cost_copies_of_a_message():
    """A message of which one copy was committed is in the ledger, short of the other."""
    facts = replace(FACTS, copies=200, delivered=180, killed=True)
    verdict = judge(facts, ledger(received=80, copies=100))
    assert (verdict.lost, verdict.passed) == (20, True)
    assert next(explanations(verdict)).startswith("20 messages, or copies of some, were sent")


def test_a_spool_in_memory_is_lost_with_the_killed_daemon():
    """What waited before the kill is nowhere after it; the two lives have accounts of their own."""
    facts = replace(FACTS, killed=True, delivered=70, spool_type="memory")
    verdict = judge(facts, ledger(received=40), before_kill=ledger(received=55, spooled=25))
    assert (verdict.received, verdict.never_received, verdict.vanished) == (95, 5, 25)
    assert not verdict.passed
    assert "memory keeps nothing" in next(explanations(verdict))


def test_a_verdict_for_programs_has_everything():
    found = judge(FACTS, ledger(dropped={"filter:noise": 0})).as_dict()
    assert found == {
        "passed": True,
        "transport": "tcp",
        "sent": 100,
        "copies": 100,
        "delivered": 100,
        "duplicated": 0,
        "most_waiting": 40,
        "spool_was_full": False,
        "first_acceptance_seconds": 0.5,
        "backlog_gone_seconds": 2.0,
        "killed": False,
        "spool_type": "sqlite",
        "lost": 0,
        "received": 100,
        "taken_out": {},
        "given_up": {},
        "waiting": 0,
        "never_received": 0,
        "vanished": 0,
        "explanations": [],
    }
