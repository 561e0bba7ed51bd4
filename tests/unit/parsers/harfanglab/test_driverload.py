"""Loading of drivers, as HarfangLab reports it."""

import pytest

from tests.support import harfanglab_fields as mapped

DRIVER = {
    "imagepath": "C:\\drivers\\x.sys",
    "imagename": "x.sys",
    "imagesize": 57344,
    "hashes": {"md5": "b2", "sha1": "a2", "sha256": "c2", "imphash": "d2"},
    "pe_imphash": "I2",
    "pe_info": {
        "company_name": "ACME",
        "file_description": "A driver",
        "file_version": "1.2",
        "original_filename": "orig.sys",
        "product_name": "X",
    },
}
FILE = {
    "file.path": "C:\\drivers\\x.sys",
    "file.name": "x.sys",
    "file.size": 57344,
    "file.hash.md5": "b2",
    "file.hash.sha1": "a2",
    "file.hash.sha256": "c2",
    "file.pe.imphash": "I2",
    "file.pe.company": "ACME",
    "file.pe.description": "A driver",
    "file.pe.file_version": "1.2",
    "file.pe.original_file_name": "orig.sys",
    "file.pe.product": "X",
    "related.hash": ["a2", "b2", "c2"],
}
LOADED = {"log_type": "driverload", "agent_id": "a-5", "agent": {"version": "4.0"}, **DRIVER}
LOADED_ECS = FILE | {
    "agent.name": "harfanglab",
    "agent.id": "a-5",
    "agent.version": "4.0",
    "event.dataset": "driverload",
    "event.category": ["driver"],
    "event.type": ["info"],
}
ALERT = {
    "log_type": "alert",
    "alert_subtype": "driverload",
    "agent": {"agentid": "a-5", "version": "4.0"},
    "driverload": DRIVER,
}
ALERT_ECS = LOADED_ECS | {
    "event.dataset": "alert",
    "event.kind": "alert",
    "harfanglab.alert_subtype": "driverload",
}
SHAPE = {"event.category": "driver", "event.type": "info"}


def test_a_driver_was_loaded():
    """Only digests that ECS has are its hashes; its name is not the original one."""
    assert mapped("ecs", **LOADED) == LOADED_ECS
    assert mapped("documented", **LOADED) == LOADED_ECS | SHAPE


def test_an_alert_about_a_driver():
    """Which is in an object of its own."""
    assert mapped("ecs", **ALERT) == ALERT_ECS
    outcome = ("event.outcome", "event.event.outcome", "action.outcome")
    assert mapped("documented", **ALERT) == ALERT_ECS | SHAPE | dict.fromkeys(outcome, "success")


@pytest.mark.parametrize("value", [None, "x", 1, [], [DRIVER], {"hashes": [], "pe_info": "x"}])
def test_a_driver_that_is_no_object_is_no_driver(value):
    """The alert comes out all the same."""
    found = mapped("ecs", **ALERT | {"driverload": value})
    assert found["event.category"] == ["driver"]
    assert not [name for name in found if name.startswith(("file.", "related."))]


def test_hashes_of_other_types_are_absent():
    """One by one."""
    hashes = {"md5": None, "sha1": "", "sha256": ["c"], "sha512": "e", "ssdeep": 3}
    found = mapped("ecs", log_type="driverload", hashes=hashes)
    assert {name: found[name] for name in found if name.startswith("file.")} == {
        "file.hash.sha512": "e",
        "file.hash.ssdeep": "3",
    }
