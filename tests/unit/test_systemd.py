"""What systemd is told, and the sockets it hands over."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog

from collector import systemd
from collector.systemd import Inherited, InheritedSockets, Notifier, inherited_sockets

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


class Manager:
    """Receives what systemd would."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, DATAGRAM)
        self.socket.bind(name.replace("@", "\0"))
        self.socket.setblocking(False)
        self.environ = {"NOTIFY_SOCKET": name}

    def received(self):
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(65_536).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    is_path = request.param == "path"
    manager = Manager(str(tmp_path / "notify") if is_path else f"@collector-test-{os.getpid()}")
    yield manager
    manager.socket.close()


@pytest.fixture
def bind():
    """Return what binds sockets of loopback, a free port each."""
    made = []

    def bind(kind=DATAGRAM, host="127.0.0.1", *, port=0, dual=False, listen=True):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, kind)
        made.append(bound)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        bound.bind((host, port))
        if kind == STREAM and listen:
            bound.listen()
        return bound

    yield bind
    for item in made:
        item.close()


def port_of(bound):
    return bound.getsockname()[1]


def test_systemd_is_told_of_every_change(manager):
    """Over a socket with a path or without."""
    notifier = Notifier(manager.environ)
    notifier.ready()
    notifier.stopping()
    notifier.status("3 of 4\nsinks  take events" + "x" * 999)
    ready, stopping, status = manager.received()
    assert (ready, stopping) == ("READY=1", "STOPPING=1")
    assert status.startswith("STATUS=3 of 4 sinks take eventsxxx")
    assert len(status) == len("STATUS=") + systemd.MAX_STATUS_CHARACTERS


def test_a_start_that_takes_long_is_waited_for(manager):
    """In microseconds from now."""
    Notifier(manager.environ).starting(1.5)
    assert manager.received() == ["EXTEND_TIMEOUT_USEC=1500000"]


def test_a_reload_carries_the_time_of_its_beginning(manager):
    """As Type=notify-reload asks, so that an older READY=1 is not taken for its end."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(manager.environ).reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    (message,) = manager.received()
    state, _, moment = message.partition("\nMONOTONIC_USEC=")
    assert state == "RELOADING=1"
    assert before <= int(moment) <= after


def test_without_systemd_nobody_is_told():
    with structlog.testing.capture_logs() as logged:
        Notifier({}).ready()
    assert logged == []


def test_a_socket_that_nobody_reads_is_logged_once(tmp_path):
    """The daemon is worth more than its supervision."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "missing")})
    with structlog.testing.capture_logs() as logged:
        notifier.ready()
        notifier.stopping()
    assert [line["event"] for line in logged] == ["cannot notify systemd"]
    assert logged[0]["problem"].endswith("No such file or directory")


def test_a_full_queue_does_not_stop_the_daemon(manager, monkeypatch):
    """What systemd does not read in time it is not told."""
    monkeypatch.setattr(systemd, "SEND_TIMEOUT_SECONDS", 0.001)
    notifier = Notifier(manager.environ)
    with structlog.testing.capture_logs() as logged:
        while not logged:
            notifier.ready()
    assert logged[0]["problem"] == "timed out"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_that_of_the_environment(environ, seconds):
    """Of this process, not of a parent that has left its variables."""
    assert systemd.watchdog_seconds(environ) == seconds


class Loop:
    """Notes what is to be called, and when."""

    def __init__(self):
        self.later = []

    def call_later(self, seconds, callback, *arguments):
        self.later.append((seconds, callback, arguments))
        return self

    def cancel(self):
        self.later.clear()


def test_the_watchdog_is_fed_twice_in_its_time_by_the_loop(manager):
    """A loop that hangs does not feed it."""
    loop = Loop()
    notifier = Notifier({**manager.environ, "WATCHDOG_USEC": "30000000"})
    notifier.feed_watchdog(loop)
    assert manager.received() == ["WATCHDOG=1"]
    ((seconds, callback, arguments),) = loop.later
    assert seconds == 15.0
    callback(*arguments)
    assert manager.received() == ["WATCHDOG=1"]
    notifier.close()
    assert loop.later == []


async def test_a_watchdog_that_nobody_asked_for_is_not_fed(manager):
    notifier = Notifier(manager.environ)
    notifier.feed_watchdog(asyncio.get_running_loop())
    notifier.close()
    assert manager.received() == []


def test_sockets_of_another_process_are_not_ours():
    """The variables are removed all the same."""
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "PATH": "/bin"}
    assert inherited_sockets(environ) == []
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize("count", ["", "0", "-1", "many", "9" * 30])
def test_a_number_of_sockets_that_is_none_means_no_sockets(count):
    assert inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}) == []


INHERITING = """
import os, sys
from collector import systemd
os.environ["LISTEN_PID"] = str(os.getpid())
for item in systemd.inherited_sockets(os.environ):
    print(item.name, item.bound.type.name, item.bound.getsockname()[1],
          item.bound.gettimeout(), item.bound.get_inheritable())
try:
    os.fstat(4)
except OSError:
    print("4 is closed")
print(sorted(name for name in os.environ if name.startswith("LISTEN_")))
"""


