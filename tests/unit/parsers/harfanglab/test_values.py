"""HarfangLab's own conversions."""

import orjson
import pytest

from collector.parsers.convert import after_backslash, before_backslash
from collector.parsers.harfanglab import values
from collector.parsers.mapping import Rule

NOT_FIT = [None, {}, [], "", True, 1.5]


def test_an_account_is_a_name_and_a_domain():
    """Of the same text."""
    assert values.account("user.target", "who") == (
        Rule("user.target.name", "who", after_backslash, profile="ecs"),
        Rule("user.target.domain", "who", before_backslash, profile="ecs"),
    )


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ([{"name": "é", "id": 1}], ['{"id":1,"name":"é"}']),
        ([{"b": {"d": 1, "c": None}, "a": []}], ['{"a":[],"b":{"c":null,"d":1}}']),
        (["a", 1, None], ['"a"', "1"]),
        ([orjson.loads("[" * 300 + "]" * 300), 1], ["1"]),
        ([None], None),
        *((value, None) for value in NOT_FIT),
    ],
    ids=lambda value: str(value)[:20],
)
def test_each_entry_of_a_list_is_written_as_json(value, texts):
    """Compact, keys sorted; what is nested too deep to be written is left out."""
    assert values.json_texts(value) == texts


@pytest.mark.parametrize(
    ("value", "joined"),
    [
        ([{"name": "Domain Admins"}, {"name": "a\nb"}], "DomainAdmins,ab"),
        ([{"name": ""}, {"name": None}, {"id": 1}, "text", {"name": 5}], "5"),
        ([{"name": " "}], None),
        *((value, None) for value in NOT_FIT),
    ],
)
def test_names_are_joined_without_blanks(value, joined):
    """Entries without a name are left out."""
    assert values.joined_names(value) == joined


@pytest.mark.parametrize(
    ("value", "direction"),
    [("in", "inbound"), ("out", "outbound"), ("IN", None), *((value, None) for value in NOT_FIT)],
)
def test_directions_are_those_of_ecs(value, direction):
    """Any other value gives nothing."""
    assert values.direction(value) == direction


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0, "UNKNOWN"),
        (1, "SUCCESS"),
        (2, "FAIL"),
        (3, "CANNOT_QUARANTINE"),
        (4, "NO_ACTION"),
        (5, "DELAYED"),
        ("5", "DELAYED"),
        (6, None),
        (-1, None),
        *((value, None) for value in NOT_FIT),
    ],
)
def test_the_quarantine_status_is_named(value, label):
    """Any other number gives nothing."""
    assert values.quarantine_label(value) == label


@pytest.mark.parametrize(
    ("value", "tail"),
    [
        ("C:\\Windows\\cmd.exe", "cmd.exe"),
        ("/usr/bin/env", "/usr/bin/env"),
        ("C:\\", None),
        *((value, None) for value in NOT_FIT),
    ],
)
def test_the_text_after_the_last_backslash(value, tail):
    """A slash separates nothing here."""
    assert values.after_last_backslash(value) == tail


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a.exe|b.exe", ["a.exe", "b.exe"]),
        ("|a.exe||", ["a.exe"]),
        ("|", None),
        *((value, None) for value in NOT_FIT),
    ],
)
def test_texts_are_split_on_bars(value, parts):
    """Empty parts are left out."""
    assert values.split_on_bars(value) == parts


def test_a_shaped_constant_is_a_text_in_documented_and_a_list_in_ecs():
    """The two rows of one field."""
    documented, ecs = values.shaped("event.type", "info")
    assert (documented.profile, documented.constant) == ("documented", "info")
    assert (ecs.profile, ecs.constant) == ("ecs", ("info",))


@pytest.mark.parametrize(
    ("value", "digests"),
    [
        ({"md5": "a", "sha1": "b", "sha256": "c"}, {"md5": "a", "sha1": "b", "sha256": "c"}),
        ({"sha512": "d", "imphash": "e", "md5": ""}, {"sha512": "d"}),
        ({"md5": ["a"], "sha1": {"x": 1}, "sha256": None}, None),
        *((value, None) for value in NOT_FIT),
    ],
)
def test_known_digests_are_copied(value, digests):
    """Each under its own name; others are not fields of ECS."""
    assert values.digests(value) == digests


@pytest.mark.parametrize(
    ("value", "users"),
    [
        ([{"user_name": "ACME\\ann"}], [{"name": "ann", "domain": "ACME"}]),
        ([{"user_name": "ann", "user_sid": "S-1"}], [{"name": "ann"}]),
        ([{"user_name": ""}, {}, None, "ann", {"user_name": "bob"}], [{"name": "bob"}]),
        ([{"user_name": None}], None),
        *((value, None) for value in NOT_FIT),
    ],
)
def test_users_are_split(value, users):
    """Entries without a name are left out."""
    assert values.users(value) == users


@pytest.mark.parametrize(
    ("value", "agents"),
    [
        ([{"agent_id": "a", "agent_hostname": "h"}], [{"id": "a", "hostname": "h"}]),
        ([{"agent_id": 7}, {"agent_hostname": "h"}, {"id": "x"}], [{"id": "7"}, {"hostname": "h"}]),
        *((value, None) for value in NOT_FIT),
    ],
)
def test_agents_have_two_fields(value, agents):
    """Entries without either are left out."""
    assert values.agents(value) == agents


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("gate.example", "gate.example"),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("1.2.3.4.5", "1.2.3.4.5"),
        (7, "7"),
        *((value, None) for value in ([], {}, None, "")),
    ],
)
def test_what_is_no_address_is_a_name(value, name):
    """The other half of `ip`."""
    assert values.no_address(value) == name


@pytest.mark.parametrize(
    ("user_name", "username", "name"),
    [
        ("ACME\\ann", "bob", "ann"),
        ("ann", "bob", "bob"),
        ("ann", None, "ann"),
        (None, "ACME\\bob", "ACME\\bob"),
        ("ACME\\", None, None),
        (None, None, None),
        ([], {}, None),
    ],
)
def test_the_name_of_a_login(user_name, username, name):
    """With a domain it wins over the other one."""
    assert values.login_name(user_name, username) == name
