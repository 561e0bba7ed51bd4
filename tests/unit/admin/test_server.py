"""The admin server: what it answers, and to whom."""

import asyncio
import gzip
import io
import json
import threading
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import hdrs
from prometheus_client import CollectorRegistry, Gauge

from collector.admin import bodies, connections, trial
from collector.admin.access import OTHER_NAME, TOO_MANY
from collector.admin.files import HEADERS
from collector.admin.guesses import AT_ONCE
from collector.admin.history import History
from collector.admin.inbox import COUNT_HEADER, SECRET_HEADER, Inbox
from collector.admin.server import MAX_FORM_BYTES, AdminServer
from collector.admin.sessions import COOKIE
from collector.loading import Reloaded
from collector.tail import MAX_TEXT, Tailed, Wanted


class Daemon:
    """Answers as the test says."""

    is_ready = True

    def __init__(self, reloaded=None):
        self.reloaded = reloaded or Reloaded(changes=["a: 1 -> 2"], needs_restart=["spool"])
        self.actors = []
        self.watched = []

    def ready(self):
        return self.is_ready

    async def degraded(self):
        return [{"sink": "s", "reason": "HTTP 401"}]

    async def status(self):
        return {"version": "1"}

    async def metrics(self):
        registry = CollectorRegistry()
        Gauge("some_metric", "Some help.", registry=registry).set(7)
        return registry

    async def reload(self, actor):
        self.actors.append(actor)
        return self.reloaded

    async def tail(self, wanted):
        self.watched.append(wanted)
        try:
            yield Tailed([{"raw": "a\n<script>"}, {"raw": "b"}], 3)
            await asyncio.Event().wait()
        finally:
            self.watched.remove(wanted)


@asynccontextmanager
async def serving(
    *, host="127.0.0.1", token=None, inbox=None, daemon=None, open_to_all=("metrics", "health")
):
    server = AdminServer(
        host, 0, token=token, daemon=daemon or Daemon(), history=History(), open_to_all=open_to_all
    )
    server.inbox = inbox
    await server.start()
    base = f"http://127.0.0.1:{server.address[1]}"
    try:
        async with aiohttp.ClientSession(base) as session:
            session.server = server
            yield session
    finally:
        await server.stop()


async def fetch(session, path, **options):
    async with session.get(path, **options) as response:
        return response.status, await response.text()


async def test_metrics_are_in_the_form_that_prometheus_asks_for():
    """Text by default, OpenMetrics on request."""
    async with serving() as session:
        status, text = await fetch(session, "/metrics")
        assert status == 200
        assert "some_metric 7.0\n" in text
        headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
        _, text = await fetch(session, "/metrics", headers=headers)
        assert text.endswith("# EOF\n")


async def test_health_and_readiness():
    """A degraded sink is named and leaves the daemon ready; one that does not listen is not."""
    daemon = Daemon()
    async with serving(daemon=daemon) as session:
        assert await fetch(session, "/healthz") == (200, "alive\n")
        status, text = await fetch(session, "/readyz")
        assert (status, json.loads(text)) == (
            200,
            {"ready": True, "degraded": [{"sink": "s", "reason": "HTTP 401"}]},
        )
        daemon.is_ready = False
        status, text = await fetch(session, "/readyz")
        assert (status, json.loads(text)["ready"]) == (503, False)


async def test_on_loopback_everything_is_open_without_a_token():
    """Whoever is on the machine may look."""
    async with serving() as session:
        status, text = await fetch(session, "/api/status")
    assert (status, json.loads(text)) == (200, {"version": "1"})


