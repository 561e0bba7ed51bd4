"""Cookies of those who have shown the token."""

import pytest

from collector.admin import sessions
from collector.admin.sessions import LIFETIME_SECONDS, Sessions

TOKEN = "the token of the test"


class Clock:
    """Says what the test says."""

    now = 1_800_000_000.5

    def __call__(self):
        return self.now


def test_a_cookie_shows_the_token_until_it_ends():
    """It holds nothing of it."""
    clock = Clock()
    known = Sessions(clock)
    cookie = known.issue(TOKEN)
    assert known.is_valid(cookie, TOKEN)
    assert TOKEN not in cookie
    clock.now += LIFETIME_SECONDS - 1
    assert known.is_valid(cookie, TOKEN)
    clock.now += 1
    assert not known.is_valid(cookie, TOKEN)


def test_another_token_ends_all_sessions():
    """Nothing need be remembered of them."""
    known = Sessions(Clock())
    assert not known.is_valid(known.issue(TOKEN), "another token")


def test_who_knows_the_token_cannot_make_a_cookie():
    """So that a cookie is no way to guess it: another daemon's is none, of the same token."""
    assert not Sessions(Clock()).is_valid(Sessions(Clock()).issue(TOKEN), TOKEN)


def test_who_signs_out_ends_one_session():
    """Whoever else has its cookie; the other sessions go on."""
    known = Sessions(Clock())
    one, other = known.issue(TOKEN), known.issue(TOKEN)
    known.end("no cookie", TOKEN)
    known.end(one, TOKEN)
    assert not known.is_valid(one, TOKEN)
    assert known.is_valid(other, TOKEN)


def test_what_is_remembered_of_ended_sessions_is_bounded(monkeypatch):
    """By their time, and by their number: then all end rather than one that goes on."""
    monkeypatch.setattr(sessions, "MAX_ENDED", 2)
    clock = Clock()
    known = Sessions(clock)
    for _ in range(2):
        known.end(known.issue(TOKEN), TOKEN)
    clock.now += LIFETIME_SECONDS
    kept, *others = (known.issue(TOKEN) for _ in range(4))
    for cookie in others[:2]:
        known.end(cookie, TOKEN)
    assert known.is_valid(kept, TOKEN)
    known.end(others[2], TOKEN)
    assert not any(known.is_valid(cookie, TOKEN) for cookie in (kept, *others))


def test_what_is_changed_is_no_cookie():
    """Neither may it end later, nor be shorter."""
    known = Sessions(Clock())
    ends, drawn, signature = known.issue(TOKEN).split(".")
    for changed in (
        f"{int(ends) + 1}.{drawn}.{signature}",
        f"0{ends}.{drawn}.{signature}",
        f"{ends}.{drawn[1:]}.{signature}",
        f"{ends}.{drawn}.{signature[:-1]}",
        f"{ends}.{signature}",
    ):
        assert not known.is_valid(changed, TOKEN)


@pytest.mark.parametrize(
    "value", ["", ".", "..", "x.y.z", "-1.b.a", "9" * 5000 + ".b.a", "²³.a", "1.b.ä", "1.b.\udcff"]
)
def test_anything_else_is_none(value):
    """A browser sends what it likes."""
    known = Sessions(Clock())
    known.end(value, TOKEN)
    assert not known.is_valid(value, TOKEN)
