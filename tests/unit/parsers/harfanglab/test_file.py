"""Operations on files, as HarfangLab reports them."""

import pytest

from tests.support import harfanglab_fields as mapped

WRITTEN = {
    "log_type": "file",
    "operation": "download",
    "event_path": "/home/ann/report.html",
    "written_file_size": "845",
    "written_file_hashes": {"md5": "b4", "sha1": "a4", "sha256": "c4"},
    "pid": 7,
    "tid": 8,
    "process_image_path": "/usr/bin/browser",
    "source_url": "files.acme.example",
    "additional_info": {"ipaddress": "192.0.2.44"},
}
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "file",
    "event.category": ["file"],
    "event.type": ["info"],
    "action.name": "download",
    "file.path": "/home/ann/report.html",
    "file.directory": "/home/ann",
    "file.name": "report.html",
    "file.size": 845,
    "file.hash.md5": "b4",
    "file.hash.sha1": "a4",
    "file.hash.sha256": "c4",
    "host.ip": ["192.0.2.44"],
    "process.pid": 7,
    "process.thread.id": 8,
    "process.executable": "/usr/bin/browser",
    "url.original": "files.acme.example",
    "related.hash": ["a4", "b4", "c4"],
    "related.ip": ["192.0.2.44"],
}


def written(profile, **fields):
    """Map an event; the parts of its URL are tested elsewhere."""
    found = mapped(profile, **WRITTEN | fields)
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("url.") or name == "url.original"
    }


def test_a_file_was_written():
    """By whom and from where."""
    assert written("ecs") == ECS
    shape = {"event.category": "file", "event.type": "info"}
    assert written("documented") == ECS | shape


def test_the_operation_wins_over_the_type_of_the_event():
    """Which every event may have."""
    assert written("ecs", event_type="other")["action.name"] == "download"


@pytest.mark.parametrize("value", [None, "x", 5, [], [{"md5": "b4"}], {"md5": {}}])
def test_hashes_that_are_no_object_are_absent(value):
    """The event comes out all the same."""
    found = written("ecs", written_file_hashes=value, additional_info=value)
    assert found["file.path"] == "/home/ann/report.html"
    assert not [name for name in found if name.startswith(("file.hash", "host.", "related."))]
