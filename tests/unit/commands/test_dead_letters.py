"""`collector dead-letters`, where no daemon runs or one is only pretended."""

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest
import typer

from collector import logs
from collector.commands import access, dead_letters
from collector.spool import files, requests
from collector.spool.looking import FIRST_NUMBER
from collector.spool.store import NUMBERS_PER_WORKER
from tests.unit.commands.conftest import KEY, batch, letter

STAYS = "1 stay: today's settings have no intake or sink for them, or they still cannot be parsed\n"
COMMANDS = ["list", "show", "replay", "purge", "bury"]


def accounts(place):
    """Return what the file has of the ledger, and how many letters and events it holds."""
    code, output, _ = place.call("spool", "status", "--format", "json")
    assert code == 0
    ledger = json.loads(output)["ledger"]
    return ledger["received"], ledger["spooled"], ledger["dead_lettered"], ledger["dropped"]


def waiting(place):
    """Return the requests that are left for a daemon."""
    store = place.store()
    found = [(item.command, item.arguments) for item in store.waiting_requests()]
    store.close()
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_spool_in_memory_is_said_to_be_none(place, command):
    """Everything there is ends with the daemon."""
    place.write_settings("{type: memory}")
    code, _, errors = place.call("dead-letters", command)
    assert code == 1
    assert "spool.type is memory" in errors


def test_list_tells_kinds_apart(place):
    """As lines with tabs where nobody looks, and as JSON."""
    place.fill([letter(), letter(), letter("refused", intake="edr", sink="siem")])
    code, output, _ = place.call("dead-letters", "list")
    assert code == 0
    rows = [line.split("\t") for line in output.splitlines()]
    assert rows[0] == ["reason", "intake", "sink", "letters", "octets", "oldest", "newest"]
    assert rows[1][:4] == ["refused", "edr", "siem", "1"]
    assert rows[2][:4] == ["unknown_intake", "", "", "2"]
    assert rows[1][5] == "2001-09-09T01:46:40+00:00"
    assert [item["letters"] for item in place.objects("dead-letters", "list")] == [1, 2]
    filtered = place.objects("dead-letters", "list", "--reason", "refused", "--since", "1d")
    assert filtered == []


def test_list_of_nothing_says_so(place):
    place.fill()
    assert place.call("dead-letters", "list") == (0, "", "no dead letters\n")
    assert place.call("dead-letters", "show") == (0, "", "no dead letters\n")


def test_show_tells_what_is_known_of_a_letter(place):
    """What a terminal would obey is an escape; keys are masked, in JSON too."""
    place.fill([letter(raw=f"\x1b[2J {KEY}".encode()), letter(raw=b"\xff")])
    code, output, _ = place.call("dead-letters", "show", "1")
    assert code == 0
    assert output.splitlines() == [
        "dead letter 1",
        "  reason     unknown_intake: why",
        "  set aside  2001-09-09T01:46:40+00:00",
        "  received   2001-09-09T01:46:39+00:00",
        "  listener   l",
        "  peer       192.0.2.1",
        f"  event.id   {7:032x}",
        r"  message    \x1b[2J ***",
    ]
    first, second = place.objects("dead-letters", "show")
    assert first["raw"] == "\x1b[2J ***"
    assert second["raw"] == {"b64": "/w=="}


def test_show_says_what_it_does_not_show(place):
    """Numbers that are gone, and what is beyond the limit."""
    place.fill([letter(), letter()])
    code, output, errors = place.call("dead-letters", "show", "--limit", "1")
    assert (code, output.count("dead letter ")) == (0, 1)
    assert errors == "1 of 2 dead letters; --limit shows more\n"
    code, output, errors = place.call("dead-letters", "show", "2", "9", "8")
    assert (code, errors) == (1, "no dead letter 8, 9\n")
    assert output.startswith("dead letter 2\n")


def test_replay_is_left_to_the_next_start(place):
    """Of what there is now; what comes until then is not meant."""
    place.fill([letter(), letter("refused")])
    code, output, _ = place.call("dead-letters", "replay", "--reason", "refused")
    assert code == 0
    assert output == (
        "no daemon runs: its next start replays 1 dead letters (1 refused) (request 1)\n"
    )
    assert waiting(place) == [("replay", {"reason": "refused", "last": 2})]


