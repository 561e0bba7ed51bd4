"""PowerShell script blocks of HarfangLab."""

import pytest

from tests.support import harfanglab_fields as mapped

BLOCK = {
    "log_type": "powershell",
    "pid": 41,
    "script_block": "Get-Item C:\\\n",
    "script_path": "C:\\s.ps1",
    "process_image_path": "C:\\pwsh.exe",
}


@pytest.mark.parametrize("profile", ["documented", "ecs"])
def test_a_script_block(profile):
    """The text is kept as it is."""
    assert mapped(profile, **BLOCK) == {
        "agent.name": "harfanglab",
        "event.dataset": "powershell",
        "process.pid": 41,
        "process.executable": "C:\\pwsh.exe",
        "action.properties.ScriptBlockText": "Get-Item C:\\\n",
        "action.properties.Path": "C:\\s.ps1",
    }


def test_a_block_without_a_file_has_no_path():
    """An empty text says nothing."""
    found = mapped("ecs", **BLOCK | {"script_path": ""})
    assert "action.properties.Path" not in found


def test_other_families_have_no_script_block():
    """The condition counts."""
    found = mapped("ecs", **BLOCK | {"log_type": "file"})
    assert "action.properties.ScriptBlockText" not in found
