"""What a reload changes."""

from copy import deepcopy

import pytest
from pydantic import BaseModel

from collector.config import Config, build
from collector.settings.changes import (
    NEED_RESTART,
    Change,
    as_running,
    changes,
    document_as_running,
    needs_restart,
)
from collector.settings.checking import child, declared

S3CRET = "s3cret-0af1"
TREE = {
    "listeners": [
        {"name": "tcp", "transport": "tcp", "port": 5514},
        {"name": "udp", "transport": "udp", "port": 5514},
    ],
    "intakes": [
        {
            "name": "edr",
            "parser": "raw",
            "key": S3CRET,
            "fields": {"labels.site": "paris"},
            "drop": [{"name": "f", "field": "x", "in": ["a"]}],
        }
    ],
    "sinks": [
        {
            "name": "siem",
            "url": f"https://siem.example/{S3CRET}?token={S3CRET}",
            "headers": {"X-Key": S3CRET, "X-Other": S3CRET},
            "auth": {"basic": {"username": "u", "password": S3CRET}},
            "proxy": f"http://u:{S3CRET}@proxy.example",
        }
    ],
}


def config(tree=TREE):
    return build(tree, source="c.yaml")


def told(section, number=0, **settings):
    """Return what is told of settings that change in one entry of a list."""
    tree = deepcopy(TREE)
    tree[section][number] |= settings
    return list(map(str, changes(config(), config(tree))))


def test_equal_settings_have_no_changes():
    """Read twice, as at a reload of the same file."""
    assert changes(config(), config(deepcopy(TREE))) == []
    assert needs_restart(config(), config()) == []


def test_a_change_is_told_with_its_path_as_it_would_be_written():
    """Entries by their name, sizes and durations with their unit, what is unwritten as null."""
    more = {"port": 6514, "max_message_bytes": "1MiB", "allowed_sources": ["10.0.0.0/8"]}
    assert told("listeners", **more, idle_timeout="90s", frame_timeout="1m") == [
        "listeners[tcp].port: 5514 -> 6514",
        "listeners[tcp].max_message_bytes: 256KiB -> 1MiB",
        "listeners[tcp].allowed_sources: [] -> [10.0.0.0/8]",
        "listeners[tcp].idle_timeout: null -> 90s",
        "listeners[tcp].frame_timeout: 30s -> 1m",
    ]


def test_settings_of_mappings_within_are_told_one_by_one():
    """Constant fields and filters too."""
    fields = {"labels": {"site": "lyon", "floor": 3}}
    drop = [{"name": "f", "field": "x", "in": ["a", "b"]}]
    assert told("intakes", fields=fields, drop=drop, timestamp_fallback=False) == [
        "intakes[edr].timestamp_fallback: true -> false",
        "intakes[edr].fields.labels.site: paris -> lyon",
        "intakes[edr].fields.labels.floor: absent -> present",
        "intakes[edr].drop[f].in: [a] -> [a, b]",
    ]


def test_an_entry_that_comes_or_goes_is_one_change():
    """Others do not change by it, wherever it stands."""
    tree = deepcopy(TREE)
    tree["listeners"] = [{"name": "new", "transport": "unix", "path": "/s"}, tree["listeners"][1]]
    assert changes(config(), config(tree)) == [
        Change("listeners[tcp]", "present", "absent"),
        Change("listeners[new]", "absent", "present"),
    ]


def test_a_mapping_that_comes_or_goes_is_one_change():
    """As TLS, or the only filter."""
    assert told("sinks", auth=None, tls={"verify": False}) == [
        "sinks[siem].auth: present -> absent",
        "sinks[siem].tls: absent -> present",
    ]
    assert told("intakes", drop=[]) == ["intakes[edr].drop[f]: present -> absent"]


def test_another_order_of_entries_is_told():
    """It is that of the sinks of an event."""
    tree = deepcopy(TREE)
    tree["listeners"].reverse()
    assert list(map(str, changes(config(), config(tree)))) == ["listeners: tcp, udp -> udp, tcp"]


