"""`collector send`, as scripts call it."""

import socket
import struct
import threading

import pytest

from collector import embedded, samples
from tests.calling import call
from tests.certificates import Authority
from tests.receivers import RelpReceiver, read_all, serving, tls_context
from tests.terminal import Terminal


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


def test_send_says_that_it_has_taken_the_keys_of_the_embedded_default(
    receiver, tmp_path, monkeypatch
):
    """Another collector does not know them."""
    monkeypatch.chdir(tmp_path)
    for name in ("CYBEREASON_INTAKE_KEY", "HARFANGLAB_INTAKE_KEY"):
        monkeypatch.delenv(name, raising=False)
    embedded.load(embedded.DIRECTORY, {})
    _, lines, _ = call("send", *to(receiver))
    assert lines[0].endswith(" over udp, with the intake keys of collector-data/keys.yaml")
    _, lines, _ = call("send", *to(receiver), "--key", "k")
    assert lines[0].endswith(" over udp")


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
    assert "the collector has ended the connection (Connection reset by peer)" in stderr


def test_send_names_a_host_that_is_none():
    """Too long for any name."""
    code, _, stderr = call("send", "--to", "h" * 70 + ".example:5514")
    assert code == 2
    assert "is no host name" in stderr


def test_send_says_what_was_accepted_over_relp():
    """All of it, else it is no success."""
    receiver = RelpReceiver()
    with serving(receiver) as port:
        code, lines, _ = call(
            "send", "--to", f"127.0.0.1:{port}", "--transport", "relp", "--key", "k"
        )
    assert code == 0
    octets = sum(map(len, receiver.messages))
    assert lines == [f"sent 9 messages, accepted 9, {octets} octets, to 127.0.0.1:{port} over relp"]


def test_send_fails_if_a_message_is_refused():
    """With what the collector says."""
    with serving(RelpReceiver(refused=[0, 4])) as port:
        code, lines, stderr = call(
            "send", "--to", f"127.0.0.1:{port}", "--transport", "relp", "--key", "k"
        )
    assert (code, lines) == (1, [])
    assert (
        f"sent 9 messages, accepted 7, refused 2, to 127.0.0.1:{port} over relp; "
        "the collector says: 500 message rejected by the settings"
    ) in stderr


def test_send_says_how_many_messages_were_not_answered():
    """Where the connection is lost; nothing is said of none."""
    with serving(RelpReceiver(answers_from=10, hangs_up_at=9)) as port:
        code, _, stderr = call(
            "send", "--to", f"127.0.0.1:{port}", "--transport", "relp", "--key", "k"
        )
    assert code == 1
    assert (
        f"cannot send to 127.0.0.1:{port}: the collector has ended the connection; "
        "sent 9 messages, accepted 0, not answered 9\n"
    ) in stderr
    with serving(lambda connection: connection.recv(65_536)) as port:
        code, _, stderr = call(
            "send", "--to", f"127.0.0.1:{port}", "--transport", "relp", "--key", "k"
        )
    assert code == 1
    assert f"cannot send to 127.0.0.1:{port}: the collector has ended the connection\n" in stderr


@pytest.mark.parametrize("arguments", [("tls",), ("tcp", "--tls"), ("tls", "--tls")])
def test_send_speaks_tls(tmp_path, arguments):
    """With a collector whose authority is given, and which may want to know us."""
    authority, received = Authority(tmp_path), []
    issued = authority.issue("sender.example", name="sender")
    context = tls_context(authority.server(), client_ca_file=authority.ca_file)
    files = ("--ca-file", authority.ca_file, "--cert-file", issued.cert_file)
    with serving(read_all(received), context) as port:
        code, lines, _ = call(
            *("send", "--to", f"localhost:{port}", "--key", "k", "--transport", *arguments),
            *map(str, (*files, "--key-file", issued.key_file)),
        )
    assert code == 0
    assert lines[0].startswith("sent 9 messages, ")
    assert lines[0].endswith(f" over {'tls' if arguments[0] == 'tls' else 'tcp with TLS'}")
    assert b"".join(received).count(b'intake_key="k"') == 9


def test_send_speaks_relp_over_tls(tmp_path):
    """Also where the certificate is not to be verified."""
    receiver = RelpReceiver()
    with serving(receiver, tls_context(Authority(tmp_path).server())) as port:
        arguments = ("--transport", "relp", "--tls", "--insecure", "--key", "k")
        code, lines, _ = call("send", "--to", f"localhost:{port}", *arguments)
    assert code == 0
    assert lines[0].endswith(" over relp with TLS")
    assert len(receiver.messages) == 9


@pytest.mark.parametrize("transport", ["tls", "relp"])
def test_send_says_what_to_do_where_a_certificate_is_not_trusted(tmp_path, transport):
    """Nothing is sent."""
    received = []
    with serving(read_all(received), tls_context(Authority(tmp_path).server())) as port:
        arguments = ("--transport", transport, "--tls", "--key", "k")
        code, _, stderr = call("send", "--to", f"localhost:{port}", *arguments)
    assert (code, received) == (1, [])
    assert "the collector's certificate cannot be trusted" in stderr
    assert "--ca-file" in stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--transport", "udp", "--tls"), "--tls: not over udp"),
        (("--insecure",), "with --transport tls or --tls"),
        (("--transport", "relp", "--ca-file", "PEM"), "with --transport tls or --tls"),
        (("--transport", "tls", "--insecure", "--ca-file", "PEM"), "give one of them"),
        (("--transport", "tls", "--key-file", "PEM"), "give the certificate too"),
        (("--transport", "tls", "--ca-file", "PEM"), "some.pem holds no certificate in PEM form"),
    ],
)
def test_send_refuses_options_that_disagree(tmp_path, arguments, problem):
    """Before it connects."""
    file = tmp_path / "some.pem"
    file.write_text("nothing of use\n")
    arguments = [str(file) if argument == "PEM" else argument for argument in arguments]
    code, _, stderr = call("send", "--key", "k", *arguments)
    assert code == 2
    assert problem in stderr


def test_send_says_what_may_help_where_a_collector_ends_an_encrypted_connection(tmp_path):
    """Not every one says that it wants a certificate."""
    authority = Authority(tmp_path)
    server = tls_context(authority.server())
    hint = "; if it wants a client certificate, give --cert-file and --key-file"
    with serving(lambda connection: connection.recv(65_536), server) as port:
        arguments = ("--transport", "relp", "--tls", "--ca-file", str(authority.ca_file))
        code, _, stderr = call("send", "--to", f"localhost:{port}", "--key", "k", *arguments)
    assert code == 1
    assert f"the collector has ended the connection{hint}" in stderr


async def test_send_shows_a_bar_on_a_terminal_and_how_far_it_came(receiver):
    """Ctrl-C ends it."""
    arguments = ("send", *to(receiver), "--key", "k", "--count", "9000", "--rate", "20")
    async with Terminal(*arguments) as terminal:
        await terminal.shows("2/9000")
        terminal.type(b"\x03")
        assert await terminal.ended() == 130
        await terminal.shows("interrupted; sent ")
        await terminal.shows(f" of 9000 messages, to {to(receiver)[1]}")


def test_send_shows_no_bar_where_nobody_watches(receiver):
    """As in the log of a job."""
    code, _, errors = call("send", *to(receiver), "--key", "k")
    assert (code, errors) == (0, "")