async def test_off_loopback_without_a_token_only_metrics_and_health_are_open():
    """The answer names the setting that opens the rest."""
    async with serving(host="0.0.0.0", inbox=Inbox()) as session:
        for path in ("/metrics", "/healthz", "/readyz"):
            assert (await fetch(session, path))[0] == 200
        for path in ("/api/status", "/api/inbox", "/anything"):
            status, text = await fetch(session, path)
            assert status == 403
            assert "admin.token_file" in text


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_token_opens_what_it_guards_and_nothing_else_does(host):
    """Metrics and health stay open."""
    async with serving(host=host, token="the-token") as session:
        assert (await fetch(session, "/metrics"))[0] == 200
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "the-token"}):
            status, text = await fetch(session, "/api/status", headers=given)
            assert status == 401
            assert "the-token" not in text
        right = {"Authorization": "Bearer the-token"}
        assert (await fetch(session, "/api/status", headers=right))[0] == 200


async def reload(session, **headers):
    async with session.post("/api/reload", headers=headers) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(("token", "actor"), [(None, "loopback"), ("the-token", "token")])
async def test_a_reload_is_answered_with_what_came_of_it(token, actor):
    """The daemon is told who asked."""
    daemon = Daemon()
    async with serving(daemon=daemon, token=token) as session:
        status, text = await reload(session, Authorization=f"Bearer {token}")
    assert (status, json.loads(text)) == (
        200,
        {"reloaded": True, "problem": "", "changes": ["a: 1 -> 2"], "needs_restart": ["spool"]},
    )
    assert daemon.actors == [actor]


async def test_a_reload_that_was_refused_says_why():
    """Nothing has changed then."""
    async with serving(daemon=Daemon(Reloaded(problem="sinks: is missing"))) as session:
        status, text = await reload(session)
    assert status == 422
    assert json.loads(text)["problem"] == "sinks: is missing"
    assert json.loads(text)["reloaded"] is False


async def test_who_may_not_reload_does_not():
    """Neither without the token, nor from a page of another site, nor by looking."""
    daemon = Daemon()
    async with serving(daemon=daemon, token="the-token") as session:
        assert (await reload(session))[0] == 401
    async with serving(daemon=daemon, host="0.0.0.0") as session:
        assert (await reload(session))[0] == 403
    async with serving(daemon=daemon) as session:
        status, text = await reload(session, Origin="https://site.example")
        assert (status, text) == (403, "closed for pages of other sites\n")
        assert (await fetch(session, "/api/reload"))[0] == 405
    assert daemon.actors == []


async def test_pages_of_the_daemon_itself_may_reload_on_loopback():
    """A browser says where they come from."""
    async with serving() as session:
        own = str(session._base_url).rstrip("/")
        assert (await reload(session, Origin=own))[0] == 200


OPEN = ("/metrics", "/healthz", "/readyz")
CLOSED_TO_SITES = (403, "closed for pages of other sites\n")
CLOSED_UNDER_THE_NAME = (403, OTHER_NAME)


@pytest.mark.parametrize("host", ["site.example", "site.example:9090", "192.0.2.7", "a b", ""])
async def test_under_a_foreign_name_only_metrics_and_health_are_open_without_a_token(host):
    """A site can have its own name mean this machine; the answer says what to do about it."""
    daemon = Daemon()
    inbox = Inbox()
    inbox.add(b'{"n":1}\n')
    async with serving(daemon=daemon, inbox=inbox) as session:
        for path in OPEN:
            assert (await fetch(session, path, headers={"Host": host}))[0] == 200
        for path in ("/api/status", "/api/inbox", "/api/reload", "/anything"):
            assert await fetch(session, path, headers={"Host": host}) == CLOSED_UNDER_THE_NAME
        assert await reload(session, Host=host) == CLOSED_UNDER_THE_NAME
        own_page = {"Host": host, "Origin": f"http://{host}"}
        assert await reload(session, **own_page) == CLOSED_UNDER_THE_NAME
    assert daemon.actors == []


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.0.0.9", "[::1]"])
@pytest.mark.parametrize("port", ["", ":9090"])
async def test_under_the_names_of_this_machine_everything_is_open_without_a_token(name, port):
    """With a port or without: it may be a forwarded one."""
    daemon = Daemon()
    async with serving(daemon=daemon) as session:
        headers = {"Host": f"{name}{port}"}
        assert (await fetch(session, "/api/status", headers=headers))[0] == 200
        assert (await reload(session, **headers))[0] == 200
        headers["Origin"] = f"http://{name}{port}"
        assert (await reload(session, **headers))[0] == 200
    assert daemon.actors == ["loopback"] * 2


