"""The admin server: what it answers, and to whom."""

import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from collector.admin.inbox import SECRET_HEADER, Inbox
from collector.admin.server import AdminServer
from collector.loading import Reloaded


class Daemon:
    """Answers as the test says."""

    is_ready = True

    def __init__(self, reloaded=None):
        self.reloaded = reloaded or Reloaded(changes=["a: 1 -> 2"], needs_restart=["spool"])
        self.actors = []

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


@asynccontextmanager
async def serving(*, host="127.0.0.1", token=None, inbox=None, daemon=None):
    server = AdminServer(host, 0, token=token, daemon=daemon or Daemon())
    server.inbox = inbox
    await server.start()
    base = f"http://127.0.0.1:{server.address[1]}"
    try:
        async with aiohttp.ClientSession(base) as session:
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


@pytest.mark.parametrize("host", ["site.example", "site.example:9090", "192.0.2.7", "a b", ""])
async def test_under_a_foreign_name_only_metrics_and_health_are_open_without_a_token(host):
    """A site can have its own name mean this machine; a browser then sends it in `Host`."""
    daemon = Daemon()
    inbox = Inbox()
    inbox.add(b'{"n":1}\n')
    async with serving(daemon=daemon, inbox=inbox) as session:
        for path in OPEN:
            assert (await fetch(session, path, headers={"Host": host}))[0] == 200
        for path in ("/api/status", "/api/inbox", "/api/reload", "/anything"):
            assert await fetch(session, path, headers={"Host": host}) == CLOSED_TO_SITES
        assert await reload(session, Host=host) == CLOSED_TO_SITES
        own_page = {"Host": host, "Origin": f"http://{host}"}
        assert await reload(session, **own_page) == CLOSED_TO_SITES
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
    assert json.loads(inbox.as_json()) == [{"a": 1}]


async def test_the_inbox_is_shown_as_an_array():
    """The oldest event first."""
    inbox = Inbox()
    inbox.add(b'{"n":1}\n{"n":2}\n')
    async with serving(inbox=inbox) as session:
        status, text = await fetch(session, "/api/inbox")
    assert (status, json.loads(text)) == (200, [{"n": 1}, {"n": 2}])