@pytest.mark.parametrize(
    "arguments", [("replay",), ("purge",), ("bury",), ("bury", "--sink", "gone")]
)
def test_a_dry_run_does_nothing(place, arguments):
    """But say what would be done."""
    place.fill([letter()], [batch("gone")])
    before = accounts(place)
    code, output, errors = place.call("dead-letters", *arguments, "--dry-run")
    assert (code, errors) == (0, "")
    assert output in {
        "1 dead letters (1 unknown_intake) to be replayed\n",
        "1 dead letters (1 unknown_intake) to be purged\n",
        "events to be buried: 2 for gone\n",
    }
    assert accounts(place) == before
    assert waiting(place) == []


def test_purge_without_a_daemon_is_done_at_once(place):
    """And accounted for."""
    place.fill([letter(), letter(), letter("refused")])
    code, output, _ = place.call("dead-letters", "purge", "--reason", "unknown_intake")
    assert (code, output) == (0, "2 dead letters purged\n")
    assert accounts(place) == (3, 0, {"refused": 1}, {"dead_letter_purged": 2})
    code, output, _ = place.call("dead-letters", "purge", "3")
    assert (code, output) == (0, "1 dead letters purged\n")


@pytest.mark.parametrize(
    ("arguments", "asked", "result"),
    [
        (("purge", "1"), {"numbers": [1]}, {"purged": {"unknown_intake": 1}}),
        (("bury", "--sink", "gone"), {"sink": "gone"}, {"buried": 2}),
    ],
)
def test_what_is_done_without_a_daemon_is_audited(place, arguments, asked, result):
    """On stderr of the command: there is no log of a daemon that it could be in."""
    place.fill([letter(), letter("refused")], [batch("gone")])
    _, _, errors = place.call("dead-letters", *arguments)
    begun, done = (json.loads(line) for line in errors.splitlines() if line.startswith("{"))
    assert (begun["state"], done["state"]) == ("begun", "done")
    assert {begun["action"], done["action"]} == {arguments[0]}
    assert {begun["actor"], done["actor"]} == {logs.user()}
    assert (begun["arguments"], done["result"]) == (asked, result)


def test_purging_everything_has_to_be_meant(place):
    """Where nobody can be asked, `--yes` says that it is."""
    place.fill([letter()])
    code, _, errors = place.call("dead-letters", "purge")
    assert code == 2
    assert errors == "to purge every dead letter, 1 dead letters (1 unknown_intake), say --yes\n"
    assert accounts(place)[2] == {"unknown_intake": 1}
    assert place.call("dead-letters", "purge", "--yes")[0] == 0
    assert accounts(place)[2] == {}


@pytest.mark.parametrize(("reply", "code"), [("n", 1), ("y", 0)])
def test_on_a_terminal_one_is_asked(place, monkeypatch, reply, code):
    monkeypatch.setattr(access, "_is_interactive", lambda: True)
    place.fill([letter()])
    assert place.call("dead-letters", "purge", data=f"{reply}\n")[0] == code
    assert accounts(place)[2] == ({"unknown_intake": 1} if code else {})


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("replay",), ("replay", {"last": 1})),
        (("purge", "--yes"), ("purge", {"last": 1})),
        (("bury", "--sink", "gone"), ("bury", {"sink": "gone"})),
    ],
)
def test_beside_a_daemon_it_is_left_to_the_daemon(place, arguments, left):
    """Who does not want to wait need not."""
    place.fill([letter()], [batch("gone")])
    lock = files.Lock(place.spool)
    code, output, _ = place.call("dead-letters", *arguments, "--no-wait")
    lock.release()
    assert code == 0
    assert output.startswith("left to the daemon as request 1")
    assert waiting(place) == [left]