@pytest.mark.parametrize(
    "origin",
    ["https://site.example", "http://localhost", "https://localhost:9090", "null", ""],
)
async def test_pages_from_elsewhere_change_nothing_without_a_token(origin):
    """Another port of this machine is elsewhere too, as is a page that does not say whence."""
    daemon = Daemon()
    async with serving(daemon=daemon) as session:
        assert await reload(session, Host="localhost:9090", Origin=origin) == CLOSED_TO_SITES
    assert daemon.actors == []


async def test_a_token_is_enough_under_whatever_name():
    """As behind a proxy that passes the name on."""
    async with serving(token="the-token") as session:
        headers = {"Host": "collector.example", "Authorization": "Bearer the-token"}
        assert (await fetch(session, "/api/status", headers=headers))[0] == 200
        assert (await reload(session, Origin="https://site.example", **headers))[0] == 200


async def test_unknown_paths_are_not_found():
    """There is no inbox unless a sink uses it."""
    async with serving() as session:
        assert (await fetch(session, "/api/inbox"))[0] == 404


async def test_the_inbox_takes_events_from_the_daemon_alone():
    """Its secret decides, also where everything else is closed."""
    inbox = Inbox()
    async with serving(host="0.0.0.0", inbox=inbox) as session:
        async with session.post("/inbox", data=b'{"a":1}\n') as response:
            assert response.status == 403
        own = {SECRET_HEADER: inbox.secret}
        async with session.post("/inbox", data=b'{"a":1}\n', headers=own) as response:
            assert response.status == 204
    assert json.loads(await inbox.as_json()) == [{"a": 1}]


async def test_a_secret_of_the_inbox_that_is_no_text_is_refused_like_any_other(capsys):
    """It is no mistake of ours."""
    async with serving(inbox=Inbox()) as session:
        head = b"POST /inbox HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        octets = head + b"X-Collector-Inbox: \xff\x80\r\nContent-Length: 0\r\n\r\n"
        assert (await exchange(session.server, octets)).startswith(b"HTTP/1.1 403 ")
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_the_inbox_is_shown_as_an_array():
    """The oldest event first."""
    inbox = Inbox()
    inbox.add(b'{"n":1}\n{"n":2}\n')
    async with serving(inbox=inbox) as session:
        status, text = await fetch(session, "/api/inbox")
    assert (status, json.loads(text)) == (200, [{"n": 1}, {"n": 2}])


async def test_who_is_shown_the_inbox_is_told_how_many_events_had_come():
    """Those that are kept no more included, so that newer ones can be counted."""
    inbox = Inbox(max_events=1)
    inbox.add(b'{"n":1}\n{"n":2}\n')
    async with serving(inbox=inbox) as session, session.get("/api/inbox") as response:
        assert response.headers[COUNT_HEADER] == "2"
        assert await response.json() == [{"n": 2}]


TOKEN = "the-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def log_in(session, token=TOKEN, **headers):
    """Send the form; return the status and where it leads. The session keeps the cookie."""
    sent = {"data": {"token": token}, "headers": headers, "allow_redirects": False}
    async with session.post("/login", **sent) as response:
        return response.status, response.headers.get(hdrs.LOCATION)


@asynccontextmanager
async def browsing(**options):
    """Serve with a token, to a browser that has a session."""
    jar = aiohttp.CookieJar(unsafe=True)  # it keeps cookies of addresses too
    async with (
        serving(token=TOKEN, **options) as session,
        aiohttp.ClientSession(session._base_url, cookie_jar=jar) as browser,
    ):
        browser.server = session.server
        assert await log_in(browser) == (303, "/")
        yield browser


