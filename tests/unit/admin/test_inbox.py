"""The bounds of the inbox."""

import json

from collector.admin.inbox import Inbox


def test_an_empty_inbox_is_an_empty_array():
    """No event is no error."""
    assert json.loads(Inbox().as_json()) == []


def test_the_newest_events_are_kept():
    """The oldest go first."""
    inbox = Inbox(max_events=3)
    inbox.add(b"1\n2\n")
    inbox.add(b"3\n4\n5\n")
    assert json.loads(inbox.as_json()) == [3, 4, 5]


def test_what_is_kept_is_bounded_in_octets():
    """Large events leave less room."""
    inbox = Inbox(max_octets=10)
    for _ in range(5):
        inbox.add(b"1234\n")
    assert json.loads(inbox.as_json()) == [1234, 1234]


def test_each_inbox_has_a_secret_of_its_own():
    """It cannot be guessed from another process."""
    assert Inbox().secret != Inbox().secret
    assert len(Inbox().secret) >= 40
