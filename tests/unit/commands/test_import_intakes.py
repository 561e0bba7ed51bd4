"""`collector import-intakes`, as scripts call it."""

import subprocess
import sys

import pytest

from tests.calling import call
from tests.certificates import Authority

KEY = "3f1c4ed2-0000-4000-8000-000000000001"
FILE = f"""---
intakes:
- name: Cybereason EDR
  protocol: tcp
  port: 20516
  intake_key: {KEY}
- name: Firewall
  protocol: {{protocol}}
  port: 20517
  intake_key: 3f1c4ed2-0000-4000-8000-000000000002
  debug: true
- name: Stats
  stats: True
  intake_key: 3f1c4ed2-0000-4000-8000-000000000003
"""


PLAIN = FILE.format(protocol="udp")


@pytest.fixture
def intakes(tmp_path):
    def write(text=PLAIN):
        file = tmp_path / "intakes.yaml"
        file.write_text(text)
        return str(file)

    return write


def check(tmp_path, lines):
    """Hold what was made against `collector check`; return its exit code and output."""
    made = tmp_path / "collector.yaml"
    made.write_text("\n".join(lines))
    return call("check", "-c", str(made))[:2]


def test_what_is_made_is_valid(intakes, tmp_path):
    code, lines, stderr = call("import-intakes", intakes())
    assert code == 0
    assert check(tmp_path, lines) == (0, [f"{tmp_path / 'collector.yaml'}: valid"])
    assert "the output holds the intake keys" in stderr
    assert "intakes[1].debug" in stderr
    assert "intakes[2]: the forwarder's own figures are left out" in stderr
    assert KEY not in stderr


def test_keys_can_be_left_to_the_environment(intakes, tmp_path, monkeypatch):
    code, lines, stderr = call("import-intakes", "--keys-as-env", intakes())
    assert code == 0
    assert KEY not in "\n".join(lines) + stderr
    assert "intake Cybereason-EDR: set CYBEREASON_EDR_INTAKE_KEY to its key" in stderr
    assert check(tmp_path, lines)[0] == 2
    monkeypatch.setenv("CYBEREASON_EDR_INTAKE_KEY", KEY)
    monkeypatch.setenv("FIREWALL_INTAKE_KEY", "another-key-of-the-test")
    assert check(tmp_path, lines)[0] == 0


def test_tls_takes_a_certificate(intakes, tmp_path):
    """Without one it says what is missing."""
    file = intakes(FILE.format(protocol="tls"))
    code, lines, stderr = call("import-intakes", file)
    assert code == 0
    assert "listeners with TLS need /etc/collector/tls/server.pem" in stderr
    issued = Authority(tmp_path).server()
    files = ("--tls-cert", str(issued.cert_file), "--tls-key", str(issued.key_file))
    code, lines, stderr = call("import-intakes", file, *files)
    assert "TLS need" not in stderr
    assert check(tmp_path, lines)[0] == 0


def test_a_file_that_cannot_be_used_is_exit_code_2(intakes, tmp_path):
    code, lines, stderr = call("import-intakes", intakes("intakes:\n- {name: x, port: 1}\n"))
    assert (code, lines) == (2, [])
    assert "intakes[0].protocol: is missing" in stderr
    assert call("import-intakes", str(tmp_path / "none"))[0] == 2


@pytest.mark.parametrize(("mode", "advice"), [(0o644, "`chmod 600` its file"), (0o600, "keep it")])
def test_a_file_of_keys_that_others_can_read_is_told(intakes, tmp_path, mode, advice):
    made = tmp_path / "made.yaml"
    made.touch(mode)
    command = (sys.executable, "-m", "collector", "import-intakes", intakes())
    with made.open("wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=True)
    assert advice in ended.stderr.decode()