def audited(capsys):
    """Return what the audit says since the last look, without times."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    kept = ("timestamp", "level", "event")
    return [{n: v for n, v in x.items() if n not in kept} for x in lines if x["event"] == "audit"]


async def test_the_page_is_served_with_what_it_is_made_of():
    """It is kept by the browser as long as it has not changed."""
    async with serving() as session:
        async with session.get("/") as response:
            assert (response.status, response.content_type) == (200, "text/html")
            assert "page/main.js" in await response.text()
        async with session.get("/page/main.js") as response:
            assert (response.status, response.content_type) == (200, "text/javascript")
            assert response.headers[hdrs.CACHE_CONTROL] == "no-cache"
            tag = response.headers[hdrs.ETAG]
        async with session.get("/page/main.js", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        for path in (
            "/page/",
            "/page/nothing.js",
            "/page/..%2fserver.py",
            "/page/%2e%2e/access.py",
        ):
            assert (await fetch(session, path))[0] == 404


async def test_without_a_session_the_page_asks_for_the_token():
    """What it is made of is in the package, and is for everybody."""
    async with serving(host="0.0.0.0", token=TOKEN) as session:
        status, text = await fetch(session, "/")
        assert (status, 'action="login"' in text) == (401, True)
        assert (await fetch(session, "/page/style.css"))[0] == 200
        for path in ("/api/live", "/api/tail", "/api/inbox"):
            assert (await fetch(session, path))[0] == 401
        async with session.post("/api/parse", json={}) as response:
            assert response.status == 401
    async with serving(host="0.0.0.0") as session:
        assert (await fetch(session, "/"))[0] == 403


async def test_who_shows_the_token_gets_a_session(capsys):
    """Its cookie is for this server alone, and no script sees it."""
    async with serving(token=TOKEN) as session:
        sent = {"data": {"token": f" {TOKEN}\n"}, "allow_redirects": False}
        async with session.post("/login", **sent) as response:
            assert response.status == 303
            cookie = response.cookies[COOKIE]
            assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
            assert not cookie["secure"]
            assert TOKEN not in cookie.value
        async with session.post("/login", headers={"X-Forwarded-Proto": "https"}, **sent) as answer:
            assert answer.cookies[COOKIE]["secure"]
    assert audited(capsys)[0] == {"action": "login", "actor": "token", "peer": "127.0.0.1"}
    async with browsing() as browser:
        assert (await fetch(browser, "/api/status"))[0] == 200
        assert "page/main.js" in (await fetch(browser, "/"))[1]


async def test_who_shows_another_token_is_asked_again(capsys):
    """The log does not say what was shown."""
    async with serving(token=TOKEN) as session:
        assert await log_in(session, "a wrong one") == (303, "/?refused")
        assert await log_in(session, "") == (303, "/?refused")
        async with session.post("/login", data=b"\xff=%ff&&token", allow_redirects=False) as answer:
            assert (answer.status, answer.cookies) == (303, {})
    said = "".join(capsys.readouterr())
    assert "admin request without the token" in said
    assert "a wrong one" not in said
    async with serving() as session:
        assert await log_in(session, "") == (303, "/?refused")


async def test_who_guesses_is_told_to_wait():
    """In a form or in a header, while sessions go on and the right token is taken."""
    async with browsing() as browser:
        for number in range(AT_ONCE // 2):
            assert await log_in(browser, f"guess {number}") == (303, "/?refused")
            guess = {"Authorization": f"Bearer {number}"}
            async with browser.get("/api/status", headers=guess) as response:
                assert response.status == 401
        guess = {"Authorization": "Bearer another"}
        async with browser.get("/api/status", headers=guess) as response:
            assert (response.status, await response.text()) == (429, TOO_MANY)
            assert 0 < int(response.headers[hdrs.RETRY_AFTER]) < 60
        assert await log_in(browser, "another") == (303, "/?wait")
        async with browser.get("/api/status", headers=BEARER) as response:
            assert response.status == 200
        assert (await fetch(browser, "/api/status"))[0] == 200
        assert await log_in(browser) == (303, "/")


async def test_other_sites_cannot_use_the_session_of_a_browser():
    """Nor begin one, nor end it."""
    async with browsing() as browser:
        foreign = {"Origin": "https://site.example"}
        for path in ("/api/reload", "/api/parse", "/logout"):
            async with browser.post(path, headers=foreign) as response:
                assert (response.status, await response.text()) == CLOSED_TO_SITES
        assert (await log_in(browser, **foreign))[0] == 403
        assert (await fetch(browser, "/api/status"))[0] == 200


async def test_who_signs_out_has_no_session():
    """Nor has anybody else who has the cookie."""
    async with browsing() as browser:
        (cookie,) = (morsel.value for morsel in browser.cookie_jar)
        async with browser.post("/logout", allow_redirects=False) as response:
            assert (response.status, response.headers[hdrs.LOCATION]) == (303, "/")
        assert (await fetch(browser, "/api/status"))[0] == 401
        stolen = {"Cookie": f"{COOKIE}={cookie}"}
        assert (await fetch(browser, "/api/status", headers=stolen))[0] == 401


async def test_who_signs_out_is_in_the_audit(capsys):
    """Once: who has no session leaves nothing."""
    async with browsing() as browser:
        audited(capsys)
        for _ in range(2):
            async with browser.post("/logout", allow_redirects=False) as response:
                assert response.status == 303
    assert audited(capsys) == [{"action": "logout", "actor": "token", "peer": "127.0.0.1"}]


async def test_who_signs_out_sees_nothing_more():
    """In no tab; what somebody else sees goes on, as does what a program is told."""
    daemon = Daemon()
    async with (
        browsing(daemon=daemon) as browser,
        browser.get("/api/tail") as one,
        browser.get("/api/live") as two,
        browser.get("/api/tail", headers=BEARER) as program,
        aiohttp.ClientSession(
            browser._base_url, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as other,
    ):
        assert await log_in(other) == (303, "/")
        async with other.get("/api/tail") as elsewhere:
            for told in (one, two, program, elsewhere):
                await event_of(told)
            async with browser.post("/logout", allow_redirects=False) as response:
                assert response.status == 303
            for told in (one, two):
                await asyncio.wait_for(told.read(), 5)
            assert len(daemon.watched) == 2


async def test_who_has_no_session_any_more_can_sign_out_too():
    """It leads to the form, like everything else that a browser does then."""
    async with serving(token=TOKEN) as session:
        for headers in ({}, {"Cookie": f"{COOKIE}=1.a.b"}, {"Host": "collector.example"}):
            sent = {"headers": headers, "allow_redirects": False}
            async with session.post("/logout", **sent) as response:
                assert (response.status, response.headers[hdrs.LOCATION]) == (303, "/")


async def test_a_proxy_may_ask_for_credentials_of_its_own():
    """A browser sends them to us as well, beside its cookie."""
    async with browsing() as browser:
        proxied = {"Authorization": "Basic dXNlcjpwYXNz"}
        assert (await fetch(browser, "/api/status", headers=proxied))[0] == 200
        assert (await reload(browser, **proxied))[0] == 200


async def test_streams_end_when_a_stop_begins_and_all_else_goes_on():
    """A stop takes as long as there is something to deliver, and its health is asked meanwhile."""
    daemon = Daemon()
    async with serving(daemon=daemon) as session:
        async with session.get("/api/tail") as told:
            await event_of(told)
            session.server.end_streams()
            await asyncio.wait_for(told.read(), 5)
        assert daemon.watched == []
        for path in ("/api/live", "/api/tail"):
            assert await fetch(session, path) == (503, "the daemon is stopping\n")
        for path in OPEN:
            assert (await fetch(session, path))[0] == 200
    assert daemon.watched == []


async def test_another_token_ends_sessions_and_what_they_are_told():
    """What they watch is over at once; what needs no token changes too."""
    daemon = Daemon()
    async with browsing(daemon=daemon) as browser, browser.get("/api/tail") as told:
        await event_of(told)
        browser.server.go_by(TOKEN, ["metrics"])
        assert daemon.watched == [Wanted()]
        browser.server.go_by("another", ["metrics"])
        await told.read()
        assert daemon.watched == []
        assert (await fetch(browser, "/api/status"))[0] == 401
        assert (await fetch(browser, "/metrics"))[0] == 200
        assert (await fetch(browser, "/healthz"))[0] == 401


async def test_metrics_and_health_may_be_closed():
    """As `admin.open` says; then they need what all the rest needs."""
    async with serving(token=TOKEN, open_to_all=()) as session:
        for path in ("/metrics", "/healthz", "/readyz"):
            assert (await fetch(session, path))[0] == 401
            assert (await fetch(session, path, headers=BEARER))[0] == 200
    async with serving(open_to_all=(), host="0.0.0.0") as session:
        assert (await fetch(session, "/metrics"))[0] == 403


async def event_of(response):
    """Return the next event of a stream: its name and what it holds."""
    lines = (await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)).decode().splitlines()
    assert [line.partition(": ")[0] for line in lines[:2]] == ["event", "data"]
    return lines[0].partition(": ")[2], json.loads(lines[1].partition(": ")[2])


async def test_a_page_is_told_how_things_are():
    """The past first, then the status, again and again."""
    async with serving() as session, session.get("/api/live") as told:
        assert told.content_type == "text/event-stream"
        assert (await event_of(told))[0] == "history"
        for _ in range(2):
            assert await event_of(told) == ("status", {"version": "1"})


async def test_messages_are_shown_as_they_are_dealt_with(capsys):
    """Who watched what, and for how long, is told to the audit."""
    daemon = Daemon()
    asked = {"intake": "edr", "outcome": "ok", "text": "an\nevent"}
    async with serving(daemon=daemon) as session:
        async with session.get("/api/tail", params=asked) as told:
            assert await event_of(told) == ("message", {"raw": "a\n<script>"})
            assert await event_of(told) == ("message", {"raw": "b"})
            assert await event_of(told) == ("skipped", {"count": 3})
            assert daemon.watched == [Wanted(**asked)]
            who = {"actor": "loopback", "peer": "127.0.0.1"}
            # Of the text its length alone: it may be a key, or a part of one.
            known = {"intake": "edr", "outcome": "ok", "text_characters": 8}
            assert audited(capsys) == [{"action": "messages watched", **who, **known}]
        async with asyncio.timeout(5):
            while daemon.watched:
                await asyncio.sleep(0.01)
        assert audited(capsys) == [{"action": "messages no longer watched", **who}]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("outcome=lost", "outcome: one of ok, pipeline_error, dead_letter, rejected, dropped"),
        ("text=" + "x" * (MAX_TEXT + 1), "text: at most 256 characters"),
        ("intake=" + "x" * (MAX_TEXT + 1), "intake: at most 256 characters"),
    ],
)
async def test_what_cannot_be_watched_is_refused(asked, problem, capsys):
    """Nobody has watched anything then."""
    async with serving() as session:
        assert await fetch(session, f"/api/tail?{asked}") == (422, f"{problem}\n")
        async with session.head("/api/tail") as response:
            assert response.status == 405
    assert audited(capsys) == []


async def parse(session, **options):
    async with session.post("/api/parse", **options) as response:
        return response.status, await response.text()


async def test_a_message_can_be_tried():
    """What was wrong with the request is said in words."""
    async with serving() as session:
        wanted = {"parser": "raw", "profile": "documented", "raw": "a text"}
        status, text = await parse(session, json=wanted)
        assert status == 200
        assert json.loads(text)["event"]["message"] == "a text"
        assert await parse(session, json={"parser": "x"}) == (
            422,
            "parser: one of cybereason, harfanglab, raw\n",
        )
        assert (await parse(session, data=b"{"))[0] == 422
        assert (await parse(session, data=b"\xff"))[0] == 422


async def test_a_message_is_tried_and_its_answer_written_beside_all_else(monkeypatch):
    """On a thread, so that nobody waits for it."""
    threads = []

    def answer(body):
        threads.append(threading.current_thread())
        return body

    monkeypatch.setattr(trial, "answer", answer)
    async with serving() as session:
        assert await parse(session, data=b"{}") == (200, "{}")
    assert threading.main_thread() not in threads


async def test_a_deeply_nested_message_can_be_tried():
    """As deep as JSON is read."""
    async with serving() as session:
        for depth in (100, 300, 1000, 100_000):
            raw = '{"alert": ' + "[" * depth + "]" * depth + "}"
            for parser in ("harfanglab", "cybereason"):
                assert (await parse(session, json={"parser": parser, "raw": raw}))[0] == 200


async def test_requests_are_bounded(monkeypatch):
    """Whether they say how long they are, and whatever they would be unpacked."""

    async def endless():
        while True:
            yield b"x" * 65536

    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    long = b" " * (trial.MAX_OCTETS + 1)
    async with serving() as session:
        assert await parse(session, data=io.BytesIO(long)) == (413, "at most 1048576 octets\n")
        assert (await parse(session, data=endless()))[0] == 413
        small = gzip.compress(long)
        headers = {"Content-Encoding": "gzip"}
        assert (await parse(session, data=small, headers=headers))[0] == 415
        async with session.post("/login", data=b"x" * (MAX_FORM_BYTES + 1)) as response:
            assert response.status == 413
        async with session.post("/login", data=endless()) as response:
            assert response.status == 413


async def test_every_answer_forbids_what_a_page_need_not_do(monkeypatch):
    """Refusals and mistakes too, and what is no HTTP at all."""
    monkeypatch.setattr(trial, "MAX_OCTETS", 10)

    class Broken(Daemon):
        async def status(self):
            raise RuntimeError("a mistake with a secret in it")

    found = {}

    async def ask(session, method, path, **options):
        options["allow_redirects"] = False
        async with session.request(method, path, **options) as response:
            found[response.status] = found.get(response.status, 0) + 1
            is_file = path == "/" or path.startswith("/page")
            kept = {hdrs.CACHE_CONTROL: "no-cache"} if is_file and response.status < 403 else {}
            assert (HEADERS | kept).items() <= dict(response.headers).items(), (method, path)
            if path != "/api/tail":
                assert "secret" not in await response.text()

    async with serving(daemon=Broken()) as session:
        for path in ("/", "/page/main.js", "/metrics", "/readyz", "/api/tail", "/no", "/%00%ff"):
            await ask(session, "GET", path)
        await ask(session, "GET", "/api/status")
        await ask(session, "GET", "/api/status", headers={"Accept": "text/html"})
        await ask(session, "GET", "/api/status", headers={"Host": "site.example"})
        await ask(session, "PUT", "/api/status")
        await ask(session, "OPTIONS", "/api/parse")
        await ask(session, "HEAD", "/")
        await ask(session, "POST", "/api/parse", data=b"x" * 11)
        await ask(session, "POST", "/api/parse", data=b"x")
    async with serving(token=TOKEN) as session:
        await ask(session, "GET", "/")
        await ask(session, "GET", "/api/status")
        await ask(session, "POST", "/login", data={"token": TOKEN})
    assert {200, 303, 401, 403, 404, 405, 413, 422, 500} <= found.keys()
    async with serving() as session:
        answer = await exchange(session.server, b"no HTTP with a secret in it\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"default-src 'none'" in answer
    assert b"secret" not in answer


async def exchange(server, octets):
    """Send octets; return what comes until the server closes."""
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(octets)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_who_does_not_end_a_request_does_not_keep_its_connection(monkeypatch):
    """Neither the first nor another."""
    monkeypatch.setattr(connections, "QUIET_SECONDS", 0.1)
    async with serving() as session:
        assert await exchange(session.server, b"") == b""
        assert await exchange(session.server, b"GET / HTTP/1.1\r\nHost: local") == b""
        whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert (await exchange(session.server, whole + b"GET /")).endswith(b"alive\n")
