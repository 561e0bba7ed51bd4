"""What commands need of the spool."""

import json
import threading
from contextlib import closing

import pytest
import typer
import yaml

from collector import logs
from collector.commands import access
from collector.spool import files, requests
from collector.spool.adoption import Mark
from collector.spool.store import NUMBERS_PER_WORKER, VERSION, transaction
from tests.unit.commands.conftest import KEY, batch, letter


def test_settings_that_cannot_be_used_end_the_command(place, capsys):
    """With every problem, as `check` says it."""
    place.config.write_text("sinks: []")
    with pytest.raises(typer.Exit) as error:
        access.load(place.config)
    assert error.value.exit_code == 2
    assert "listeners" in capsys.readouterr().err


@pytest.mark.parametrize("role", ["receive", ""])
def test_the_environment_says_beside_which_part_a_command_runs(place, monkeypatch, role):
    """What that does not use need not be there."""
    monkeypatch.setenv("COLLECTOR_ROLE", role)
    settings = yaml.safe_load(place.config.read_text())
    settings["sinks"][0]["auth"] = {"bearer": {"token_file": "/nowhere"}}
    settings["spool"] |= {"type": "jetstream", "servers": ["nats://127.0.0.1"]}
    place.config.write_text(yaml.safe_dump(settings))
    if role:
        assert access.load(place.config).sinks[0].auth is None
    else:
        with pytest.raises(typer.Exit):
            access.load(place.config)


def test_a_part_that_there_is_not_ends_the_command(place, monkeypatch, capsys):
    monkeypatch.setenv("COLLECTOR_ROLE", "receiver")
    with pytest.raises(typer.Exit) as error:
        access.load(place.config)
    assert error.value.exit_code == 2
    problem = "COLLECTOR_ROLE: no role is named 'receiver'; accepted: all, receive, deliver"
    assert problem in capsys.readouterr().err


