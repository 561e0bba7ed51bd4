"""What an event was about: registry values, libraries, files."""

import pytest

from tests.support import harfanglab_fields as mapped

ALERT = {
    "log_type": "alert",
    "alert_subtype": "registry",
    "details_registry": {
        "event_type": "SetValue",
        "target_object": "HKLM\\SOFTWARE\\Vendor\\Run\\Updater",
        "details": "C:\\tools\\up.exe",
    },
    "details_library": {
        "image_loaded": "C:\\tools\\side.dll",
        "hashes": {"md5": "b1", "sha1": "a1", "sha256": "c1"},
    },
    "details_file": {"target_filename": "C:\\tools\\drop.bin"},
}
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "alert",
    "event.kind": "alert",
    "harfanglab.alert_subtype": "registry",
    "registry.hive": "HKLM",
    "registry.key": "SOFTWARE\\Vendor\\Run",
    "registry.path": "HKLM\\SOFTWARE\\Vendor\\Run\\Updater",
    "registry.value": "C:\\tools\\up.exe",
    "dll.path": "C:\\tools\\side.dll",
    "dll.name": "side.dll",
    "dll.hash.md5": "b1",
    "dll.hash.sha1": "a1",
    "dll.hash.sha256": "c1",
    "file.name": "C:\\tools\\drop.bin",
    "related.hash": ["a1", "b1", "c1"],
}


def test_details_of_an_alert():
    """The file keeps its path as its name, as specified; hashes of the library are related."""
    assert mapped("ecs", **ALERT) == ECS
    assert mapped("documented", **ALERT) == ECS | {
        "event.outcome": "success",
        "event.event.outcome": "success",
        "action.outcome": "success",
    }


@pytest.mark.parametrize(
    ("target", "hive", "key"),
    [
        ("HKU\\S-1-5-18\\Run", "HKU", "S-1-5-18"),
        ("HKLM\\Run", "HKLM", None),
        ("HKLM", "HKLM", None),
        ("\\REGISTRY\\MACHINE\\Run", None, "REGISTRY\\MACHINE"),
        ("HKLM\\a\\\\b\\c", "HKLM", "a\\\\b"),
        ("\\", None, None),
        ("", None, None),
        (7, None, None),
        ({"a": 1}, None, None),
        (["HKLM\\a\\b"], None, None),
    ],
)
def test_a_registry_path_has_hive_and_key(target, hive, key):
    """The key is what stands between the first part and the last."""
    found = mapped("ecs", details_registry={"target_object": target})
    assert found.get("registry.hive") == hive
    assert found.get("registry.key") == key


@pytest.mark.parametrize("name", ["details_registry", "details_library", "details_file"])
@pytest.mark.parametrize("value", [None, "text", 1, [], [{"target_object": "a\\b\\c"}], {}, True])
def test_details_that_are_no_object_say_nothing(name, value):
    """The event comes out all the same."""
    assert mapped("ecs", **{name: value}) == {"agent.name": "harfanglab"}