@pytest.mark.parametrize(
    ("arguments", "answered", "expected"),
    [
        (["replay"], ("done", {"replayed": 1, "kept": 0}), (0, "1 dead letters replayed\n", "")),
        (
            ["replay"],
            ("done", {"replayed": 0, "kept": 1}),
            (1, "0 dead letters replayed\n", STAYS),
        ),
        (
            ["replay"],
            ("failed", {"replayed": 1, "problem": "why"}),
            (1, "1 dead letters replayed\n", "why\n"),
        ),
        (["purge", "1"], ("done", {"purged": {"x": 1}}), (0, "1 dead letters purged\n", "")),
        (["purge", "1"], ("failed", {"problem": "why"}), (1, "", "why\n")),
        (["bury", "--sink", "gone"], ("done", {"buried": 2}), (0, "2 events of gone buried\n", "")),
        (["bury", "--sink", "gone"], ("failed", {"problem": "why"}), (1, "", "why\n")),
    ],
)
def test_the_answer_of_the_daemon_is_told(place, monkeypatch, arguments, answered, expected):
    """The exit code says whether all of it was done."""
    place.fill([letter()], [batch("gone")])
    lock = files.Lock(place.spool)

    request = requests.Request(1, 0.0, "uid 0", "", {}, *answered)
    monkeypatch.setattr(access, "answered", lambda *_: [request])
    assert place.call("dead-letters", *arguments) == expected
    lock.release()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", 1_000_000.0 - 7200),
        ("1970-01-01T01:00:00", 3600.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-02", 86400.0),
    ],
)
def test_since_is_a_duration_or_a_time(monkeypatch, text, expected):
    """In UTC where it names no zone."""
    monkeypatch.setattr("collector.commands.dead_letters.time.time", lambda: 1_000_000.0)
    assert dead_letters.moment(text) == expected


def test_since_that_is_neither_is_refused(place):
    with pytest.raises(typer.BadParameter):
        dead_letters.moment("yesterday")
    place.fill()
    code, _, errors = place.call("dead-letters", "list", "--since", "yesterday")
    assert code == 2
    assert "is neither a duration" in errors


def test_since_leaves_out_what_was_set_aside_before(place):
    place.fill([letter()])
    kept = datetime.fromtimestamp(1_000_000_000, UTC)
    assert place.objects("dead-letters", "list", "--since", kept.isoformat()) != []
    after = kept.replace(second=kept.second + 1)
    assert place.objects("dead-letters", "list", "--since", after.isoformat()) == []


@pytest.fixture
def many(place):
    """Fill the files of two workers, that of the second before that of the first."""
    place.fill([letter("refused"), letter("refused")], [batch("gone")])
    place.fill([letter("refused"), letter()], [batch("gone")], worker=1, at=900_000_000.0)
    return place


FIRST_OF_SECOND = NUMBERS_PER_WORKER + 1


def test_the_dead_letters_of_all_workers_are_listed_together(many):
    """Kinds are the same wherever they are."""
    kinds = many.objects("dead-letters", "list")
    assert [(kind["reason"], kind["letters"]) for kind in kinds] == [
        ("refused", 3),
        ("unknown_intake", 1),
    ]
    assert kinds[0]["oldest"] < kinds[0]["newest"]


def test_the_oldest_letters_are_shown_first_whoever_has_them(many):
    """Their numbers say which is meant."""
    shown = many.objects("dead-letters", "show", "--limit", "3")
    assert [item["number"] for item in shown] == [FIRST_OF_SECOND, FIRST_OF_SECOND + 1, 1]
    (one,) = many.objects("dead-letters", "show", str(FIRST_OF_SECOND))
    assert one["number"] == FIRST_OF_SECOND


def test_a_request_is_left_where_the_letters_are(many):
    """And nowhere else."""
    code, output, _ = many.call("dead-letters", "replay", "--reason", "unknown_intake")
    assert (code, f"request {FIRST_OF_SECOND}" in output) == (0, True)
    _, output, _ = many.call("dead-letters", "replay")
    found = "4 dead letters (3 refused, 1 unknown_intake)"
    assert f"its next start replays {found} (requests 1, {FIRST_OF_SECOND + 1})" in output
    with closing(many.store()) as store:
        assert [item.arguments for item in store.waiting_requests()] == [{"last": 2}]
    with closing(many.store(1)) as store:
        last = FIRST_OF_SECOND + 1
        assert [item.arguments for item in store.waiting_requests()] == [
            {"reason": "unknown_intake", "last": last},
            {"last": last},
        ]


