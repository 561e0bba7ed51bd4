"""`collector send`, as scripts call it."""

import socket
import struct
import threading

import pytest

from collector import samples
from tests.calling import call


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        yield server


def to(receiver):
    return ("--to", f"127.0.0.1:{receiver.getsockname()[1]}", "--transport", "udp")


def test_send_sends_each_sample_once(receiver):
    """With the key that is given; the end says what was sent."""
    code, lines, _ = call("send", *to(receiver), "--key", "k")
    received = [receiver.recv(65_535).decode() for _ in range(9)]
    assert code == 0
    octets = sum(len(text.encode()) for text in received)
    target = to(receiver)[1]
    assert lines == [f"sent 9 messages, {octets} octets, to {target} over udp"]
    raw = [sample.raw for vendor in ("cybereason", "harfanglab") for sample in samples.load(vendor)]
    assert [text.partition('[SEKOIA@53288 intake_key="k"] ')[2] for text in received] == raw


def test_send_repeats_until_the_count_is_reached(receiver, tmp_path, monkeypatch):
    """Without any key it says so; keys are taken from the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CYBEREASON_INTAKE_KEY", raising=False)
    arguments = ("send", *to(receiver), "--vendor", "cybereason", "--count", "7")
    code, lines, _ = call(*arguments)
    assert code == 0
    assert lines[0].startswith("sent 7 messages, ")
    assert lines[0].endswith(", without an intake key")
    received = [receiver.recv(65_535).decode() for _ in range(7)]
    assert len({text.partition("CEF:")[2] for text in received}) == 5
    assert all(" cybereason - - - CEF:" in text for text in received)
    monkeypatch.setenv("CYBEREASON_INTAKE_KEY", "from-env")
    call(*arguments)
    assert 'intake_key="from-env"' in receiver.recv(65_535).decode()


def test_send_takes_payloads_from_a_file(receiver, tmp_path):
    """One a line, with the vendor's key."""
    file = tmp_path / "payloads"
    file.write_text("one\ntwo\n")
    code, _, _ = call("send", *to(receiver), "--vendor", "harfanglab", "--key", "k", str(file))
    assert code == 0
    received = [receiver.recv(65_535).decode() for _ in range(2)]
    assert [text.rpartition("] ")[2] for text in received] == ["one", "two"]


@pytest.mark.parametrize("target", ["localhost", "localhost:x", ":5514", "localhost:0", "h:70000"])
def test_send_wants_a_host_and_a_port(target):
    """Anything else is wrong usage."""
    code, _, stderr = call("send", "--to", target)
    assert code == 2
    assert "HOST:PORT" in stderr


def test_send_says_when_nobody_listens():
    """Exit code 1 and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
    code, _, stderr = call("send", "--to", target, "--key", "k")
    assert code == 1
    assert f"cannot send to {target}: Connection refused" in stderr


def test_send_says_when_the_collector_does_not_take_it():
    """A connection that is reset is no success."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        linger = struct.pack("ii", 1, 0)

        def refuse():
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        code, _, stderr = call("send", "--to", f"127.0.0.1:{server.getsockname()[1]}", "--key", "k")
        thread.join()
    assert code == 1
    assert "cannot send to" in stderr


def test_send_names_a_host_that_is_none():
    """Too long for any name."""
    code, _, stderr = call("send", "--to", "h" * 70 + ".example:5514")
    assert code == 2
    assert "is no host name" in stderr
