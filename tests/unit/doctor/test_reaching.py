"""Asking sinks, over sockets."""

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from collector.doctor.reaching import Target, _no_answer, ask_sink
from tests.certificates import Authority
from tests.fake_siem import FakeElasticsearch, FakeHec, FakeLake, FakeSekoia
from tests.unit.doctor.conftest import KEY, config_of, levels

TOKEN = "the-token-of-the-test"
SECONDS = 5.0


async def ask(url, *, send_test=False, seconds=SECONDS, **settings):
    config = config_of(sinks=[{"name": "siem", "url": url, **settings}])
    return await ask_sink(0, config.sinks[0], config.intakes, send_test=send_test, seconds=seconds)


def sink_of(url):
    return config_of(sinks=[{"name": "siem", "url": url}]).sinks[0]


class Answering:
    """An HTTP server that answers everything in one way.

    Attributes:
        requests: method and path of each request.
    """

    def __init__(self, status=200, text="", headers=None, tls=None):
        self.answer = lambda: web.Response(status=status, text=text, headers=headers)
        self.tls = tls
        self.requests = []

    async def __aenter__(self):
        application = web.Application()
        application.add_routes([web.route("*", "/{path:.*}", self._handle)])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        self.port = self._runner.addresses[0][1]
        scheme = "http" if self.tls is None else "https"
        self.url = f"{scheme}://localhost:{self.port}/hook"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _handle(self, request):
        self.requests.append((request.method, request.path))
        return self.answer()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def server_context(issued, authority=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    if authority is not None:
        context.load_verify_locations(authority.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_the_inbox_is_not_asked():
    (found,) = await ask("inbox:")
    assert found.level == "note"


async def test_a_sink_that_answers_is_well_and_gets_no_event():
    async with Answering() as server:
        found = await ask(server.url)
    assert levels(found) == [("ok", "sink siem")] * 2
    assert server.requests == [("HEAD", "/hook")]


async def test_an_empty_batch_is_posted_only_when_asked_for():
    async with FakeLake() as lake:
        found = await ask(lake.url, send_test=True, format="json")
    assert found[-1].level == "ok"
    assert lake.taken == []
    assert lake.bodies == [b"[]"]


async def test_a_name_that_is_not_known_ends_it():
    (found,) = await ask("https://no-such-host.invalid/x")
    assert (found.level, found.where) == ("error", "sinks[0].url")
    assert "no-such-host.invalid is not known" in found.found


async def test_a_port_that_nobody_listens_on_ends_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (found,) = await ask(f"http://127.0.0.1:{port}")
    assert found.level == "error"
    assert "refuses connections" in found.found


async def test_one_that_never_answers_is_not_waited_for():
    """It accepts, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        found = await ask(url, seconds=0.3)
    assert [finding.level for finding in found] == ["ok", "error"]
    assert "not answered in time" in found[1].found


@pytest.mark.parametrize(
    ("status", "where"), [(401, "auth"), (403, "auth"), (302, "url"), (500, "url")]
)
async def test_a_refusal_names_the_setting_behind_it(status, where):
    async with Answering(status, "no", {"Location": "https://x.example/secret"}) as server:
        found = (await ask(server.url))[-1]
    assert found.level != "ok"
    assert found.where == f"sinks[0].{where}"


async def test_nothing_of_the_request_is_shown():
    """Whatever the sink repeats; its URL may hold a token, too."""
    secrets = [TOKEN, "query-secret", "header-secret"]
    async with Answering(401, " ".join(secrets)) as server:
        found = await ask(
            f"{server.url}/path-secret?token=query-secret",
            auth={"bearer": {"token": TOKEN}},
            headers={"X-Key": "header-secret"},
            send_test=True,
        )
    assert found[-1].level == "error"
    for secret in (*secrets, "path-secret"):
        assert secret not in str(found)


async def test_tls_is_spoken_and_told(authority):
    async with Answering(tls=server_context(authority.server())) as server:
        found = await ask(server.url, tls={"ca_file": str(authority.ca_file)})
    assert [finding.level for finding in found] == ["ok", "ok", "ok"]
    assert found[1].where == "sinks[0].tls"
    assert "TLSv1.3, the certificate is valid until" in found[1].found


async def test_an_authority_that_is_not_trusted_is_told(authority):
    async with Answering(tls=server_context(authority.server())) as server:
        found = await ask(server.url)
    assert [finding.level for finding in found] == ["ok", "error"]
    assert "ca_file" in found[1].advice


async def test_a_certificate_for_another_name_is_told(authority):
    issued = authority.issue("other.example", name="other")
    async with Answering(tls=server_context(issued)) as server:
        found = await ask(server.url, tls={"ca_file": str(authority.ca_file)})
    assert "is not valid for 'localhost'" in found[-1].found
    assert "a name that is in its certificate" in found[-1].advice


async def test_an_expired_certificate_is_told(authority):
    issued = authority.expired("localhost")
    async with Answering(tls=server_context(issued)) as server:
        found = await ask(server.url, tls={"ca_file": str(authority.ca_file)})
    assert "certificate has expired" in found[-1].found


async def test_one_that_ends_soon_is_told(authority):
    issued = authority.issue("localhost", name="soon", valid_days=(-1, 3))
    async with Answering(tls=server_context(issued)) as server:
        found = await ask(server.url, tls={"ca_file": str(authority.ca_file)})
    assert found[1].level == "warning"
    assert found[-1].level == "ok"


async def test_whoever_is_believed_without_verification_is_told(authority):
    async with Answering(tls=server_context(authority.server())) as server:
        found = await ask(server.url, tls={"verify": False})
    assert [finding.level for finding in found] == ["ok", "warning", "ok"]


async def test_one_that_wants_a_certificate_of_ours_is_told(authority):
    """With TLS 1.3 that shows in the first answer only."""
    context = server_context(authority.server(), authority)
    async with Answering(tls=context) as server:
        found = await ask(server.url, tls={"ca_file": str(authority.ca_file)})
    assert found[-1].level == "error"
    assert "certificate" in found[-1].advice


@pytest.mark.parametrize("ending", [ConnectionResetError(104, "x"), BrokenPipeError(32, "x")])
def test_a_connection_that_is_given_up_is_cut_off(ending):
    """Whatever the library makes of it."""
    error = aiohttp.ClientOSError(*ending.args)
    where, meaning = _no_answer(error, sink_of("https://siem.example"), ())
    assert (where, meaning.level) == ("url", "error")
    assert meaning.found == "connected, and cut off without an answer"


def test_an_alert_that_comes_after_the_handshake_is_one_of_tls():
    alert = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] it is required")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    error = aiohttp.ClientOSError(*alert.args)
    error.__cause__ = alert
    where, meaning = _no_answer(error, sink_of("https://siem.example"), ())
    assert where == "tls"
    assert "tls.cert_file" in meaning.advice


async def test_plain_http_where_tls_is_spoken_is_told(authority):
    async with Answering() as server:
        found = await ask(server.url.replace("http:", "https:"))
    assert "speaks no TLS" in found[-1].found
    async with Answering(tls=server_context(authority.server())) as server:
        found = await ask(server.url.replace("https:", "http:"))
    assert found[-1].level == "error"


async def test_elasticsearch_is_asked_without_storing_anything():
    async with FakeElasticsearch() as siem:
        siem.before = lambda number: (
            web.json_response({"error": {"reason": "request body is required"}}, status=400)
            if number == 1
            else web.json_response(
                {"index": {"logs-edr.edr-default": {"create_doc": False, "auto_configure": True}}}
            )
        )
        found = await ask(siem.url, format="elasticsearch", auth={"bearer": {"token": TOKEN}})
    assert [finding.level for finding in found] == ["ok", "ok", "error"]
    assert "may not write (create_doc) to logs-edr.edr-default" in found[-1].found
    assert siem.documents == []
    assert siem.headers[1]["Content-Type"] == "application/json"


async def test_splunk_is_asked_without_indexing_anything():
    """It has no health endpoint here, which is no error."""
    async with FakeHec(TOKEN) as siem:
        auth = {"bearer": {"token": TOKEN}}
        found = await ask(siem.url, format="splunk_hec", auth=auth)
        wrong = await ask(
            siem.url, format="splunk_hec", auth={"bearer": {"token": "another-token"}}
        )
    assert [finding.level for finding in found] == ["ok", "note", "ok"]
    assert found[-1].found == "token: the token is known"
    assert wrong[-1].level == "error"
    assert "auth.bearer" in wrong[-1].advice
    assert siem.indexed == []


async def test_sekoia_is_asked_with_every_key_which_is_not_shown():
    async with FakeSekoia(KEY) as siem:
        found = await ask(siem.url, format="sekoia")
    assert found[-1].found == "intake edr: the key is taken"
    assert siem.taken == {KEY: []}
    async with FakeSekoia() as siem:
        found = await ask(siem.url, format="sekoia")
    assert found[-1].level == "error"
    assert KEY not in str(found)


async def test_every_key_of_sekoia_is_asked_for_though_one_is_not_taken():
    keys = ["the-first-key-of-the-test", "the-second-key-of-the-test"]
    intakes = [{"name": f"i{n}", "parser": "raw", "key": key} for n, key in enumerate(keys)]
    async with FakeSekoia(keys[1]) as siem:
        sinks = [{"name": "siem", "url": siem.url, "format": "sekoia"}]
        config = config_of(intakes=intakes, sinks=sinks)
        found = await ask_sink(0, config.sinks[0], config.intakes, send_test=False, seconds=SECONDS)
    assert [finding.level for finding in found] == ["ok", "error", "ok"]


@asynccontextmanager
async def saying(answer):
    """Serve what says one thing, whatever it is asked, and closes; yield its port."""

    async def say(reader, writer):
        await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_asked_in_place_of_the_sink(scheme):
    """Its name alone need be known here; what it refuses is said to be its refusal."""
    refusal = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with saying(refusal) as port:
        proxy = f"http://user:proxy-secret@127.0.0.1:{port}"
        found = await ask(f"{scheme}://far.invalid/x", proxy=proxy)
    assert [finding.where for finding in found] == ["sinks[0].proxy"] * 2
    assert "HTTP 407" in found[-1].found
    assert "USER:PASSWORD" in found[-1].advice
    assert "proxy-secret" not in str(found)


async def test_an_answer_that_is_no_http_is_told():
    async with saying(b"220 mail.example ESMTP\r\n") as port:
        found = await ask(f"http://127.0.0.1:{port}")
    assert found[-1].level == "error"
    assert "no HTTP" in found[-1].found
    assert "220 mail.example" in found[-1].found
    assert "\\n" not in found[-1].found


async def test_credentials_that_cannot_be_read_are_told(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with Answering() as server:
        settings = {"auth": {"bearer": {"token_file": str(file)}}}
        sinks = [{"name": "siem", "url": server.url, **settings}]
        config = config_of(sinks=sinks)
        file.unlink()
        found = await ask_sink(0, config.sinks[0], (), send_test=False, seconds=SECONDS)
    assert (found[-1].level, found[-1].where) == ("error", "sinks[0].auth")


def test_a_target_is_shown_as_a_url_has_it():
    assert str(Target.of("https://siem.example/x")) == "siem.example:443"
    assert str(Target.of("http://[::1]:8080/x")) == "[::1]:8080"
