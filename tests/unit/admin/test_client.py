"""Asking a running daemon."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from collector.admin import client
from collector.config import AdminSettings

PATH = "/api/status"


@asynccontextmanager
async def answering(handler, host="127.0.0.1"):
    application = web.Application()
    application.add_routes([web.get(PATH, handler)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        yield AdminSettings(port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


def answer(status=200, text="{}", **headers):
    async def handler(_request):
        return web.Response(status=status, text=text, headers=headers)

    return handler


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
async def test_the_answer_is_json(host):
    """A daemon that listens on every address is asked on loopback."""
    async with answering(answer(text='{"a": [1]}')) as admin:
        found = await client.get(admin.model_copy(update={"host": host}), PATH)
    assert found == {"a": [1]}


async def test_ipv6_is_asked_too():
    """`::` is every address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with answering(answer(), host="::1") as admin:
        for host in ("::1", "::"):
            assert await client.get(admin.model_copy(update={"host": host}), PATH) == {}


async def test_the_token_is_read_and_shown_to_the_daemon_alone(tmp_path, monkeypatch):
    """No proxy of the environment sees it, and no address that an answer names."""
    token_file = tmp_path / "token"
    token_file.write_text("the-token\n")
    seen = []

    async def handler(request):
        seen.append(request.headers.get("Authorization"))
        location = f"http://127.0.0.1:{request.url.port}{PATH}"
        return web.Response(status=302, headers={"Location": location})

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with answering(handler) as admin:
        with pytest.raises(client.AdminError, match="HTTP 302"):
            await client.get(admin.model_copy(update={"token_file": token_file}), PATH)
        with pytest.raises(client.AdminError):
            await client.get(admin, PATH)
    assert seen == ["Bearer the-token", None]


@pytest.mark.parametrize(
    ("status", "named"),
    [
        (401, "admin.token_file"),
        (403, "admin.token_file"),
        (404, "404"),
        (429, "wrong tokens"),
        (500, "500"),
    ],
)
async def test_a_refusal_names_the_setting_behind_it(status, named):
    """With the status."""
    async with answering(answer(status, "no")) as admin:
        with pytest.raises(client.AdminError, match=named) as caught:
            await client.get(admin, PATH)
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_what_a_token_would_open_is_told_from_other_errors(status):
    """It may be the daemon, which says nothing of itself."""
    async with answering(answer(status, "no")) as admin:
        with pytest.raises(client.RefusedError):
            await client.get(admin, PATH)
    async with answering(answer(404, "no")) as admin:
        with pytest.raises(client.AdminError) as caught:
            await client.get(admin, PATH)
    assert not isinstance(caught.value, client.RefusedError)


async def test_another_kind_of_server_is_no_collector():
    """It answers, but not in JSON."""
    async with answering(answer(text="<html>")) as admin:
        with pytest.raises(client.AdminError, match="no JSON"):
            await client.get(admin, PATH)


async def test_nobody_there_is_an_error_that_names_the_address():
    """And the settings it comes from."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(client.AdminError, match=f"127.0.0.1:{port}.*admin.host.*refused;.*running"):
        await client.get(AdminSettings(port=port), PATH)


async def test_so_is_a_name_without_an_address():
    """What the resolver says is in it."""
    with pytest.raises(client.AdminError, match=r"http://nowhere\.invalid:1 "):
        await client.get(AdminSettings(host="nowhere.invalid", port=1), PATH)


async def test_a_port_that_the_system_chose_is_not_known():
    """The settings do not say it."""
    with pytest.raises(client.AdminError, match=r"admin\.port is 0"):
        await client.get(AdminSettings(port=0), PATH)


async def test_silence_ends_in_time(monkeypatch):
    """A daemon that hangs does not hang the command."""
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.2)

    async def handler(_request):
        await asyncio.sleep(60)

    async with answering(handler) as admin:
        with pytest.raises(client.AdminError, match=r"in 0\.2 seconds"):
            await client.get(admin, PATH)


async def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch):
    """Whoever listens there may be anybody."""
    monkeypatch.setattr(client, "MOST_OCTETS", 1000)

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async with answering(handler) as admin:
        with pytest.raises(client.AdminError, match="too long; is it a collector"):
            await client.get(admin, PATH)
