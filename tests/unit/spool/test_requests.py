"""What the command line asks of the daemon."""

import sqlite3

import pytest

from collector.spool import requests


@pytest.fixture
def file():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in requests.SCHEMA.split(";"):
        connection.execute(statement)
    return connection


def ask(file, command="purge", arguments=None, now=100.0):
    return requests.ask(file, command, arguments or {}, actor="uid 0", now=now)


def test_a_request_is_read_as_it_was_asked(file):
    number = ask(file, "replay", {"reason": "refused", "numbers": [1, 2]})
    assert requests.waiting(file) == [
        requests.Request(number, 100.0, "uid 0", "replay", {"reason": "refused", "numbers": [1, 2]})
    ]
    assert not requests.read(file, number).is_answered


def test_a_request_waits_until_it_is_answered(file):
    """One that has been begun is gone on with, after a restart too."""
    first, second, third = ask(file), ask(file), ask(file)
    requests.answer(file, first, "done", {"purged": {"refused": 3}})
    requests.answer(file, second, "running", {"purged": {"refused": 1}})
    requests.answer(file, third, "failed", {"problem": "no"})
    waiting = requests.waiting(file)
    assert [(item.number, item.state) for item in waiting] == [(second, "running")]
    assert waiting[0].answer == {"purged": {"refused": 1}}
    assert requests.read(file, first).answer == {"purged": {"refused": 3}}
    assert requests.read(file, first).is_answered
    assert requests.read(file, third).is_answered


def test_answers_are_kept_for_a_while(file):
    """What nobody has answered is kept for as long as it takes."""
    answered, unanswered = ask(file), ask(file)
    requests.answer(file, answered, "done", {})
    ask(file, now=100.0 + requests.KEPT_SECONDS)
    assert requests.read(file, answered) is not None
    later = ask(file, now=101.0 + requests.KEPT_SECONDS)
    assert requests.read(file, answered) is None
    assert requests.read(file, unanswered) is not None
    assert later > unanswered


def test_a_request_of_another_file_gets_a_number_here(file):
    """All else of it stays."""
    ask(file)
    moved = requests.Request(77, 5.0, "uid 9", "replay", {"last": 3}, "running", {"replayed": 1})
    requests.move_in(file, moved)
    found = requests.waiting(file)[1]
    assert (found.number, found.asked, found.actor, found.state) == (2, 5.0, "uid 9", "running")
    assert (found.command, found.arguments, found.answer) == (
        "replay",
        {"last": 3},
        {"replayed": 1},
    )