def test_without_settings_the_embedded_default_is_meant(tmp_path, monkeypatch, capsys):
    """Where it has run; looking makes no keys."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(typer.Exit) as error:
        access.load(None)
    assert error.value.exit_code == 2
    assert "no configuration: give -c FILE" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "collector-data").mkdir()
    (tmp_path / "collector-data" / "keys.yaml").write_text(f"cybereason: {KEY}\nharfanglab: b\n")
    assert access.load(None).intakes[0].read_keys() == (KEY,)


def test_a_spool_that_is_not_there_ends_the_command(place, capsys):
    """It is not made by looking for it."""
    with pytest.raises(typer.Exit), access.opened(place.spool):
        pass
    assert "no daemon has run with this spool.path yet" in capsys.readouterr().err
    assert not place.spool.exists()


def test_a_spool_of_a_newer_version_ends_the_command(place, capsys):
    store = place.store()
    store.connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    store.close()
    with pytest.raises(typer.Exit), access.opened(place.spool):
        pass
    assert f"has version {VERSION + 1}" in capsys.readouterr().err


@pytest.mark.parametrize("is_owned", [False, True])
def test_a_damaged_spool_ends_the_command_with_a_hint(place, capsys, is_owned):
    """`verify` is the next step."""
    place.spool.mkdir()
    (place.spool / files.DATABASE).write_bytes(b"nonsense" * 1000)
    config = access.load(place.config)
    opening = access.owned(config, place.spool) if is_owned else access.opened(place.spool)
    with pytest.raises(typer.Exit), opening:
        pass
    assert "file is not a database; `collector spool verify` says" in capsys.readouterr().err


def test_looking_changes_nothing(place, capsys):
    """Not even by mistake."""
    place.fill()
    with pytest.raises(typer.Exit), access.opened(place.spool) as stores:
        stores[0].connection.execute("DELETE FROM letter")
    assert "attempt to write a readonly database" in capsys.readouterr().err


def test_a_daemon_is_known_by_its_lock(place):
    """Looking for it leaves no trace."""
    place.spool.mkdir()
    assert not access.daemon_runs(place.spool)
    assert list(place.spool.iterdir()) == []
    lock = files.Lock(place.spool)
    assert access.daemon_runs(place.spool)
    lock.release()
    assert not access.daemon_runs(place.spool)


def test_who_owns_the_spool_keeps_others_out(place):
    place.fill()
    config = access.load(place.config)
    with access.owned(config, place.spool):
        assert access.daemon_runs(place.spool)
        with pytest.raises(files.LockedError), access.owned(config, place.spool):
            pass
    assert not access.daemon_runs(place.spool)


def test_an_answer_is_waited_for(place):
    """For as long as a daemon runs."""
    place.fill()
    lock = files.Lock(place.spool)
    numbers = access.ask(place.spool, "purge", {0: {}})
    store = place.store()
    timer = threading.Timer(0.1, store.answer, [*numbers, "done", {"purged": {"refused": 3}}])
    timer.start()
    (request,) = access.answered(place.spool, numbers, "purging", 3)
    timer.join()
    assert (request.state, request.answer) == ("done", {"purged": {"refused": 3}})
    assert request.actor.startswith("uid ")
    store.close()
    lock.release()


def test_a_daemon_that_ends_leaves_the_request_to_its_next_start(place, capsys):
    place.fill()
    numbers = access.ask(place.spool, "purge", {0: {}})
    with pytest.raises(typer.Exit) as error:
        access.answered(place.spool, numbers, "purging", 3)
    assert error.value.exit_code == 1
    expected = f"the daemon has ended; request {numbers[0]} stays in the spool"
    assert expected in capsys.readouterr().err
    store = place.store()
    assert requests.read(store.connection, numbers[0]).state == "waiting"
    store.close()


def test_who_does_not_want_to_wait_leaves_the_request_behind(place, capsys, monkeypatch):
    """With Ctrl-C."""
    place.fill()
    numbers = access.ask(place.spool, "purge", {0: {}})

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(access, "daemon_runs", interrupt)
    with pytest.raises(typer.Exit) as error:
        access.answered(place.spool, numbers, "purging", 3)
    assert error.value.exit_code == 1
    assert f"request {numbers[0]} stays in the spool" in capsys.readouterr().err


def test_what_a_command_does_itself_is_audited(capsys):
    """Its beginning with the user, its end with what came of it."""
    with access.audited("purge", arguments={"sink": "siem"}) as result:
        result["purged"] = {"refused": 2}
    begun, done = map(json.loads, capsys.readouterr().err.splitlines())
    assert (begun["action"], begun["actor"], begun["state"]) == ("purge", logs.user(), "begun")
    assert begun["arguments"] == {"sink": "siem"}
    assert (done["action"], done["actor"], done["state"]) == ("purge", logs.user(), "done")
    assert done["result"] == {"purged": {"refused": 2}}


def test_a_command_that_ends_early_is_audited_as_failed(capsys):
    """With what it had done until then."""

    def end_early():
        with access.audited("bury") as result:
            result["buried"] = 1
            raise typer.Exit(1)

    with pytest.raises(typer.Exit):
        end_early()
    end = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (end["state"], end["result"]) == ("failed", {"buried": 1})


def test_the_files_of_all_workers_are_opened(place):
    """Each by its number; one that cannot be is named."""
    place.fill()
    place.fill(worker=2)
    with access.opened(place.spool) as stores:
        assert {worker: store.path.name for worker, store in stores.items()} == {
            0: "spool.db",
            2: "spool-2.db",
        }


def test_a_file_of_another_worker_that_cannot_be_read_is_named(place, capsys):
    """It may be the only one that is damaged."""
    place.fill()
    (place.spool / "spool-1.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(typer.Exit), access.opened(place.spool):
        pass
    assert f"{place.spool}/spool-1.db: file is not a database" in capsys.readouterr().err


def test_a_worker_that_runs_keeps_others_from_owning_any_file(place):
    """The first may just be started again."""
    place.fill()
    place.fill(worker=1)
    lock = files.Lock(place.spool, 1)
    with pytest.raises(files.LockedError), access.owned(access.load(place.config), place.spool):
        pass
    assert access.daemon_runs(place.spool)
    lock.release()


def test_the_answers_of_all_workers_are_waited_for(place):
    """Each reads the requests in its own file."""
    for worker in (0, 1):
        place.fill(worker=worker)
    lock = files.Lock(place.spool)
    numbers = access.ask(place.spool, "purge", {0: {"last": 1}, 1: {"last": 2}})
    stores = [place.store(worker) for worker in (0, 1)]
    timers = [
        threading.Timer(0.1 * worker, store.answer, [number, "done", {"purged": {"x": worker}}])
        for worker, (store, number) in enumerate(zip(stores, numbers, strict=True))
    ]
    for timer in timers:
        timer.start()
    found = access.answered(place.spool, numbers, "purging", 3)
    assert [request.answer for request in found] == [{"purged": {"x": 0}}, {"purged": {"x": 1}}]
    assert access.named(numbers) == f"requests {numbers[0]}, {numbers[1]}"
    for store in stores:
        store.close()
    lock.release()


def test_a_request_whose_file_was_taken_over_is_said_to_be_gone(place, capsys):
    """There is no worker of that number any more."""
    place.fill()
    with pytest.raises(typer.Exit):
        access.answered(place.spool, [3 * NUMBERS_PER_WORKER + 1], "purging", 3)
    assert f"request {3 * NUMBERS_PER_WORKER + 1} is gone" in capsys.readouterr().err


def test_who_owns_the_spool_finds_nothing_in_two_files(place):
    """A start that was killed while it took a file over has left some there."""
    place.fill([letter()], [batch("siem")])
    place.fill([letter()], [batch("siem")], worker=1)
    with closing(place.store()) as target, closing(place.store(1)) as source:
        with transaction(source.connection):
            source.connection.execute("INSERT INTO meta VALUES ('identity', 'x')")
        with transaction(target.connection):
            Mark("x", 1, 1, 1, sink="siem", place=1).write(target.connection)
    with access.owned(access.load(place.config), place.spool) as stores:
        assert [len(store.waiting()) for store in stores.values()] == [1, 0]
        assert stores[1].accounts()["received"] == 1
