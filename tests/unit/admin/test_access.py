"""Who may ask for what."""

import pytest
from aiohttp.test_utils import make_mocked_request

from collector.admin.access import (
    CLOSED,
    FOREIGN,
    OTHER_NAME,
    TOO_MANY,
    UNAUTHORIZED,
    Access,
    is_foreign,
    is_same,
)
from collector.admin.guesses import AT_ONCE, Guesses
from collector.admin.sessions import COOKIE, LIFETIME_SECONDS, Sessions

TOKEN = "the token of the test"


class Clock:
    """Says what the test says."""

    now = 1_800_000_000.0

    def __call__(self):
        return self.now


CLOCK = Clock()


def access(token=TOKEN, *, is_local=False, clock=CLOCK):
    made = Access(token, sessions=Sessions(clock), guesses=Guesses(clock))
    made.is_local = is_local
    return made


def request(method="GET", path="/api/status", *, host="collector.example:9514", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(method, path, headers={"Host": host, **named})


def test_the_token_opens_everything():
    """In a header, the usual way (RFC 6750)."""
    for scheme in ("Bearer", "bearer"):
        assert access().refusal(request(Authorization=f"{scheme} {TOKEN}")) is None
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}"):
        assert access().refusal(request(Authorization=wrong)) is UNAUTHORIZED
    assert access().refusal(request()) is UNAUTHORIZED


def test_credentials_for_somebody_else_are_no_matter():
    """A browser sends them with everything, once a proxy before us has asked for them."""
    known = access()
    cookie = f"{COOKIE}={known.log_in(request(), TOKEN)}"
    for given in ("Basic dXNlcjpwYXNz", "Negotiate YII=", "", "Bearers x"):
        assert known.refusal(request(Authorization=given, Cookie=cookie)) is None
        foreign = request(
            "POST", Authorization=given, Cookie=cookie, Origin="https://other.example"
        )
        assert known.refusal(foreign) is FOREIGN
        assert known.refusal(request(Authorization=given)) is UNAUTHORIZED
    for given in ("Bearer", "Bearer x", f"bearer {TOKEN}x"):
        assert known.refusal(request(Authorization=given, Cookie=cookie)) is UNAUTHORIZED


def test_what_goes_on_ends_with_the_session_that_it_was_begun_in():
    """What was begun without one goes on: it is ended with the token."""
    clock = Clock()
    known = access(clock=clock)
    one, other = (request(Cookie=f"{COOKIE}={known.log_in(request(), TOKEN)}") for _ in range(2))
    program = request(Authorization=f"Bearer {TOKEN}")
    assert [known.may_go_on(asked) for asked in (one, other, program)] == [True, True, True]
    known.log_out(one)
    assert [known.may_go_on(asked) for asked in (one, other, program)] == [False, True, True]
    clock.now += LIFETIME_SECONDS
    assert [known.may_go_on(asked) for asked in (one, other, program)] == [False, False, True]
    assert access(None, is_local=True).may_go_on(request())


def test_a_session_opens_everything_until_it_ends():
    """It is given for the token alone."""
    clock = Clock()
    known = access(clock=clock)
    asked = request(Cookie=f"{COOKIE}={known.log_in(request(), TOKEN)}")
    assert known.refusal(asked) is None
    clock.now += LIFETIME_SECONDS
    assert known.refusal(asked) is UNAUTHORIZED
    assert known.log_in(request(), "no token") == ""
    assert access(None).log_in(request(), "") == ""


def test_a_session_ends_with_its_token_or_where_somebody_signs_out():
    """Each at once."""
    known = access()
    one, other = (request(Cookie=f"{COOKIE}={known.log_in(request(), TOKEN)}") for _ in range(2))
    known.log_out(one)
    assert known.refusal(one) is UNAUTHORIZED
    assert known.refusal(other) is None
    known.token = "another token"
    assert known.refusal(other) is UNAUTHORIZED
    known.token = None
    known.log_out(other)


