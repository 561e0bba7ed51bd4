"""Users with a JWT (`credentials_file`), at servers that know their operator."""

from contextlib import asynccontextmanager

import pytest
import structlog

from collector.stream import cluster
from tests.accounts import Operator
from tests.nats import Nats
from tests.unit.stream.conftest import WINDOW, Member, until

# What `deploy/cluster/nats-server.conf` permits a deliverer; with a JWT answers come to `_INBOX.>`.
PUBLISH = (
    *(
        f"$JS.API.STREAM.{what}.{stream}"
        for what in ("CREATE", "INFO")
        for stream in ("collector", "collector-dead-letters")
    ),
    "$JS.API.CONSUMER.LIST.collector",
    "$JS.API.CONSUMER.CREATE.collector.>",
    "$JS.API.CONSUMER.MSG.NEXT.collector.*",
    "$JS.API.DIRECT.GET.collector-dead-letters",
    "$JS.API.STREAM.MSG.DELETE.collector-dead-letters",
    "$JS.ACK.collector.>",
    "collector.*.*",
    "collector-dead-letters.*",
)
SUBSCRIBE = ("_INBOX.>",)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(cluster, "SURVEY_SECONDS", 0.1)
    monkeypatch.setattr(cluster, "AGAIN_SECONDS", 0.05)


class Realm:
    """A server, its operator, and the file of a user.

    Attributes:
        lines: what a member has logged.
    """

    def __init__(self, directory):
        self.lines = []
        self.operator = Operator()
        self.nats = Nats(directory / "nats", more=self.operator.settings)
        self.file = directory / "user.creds"

    @asynccontextmanager
    async def member(self, credentials, **more):
        """Run a member with credentials; none of them is in what it says."""
        self.file.write_text(credentials)
        with structlog.testing.capture_logs() as self.lines:
            async with (
                self.nats,
                Member(self.nats, credentials_file=str(self.file), **more) as one,
            ):
                yield one
                assert_hidden(credentials, one.problem)
        assert_hidden(credentials, str(self.lines))


@pytest.fixture
def realm(tmp_path):
    return Realm(tmp_path)


async def test_a_user_needs_no_more_than_the_documented_rights(realm):
    """Streams and consumer are made, and a batch goes through, with nothing objected to."""
    _, credentials = realm.operator.user(publish=PUBLISH, subscribe=SUBSCRIBE)
    async with realm.member(credentials) as member:
        member.receive().ask(1, WINDOW)
        await member.send(1)
        await until(lambda: member.numbers == [1])
        member.deliveries[0].ack()
        await until(lambda: member.holdings.messages == 0)
    assert {line["log_level"] for line in realm.lines} == {"info"}


async def test_a_user_that_is_revoked_makes_room_for_the_next(realm):
    """The file is read again at each attempt: no restart is needed."""
    name, credentials = realm.operator.user()
    async with realm.member(credentials) as member:
        await member.send(1)
        realm.operator.revoke(name)
        realm.nats.reconfigure(realm.operator.settings)
        await until(lambda: "Authorization Violation" in member.problem)
        assert (member.is_up, member.is_connected) == (False, False)
        realm.file.write_text(realm.operator.user()[1])
        await until(lambda: member.is_up)
        await member.send(2)
        await until(lambda: member.holdings.messages == 2)


async def test_credentials_that_have_expired_are_renewed(realm):
    """The servers say only that they let nobody in."""
    _, expired = realm.operator.user(valid_seconds=-1)
    async with realm.member(expired, patience=0.2) as member:
        await until(lambda: "Authorization Violation" in member.problem)
        realm.file.write_text(realm.operator.user()[1])
        await until(lambda: member.is_up)


async def test_a_user_of_another_operator_is_not_let_in(realm):
    """Whatever it says of itself."""
    async with realm.member(Operator().user()[1], patience=0.2) as member:
        await until(lambda: "Authorization Violation" in member.problem)
        assert member.changes == []


def assert_hidden(credentials, text):
    """See that neither the JWT nor the seed of credentials is in a text."""
    secrets = [line for line in credentials.splitlines() if line and line[0] not in "-*N"]
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in text]
