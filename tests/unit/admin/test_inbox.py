"""The bounds of the inbox."""

import json

from collector.admin.inbox import Inbox
from collector.masking import Masker
from collector.syslog.message import KeyName


async def test_an_empty_inbox_is_an_empty_array():
    """No event is no error."""
    assert json.loads(await Inbox().as_json()) == []


async def test_the_newest_events_are_kept():
    """The oldest go first."""
    inbox = Inbox(max_events=3)
    inbox.add(b"1\n2\n")
    inbox.add(b"3\n4\n5\n")
    assert json.loads(await inbox.as_json()) == [3, 4, 5]


async def test_what_is_kept_is_bounded_in_octets():
    """Large events leave less room."""
    inbox = Inbox(max_octets=10)
    for _ in range(5):
        inbox.add(b"1234\n")
    assert json.loads(await inbox.as_json()) == [1234, 1234]


def test_what_came_is_counted_beside_what_is_kept():
    """Who looks can tell how much they have missed."""
    inbox = Inbox(max_events=3)
    assert inbox.status() == {"events": 0, "kept": 0}
    inbox.add(b"1\n2\n")
    assert inbox.status() == {"events": 2, "kept": 2}
    inbox.add(b"3\n4\n5\n")
    assert inbox.status() == {"events": 5, "kept": 3}


def test_each_inbox_has_a_secret_of_its_own():
    """It cannot be guessed from another process."""
    assert Inbox().secret != Inbox().secret
    assert len(Inbox().secret) >= 40


async def test_intake_keys_are_not_shown():
    """Nor what cannot be looked through for them."""
    inbox = Inbox()
    inbox.masker = Masker(KeyName(), ["very-secret"])
    inbox.add(b'{"a":"a very-secret","b":1}\n' + b"[" * 300 + b"]" * 300 + b"\n")
    first, second = json.loads(await inbox.as_json())
    assert first == {"a": "a ***", "b": 1}
    assert second["message"].startswith("the event is not shown: ")