def test_a_secret_that_changes_is_masked():
    """In whatever way it is written."""
    new = {
        "url": f"https://lake.example/new-{S3CRET}",
        "headers": {"X-Key": f"new-{S3CRET}"},
        "auth": {"basic": {"username": "v", "password": f"new-{S3CRET}"}},
        "proxy": f"http://u:new-{S3CRET}@proxy.example",
    }
    found = [*told("intakes", key=[f"new-{S3CRET}", S3CRET]), *told("sinks", **new)]
    assert S3CRET not in str(found)
    assert found == [
        "intakes[edr].key: [***] -> [***, ***]",
        "sinks[siem].url: https://siem.example/*** -> https://lake.example/***",
        "sinks[siem].headers.X-Key: *** -> ***",
        "sinks[siem].headers.X-Other: present -> absent",
        "sinks[siem].auth.basic.username: u -> v",
        "sinks[siem].auth.basic.password: *** -> ***",
        "sinks[siem].proxy: *** -> ***",
    ]
    assert told("sinks", url="inbox:", proxy=None) == [
        "sinks[siem].url: https://siem.example/*** -> inbox:",
        "sinks[siem].proxy: *** -> null",
    ]


def test_a_long_value_is_cut():
    """A line of a log holds many changes."""
    (change,) = changes(config(), config(TREE | {"spool": {"path": "/" + "x" * 999}}))
    assert (len(change.after), change.after[-1]) == (101, "…")


def test_what_needs_a_restart_is_told_and_stays_as_it_is():
    """What else changes is taken on."""
    tree = deepcopy(TREE) | {
        "spool": {"type": "memory", "when_full": "drop"},
        "dead_letters": {"max_age": "1d"},
        "admin": {"host": "0.0.0.0", "port": 1},
        "shutdown_grace": "1s",
    }
    tree["sinks"][0]["spool"] = {"max_bytes": "1MiB"}
    before, after = config(), config(tree)
    paths = [
        "spool.type",
        "spool.when_full",
        "dead_letters.max_age",
        "admin.host",
        "admin.port",
    ]
    assert needs_restart(before, after) == paths
    running = as_running(before, after)
    assert [change.path for change in changes(after, running)] == paths
    assert needs_restart(before, running) == []
    assert [change.path for change in changes(before, running)] == [
        "sinks[siem].spool.max_bytes",
        "shutdown_grace",
    ]


def test_the_token_of_the_admin_server_may_change_while_it_runs(tmp_path):
    """Where it listens may not."""
    file = tmp_path / "token"
    file.write_text("t")
    before, after = config(), config(TREE | {"admin": {"port": 1, "token_file": str(file)}})
    assert needs_restart(before, after) == ["admin.port"]
    running = as_running(before, after)
    assert (running.admin.port, running.admin.token_file) == (9514, file)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"spool": {"path": "/other"}, "admin": {"port": 1}, "workers": 3}),
        ({"spool": {"path": "/other"}, "admin": {"port": 1}, "workers": 3}, {}),
        ({"admin": None}, {"admin": {"host": "::1", "port": 1}, "workers": "auto"}),
        ({"dead_letters": {"max_age": "1d"}}, {"dead_letters": None, "identity": "content"}),
    ],
)
def test_a_document_becomes_what_settings_become(before, after):
    """A worker that begins later reads the same as those that took part in the reload."""
    document = document_as_running(TREE | before, TREE | after)
    assert config(document) == as_running(config(TREE | before), config(TREE | after))


@pytest.mark.parametrize("path", NEED_RESTART)
def test_what_needs_a_restart_is_declared(path):
    """A misspelt path would never be told."""
    model = Config
    for name in path.split("."):
        field = declared(model)[name]
        model = child(field)


def lists_of_mappings(model):
    for field in model.model_fields.values():
        below = child(field)
        if below is not None:
            if str(field.annotation).startswith("tuple"):
                yield below
            yield from lists_of_mappings(below)


def test_every_mapping_in_a_list_has_a_name():
    """By which it is known again."""
    found = list(lists_of_mappings(Config))
    assert len(found) == 5
    for model in found:
        assert issubclass(model, BaseModel)
        assert "name" in model.model_fields
