"""`collector doctor`, as scripts call it."""

import json

import pytest

from tests.calling import call
from tests.daemon import free_port

CONFIG = """
listeners: [{{name: l, transport: tcp, host: 127.0.0.1, port: 0, intake: edr}}]
intakes: [{{name: edr, parser: raw}}]
sinks: [{{name: siem, url: "{url}"}}]
spool: {{path: {spool}}}
admin: {{port: {admin}}}
"""


@pytest.fixture
def config(tmp_path):
    def write(url="inbox:"):
        file = tmp_path / "collector.yaml"
        spool = tmp_path / "spool"
        file.write_text(CONFIG.format(url=url, spool=spool, admin=free_port()))
        return str(file)

    return write


def test_findings_are_lines_with_what_to_do(config):
    code, lines, _ = call("doctor", "-c", config())
    assert code == 0
    assert any(line.startswith("ok       listener (listeners[0].port):") for line in lines)
    assert any(line.startswith("         → ") for line in lines)
    assert lines[-1].endswith(" ok")


def test_programs_get_an_object_per_line(config):
    code, lines, _ = call("doctor", "-c", config(), "--format", "json")
    found = [json.loads(line) for line in lines]
    assert code == 0
    assert all({*item} == {"level", "subject", "where", "found", "advice"} for item in found)
    assert found[-1]["subject"] == "sink siem"


def test_an_error_is_exit_code_1(config):
    url = f"http://127.0.0.1:{free_port()}/x"
    code, lines, _ = call("doctor", "-c", config(url), "--timeout", "3")
    assert code == 1
    assert lines[-1].startswith("1 error")


def test_a_role_needs_a_stream(config):
    code, lines, stderr = call("doctor", "-c", config(), "--role", "receive")
    assert (code, lines) == (2, [])
    assert "spool.type: role receive needs a spool that daemons share" in stderr


def test_settings_that_cannot_be_used_are_exit_code_2(config, tmp_path):
    code, lines, stderr = call("doctor", "-c", config("ftp://x"))
    assert (code, lines) == (2, [])
    assert "sinks[0].url" in stderr
    assert call("doctor", "-c", str(tmp_path / "none.yaml"))[0] == 2
