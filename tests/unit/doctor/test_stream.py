"""What doctor finds of the servers of a stream; they are real ones."""

import pytest

from collector.doctor.stream import ask_stream
from tests.daemon import free_port
from tests.nats import Nats
from tests.unit.doctor.conftest import config_of

SECONDS = 5.0


@pytest.fixture
async def nats(tmp_path):
    async with Nats(tmp_path / "nats", more='authorization { token: "s3cret-token" }') as servers:
        yield servers


@pytest.fixture
def token(tmp_path):
    file = tmp_path / "token"
    file.write_text("s3cret-token")
    return file


async def look(*servers, **spool):
    """Return level, setting and finding of each thing that was found."""
    small = {"max_bytes": "2MiB", "replicas": 1}
    settings = {"type": "jetstream", "servers": list(servers), **small, **spool}
    config = config_of(spool=settings, dead_letters={"max_bytes": "1MiB"})
    found = await ask_stream(config, SECONDS)
    assert all(finding.subject == "stream" for finding in found)
    assert "s3cret" not in str(found)
    return [(finding.level, finding.where, finding.found) for finding in found]


async def made(nats, **wanted):
    """Make a stream as somebody else would."""
    async with nats.client(token="s3cret-token") as client:
        await client.jetstream().add_stream(**wanted)


async def test_without_a_stream_nobody_is_asked():
    assert await ask_stream(config_of(spool={"type": "memory"}), SECONDS) == []


async def test_streams_that_are_not_there_yet_are_left_to_the_daemon(nats, token):
    (url,) = nats.urls
    assert await look(url, stream="edr", token_file=str(token)) == [
        ("ok", "spool.servers[0]", f"{url} lets us in"),
        ("note", "spool.stream", "stream edr is not there: the first daemon makes it"),
        ("note", "spool.stream", "stream edr-dead-letters is not there: the first daemon makes it"),
    ]
    async with nats.client(token="s3cret-token") as client:
        assert await client.jetstream().streams_info() == []


async def test_a_stream_that_is_not_as_settings_have_it_is_an_error(nats, token):
    """Each difference is named with its setting."""
    await made(nats, name="other", subjects=["other.*"], max_bytes=1024)
    _, (level, where, found), _ = await look(*nats.urls, stream="other", token_file=str(token))
    assert (level, where) == ("error", "spool.stream")
    assert "spool.max_bytes: settings say 2097152, the stream has 1024" in found
    assert "retention: workqueue is needed, the stream has limits" in found


async def test_one_server_that_lets_us_in_is_enough(nats, token):
    """The other may be away for a while."""
    away, (url,) = f"nats://127.0.0.1:{free_port()}", nats.urls
    (level, where, found), second, *_ = await look(away, url, token_file=str(token))
    assert (level, where) == ("warning", "spool.servers[0]")
    assert found.startswith(f"{away}: ")
    assert second == ("ok", "spool.servers[1]", f"{url} lets us in")


@pytest.mark.parametrize(
    ("spool", "said"),
    [
        ({}, "Authorization Violation"),
        ({"tls": {"ca_file": __file__}}, "holds no certificate"),
        ({"credentials_file": "broken"}, "holds a seed that cannot be read"),
    ],
)
async def test_servers_that_do_not_let_us_in_are_an_error(nats, tmp_path, spool, said):
    """After which no more is asked."""
    if "credentials_file" in spool:
        file = tmp_path / "credentials"
        file.write_text(
            "-----BEGIN NATS USER JWT-----\ne30.e30.e30\n------END NATS USER JWT------\n"
            "-----BEGIN USER NKEY SEED-----\nSUAAAA\n------END USER NKEY SEED------\n"
        )
        spool = {"credentials_file": str(file)}
    ((level, where, found),) = await look(*nats.urls, **spool)
    assert (level, where) == ("error", "spool.servers[0]")
    assert said.lower() in found.lower(), found


async def test_a_server_that_offers_no_tls_is_not_spoken_to(nats, token):
    """Nor told the token."""
    url = nats.urls[0].replace("nats:", "tls:")
    ((level, _, found),) = await look(url, token_file=str(token))
    assert (level, found) == ("error", f"{url}: the server offers no TLS")