def test_what_is_purged_without_a_daemon_is_purged_in_all_files(many):
    """A number is that of one letter."""
    code, output, _ = many.call("dead-letters", "purge", str(FIRST_OF_SECOND))
    assert (code, output) == (0, "1 dead letters purged\n")
    code, output, _ = many.call("dead-letters", "purge", "--yes")
    assert (code, output) == (0, "3 dead letters purged\n")


def test_what_waits_for_a_sink_that_is_gone_is_buried_in_all_files(many):
    """Beside a daemon each worker is asked."""
    lock = files.Lock(many.spool, 1)
    _, output, _ = many.call("dead-letters", "bury", "--sink", "gone", "--no-wait")
    assert output == f"left to the daemon as requests 1, {FIRST_OF_SECOND}: 4 events of gone\n"
    lock.release()
    code, output, _ = many.call("dead-letters", "bury", "--sink", "gone")
    assert (code, output) == (0, "4 events of gone buried\n")


def test_the_answers_of_all_workers_are_added_up(many, monkeypatch):
    """A problem of one is the problem."""
    lock = files.Lock(many.spool)
    answers = [
        requests.Request(1, 0.0, "uid 0", "", {}, "done", {"replayed": 2}),
        requests.Request(2, 0.0, "uid 0", "", {}, "failed", {"replayed": 1, "problem": "why"}),
    ]
    monkeypatch.setattr(access, "answered", lambda *_: answers)
    assert many.call("dead-letters", "replay") == (1, "3 dead letters replayed\n", "why\n")
    lock.release()


# With a stream that daemons share.

AWAY = "without what the stream s holds: no answer\n"


def test_the_letters_of_the_stream_are_listed_with_those_of_the_file(place, shared):
    place.fill([letter(), letter("refused")])
    shared.fill(letter("refused"), letter("gave_up"), kept=900_000_000.0)
    kinds = place.objects("dead-letters", "list")
    assert [(kind["reason"], kind["letters"]) for kind in kinds] == [
        ("gave_up", 1),
        ("refused", 2),
        ("unknown_intake", 1),
    ]
    assert kinds[1]["oldest"] < kinds[1]["newest"]
    (kind,) = place.objects("dead-letters", "list", "--reason", "gave_up")
    assert kind["letters"] == 1


def test_the_letters_of_the_stream_are_shown_with_those_of_the_file(place, shared):
    """The oldest first; each has a number of its own."""
    place.fill([letter(raw=b"in the file")])
    shared.fill(letter(raw=f"in the stream {KEY}".encode()), letter(), kept=900_000_000.0)
    shown = place.objects("dead-letters", "show")
    assert [item["number"] for item in shown] == [FIRST_NUMBER + 1, FIRST_NUMBER + 2, 1]
    assert [item["raw"] for item in shown][::2] == ["in the stream ***", "in the file"]
    (one,) = place.objects("dead-letters", "show", str(FIRST_NUMBER + 2))
    assert one["number"] == FIRST_NUMBER + 2
    code, output, errors = place.call("dead-letters", "show", "--limit", "1")
    assert (code, errors) == (0, "1 of 3 dead letters; --limit shows more\n")
    assert output.startswith(f"dead letter {FIRST_NUMBER + 1}\n")
    code, _, errors = place.call("dead-letters", "show", str(FIRST_NUMBER + 9))
    assert (code, errors) == (1, f"no dead letter {FIRST_NUMBER + 9}\n")


