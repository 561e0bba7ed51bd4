"""Servers that do not let us in, and what is to be done about it; they are real ones."""

import asyncio

import pytest

from collector.doctor.servers import Visit, advice, visit
from collector.stream.link import describe
from tests.accounts import Operator
from tests.certificates import Authority
from tests.nats import Nats
from tests.unit.stream.conftest import settings_of

SECONDS = 5.0


async def refused(spool):
    """Return what one server says, and what is to be done."""
    error = await visit(spool, spool.servers[0], SECONDS)
    assert isinstance(error, BaseException)
    return describe(error), advice(error)


def speaking_tls(issued, authority, more=""):
    """Return settings of a server that shows a certificate."""
    return (
        f'tls {{ cert_file: "{issued.cert_file}", key_file: "{issued.key_file}",'
        f' ca_file: "{authority.ca_file}"{more} }}'
    )


@pytest.mark.parametrize(
    ("names", "days", "said", "remedy"),
    [
        (("127.0.0.1",), (-30, -1), "certificate has expired", "a new certificate for the server"),
        (("127.0.0.1",), (1, 30), "is not yet valid", "the clocks of both machines"),
        (("other.example",), (-1, 30), "mismatch", "a name that is in the server's certificate"),
    ],
)
async def test_a_certificate_that_is_not_good_is_told_apart(tmp_path, names, days, said, remedy):
    """From an authority that we trust."""
    authority = Authority(tmp_path)
    issued = authority.issue(*names, name="server", valid_days=days)
    more = speaking_tls(issued, authority)
    async with Nats(tmp_path / "nats", more=more, scheme="tls") as servers:
        spool = settings_of(servers, tls={"ca_file": str(authority.ca_file)})
        words, told = await refused(spool)
    assert words.startswith("its certificate is not trusted: ")
    assert said in words
    assert remedy in told


async def test_an_authority_that_is_not_ours_is_told(tmp_path):
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    more = speaking_tls(authority.server(), authority)
    async with Nats(tmp_path / "nats", more=more, scheme="tls") as servers:
        spool = settings_of(servers, tls={"ca_file": str(other.ca_file)})
        words, told = await refused(spool)
    assert words.startswith("its certificate is not trusted: unable to get")
    assert told == "spool.tls.ca_file: the authority that signed the server's certificate"


async def test_a_certificate_of_ours_that_is_wanted_is_told(tmp_path):
    authority = Authority(tmp_path)
    more = speaking_tls(authority.server(), authority, ", verify: true")
    async with Nats(tmp_path / "nats", more=more, scheme="tls") as servers:
        words, told = await refused(settings_of(servers, tls={"ca_file": str(authority.ca_file)}))
    assert words == "it refuses our certificate, or wants one (spool.tls.cert_file)"
    assert told.startswith("spool.tls.cert_file and key_file")


async def test_a_server_without_tls_is_told(tmp_path):
    async with Nats(tmp_path / "nats", scheme="tls") as servers:
        words, told = await refused(settings_of(servers))
    assert words == "the server offers no TLS"
    assert told.startswith("TLS in the settings of the servers, or nats://")


async def test_files_that_cannot_be_used_are_told_apart(tmp_path):
    """Each with its setting, or what it is to hold."""
    token, authorities = tmp_path / "token", tmp_path / "ca.pem"
    token.write_text("x")
    authorities.write_text("no certificate")
    _, told = await refused(settings_of(tls={"ca_file": str(authorities)}))
    assert told == "spool.tls.ca_file: PEM files that belong together"
    spool = settings_of(token_file=str(token))
    token.write_text("")
    words, told = await refused(spool)
    assert words == f"{token} is empty"
    assert told.startswith("a file that this user may read")


async def test_a_server_that_does_not_know_us_is_told(tmp_path):
    async with Nats(tmp_path / "nats", more='authorization { token: "s3cret" }') as servers:
        words, told = await refused(settings_of(servers))
    assert words == "Authorization Violation"
    assert "spool.token_file" in told


async def test_a_server_that_says_nothing_of_itself_is_told():
    """As one of release 2.10 that wants TLS before anything else."""

    async def hang_up(_, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    words, told = await refused(settings_of().model_copy(update={"servers": (url,)}))
    assert words == "empty response from server when expecting INFO message"
    assert "`handshake_first`" in told
    server.close()


async def test_nobody_there_is_told():
    words, told = await refused(settings_of())
    assert words == "Connection refused"
    assert told.startswith("a server that runs there")


async def test_what_may_not_be_published_is_found_without_an_answer(tmp_path):
    """The others of the same time are permitted."""
    operator, file = Operator(), tmp_path / "credentials"
    file.write_text(operator.user(publish=("Good.*",))[1])
    async with Nats(tmp_path / "nats", more=operator.settings) as servers:
        spool = settings_of(servers, credentials_file=str(file))
        found = await visit(spool, spool.servers[0], SECONDS)
        assert isinstance(found, Visit)
        assert not found.is_clustered
        messages = {"Good.one": b"", "Bad.one": b"?", "Good.two": b""}
        assert await found.forbidden(messages, SECONDS) == ["Bad.one"]
        found.end()


async def test_a_server_of_a_cluster_says_so(tmp_path):
    async with Nats(tmp_path / "nats", 3) as servers:
        spool = settings_of(servers)
        found = await visit(spool, spool.servers[0], SECONDS)
        assert found.is_clustered
        found.end()
