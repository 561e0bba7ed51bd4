"""The commands, as scripts call them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from collector import __version__, embedded, samples
from collector.config import AdminSettings
from collector.parsers import PARSERS
from tests.calling import call

CEF = (
    r"CEF:0|Cybereason|Cybereason|1.0|5|Malop Connection Added|5|dpt=443 cs1=11.42 cs1Label=MalopId"
)
CONFIG = """
listeners: [{name: l, transport: tcp, host: 127.0.0.1, port: 0, intake: i}]
intakes: [{name: i, parser: raw}]
sinks: [{name: s, url: "inbox:"}]
admin: {port: 0}
"""


def json_lines(*texts):
    return "".join(json.dumps(text) + "\n" for text in texts)


def test_without_arguments_the_commands_are_listed():
    """Help is enough to get going."""
    code, lines, _ = call("--help")
    text = "\n".join(lines)
    assert code == 0
    commands = "run check parse explain fields drift frames header cef send schema"
    for command in commands.split():
        assert f" {command} " in text


def test_the_version_is_told():
    assert call("--version") == (0, [f"collector {__version__}"], "")


def test_parse_makes_one_event_of_each_line():
    """In order; what cannot be parsed is a pipeline_error and the exit code 1."""
    code, lines, _ = call("parse", "--parser", "cybereason", data=f"{CEF}\nnonsense\n{CEF}\r\n")
    events = [json.loads(line) for line in lines]
    assert code == 1
    assert [event["event"]["kind"] for event in events] == ["event", "pipeline_error", "event"]
    assert events[0] == events[2]
    assert events[0]["destination"]["port"] == 443
    assert events[1]["message"] == "nonsense"
    assert events[1]["error"]["message"]


def test_parse_adds_nothing_of_its_own():
    """The output depends on the input alone: no id, no time of receipt."""
    code, lines, _ = call("parse", "--parser", "raw", data="hello\n")
    assert (code, json.loads(lines[0])) == (0, {"message": "hello", "event": {"kind": "event"}})


def test_parse_reads_json_strings():
    """So that payloads may hold line feeds."""
    payload = samples.load("harfanglab")[0].raw
    code, lines, _ = call(
        "parse", "--parser", "harfanglab", "--input", "json", data=json_lines(payload)
    )
    assert code == 0
    assert json.loads(lines[0])["message"] == payload


def test_parse_reads_whole_syslog_messages():
    """The header goes; `CEF:` that a relay took for the tag is no loss."""
    wire = json_lines(
        f'<134>1 - - - - - [SEKOIA@53288 intake_key="k"] {CEF}',
        f"<134>Jan  2 03:04:05 host {CEF}",
        f"<134>1 2026-01-02T03:04:05Z host CEF - - - {CEF.removeprefix('CEF:')}",
    )
    code, lines, _ = call("parse", "--parser", "cybereason", "--input", "wire", data=wire)
    events = [json.loads(line) for line in lines]
    assert code == 0
    assert [event["destination"]["port"] for event in events] == [443] * 3
    assert [event["message"] for event in events] == [CEF, CEF, CEF.removeprefix("CEF:")]


def test_parse_shows_the_payload_that_it_cannot_parse_and_no_header():
    """The intake key is not part of it."""
    wire = json_lines('<134>1 - - - - - [SEKOIA@53288 intake_key="secret"] CEF:0|x')
    code, lines, _ = call("parse", "--parser", "cybereason", "--input", "wire", data=wire)
    assert (code, json.loads(lines[0])["message"]) == (1, "CEF:0|x")


@pytest.mark.parametrize("line", ["not json", "{}", "[]", "1", '{"b64": "!"}', "[" * 100_000])
def test_a_line_that_is_no_json_string_is_an_error_of_that_line(line):
    """The lines around it are read."""
    data = json_lines("a") + line + "\n" + json_lines("b")
    code, lines, _ = call("parse", "--parser", "raw", "--input", "json", data=data)
    events = [json.loads(line) for line in lines]
    assert code == 1
    assert [event["message"] for event in events] == ["a", line, "b"]
    assert events[1]["event"]["kind"] == "pipeline_error"
    code, lines, _ = call("header", data=data)
    assert code == 1
    assert [set(json.loads(line)) == {"error"} for line in lines] == [False, True, False]


def test_an_unknown_parser_is_wrong_usage():
    """Exit code 2, and the accepted ones are named."""
    code, _, stderr = call("parse", "--parser", "nobody", data="")
    assert code == 2
    assert "cybereason" in stderr


def test_parse_tells_what_was_repaired():
    """To read the input, and by the parser; also of what it cannot read."""
    wire = [f"345 <13>1 - - - - - - {CEF}", "345 <13>1 - - - - - - nonsense"]
    arguments = ("parse", "--parser", "cybereason", "--input", "wire")
    code, lines, _ = call(*arguments, data="\n".join(map(json.dumps, wire)))
    assert code == 1
    assert [json.loads(line)["tags"] for line in lines] == [["repaired:octet_count"]] * 2
    code, lines, _ = call("parse", "--parser", "raw", data=b"\xff")
    assert json.loads(lines[0])["tags"] == ["repaired:invalid_utf8"]


def test_parse_takes_a_profile():
    """That of the documentation, if none is given."""
    for profile, kind in (((), "info"), (("--profile", "ecs"), ["info"])):
        code, lines, _ = call("parse", "--parser", "cybereason", *profile, data=CEF)
        assert (code, json.loads(lines[0])["event"]["type"]) == (0, kind)
    code, _, stderr = call("parse", "--parser", "raw", "--profile", "none", data="")
    assert code == 2
    assert "documented" in stderr


@pytest.mark.parametrize("command", ["parse", "explain", "fields"])
def test_the_parsers_of_the_registry_are_the_choices(command):
    """Help names them."""
    code, lines, _ = call(command, "--help")
    text = " ".join(word for line in lines for word in line.split() if word != "│")
    assert code == 0
    assert f"{', '.join(PARSERS)}." in text


def test_explain_shows_where_fields_come_from(tmp_path):
    """Of one payload, line feeds and all; its last line end is none of it."""
    payload = '{\n  "log_type": "dns",\n  "agent": {"hostname": "pc"},\n  "odd": 1\n}'
    file = tmp_path / "alert.json"
    file.write_bytes(payload.encode() + b"\r\n")
    for arguments, data in (((str(file),), None), ((), payload + "\n")):
        code, lines, _ = call("explain", "--parser", "harfanglab", *arguments, data=data)
        rows = [line.split() for line in lines]
        assert code == 0
        assert ["agent.hostname", "pc", "log.hostname", "copied"] in rows
        assert ["host.hostname", "copied"] in rows
        assert ["odd", "1", "no", "rule", "reads", "it"] in rows
        assert any(row[-2:] == ["message", "copied"] and "}\\n" not in row for row in rows)


def test_explain_tells_what_was_repaired():
    """Octets that are not UTF-8 among it."""
    code, lines, _ = call("explain", "--parser", "raw", data=b"\xff")
    assert code == 0
    assert lines[-1].strip() == "repaired: repaired:invalid_utf8"


def test_explain_says_what_is_wrong_with_a_payload():
    """Exit code 1."""
    code, lines, stderr = call("explain", "--parser", "cybereason", data="nonsense")
    assert (code, lines) == (1, [])
    assert stderr.startswith("not_cef: ")


def test_fields_are_listed_for_people_and_for_programs():
    """In the profile that is asked for."""
    arguments = ("fields", "--parser", "cybereason", "--format")
    code, lines, _ = call(*arguments, "json")
    kinds = {field["name"]: field["type"] for field in json.loads("\n".join(lines))}
    assert (code, kinds["event.type"]) == (0, "keyword")
    code, lines, _ = call(*arguments, "json", "--profile", "ecs")
    kinds = {field["name"]: field["type"] for field in json.loads("\n".join(lines))}
    assert (code, kinds["event.type"]) == (0, "array of keyword")
    code, lines, _ = call(*arguments, "elasticsearch")
    template = json.loads("\n".join(lines))["template"]
    assert template["mappings"]["properties"]["message"] == {"type": "match_only_text"}
    code, lines, _ = call(*arguments, "markdown")
    assert (code, lines[0]) == (0, "# Fields of cybereason events")
    code, lines, _ = call("fields", "--parser", "cybereason")
    assert code == 0
    assert ["event.url", "keyword", "IncidentLink"] in [line.split() for line in lines]
    assert call(*arguments, "xml")[0] == 2


def test_frames_are_json_strings_or_octets():
    """What is unfinished is left out."""
    code, lines, stderr = call("frames", data=b"3 a\nb<13>two\r\n2 \xff\xfe9 half")
    assert code == 0
    assert [json.loads(line) for line in lines] == ["a\nb", "<13>two", {"b64": "//4="}]
    assert "incomplete" in stderr


def test_frames_can_be_piped_into_header():
    """What is not UTF-8 too."""
    data = '{"b64": "PDEzPjEgLSAtIC0gLSAtIC0g/w=="}\n'
    code, lines, _ = call("header", data=data)
    assert (code, json.loads(lines[0])["message"]) == (0, "\ufffd")


def test_header_tells_every_field():
    """Nil is null, and what ends a datagram is no part of the message; blanks are."""
    wire = '<34>1 2003-10-11T22:14:15.003Z host app - ID47 [e@1 k="v"] text \r\n\0'
    code, lines, _ = call("header", data=json_lines(wire, "plain"))
    assert code == 0
    assert json.loads(lines[0]) == {
        "pri": 34,
        "facility": 4,
        "severity": 2,
        "timestamp": "2003-10-11T22:14:15.003000Z",
        "hostname": "host",
        "app_name": "app",
        "procid": None,
        "msgid": "ID47",
        "structured_data": {"e@1": {"k": "v"}},
        "message": "text ",
    }
    plain = json.loads(lines[1])
    assert plain.pop("message") == "plain"
    assert set(plain.values()) == {None}


def test_cef_tells_header_and_extensions():
    """Labels are not resolved; what is not CEF is an error and the exit code 1."""
    code, lines, _ = call("cef", data=json_lines(CEF, "hello"))
    assert code == 1
    assert json.loads(lines[0]) == {
        "version": "0",
        "device_vendor": "Cybereason",
        "device_product": "Cybereason",
        "device_version": "1.0",
        "device_event_class_id": "5",
        "name": "Malop Connection Added",
        "severity": "5",
        "extensions": {"dpt": "443", "cs1": "11.42", "cs1Label": "MalopId"},
    }
    assert set(json.loads(lines[1])) == {"error"}


def test_input_can_be_a_file(tmp_path):
    """Instead of stdin; one that is not there is wrong usage."""
    file = tmp_path / "input"
    file.write_text("hello\n")
    assert call("parse", "--parser", "raw", str(file))[0] == 0
    assert call("parse", "--parser", "raw", str(tmp_path / "none"))[0] == 2


def test_check_says_everything_that_is_wrong(tmp_path):
    """A line each, with file and path; exit code 2."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    code, lines, _ = call("check", "-c", str(file))
    assert (code, lines[-1]) == (0, f"{file}: valid")
    file.write_text(CONFIG.replace("port: 0, intake", "port: x, intakee").replace("raw", "raw2"))
    code, lines, _ = call("check", "-c", str(file))
    assert code == 2
    assert len(lines) >= 3
    assert all(line.startswith(f"{file}: ") for line in lines)
    assert "listeners[0].intakee" in "\n".join(lines)


