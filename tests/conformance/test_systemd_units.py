"""The units in `deploy/systemd`: sound by themselves, and in step with the collector."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from collector.settings.units import parse_duration
from tests.calling import call
from tests.support import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICE = UNITS / "collector.service"
SOCKETS = [UNITS / "collector.socket", UNITS / "collector-tcp.socket"]
SECRETS = UNITS / "secrets.conf"
SETTINGS = ROOT / "config" / "collector.yaml"


def assignments(path):
    """Return the values of each directive, by section and name (systemd.syntax(7))."""
    found = {}
    section = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1]
            continue
        name, equals, value = line.partition("=")
        assert section, f"{path}:{number}: outside of a section"
        assert equals, f"{path}:{number}: neither directive nor comment"
        found.setdefault((section, name), []).append(value)
    return found


def one(unit, section, name):
    (value,) = assignments(unit)[section, name]
    return value


@pytest.mark.parametrize(
    ("unit", "sections"),
    [
        (SERVICE, {"Unit", "Service", "Install"}),
        *[(path, {"Unit", "Socket", "Install"}) for path in SOCKETS],
        (SECRETS, {"Service"}),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_a_unit_has_the_sections_of_its_kind(unit, sections):
    assert {section for section, _ in assignments(unit)} == sections


def test_the_command_of_the_service_exists_with_its_options():
    program, command, *options = one(SERVICE, "Service", "ExecStart").split()
    assert program == "/opt/collector/bin/collector"
    assert command == "run"
    code, lines, _ = call(command, "--help")
    assert code == 0
    assert options == ["-c", "/etc/collector/collector.yaml"]
    assert any(f" {options[0]} " in line for line in lines)


def test_the_sockets_are_those_of_the_listeners():
    """Of the configuration that the guide installs: none is left over, and none is missing."""
    listeners = yaml.safe_load(SETTINGS.read_text())["listeners"]
    wanted = {(item["transport"], item["host"], item["port"]) for item in listeners}
    found = {
        (transport, value.rpartition(":")[0], int(value.rpartition(":")[2]))
        for path in SOCKETS
        for name, transport in (("ListenDatagram", "udp"), ("ListenStream", "tcp"))
        for value in assignments(path).get(("Socket", name), [])
    }
    assert found == wanted
    assert one(SOCKETS[0], "Socket", "FileDescriptorName") in {item["name"] for item in listeners}


def test_the_service_gets_the_sockets_of_every_unit():
    assert one(SERVICE, "Service", "Sockets").split() == [path.name for path in SOCKETS]
    assert one(SOCKETS[1], "Socket", "Service") == SERVICE.name


def test_the_service_may_take_its_grace_to_stop():
    grace = next(
        line.split()[2] for line in SETTINGS.read_text().splitlines() if "shutdown_grace:" in line
    )
    assert parse_duration(one(SERVICE, "Service", "TimeoutStopSec")) > parse_duration(grace)


def test_secrets_go_where_the_settings_look_for_them():
    """Each credential has a variable, and the configuration reads that variable."""
    loaded = [
        value.partition(":")[0] for value in assignments(SECRETS)["Service", "LoadCredential"]
    ]
    variables = [value.partition("=") for value in assignments(SECRETS)["Service", "Environment"]]
    assert [value for _, _, value in variables] == [f"%d/{name}" for name in loaded]
    for name, _, _ in variables:
        assert f"${{{name}:-}}" in SETTINGS.read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_has_nothing_to_complain_of(tmp_path):
    """With the drop-in; the program is not installed here, so that another stands for it."""
    for path in (SERVICE, *SOCKETS):
        text = path.read_text().replace("/opt/collector/bin/collector", sys.executable)
        (tmp_path / path.name).write_text(text)
    drop_ins = tmp_path / "collector.service.d"
    drop_ins.mkdir()
    shutil.copy(SECRETS, drop_ins)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / path.name) for path in (SERVICE, *SOCKETS))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_service_is_as_confined_as_the_guide_says():
    """By the measure of systemd itself, 0 to 10, of the unit alone."""
    (exposure,) = re.findall(
        r"systemd-analyze security collector` gives ([\d.]+)", (UNITS / "README.md").read_text()
    )
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    command += [f"--threshold={float(exposure) * 10:.0f}", str(SERVICE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"collector.service: {exposure} OK" in done.stdout
