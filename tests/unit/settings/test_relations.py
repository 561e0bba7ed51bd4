"""Settings that do not go together."""

import pytest

from collector.settings.problems import Problem
from collector.settings.relations import (
    Place,
    all_or_none,
    at_most_one,
    entries,
    exactly_one,
    known_name,
    known_references,
    names,
    reachable_intakes,
    servers_once,
    unique_addresses,
    unique_keys,
    unique_names,
    unique_paths,
)


def told(found):
    return [str(problem) for problem in found]


# Values of every wrong kind, in the place of sections, entries and settings.
ODD = [None, 5, "text", [], [[]], {}, {"a": 1}, [5, None, "text"], [{"name": {}, "port": []}]]


@pytest.mark.parametrize("odd", ODD)
def test_values_of_another_kind_are_passed_over(odd):
    """They are told elsewhere."""
    tree = {
        "listeners": [{"name": odd, "host": odd, "port": odd, "intake": odd}, {"path": [odd]}],
        "intakes": [{"name": odd, "key": odd, "key_file": odd, "sinks": odd}, {"sources": odd}],
        "sinks": odd,
    }
    for written in (tree, dict.fromkeys(tree, odd)):
        for section in tree:
            assert list(unique_names(written, section)) == []
        assert list(unique_addresses([Place("a", odd, odd, odd), Place("b", odd, 5, 6)])) == []
        assert list(unique_keys(written)) == []
        assert list(unique_paths(written)) == []
        list(known_references(written, "all"))
        list(reachable_intakes(written))


def test_entries_are_the_mappings_of_a_list():
    """With their index among all items."""
    written = {"sinks": [{"name": "a"}, 5, {"name": 6}]}
    assert list(entries(written, "sinks")) == [
        ("sinks[0]", {"name": "a"}),
        ("sinks[2]", {"name": 6}),
    ]
    assert names(written, "sinks") == ["a"]
    assert list(entries({}, "sinks")) == []


@pytest.mark.parametrize(
    ("written", "most", "exactly"),
    [
        (["a"], [], []),
        ([], [], ["a or b or c is missing; accepted: one of them"]),
        (["a", "c"], *[["a and c are written together; accepted: one of a, b, c"]] * 2),
        (["c", "b", "a"], *[["a, b and c are written together; accepted: one of a, b, c"]] * 2),
    ],
)
def test_alternatives_exclude_one_another(written, most, exactly):
    """At most one, or exactly one."""
    settings = dict.fromkeys(written, 1)
    assert told(at_most_one(settings, ["a", "b", "c"])) == most
    assert told(exactly_one(settings, ["a", "b", "c"])) == exactly


def test_an_alternative_that_is_an_empty_list_is_not_written():
    """As `sources: []` is the same as none."""
    assert list(at_most_one({"a": 1, "b": []}, ["a", "b"])) == []


def test_what_belongs_together_is_written_together():
    """The missing part is told."""
    parts = ["cert_file", "key_file"]
    assert list(all_or_none({}, parts)) == []
    assert list(all_or_none({"cert_file": 1, "key_file": 2, "other": 3}, parts)) == []
    assert told(all_or_none({"key_file": 2}, parts)) == [
        "cert_file: is missing; accepted: cert_file and key_file together, or none of them"
    ]


def test_a_name_is_used_once():
    """Every later use is told, with the first."""
    written = {"sinks": [{"name": "a"}, {"name": "b"}, {"name": "a"}, {"name": "a"}]}
    assert told(unique_names(written, "sinks")) == [
        "sinks[2].name: 'a' is the name of sinks[0] too; accepted: a name used once",
        "sinks[3].name: 'a' is the name of sinks[0] too; accepted: a name used once",
    ]


