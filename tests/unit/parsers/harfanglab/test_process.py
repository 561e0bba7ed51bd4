"""Process creation of HarfangLab."""

from tests.support import harfanglab_fields as mapped

PROCESS = {
    "pid": 23,
    "process_name": "x.exe",
    "image_name": "C:\\dir\\x.exe",
    "commandline": "x.exe /a",
    "current_directory": "C:\\dir",
    "parent_image": "C:\\up\\p.exe",
    "parent_commandline": "p.exe /b",
    "grandparent_image": "C:\\g.exe",
    "grandparent_commandline": "g.exe /c",
    "ancestors": "C:\\g.exe|C:\\h.exe",
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
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "process",
    "event.category": ["process"],
    "event.type": ["start"],
    "process.pid": 23,
    "process.name": "x.exe",
    "process.executable": "C:\\dir\\x.exe",
    "process.command_line": "x.exe /a",
    "process.working_directory": "C:\\dir",
    "process.parent.executable": "C:\\up\\p.exe",
    "process.parent.name": "p.exe",
    "process.parent.command_line": "p.exe /b",
    "process.pe.imphash": "IMP",
    "process.pe.company": "ACME",
    "process.pe.description": "An example",
    "process.pe.file_version": "1.2",
    "process.pe.original_file_name": "X.EXE",
    "process.pe.product": "X",
    "harfanglab.grandparent.process.executable": "C:\\g.exe",
    "harfanglab.grandparent.process.command_line": "g.exe /c",
    "harfanglab.grandparent.process.ancestors": ["C:\\g.exe", "C:\\h.exe"],
    "file.name": "X.EXE",
    "file.hash.md5": "aa",
    "file.hash.sha1": "bb",
    "file.hash.sha256": "cc",
    "user.name": "ann",
    "user.domain": "ACME",
    "related.user": ["ann"],
    "related.hash": ["aa", "bb", "cc"],
}


def test_a_process_in_profile_ecs():
    """Every field it has."""
    assert mapped("ecs", log_type="process", **PROCESS) == ECS


def test_a_process_in_profile_documented():
    """Texts, the user with the domain, hashes of the process; and all that `ecs` knows."""
    assert mapped("documented", log_type="process", **PROCESS) == ECS | {
        "event.kind": "event",
        "event.category": "process",
        "event.type": "start",
        "user.name": "ACME\\ann",
        "related.user": ["ACME\\ann"],
        "process.hash.md5": "aa",
        "process.hash.sha1": "bb",
        "process.hash.sha256": "cc",
    }


def test_the_documented_command_line_wins_where_there_is_one():
    """It comes from another field than that of `ecs`."""
    fields = {**PROCESS, "log_type": "process", "command_line": "documented"}
    assert mapped("documented", **fields)["process.command_line"] == "documented"
    assert mapped("ecs", **fields)["process.command_line"] == "x.exe /a"


def test_a_process_alert_reads_the_top_of_the_message_in_documented():
    """What stands there wins over the process object."""
    fields = {**PROCESS, "log_type": "alert", "alert_subtype": "process"}
    fields["process"] = {"pid": 99, "process_name": "nested.exe", "commandline": "nested /x"}
    documented = mapped("documented", **fields)
    assert documented["process.pid"] == 23
    assert documented["process.name"] == "x.exe"
    assert documented["process.command_line"] == "nested /x"
    assert documented["process.hash.sha1"] == "bb"
    assert mapped("ecs", **fields)["process.pid"] == 99


def test_a_user_without_a_domain_has_none():
    """The name stays whole."""
    found = mapped("ecs", log_type="process", username="root")
    assert (found["user.name"], "user.domain" in found) == ("root", False)
