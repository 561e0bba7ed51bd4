"""What the documentation gathers as related."""

import orjson

from collector.parsers import build

FIELDS = {
    "log_type": "network",
    "agent": {"hostname": "pc", "ipaddress": "192.0.2.7"},
    "saddr": "192.0.2.2",
    "daddr": "192.0.2.1",
    "requested_name": "q.example",
    "username": "ACME\\ann",
}


def related(profile, **fields):
    """Parse a message of these fields; return what is related."""
    return build("harfanglab", profile)(orjson.dumps(fields).decode()).get("related")


def test_the_documented_lists_win_where_they_have_anything():
    """They are gathered from fewer fields."""
    assert related("documented", **FIELDS) == {
        "hosts": ["pc"],
        "ip": ["192.0.2.1", "192.0.2.2"],
        "user": ["ACME\\ann"],
    }
    assert related("ecs", **FIELDS) == {
        "hosts": ["pc", "q.example"],
        "ip": ["192.0.2.1", "192.0.2.2", "192.0.2.7"],
        "user": ["ann"],
    }


def test_otherwise_they_are_those_of_ecs():
    """Nothing is lost for want of a documented row."""
    fields = {"requested_name": "q.example", "agent": {"ipaddress": "192.0.2.7"}}
    expected = {"hosts": ["q.example"], "ip": ["192.0.2.7"]}
    assert related("documented", **fields) == related("ecs", **fields) == expected


def test_hashes_of_the_process_are_those_documented():
    """Those of the file are the same in process events."""
    hashes = {"md5": "c", "sha1": "b", "sha256": "a"}
    expected = {"hash": ["a", "b", "c"]}
    assert related("documented", log_type="process", hashes=hashes) == expected
    assert related("ecs", log_type="process", hashes=hashes) == expected
