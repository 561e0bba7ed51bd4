"""Dead letters from their setting aside to their end, beside a running daemon and without one."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

from tests.daemon import Daemon
from tests.fake_sink import FakeSink
from tests.nats import Nats

KEY = "the-key-of-the-test"
OTHER_KEY = "the-key-of-tomorrow"


class Site:
    """A machine with a collector on it: its directory, sinks and settings.

    Attributes:
        sink: the sink of all its intakes.
        intakes: keys by the name of their intake.
        sinks: names of its sinks; `siem` is there, others never answer.
    """

    def __init__(self, directory, sink):
        self.directory = directory
        self.sink = sink
        self.intakes = {"any": KEY}
        self.sinks = ["siem"]
        self.more = {}

    @property
    def settings(self):
        return {
            "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
            "intakes": [
                {"name": name, "parser": "raw", "key": key} for name, key in self.intakes.items()
            ],
            "sinks": [
                {
                    "name": name,
                    "url": self.sink.url if name == "siem" else "http://127.0.0.1:1/",
                    "batch": {"max_wait": "10ms"},
                    "retry": {"initial": "20ms", "max": "200ms"},
                }
                for name in self.sinks
            ],
            "spool": {"type": "sqlite", "path": str(self.directory / "spool")},
            "shutdown_grace": "200ms",
            **self.more,
        }

    def daemon(self):
        """Return a daemon with the settings of now."""
        return Daemon(self.directory, self.settings)

    async def call(self, *arguments):
        """Run a command of the collector; return its exit code, stdout and stderr."""
        process = await Daemon.execute(
            sys.executable,
            "-m",
            "collector",
            *arguments,
            "-c",
            str(self.directory / "collector.yaml"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()

    async def listed(self):
        """Return how many dead letters there are by reason, as `list` says."""
        code, output, errors = await self.call("dead-letters", "list", "--format", "json")
        assert code == 0, errors
        kinds = [json.loads(line) for line in output.splitlines()]
        return {kind["reason"]: kind["letters"] for kind in kinds}


@asynccontextmanager
async def site(directory):
    async with FakeSink() as sink:
        yield Site(directory, sink)


def syslog(text, key=KEY):
    return f'<134>1 - - - - - [SEKOIA@53288 intake_key="{key}"] {text}'.encode()


async def send(daemon, *messages):
    """Send messages over one connection and close it."""
    _, writer = await asyncio.open_connection(*daemon.address("tcp"))
    writer.write(b"".join(b"%d %b" % (len(message), message) for message in messages))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def aside(ledger):
    return sum(ledger["dead_lettered"].values())


async def test_messages_of_an_unknown_key_reach_the_sink_once_the_key_is_known(tmp_path):
    """They outlast restarts, keep their time and place, and are accounted for all the way."""
    async with site(tmp_path) as place:
        async with place.daemon() as daemon:
            await send(daemon, *(syslog(f"early {n}", OTHER_KEY) for n in range(250)))
            await daemon.ledger_when(lambda ledger: aside(ledger) == 250)
            assert await daemon.stop() == 0
        assert await place.listed() == {"unknown_intake": 250}
        place.intakes["new"] = OTHER_KEY
        async with place.daemon() as daemon:
            ledger = (await daemon.status())["ledger"]
            assert (ledger["received"], aside(ledger)) == (250, 250)
            code, output, _ = await place.call("dead-letters", "replay")
            assert (code, output) == (0, "250 dead letters replayed\n")
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 250)
            assert (ledger["received"], aside(ledger)) == (250, 0)
            assert [event["message"] for event in place.sink.events] == [
                f"early {n}" for n in range(250)
            ]
            answered = await daemon.logged("audit", action="replay", state="done")
            assert answered["result"]["replayed"] == 250
            assert answered["actor"].startswith("uid ")
        assert await place.listed() == {}


async def test_what_cannot_go_stays_and_the_command_says_so(tmp_path):
    """The key is still unknown: nothing is lost by trying."""
    async with site(tmp_path) as place, place.daemon() as daemon:
        await send(daemon, syslog("x", OTHER_KEY))
        await daemon.ledger_when(lambda ledger: aside(ledger) == 1)
        code, output, errors = await place.call("dead-letters", "replay")
        assert (code, output) == (1, "0 dead letters replayed\n")
        assert "1 stay: today's settings have no intake or sink for them" in errors
        assert await place.listed() == {"unknown_intake": 1}


async def test_what_a_sink_refused_is_replayed_with_its_id(tmp_path):
    """And if it is refused again, it is set aside again: there is no end without an answer."""
    async with site(tmp_path) as place, place.daemon() as daemon:

        def refuse(events):
            return 400 if any(event["message"] == "poison" for event in events) else 200

        place.sink.answer = refuse
        await send(daemon, syslog("good"), syslog("poison"), syslog("good"))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 2)
        await send(daemon, syslog("good"))
        await daemon.ledger_when(lambda ledger: aside(ledger) == 1)
        _, output, _ = await place.call("dead-letters", "show", "--format", "json")
        first = json.loads(output)
        assert (first["reason"], first["sink"], first["raw"]) == ("refused", "siem", "poison")
        code, _, _ = await place.call("dead-letters", "replay", "--reason", "refused")
        assert code == 0
        await send(daemon, syslog("good"))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 4 and aside(ledger) == 1)
        _, output, _ = await place.call("dead-letters", "show", "--format", "json")
        second = json.loads(output)
        assert second["number"] > first["number"]
        assert second["id"] == first["id"]
        place.sink.answer = lambda _: 200
        assert (await place.call("dead-letters", "replay"))[0] == 0
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 5)
        assert (ledger["received"], aside(ledger)) == (5, 0)
        assert place.sink.events[-1]["event"]["id"] == first["id"]


async def test_a_stopped_daemon_replays_at_its_next_start(tmp_path):
    """What is asked for meanwhile is left in the spool."""
    async with site(tmp_path) as place:
        async with place.daemon() as daemon:
            await send(daemon, syslog("x", OTHER_KEY))
            await daemon.ledger_when(lambda ledger: aside(ledger) == 1)
            await daemon.stop()
        code, output, _ = await place.call("dead-letters", "replay")
        assert code == 0
        assert "no daemon runs: its next start replays 1 dead letters" in output
        place.intakes["new"] = OTHER_KEY
        async with place.daemon() as daemon:
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 1)
            assert [event["message"] for event in place.sink.events] == ["x"]


async def test_purging_moves_dead_letters_to_what_was_dropped(tmp_path):
    """Beside a daemon by the daemon, without one by the command; the accounts balance."""
    async with site(tmp_path) as place:
        async with place.daemon() as daemon:
            await send(daemon, *(syslog("x", OTHER_KEY) for _ in range(3)))
            await daemon.ledger_when(lambda ledger: aside(ledger) == 3)
            numbers = [
                json.loads(line)["number"]
                for line in (await place.call("dead-letters", "show", "--format", "json"))[
                    1
                ].splitlines()
            ]
            code, output, _ = await place.call("dead-letters", "purge", str(numbers[0]))
            assert (code, output) == (0, "1 dead letters purged\n")
            ledger = await daemon.ledger_when(lambda ledger: aside(ledger) == 2)
            assert ledger["dropped"] == {"dead_letter_purged": 1}
            await daemon.stop()
        code, output, _ = await place.call("dead-letters", "purge", "--dry-run")
        assert (code, output) == (0, "2 dead letters (2 unknown_intake) to be purged\n")
        code, _, errors = await place.call("dead-letters", "purge")
        assert code == 2
        assert "say --yes" in errors
        code, output, _ = await place.call("dead-letters", "purge", "--yes")
        assert (code, output) == (0, "2 dead letters purged\n")
        async with place.daemon() as daemon:
            ledger = await daemon.ledger_when(lambda ledger: aside(ledger) == 0)
            assert ledger["dropped"] == {"dead_letter_purged": 3}
            assert ledger["received"] == 3


async def test_what_waits_for_a_sink_that_is_gone_can_be_buried_and_replayed_once_it_is_back(
    tmp_path,
):
    """By the daemon while it runs, by the command while it does not."""
    async with site(tmp_path) as place:
        place.sinks = ["siem", "first", "second"]
        async with place.daemon() as daemon:
            await send(daemon, *(syslog(f"{n}") for n in range(5)))
            await daemon.ledger_when(
                lambda ledger: ledger["delivered"] == 5 and ledger["spooled"] == 10
            )
            code, _, errors = await place.call("dead-letters", "bury", "--sink", "first")
            assert code == 2
            assert "sink 'first' is configured" in errors
            await daemon.stop()
        place.sinks = ["siem"]
        async with place.daemon() as daemon:
            code, output, _ = await place.call("spool", "status", "--format", "json")
            assert code == 0
            waiting = {item["sink"]: item for item in json.loads(output)["waiting"]}
            assert {name: item["state"] for name, item in waiting.items()} == {
                "first": "gone",
                "second": "gone",
            }
            assert waiting["first"]["events"] == 5
            code, output, _ = await place.call("dead-letters", "bury", "--sink", "first")
            assert (code, output) == (0, "5 events of first buried\n")
            ledger = await daemon.ledger_when(lambda ledger: aside(ledger) == 5)
            assert (ledger["spooled"], ledger["dead_lettered"]) == (5, {"buried": 5})
            await daemon.stop()
        code, output, _ = await place.call("dead-letters", "bury", "--sink", "second")
        assert (code, output) == (0, "5 events of second buried\n")
        code, _, errors = await place.call("dead-letters", "bury", "--sink", "second")
        assert code == 1
        assert "nothing waits for a sink 'second'" in errors
        place.sinks = ["siem", "first"]
        async with place.daemon() as daemon:
            await daemon.ledger_when(lambda ledger: ledger["dead_lettered"] == {"buried": 10})
            code, output, _ = await place.call("dead-letters", "replay", "--sink", "first")
            assert (code, output) == (0, "5 dead letters replayed\n")
            ledger = await daemon.ledger_when(lambda ledger: ledger["spooled"] == 5)
            assert (ledger["received"], ledger["delivered"], aside(ledger)) == (5, 5, 5)


async def test_intake_keys_are_shown_nowhere(tmp_path):
    """Neither known ones nor unknown ones, in no form."""
    async with site(tmp_path) as place, place.daemon() as daemon:
        await send(daemon, syslog("x", OTHER_KEY), f"<134>1 - - - - - - lost: {KEY}".encode())
        await daemon.ledger_when(lambda ledger: aside(ledger) == 2)
        shown = ""
        for form in ("text", "json"):
            for command in ("list", "show"):
                code, output, errors = await place.call("dead-letters", command, "--format", form)
                assert code == 0
                shown += output + errors
        assert '[SEKOIA@53288 intake_key="***"] x' in shown
        assert "lost: ***" in shown
        assert KEY not in shown
        assert OTHER_KEY not in shown


async def test_the_files_of_a_spool_can_be_verified_beside_the_daemon(tmp_path):
    """Exit code 1 says that something cannot be read, and the text what."""
    async with site(tmp_path) as place, place.daemon() as daemon:
        await send(daemon, syslog("x", OTHER_KEY))
        await daemon.ledger_when(lambda ledger: aside(ledger) == 1)
        code, output, _ = await place.call("spool", "verify")
        assert code == 0
        assert "spool.db: sound" in output
        assert "0 batches with 0 events, 1 dead letters" in output
        (tmp_path / "spool" / "spool.db.damaged-20260101T000000Z").write_bytes(b"nonsense" * 999)
        code, output, _ = await place.call("spool", "verify")
        assert code == 1
        assert "damaged-20260101T000000Z: DAMAGED" in output
        assert "file is not a database" in output


async def test_a_spool_in_memory_has_no_dead_letters_to_show(tmp_path):
    """The command says why."""
    async with site(tmp_path) as place:
        place.more = {"spool": {"type": "memory"}}
        async with place.daemon():
            code, _, errors = await place.call("dead-letters", "list")
            assert code == 1
            assert "spool.type is memory" in errors


class SharingSite(Site):
    """One of several machines that share a stream and a sink; its intake reads CEF alone."""

    def __init__(self, directory, sink, servers):
        directory.mkdir()
        super().__init__(directory, sink)
        self.on_parse_error = "dead_letter"
        self.spool = {
            "type": "jetstream",
            "path": str(directory / "spool"),
            "servers": list(servers),
            "stream": "shared",
            "replicas": 1,
            "max_bytes": "64MiB",
            "ack_wait": "2s",
        }

    @property
    def settings(self):
        intake = {"name": "any", "parser": "cybereason", "key": KEY}
        return {
            **super().settings,
            "intakes": [{**intake, "on_parse_error": self.on_parse_error}],
            "spool": self.spool,
            "dead_letters": {"max_bytes": "16MiB"},
            "shutdown_grace": "2s",
        }


@asynccontextmanager
async def sharing(directory):
    """Two machines with a stream that they share; and the servers that hold it."""
    async with FakeSink() as sink, Nats(directory / "nats") as servers:
        yield *(SharingSite(directory / name, sink, servers.urls) for name in "ab"), servers


async def together_when(daemons, condition):
    """Wait until accounts, added up over daemons, are as asked; return them."""
    names = ("received", "delivered", "handed_over", "taken_over")
    async with asyncio.timeout(60):
        while True:
            ledgers = [(await daemon.status())["ledger"] for daemon in daemons]
            total = {name: sum(ledger[name] for ledger in ledgers) for name in names}
            if condition(total):
                return total
            await asyncio.sleep(0.02)


async def test_dead_letters_in_a_stream_are_replayed_and_purged_by_any_daemon(tmp_path):
    """Each is counted once in all of their accounts; unknown keys stay where they came to."""
    async with sharing(tmp_path) as (here, there, servers):
        there.on_parse_error = "forward"
        async with here.daemon() as one, there.daemon() as other:
            await send(one, *(syslog(f"no CEF {n}") for n in range(5)), syslog("x", OTHER_KEY))
            await one.ledger_when(
                lambda it: it["handed_over"] == 5 and it["dead_lettered"]["unknown_intake"] == 1
            )
            seen_here, seen_there, (_, output, _) = await asyncio.gather(
                here.listed(),
                there.listed(),
                there.call("dead-letters", "show", "--format", "json"),
            )
            assert seen_here == {"parse_error": 5, "unknown_intake": 1}
            assert seen_there == {"parse_error": 5}
            letters = [json.loads(line) for line in output.splitlines()]
            purged, *replayed = letters
            code, output, _ = await there.call("dead-letters", "purge", str(purged["number"]))
            assert (code, output) == (0, "1 dead letters purged\n")
            code, output, _ = await there.call("dead-letters", "replay")
            assert (code, output) == (0, "4 dead letters replayed\n")
            total = await together_when(
                (one, other),
                lambda it: it["delivered"] == 4 and it["handed_over"] == it["taken_over"],
            )
            assert total["received"] == 6
            found = [event["event"]["id"] for event in here.sink.events]
            assert sorted(found) == sorted(letter["id"] for letter in replayed)
            assert await there.listed() == {}
            await servers.kill()
            code, output, errors = await here.call("dead-letters", "list", "--format", "json")
            assert (code, json.loads(output)["reason"]) == (0, "unknown_intake")
            assert errors.startswith("without what the stream shared holds: ")


async def test_what_a_stream_holds_for_a_sink_that_is_gone_is_buried(tmp_path):
    """It becomes dead letters of the stream; what no daemon has done is left to the next."""
    async with sharing(tmp_path) as (place, _, _):
        place.on_parse_error, place.sinks = "forward", ["siem", "first"]
        async with place.daemon() as daemon:
            await send(daemon, *(syslog(f"{n}") for n in range(5)))
            await daemon.ledger_when(lambda it: it["delivered"] == 5 and it["in_memory"] == 0)
            assert await daemon.stop() == 0
        place.sinks = ["siem"]
        async with place.daemon() as daemon:
            code, output, _ = await place.call("dead-letters", "bury", "--sink", "first")
            assert (code, output) == (0, "5 events of first buried\n")
            await daemon.ledger_when(
                lambda it: it["spooled"] == 0 and not any(it["dead_lettered"].values())
            )
            ledger = (await daemon.status())["ledger"]
            assert ledger["handed_over"] - ledger["taken_over"] == 5
            assert await place.listed() == {"buried": 5}
            assert await daemon.stop() == 0
        code, output, _ = await place.call("dead-letters", "purge", "--reason", "buried")
        told = "its next start purges 5 dead letters (5 buried) (request 2)"
        assert (code, output) == (0, f"no daemon runs: {told}\n")
        async with place.daemon() as daemon:
            ledger = await daemon.ledger_when(
                lambda it: it["dropped"].get("dead_letter_purged") == 5
            )
            assert ledger["handed_over"] == ledger["taken_over"]