def test_a_reference_leads_somewhere():
    """A close name is suggested, else all are told."""
    known = ["default", "archive"]
    assert told(known_name("p", "archive", known, "sink")) == []
    assert told(known_name("p", "defualt", known, "sink")) == [
        "p: no sink is named 'defualt'; did you mean 'default'?"
    ]
    assert told(known_name("p", "x", known, "sink")) == [
        "p: no sink is named 'x'; accepted: default, archive"
    ]
    assert told(known_name("p", "x", [], "sink")) == ["p: no sink is named 'x'; accepted: none yet"]


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        (("tcp", "0.0.0.0", 5514), ("tcp", "0.0.0.0", 5514), True),
        (("tcp", "0.0.0.0", 5514), ("tcp", "0.0.0.0", "5514"), True),
        (("tcp", "0.0.0.0", 5514), ("udp", "0.0.0.0", 5514), False),
        (("tcp", "127.0.0.2", 5514), ("tcp", "127.0.0.1", 5514), False),
        (("tcp", "127.0.0.1", 5514), ("tcp", "0.0.0.0", 5514), True),
        (("tcp", "127.0.0.1", 5514), ("tcp", "::", 5514), True),
        (("tcp", "127.0.0.1", 5514), ("udp", "0.0.0.0", 5514), False),
        (("tcp", "0.0.0.0", 5514), ("tcp", "0.0.0.0", 5515), False),
        (("tcp", "0.0.0.0", 0), ("tcp", "0.0.0.0", 0), False),
        (("relp", "0.0.0.0", 5514), ("tcp", "0.0.0.0", 5514), True),
        (("relp", "0.0.0.0", 5514), ("udp", "0.0.0.0", 5514), False),
        (("unix", "0.0.0.0", 5514), ("unix", "0.0.0.0", 5514), False),
    ],
)
def test_an_address_is_used_once(first, second, taken):
    """Protocol, host and port together; port 0 is another each time, a unix socket has none."""
    message = (
        f"listeners[1].port: tcp {second[1]} 5514 is the address of listeners[0] too; "
        "accepted: an address used once"
    )
    places = [Place("listeners[0]", *first), Place("listeners[1]", *second)]
    assert told(unique_addresses(places)) == ([message] if taken else [])


def test_a_path_is_used_once():
    """However it is spelt."""
    written = {
        "listeners": [{"path": "/run/s"}, {"path": "/run/t"}, {"path": "/run/../run//s"}, {}],
    }
    assert told(unique_paths(written)) == [
        (
            "listeners[2].path: '/run/../run//s' is the path of listeners[0] too; accepted: a path "
            "used once"
        )
    ]


def test_listeners_and_intakes_refer_to_what_exists():
    """By name, one or several."""
    written = {
        "listeners": [{"intake": "one"}, {"intake": "oen"}, {}],
        "intakes": [
            {"name": "one", "sinks": ["a", "x"]},
            {"name": "two", "sinks": "b"},
            {"name": "three", "sinks": ["all"]},
        ],
        "sinks": [{"name": "a"}],
    }
    assert told(known_references(written, "all")) == [
        "listeners[1].intake: no intake is named 'oen'; did you mean 'one'?",
        "intakes[0].sinks: no sink is named 'x'; accepted: a, all",
        "intakes[1].sinks: no sink is named 'b'; accepted: a, all",
    ]


@pytest.mark.parametrize(
    "way", [{"key": "k"}, {"key": ["k"]}, {"key_file": "f"}, {"sources": ["10.0.0.0/8"]}, {}]
)
def test_an_intake_needs_a_way_in(way):
    """A key, a file with one, sources, or a listener that is bound to it."""
    listeners = [{"intake": "i"}] if not way else []
    written = {"listeners": listeners, "intakes": [{"name": "i", **way}]}
    assert list(reachable_intakes(written)) == []


@pytest.mark.parametrize("way", [{}, {"key": []}, {"sources": []}])
def test_an_intake_without_a_way_in_is_told(way):
    """What is there and empty is none."""
    written = {"listeners": [{"intake": "other"}], "intakes": [{"name": "i", **way}]}
    message = (
        "no message can belong to this intake; accepted: a key, a key_file, sources, "
        "or a listener with this intake"
    )
    assert list(reachable_intakes(written)) == [Problem("intakes[0]", message)]


def test_a_key_is_used_once_and_not_shown(tmp_path):
    """In settings or in files, one or several."""
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    written = {
        "intakes": [
            {"key": ["s3cret", "s3cret", "old"]},
            {"key": "s3cret"},
            {"key": ["new", "old"]},
            {"key_file": str(file)},
            {"key_file": str(tmp_path / "missing")},
            {"key": "other"},
            {"key_file": [str(tmp_path / "missing"), str(file)]},
        ]
    }
    assert told(unique_keys(written)) == [
        "intakes[1].key: the same key as that of intakes[0]; accepted: a key used once",
        "intakes[2].key: the same key as that of intakes[0]; accepted: a key used once",
        "intakes[3].key_file: the same key as that of intakes[0]; accepted: a key used once",
        "intakes[6].key_file: the same key as that of intakes[0]; accepted: a key used once",
    ]


def test_a_server_is_written_once():
    """Each is tried in turn; its port may be left out."""
    servers = [
        "nats://a",
        "nats://b",
        "tls://A:4222",
        "nats://a:4223",
        5,
        "nats://[",
        "b",
        "nats://b",
    ]
    assert list(servers_once(servers)) == [
        Problem("servers[2]", "is the server of servers[0]"),
        Problem("servers[7]", "is the server of servers[1]"),
    ]
    for odd in ODD:
        assert list(servers_once(odd)) == []