def test_check_takes_the_file_of_the_environment(tmp_path, monkeypatch):
    """As `run` does; without either it is wrong usage."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    monkeypatch.setenv("COLLECTOR_CONFIG", str(file))
    assert call("check")[:2] == (0, [f"{file}: valid"])
    other = tmp_path / "other.yaml"
    other.write_text("listeners: x")
    assert call("check", "-c", str(other))[0] == 2
    assert "COLLECTOR_CONFIG" in "\n".join(call("check", "--help")[1])
    monkeypatch.delenv("COLLECTOR_CONFIG")
    code, _, errors = call("check")
    assert code == 2
    assert "--config" in errors


OF_A_RECEIVER = """
listeners: [{name: l, transport: tcp, host: 127.0.0.1, port: 0}]
intakes: [{name: i, parser: raw, key: k}]
sinks: [{name: s, url: "${SIEM}", auth: {bearer: {token_file: /nowhere}}}]
spool: {type: jetstream, servers: ["nats://127.0.0.1:1"]}
"""


def test_check_looks_at_what_a_role_uses(tmp_path, monkeypatch):
    """It may be said by the environment, too."""
    monkeypatch.delenv("COLLECTOR_ROLE", raising=False)
    file = tmp_path / "c.yaml"
    file.write_text(OF_A_RECEIVER)
    assert call("check", "-c", str(file), "--role", "receive")[0] == 0
    code, lines, _ = call("check", "-c", str(file), "--role", "deliver")
    assert (code, len(lines)) == (2, 2)
    assert call("check", "-c", str(file))[:2] == (code, lines)
    monkeypatch.setenv("COLLECTOR_ROLE", "receive")
    assert call("check", "-c", str(file))[0] == 0


@pytest.mark.parametrize("role", ["receive", "deliver"])
def test_a_part_of_the_work_needs_a_stream(tmp_path, monkeypatch, role):
    """There is nobody to share it with else."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    problem = (
        f"spool.type: role {role} needs a spool that daemons share; accepted: jetstream, or role "
        "all"
    )
    code, _, stderr = call("run", "-c", str(file), "--role", role)
    assert (code, stderr.strip()) == (2, f"{file}: {problem}")
    code, lines, _ = call("check", "-c", str(file), "--role", role)
    assert (code, lines) == (2, [f"{file}: {problem}"])
    monkeypatch.chdir(tmp_path)
    code, _, stderr = call("run", "--role", role)
    assert code == 2
    assert f"role {role} needs settings of your own" in stderr
    assert not (tmp_path / "collector-data").exists()