def test_who_guesses_is_told_to_wait():
    """The right token passes all the same, as it may be that of another behind the same proxy."""
    clock = Clock()
    known = access(clock=clock)
    session = request(Cookie=f"{COOKIE}={known.log_in(request(), TOKEN)}")
    right = request(Authorization=f"Bearer {TOKEN}")
    for number in range(AT_ONCE):
        assert known.seconds_left(right) == 0
        assert known.refusal(request(Authorization=f"Bearer {number}")) is UNAUTHORIZED
    wrong = request(Authorization="Bearer another")
    assert known.refusal(wrong) is TOO_MANY
    assert known.log_in(request(), "another") == ""
    assert known.refusal(right) is None
    assert known.log_in(request(), TOKEN)
    assert known.refusal(session) is None
    assert known.refusal(request()) is UNAUTHORIZED
    clock.now += known.seconds_left(wrong)
    assert known.refusal(wrong) is UNAUTHORIZED


@pytest.mark.parametrize(
    ("given", "expected"),
    [(TOKEN, True), (f"{TOKEN} ", False), ("", False), ("\udcff", False), ("\xff", False)],
)
def test_whatever_a_header_holds_can_be_compared(given, expected):
    """Octets that are no text come as surrogates."""
    assert is_same(given, TOKEN) is expected


def test_off_loopback_nothing_is_open_without_a_token():
    """Whoever asks, whatever they show."""
    assert access(None).refusal(request(Authorization="Bearer ")) is CLOSED


def test_on_loopback_a_name_of_another_site_is_refused():
    """A site can have its own name mean this machine."""
    local = access(None, is_local=True)
    for host in ("127.0.0.1:9514", "localhost:9514", "LocalHost", "[::1]:9514", "[::1]"):
        assert local.refusal(request(host=host)) is None
    others = ("rebound.example:9514", "localhost.example", "a@127.0.0.1", "127.0.0.1@a", "[::1", "")
    for host in (*others, "127.0.0.1:x", "127.0.0.1/", "a:-1", "xn--", "\xff", "127.0.0.1 a"):
        assert local.refusal(request(host=host)) is OTHER_NAME
    assert "127.0.0.1" in OTHER_NAME
    assert local.refusal(request("POST", Origin="http://site.example", host="[::1]")) is FOREIGN


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Origin": "http://collector.example:9514"}, False),
        # A proxy speaks TLS for us, and the browser says that the page is its own.
        ({"Origin": "https://collector.example", "Sec_Fetch_Site": "same-origin"}, False),
        ({"Origin": "https://collector.example:9514"}, True),
        ({"Origin": "http://collector.example"}, True),
        ({"Origin": "http://other.example"}, True),
        ({"Origin": "https://other.example", "Sec_Fetch_Site": "cross-site"}, True),
        ({"Origin": "https://b.collector.example", "Sec_Fetch_Site": "same-site"}, True),
        ({"Sec_Fetch_Site": "cross-site"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": ""}, True),
        ({"Origin": "http://["}, True),
    ],
)
def test_what_does_something_is_refused_to_other_sites(headers, expected):
    """A browser sends the cookie along, whoever has it ask."""
    known = access()
    cookie = f"{COOKIE}={known.log_in(request(), TOKEN)}"
    asked = request("POST", "/api/reload", Cookie=cookie, **headers)
    assert is_foreign(asked) is expected
    assert known.refusal(asked) is (FOREIGN if expected else None)


def test_who_shows_the_token_itself_is_no_browser():
    """Whatever else is said."""
    asked = request("POST", Authorization=f"Bearer {TOKEN}", Origin="https://other.example")
    assert access().refusal(asked) is None


def test_other_sites_cannot_have_us_read_but_may_link_to_the_page():
    """A stream that their page opens would take the place of one of ours."""
    for site in ("cross-site", "same-site"):
        assert is_foreign(request(Sec_Fetch_Site=site, Sec_Fetch_Mode="cors"))
        assert is_foreign(request(Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors"))
        assert not is_foreign(request(path="/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate"))
        assert is_foreign(request(path="/api/tail", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate"))
    assert not is_foreign(request(Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors"))
    assert not is_foreign(request(Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate"))
