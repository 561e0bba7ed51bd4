"""Alerts of HarfangLab."""

import pytest

from tests.support import harfanglab_fields as mapped

ALERT = {
    "log_type": "alert",
    "level": "high",
    "msg": "Something was seen.",
    "rule_name": "A rule",
    "alert_type": "sigma",
    "rule_id": "r-1",
    "alert_time": "2022-03-15T07:26:01.276+00:00",
    "alert_unique_id": "u-1",
    "execution": 0,
    "status": "new",
    "aggregation_key": "k",
    "threat_key": 42,
    "quarantine": 4,
    "details_powershell": {
        "PowershellCommand": "Get-Item",
        "PowershellScriptPath": "C:\\s.ps1",
    },
}
FIELDS = {
    "agent.name": "harfanglab",
    "event.dataset": "alert",
    "event.kind": "alert",
    "rule.description": "Something was seen.",
    "rule.name": "A rule",
    "rule.category": "sigma",
    "rule.id": "r-1",
    "harfanglab.level": "high",
    "harfanglab.alert_time": "2022-03-15T07:26:01.276+00:00",
    "harfanglab.alert_unique_id": "u-1",
    "harfanglab.execution": 0,
    "harfanglab.status": "new",
    "harfanglab.aggregation_key": "k",
    "harfanglab.threat_key": "42",
    "harfanglab.quarantine_label": "NO_ACTION",
    "harfanglab.process.powershell.command": "Get-Item",
    "harfanglab.process.powershell.script_path": "C:\\s.ps1",
}
OUTCOME = {
    "event.outcome": "success",
    "event.event.outcome": "success",
    "action.outcome": "success",
}
PROCESS = {
    "pid": 5,
    "process_name": "x.exe",
    "image_name": "C:\\x.exe",
    "commandline": "x.exe /a",
    "current_directory": "C:\\",
    "parent_image": "/usr/bin/sh",
    "parent_commandline": "sh -c x",
    "grandparent_image": "C:\\g.exe",
    "grandparent_commandline": "g.exe",
    "username": "ACME\\ann",
    "pe_imphash": "IMP",
    "pe_info": {
        "company_name": "ACME",
        "file_description": "An example",
        "file_version": "1.2",
        "original_filename": "X.EXE",
        "product_name": "X",
    },
    "hashes": {"md5": "aa", "sha1": "bb", "sha256": "cc"},
}
PROCESS_FIELDS = {
    "process.pid": 5,
    "process.name": "x.exe",
    "process.executable": "C:\\x.exe",
    "process.command_line": "x.exe /a",
    "process.working_directory": "C:\\",
    "process.parent.executable": "/usr/bin/sh",
    "process.parent.name": "sh",
    "process.parent.command_line": "sh -c x",
    "process.pe.imphash": "IMP",
    "process.pe.company": "ACME",
    "process.pe.description": "An example",
    "process.pe.file_version": "1.2",
    "process.pe.original_file_name": "X.EXE",
    "process.pe.product": "X",
    "harfanglab.grandparent.process.executable": "C:\\g.exe",
    "harfanglab.grandparent.process.command_line": "g.exe",
    "file.hash.md5": "aa",
    "file.hash.sha1": "bb",
    "file.hash.sha256": "cc",
    "user.name": "ann",
    "user.domain": "ACME",
    "related.user": ["ann"],
    "related.hash": ["aa", "bb", "cc"],
}


def test_every_alert_says_what_raised_it():
    """In both profiles; `documented` adds an outcome."""
    assert mapped("ecs", **ALERT) == FIELDS
    assert mapped("documented", **ALERT) == FIELDS | OUTCOME


@pytest.mark.parametrize(
    "kind", [{"alert_subtype": "process"}, {"threat_type": "commandline"}], ids=str
)
def test_a_process_alert_carries_its_process(kind):
    """In an object of its own."""
    shape = {"event.category": ["process"], "event.type": ["start"]}
    subtype = {
        f"harfanglab.{name}": value for name, value in kind.items() if name == "alert_subtype"
    }
    expected = FIELDS | PROCESS_FIELDS | subtype
    found = mapped("ecs", **ALERT, **kind, process=PROCESS)
    assert found == expected | shape
    shape = {"event.category": "process", "event.type": "start"}
    assert mapped("documented", **ALERT, **kind, process=PROCESS) == expected | shape | OUTCOME


def test_other_alerts_do_not_read_the_process():
    """The condition counts."""
    assert mapped("ecs", **ALERT, process=PROCESS) == FIELDS


def test_a_process_that_is_no_object_is_no_process():
    """The alert comes out all the same."""
    found = mapped("ecs", **ALERT, alert_subtype="process", process="x.exe")
    assert found["rule.name"] == "A rule"
    assert not [name for name in found if name.startswith("process.")]