INTERRUPTED_WHILE_LOADING = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "collector.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["check"]
from collector.__main__ import main
main()
"""


def test_an_interrupt_while_it_is_loaded_ends_it_in_silence():
    """With the exit code that a shell gives to it."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


class Status(BaseHTTPRequestHandler):
    """Answers for a daemon that has seen something new."""

    entry = {
        "intake": "edr",
        "kind": "field",
        "field": "agent.new",
        "count": 3,
        "sample": "text xxx",
        "first_seen": "2026-01-02T03:04:05+00:00",
        "last_seen": "2026-01-02T03:04:06+00:00",
    }
    body = {"drift": [entry]}
    token = None

    def do_GET(self):
        given = self.headers["Authorization"]
        self.send_response(200 if given == self.token else 401)
        self.end_headers()
        self.wfile.write(json.dumps(self.body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def daemon(tmp_path):
    """Run an admin server; return what it answers and a settings file that names it."""
    answer = type("Answer", (Status,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        file = tmp_path / "c.yaml"
        file.write_text(CONFIG.replace("port: 0}\n", f"port: {server.server_port}}}\n"))
        yield answer, file
        server.shutdown()
        thread.join()


def test_drift_lists_what_the_daemon_has_seen(daemon):
    """A line each, for programs; nothing new is no failure."""
    answer, file = daemon
    code, lines, _ = call("drift", "-c", str(file))
    assert code == 0
    assert [line.split("\t") for line in lines] == [
        [*Status.entry],
        [str(value) for value in Status.entry.values()],
    ]
    answer.body = {"drift": []}
    code, lines, _ = call("drift", "-c", str(file))
    assert (code, len(lines)) == (0, 1)
    assert lines[0].startswith("nothing new")


def test_drift_shows_the_token_of_the_settings(daemon):
    """A daemon that has another one is an error that names the setting."""
    answer, file = daemon
    answer.token = "Bearer the-token"
    code, lines, stderr = call("drift", "-c", str(file))
    assert (code, lines) == (1, [])
    assert "admin.token_file" in stderr
    token = file.with_name("token")
    token.write_text("the-token")
    file.write_text(file.read_text().replace("admin: {", f"admin: {{token_file: {token}, "))
    assert call("drift", "-c", str(file))[0] == 0


@pytest.mark.parametrize("body", [{}, [], None, {"drift": [{}]}, {"drift": 1}], ids=str)
def test_drift_knows_when_no_collector_answers(daemon, body):
    """Or one of another version."""
    answer, file = daemon
    answer.body = body
    code, lines, stderr = call("drift", "-c", str(file))
    assert (code, lines) == (1, [])
    assert "no collector of this version" in stderr


def test_drift_needs_a_daemon_and_a_configuration(tmp_path, monkeypatch):
    """Exit code 1 without the one, 2 without the other."""
    file = tmp_path / "c.yaml"
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    file.write_text(CONFIG.replace("port: 0}\n", f"port: {port}}}\n"))
    code, _, stderr = call("drift", "-c", str(file))
    assert code == 1
    assert "is the daemon running?" in stderr
    file.write_text(CONFIG.replace("parser: raw", "parser: rawer"))
    assert call("drift", "-c", str(file))[0] == 2
    assert call("drift", "-c", str(tmp_path / "none"))[0] == 2
    monkeypatch.setattr(embedded, "ADMIN", AdminSettings(port=port))
    code, _, stderr = call("drift")  # asks the embedded default
    assert (code, "is the daemon running?" in stderr) == (1, True)


def test_schema_is_json():
    code, lines, _ = call("schema")
    assert code == 0
    assert json.loads("\n".join(lines))["properties"]["listeners"]


@pytest.mark.parametrize("target", ["/dev/full", "pipe"])
def test_output_that_nobody_takes_ends_the_command(target):
    """A full disk is said; a closed pipe is not worth a word. Exit code 1 either way."""
    command = [sys.executable, "-m", "collector", "schema"]
    if target == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(target, os.O_WRONLY)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert (b"No space left on device" in done.stderr) is (target == "/dev/full")


def test_tables_can_be_shown_where_output_is_not_utf8():
    """What the encoding lacks is escaped."""
    done = subprocess.run(
        [sys.executable, "-m", "collector", "explain", "--parser", "raw"],
        input="Żó".encode(),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert r"\u017bó " in done.stdout.decode("latin-1")


def test_run_names_a_configuration_that_is_not_valid(tmp_path):
    """Exit code 2."""
    file = tmp_path / "c.yaml"
    file.write_text("listeners: []\n")
    code, _, stderr = call("run", "-c", str(file))
    assert code == 2
    assert "listeners" in stderr


@asynccontextmanager
async def running(directory, *arguments):
    """Run the command as a process of its own; yield it and what it says on stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collector", *arguments, cwd=directory, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_run_names_a_port_that_is_taken(tmp_path):
    """Exit code 1, and nothing is left behind."""
    file = tmp_path / "c.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(CONFIG.replace("port: 0, intake", f"port: {port}, intake"))
        async with running(tmp_path, "run", "-c", str(file)) as process:
            _, stderr = await process.communicate()
    assert process.returncode == 1
    problem = f"listener l: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert stderr.decode().splitlines()[-1].lower() == problem.lower()
    assert "Traceback" not in stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_run_ends_with_zero_on_a_signal(tmp_path, number):
    """Either signal is a request to stop."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    async with running(tmp_path, "run", "-c", str(file)) as process:
        async for line in process.stderr:
            if json.loads(line)["event"] == "listening":
                break
        process.send_signal(number)
        await process.communicate()
    assert process.returncode == 0
