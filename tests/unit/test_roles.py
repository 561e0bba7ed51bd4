"""What one of several daemons does, and what it looks at of the settings that all go by."""

from types import SimpleNamespace

import pytest

from collector.roles import Role, part_of, problems

TREE = {
    "listeners": [{"name": "l", "tls": {"cert_file": "c"}}, {"name": "m"}],
    "sinks": [
        {"name": "s", "url": "https://x", "auth": {}, "headers": {}, "tls": {}, "proxy": "p"},
        {"name": "t", "url": "inbox:", "format": "ndjson"},
    ],
    "spool": {"type": "jetstream", "token_file": "t"},
}


def test_a_receiver_posts_nothing_and_a_deliverer_hears_nobody():
    does = {role: (role.receives, role.delivers) for role in Role}
    assert does == {"all": (True, True), "receive": (True, False), "deliver": (False, True)}


def test_a_deliverer_opens_no_listener():
    config = SimpleNamespace(listeners=("l", "m"))
    opened = {role: role.listeners(config) for role in Role}
    assert opened == {"all": ("l", "m"), "receive": ("l", "m"), "deliver": ()}


def test_who_does_everything_looks_at_everything():
    assert part_of(TREE, Role.ALL) == TREE


def test_a_receiver_does_not_look_at_how_sinks_are_reached():
    """The inbox is told from other sinks, since it takes another form of events."""
    part = part_of(TREE, Role.RECEIVE)
    assert part["listeners"] == TREE["listeners"]
    assert part["sinks"] == [
        {"name": "s", "url": "http://not-looked-at.invalid/"},
        {"name": "t", "url": "inbox:", "format": "ndjson"},
    ]
    assert TREE["sinks"][0]["url"] == "https://x"


def test_a_deliverer_does_not_look_at_certificates_of_listeners():
    part = part_of(TREE, Role.DELIVER)
    assert part == {**TREE, "listeners": [{"name": "l"}, {"name": "m"}]}


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"listeners": None, "sinks": None, "spool": None},
        {"listeners": {}, "sinks": "s", "spool": "jetstream"},
        {"listeners": [3, None], "sinks": [[], {"url": ["a"]}, {"name": "without url"}]},
    ],
)
@pytest.mark.parametrize("role", [Role.RECEIVE, Role.DELIVER])
def test_whatever_is_written_is_left_to_others_to_judge(tree, role):
    assert part_of(tree, role).keys() == tree.keys()
    assert [problem.path for problem in problems(tree, role)] == ["spool.type"]


@pytest.mark.parametrize("role", Role)
def test_a_part_of_the_work_needs_a_stream(role):
    assert problems(TREE, role) == []
    (problem,) = problems({"spool": {"type": "memory"}}, role) or (None,)
    if role is Role.ALL:
        assert problem is None
    else:
        assert problem.path == "spool.type"
        assert problem.message == (
            f"role {role} needs a spool that daemons share; accepted: jetstream, or role all"
        )
