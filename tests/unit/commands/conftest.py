"""What tests of commands share: a spool that a daemon has left, and the commands as scripts call
them.
"""

import json
from contextlib import asynccontextmanager

import pytest

from collector.sinks.encoders import COMPRESS
from collector.spool import Batch, Letter
from collector.spool.entries import Entry, pack_entries
from collector.spool.store import Group, Store
from collector.stream import AwayError
from collector.stream.wire import letter_message
from tests.calling import call
from tests.letter_stream import LetterStream

KEY = "the-key-of-the-test"
CONFIG = """
listeners: [{{name: l, transport: tcp, host: 127.0.0.1, port: 0, intake: edr}}]
intakes: [{{name: edr, parser: raw, key: {key}}}]
sinks: [{{name: siem, url: "inbox:"}}]
spool: {spool}
admin: {{port: 0}}
"""


class Place:
    """A directory with settings, and a spool in it."""

    def __init__(self, directory):
        self.directory = directory
        self.spool = directory / "spool"
        self.config = directory / "collector.yaml"
        self.write_settings(f"{{path: {self.spool}}}")

    def write_settings(self, spool):
        self.config.write_text(CONFIG.format(key=KEY, spool=spool))

    def store(self, worker=0, at=1_000_000_000.0):
        """Open the file of a worker, as a daemon does; made where it is missing."""
        self.spool.mkdir(exist_ok=True)
        return Store(self.spool, clock=lambda: at, worker=worker)

    def fill(self, letters=(), batches=(), *, worker=0, at=1_000_000_000.0):
        """Put letters and batches into the spool of a worker, with accounts that balance."""
        store = self.store(worker, at)
        for number, item in enumerate(batches, 1):
            item.number = item.place = number
        copies = len(letters) + sum(item.events for item in batches)
        accounts = {**store.accounts(), "received": copies}
        store.commit(Group(batches=batches, letters=letters, accounts=accounts))
        store.close()

    def call(self, *arguments, data=None):
        """Run a command; return its exit code, stdout and stderr."""
        code, lines, errors = call(*arguments, "-c", str(self.config), data=data)
        return code, "".join(f"{line}\n" for line in lines), errors

    def objects(self, *arguments):
        """Run a command that writes JSON, an object per line."""
        code, output, errors = self.call(*arguments, "--format", "json")
        assert code == 0, errors
        return [json.loads(line) for line in output.splitlines()]


class Shared:
    """A stream that daemons share, as commands see it.

    Attributes:
        problem: why it is away; empty if it is not.
        letters: its dead letters.
        events: what waits in it, by sink.
    """

    def __init__(self):
        self.problem = ""
        self.letters = LetterStream()
        self.events = {}

    def fill(self, *items, kept=1_000_000_000.0):
        """Put dead letters of the stream `s` into it."""
        for item in items:
            item.kept = kept
            message = letter_message("s", item, "id")
            self.letters.put(message.subject, message.body, message.headers)

    @asynccontextmanager
    async def looking_on(self, settings):
        assert settings.stream == "s"
        if self.problem:
            raise AwayError(self.problem)
        yield self

    async def waiting(self):
        return self.events

    async def letter_counts(self):
        return self.letters.letter_holdings.events

    async def last_letter(self):
        return self.letters.last


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def shared(place, monkeypatch):
    """Have the settings name a stream, and return it; a daemon has left an empty file."""
    stream = Shared()
    monkeypatch.setattr("collector.stream.onlooking.looking_on", stream.looking_on)
    servers = "servers: ['nats://127.0.0.1:1']"
    place.write_settings(f"{{type: jetstream, path: {place.spool}, stream: s, {servers}}}")
    place.fill()
    return stream


def letter(reason="unknown_intake", **changes):
    attributes = {
        "reason": reason,
        "problem": "why",
        "identifier": f"{7:032x}",
        "intake": "",
        "sink": "",
        "listener": "l",
        "peer": "192.0.2.1",
        "received": 999_999_999.0,
        "raw": b"<134>1 - - - - - - hello",
        "is_frame": True,
    }
    return Letter(**{**attributes, **changes})


def batch(sink):
    entries = [Entry(f"{number:032x}", "edr", "192.0.2.1", 5.0) for number in (1, 2)]
    body = COMPRESS["gzip"](b'{"message":"a"}\n{"message":"b"}\n')
    return Batch(sink, "ndjson:event", "gzip", body, 2, 32, 5.0, pack_entries(entries))