def test_sockets_that_are_handed_over_are_ready_for_the_loop(bind, tmp_path):
    """With their names; what is no socket is closed, with a warning."""
    first, last = bind(), bind(STREAM)
    with (tmp_path / "file").open("w") as file:
        descriptors = [os.dup(item.fileno()) for item in (first, file, last)]
        shell = " ".join(f"{3 + n}>&{fd}" for n, fd in enumerate(descriptors))
        done = subprocess.run(
            ["/bin/bash", "-c", f'exec "$@" {shell}', "-", sys.executable, "-c", INHERITING],
            env={**os.environ, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "one:two:three"},
            pass_fds=descriptors,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        for descriptor in descriptors:
            os.close(descriptor)
    *lines, _ = done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == "[]"
    told = [line for line in lines if "SOCK_" in line]
    assert told == [
        f"one SOCK_DGRAM {port_of(first)} 0.0 False",
        f"three SOCK_STREAM {port_of(last)} 0.0 False",
    ]
    assert "4 is closed" in lines
    assert "systemd has handed over no socket" in done.stdout


def test_a_listener_takes_the_socket_of_its_name(bind):
    """Whatever its address: the socket unit says where."""
    one, two = bind(), bind()
    sockets = InheritedSockets([Inherited("one", one), Inherited("two", two)])
    assert sockets.take("two", DATAGRAM, ("192.0.2.1", port_of(one))) is two
    assert sockets.take("two", DATAGRAM, ("192.0.2.1", 1)) is None


def test_a_listener_takes_the_socket_at_its_address(bind):
    """Where none bears its name; each is taken once."""
    one, two = bind(), bind()
    sockets = InheritedSockets(Inherited("collector.socket", item) for item in (one, two))
    assert sockets.take("udp", DATAGRAM, ("127.0.0.1", port_of(two))) is two
    assert sockets.take("udp", DATAGRAM, ("127.0.0.1", port_of(two))) is None


def test_of_sockets_with_one_name_that_at_the_address_is_taken(bind):
    one, two = bind(), bind()
    sockets = InheritedSockets(Inherited("udp", item) for item in (one, two))
    assert sockets.take("udp", DATAGRAM, ("127.0.0.1", port_of(two))) is two
    assert sockets.take("udp", DATAGRAM, ("127.0.0.1", 1)) is one


def test_more_sockets_at_the_address_of_one_can_be_taken(bind):
    """Those of its kind at just its address, whatever their names; no more than are wanted."""
    made = []
    for _ in range(4):
        shared = socket.socket(socket.AF_INET, DATAGRAM)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(made[0].getsockname() if made else ("127.0.0.1", 0))
        made.append(shared)
    first, *others = made
    stranger = bind()
    stream = bind(STREAM, port=port_of(first))
    inherited = InheritedSockets(
        [Inherited("a", item) for item in (first, stranger, stream, *others)]
    )
    assert inherited.take("a", DATAGRAM, ("127.0.0.1", port_of(first))) is first
    assert inherited.take_like(first, 2) == others[:2]
    assert inherited.take_like(first, 0) == []
    assert inherited.take_like(first, 9) == others[2:]
    assert inherited.take_like(first, 9) == []
    for item in made:
        item.close()


def test_a_socket_of_another_kind_fits_nobody(bind, tmp_path):
    """A unit may give one name to sockets of several kinds."""
    stream, unix = bind(STREAM), socket.socket(socket.AF_UNIX, DATAGRAM)
    connected = bind(STREAM, listen=False)
    items = [stream, unix, connected]
    sockets = InheritedSockets(Inherited("syslog", item) for item in items)
    assert sockets.take("syslog", DATAGRAM, ("127.0.0.1", port_of(stream))) is None
    assert sockets.take("syslog", STREAM, tmp_path / "syslog") is None
    assert sockets.take("syslog", STREAM, ("127.0.0.1", port_of(stream))) is stream
    assert sockets.take("syslog", STREAM, ("127.0.0.1", port_of(connected))) is None
    assert sockets.take("syslog", DATAGRAM, tmp_path / "syslog") is unix
    unix.close()


def test_a_unix_socket_is_found_by_its_path(tmp_path):
    with socket.socket(socket.AF_UNIX, STREAM) as unix:
        unix.bind(str(tmp_path / "syslog"))
        unix.listen()
        sockets = InheritedSockets([Inherited("", unix)])
        assert sockets.take("local", STREAM, tmp_path / "other") is None
        assert sockets.take("local", STREAM, tmp_path / "syslog") is unix


@pytest.mark.parametrize(
    ("bound", "dual", "host", "fits"),
    [
        ("0.0.0.0", False, "0.0.0.0", True),
        ("0.0.0.0", False, "127.0.0.1", False),
        ("0.0.0.0", False, "::", False),
        ("::", True, "::", True),
        ("::", True, "0.0.0.0", True),
        ("::", True, "127.0.0.1", False),
        ("::", False, "0.0.0.0", False),
        ("::1", False, "0:0:0:0:0:0:0:1", True),
        ("::1", False, "localhost", False),
    ],
)
def test_an_address_is_served_by_a_socket_that_takes_what_is_sent_there(
    bind, bound, dual, host, fits
):
    """One that takes more than the listener is meant to fits only if it is for every address."""
    item = bind(host=bound, dual=dual)
    taken = InheritedSockets([Inherited("", item)]).take("udp", DATAGRAM, (host, port_of(item)))
    assert (taken is item) is fits


def test_what_nobody_took_is_closed_and_named(bind):
    """Datagrams would wait there for nobody."""
    item, unix = bind(), socket.socket(socket.AF_UNIX, STREAM)
    unix.bind(f"\0collector-test-rest-{os.getpid()}")
    port = port_of(item)
    sockets = InheritedSockets([Inherited("spare", item), Inherited("local", unix)])
    with structlog.testing.capture_logs() as logged:
        sockets.close_rest()
        sockets.close_rest()
    assert [(line["name"], line["kind"], line["address"]) for line in logged] == [
        ("spare", "SOCK_DGRAM", f"127.0.0.1 port {port}"),
        ("local", "SOCK_STREAM", f"@collector-test-rest-{os.getpid()}"),
    ]
    assert (item.fileno(), unix.fileno()) == (-1, -1)