def test_without_the_stream_the_letters_of_the_file_are_shown(place, shared):
    """What is missing is said."""
    shared.problem = "no answer"
    place.fill([letter()])
    assert place.call("dead-letters", "list")[::2] == (0, AWAY)
    assert place.call("dead-letters", "show")[::2] == (0, AWAY)
    code, output, errors = place.call("dead-letters", "purge", "--reason", "unknown_intake")
    assert (code, errors) == (0, AWAY)
    assert "1 dead letters (1 unknown_intake) (request 1)" in output
    ((command, arguments),) = waiting(place)
    assert (command, arguments["last"]) == ("purge", FIRST_NUMBER)


@pytest.mark.parametrize(
    ("command", "what"), [(["replay"], "replays"), (["purge", "--yes"], "purges")]
)
def test_what_is_in_the_stream_is_left_to_a_daemon(place, shared, monkeypatch, command, what):
    """Its accounts are kept there; what is set aside later is not meant, wherever it is then."""
    monkeypatch.setattr("collector.commands.dead_letters.time.time", lambda: 2_000_000_000.0)
    place.fill([letter()])
    shared.fill(letter("refused"), letter("refused"))
    told = "3 dead letters (2 refused, 1 unknown_intake)"
    assert place.call("dead-letters", *command, "--dry-run")[1].startswith(told)
    assert waiting(place) == []
    code, output, _ = place.call("dead-letters", *command)
    assert (code, output) == (0, f"no daemon runs: its next start {what} {told} (request 1)\n")
    assert waiting(place) == [
        (command[0], {"until": 2_000_000_000.0, "standing": FIRST_NUMBER + 2})
    ]
    assert len(shared.letters.held) == 2


def test_beside_a_daemon_the_purge_of_a_stream_is_waited_for(place, shared, monkeypatch):
    shared.fill(letter("refused"))
    lock = files.Lock(place.spool)
    number = FIRST_NUMBER + 1
    code, output, _ = place.call("dead-letters", "purge", str(number), "--no-wait")
    assert (code, output) == (
        0,
        "left to the daemon as request 1: 1 dead letters (1 refused) to be purged\n",
    )
    answer = requests.Request(2, 0.0, "uid 0", "", {}, "done", {"purged": {"refused": 1}})
    monkeypatch.setattr(access, "answered", lambda *_: [answer])
    code, output, _ = place.call("dead-letters", "purge", str(number))
    assert (code, output) == (0, "1 dead letters purged\n")
    lock.release()
    assert [arguments["numbers"] for _, arguments in waiting(place)] == [[number], [number]]


def test_one_worker_acts_on_the_letters_of_the_stream(place, shared):
    """The others on those of their files alone."""
    place.fill([letter()], worker=1)
    shared.fill(letter("refused"))
    _, output, _ = place.call("dead-letters", "replay")
    assert "2 dead letters (1 refused, 1 unknown_intake)" in output
    ((_, first),) = waiting(place)
    with closing(place.store(1)) as store:
        (second,) = (item.arguments for item in store.waiting_requests())
    assert (first.keys(), second.keys()) == ({"until", "standing"}, {"until", "last"})


def test_what_the_stream_holds_is_counted_without_a_look_at_it(place, shared):
    """Unless more than the reason is asked for."""
    shared.fill(letter("refused", sink="siem"), letter("refused"), letter("gave_up"))
    _, output, _ = place.call("dead-letters", "purge", "--reason", "refused", "--dry-run")
    assert output == "2 dead letters (2 refused) to be purged\n"
    assert shared.letters.story == []
    _, output, _ = place.call("dead-letters", "purge", "--sink", "siem", "--dry-run")
    assert output == "1 dead letters (1 refused) to be purged\n"


def test_what_others_have_published_has_no_say_over_the_terminal(place, shared):
    shared.letters.put("s-dead-letters.\x1b[2J", b"\x1b[2J")
    for arguments in (("list",), ("show",), ("purge", "--dry-run")):
        code, output, _ = place.call("dead-letters", *arguments)
        assert code == 0
        assert "\x1b" not in output


def test_a_command_that_waits_for_the_servers_says_so():
    request = requests.Request(1, 0.0, "uid 0", "", {}, "running", {"away": True})
    assert access._description("purging", [request]) == (
        "purging: until the servers of the stream answer"
    )
