"""What it means that a place is free or taken."""

import errno
from dataclasses import replace

import pytest

from collector.config import AdminSettings
from collector.doctor import places
from collector.doctor.ports import Attempt, Holder
from collector.doctor.running import Daemon
from tests.unit.doctor.conftest import config_of, machine

FREE = Attempt()
TAKEN = Attempt("Address already in use", errno.EADDRINUSE, Holder("rsyslogd", 7, 7))
HELD_BY_ONE_NOT_SEEN = Attempt("Address already in use", errno.EADDRINUSE)
NOBODY = Daemon()
RUNNING = {
    "version": "1.2",
    "listeners": [
        {"name": "a", "transport": "relp", "host": "0.0.0.0", "port": 5514},
        {"name": "b", "transport": "unix-datagram", "path": "/run/x.sock"},
    ],
    "spool": {"path": "/var/lib/collector"},
}


CLOSED = Daemon(problem="HTTP 401, …: see admin.token_file", is_closed=True)
UNTOLD = "cannot tell whether it is the running collector"


def on(attempt, *, daemon=NOBODY, here=None, **listener):
    settings = {"name": "l", "transport": "tcp", **listener}
    if settings["transport"][:4] != "unix":
        settings.setdefault("port", 5514)
    config = config_of(listeners=[settings])
    return places.on_listener(0, config.listeners[0], attempt, here or machine(), daemon)


def test_a_free_port_is_well():
    found = on(FREE)
    assert (found.level, found.where) == ("ok", "listeners[0].port")
    assert on(FREE, port=0).level == "ok"
    assert on(FREE, transport="unix", path="/run/x.sock").where == "listeners[0].path"


def test_a_port_that_only_root_may_have_is_noted_for_root():
    found = on(FREE, port=514, here=machine(user=0))
    assert found.level == "note"
    assert "CAP_NET_BIND_SERVICE" in found.advice
    assert on(FREE, port=514, here=machine(user=0, first_free_port=0)).level == "ok"


def test_a_port_that_is_taken_is_an_error_with_its_holder():
    found = on(TAKEN)
    assert found.level == "error"
    assert "by rsyslogd (process 7)" in found.found


@pytest.mark.parametrize(
    ("listener", "level"),
    [
        ({"transport": "tcp"}, "ok"),
        ({"transport": "udp"}, "error"),
        ({"transport": "tcp", "port": 5515}, "error"),
        ({"transport": "unix-datagram", "path": "/run/x.sock"}, "ok"),
        ({"transport": "unix-datagram", "path": "/run/y.sock"}, "error"),
    ],
)
def test_one_that_our_daemon_has_is_well(listener, level):
    """It need not be the same listener: settings may change at a reload."""
    assert on(TAKEN, daemon=Daemon(RUNNING), **listener).level == level


@pytest.mark.parametrize(
    ("theirs", "host", "level"),
    [
        ("127.0.0.1", "127.0.0.1", "ok"),
        ("127.0.0.1", "127.0.0.2", "error"),
        ("127.0.0.1", "0.0.0.0", "ok"),
        ("0.0.0.0", "192.0.2.1", "ok"),
        ("0.0.0.0", "::1", "error"),
        ("::", "192.0.2.1", "ok"),
        ("::", "::1", "ok"),
        ("::1", "::", "ok"),
        ("2001:db8::1", "2001:DB8:0::1", "ok"),
        ("2001:db8::1", "::1", "error"),
    ],
)
def test_a_port_is_our_daemons_at_its_own_address_alone(theirs, host, level):
    """Who has it at another one is somebody else; one that stands for all covers the others."""
    listeners = [{"name": "a", "transport": "tcp", "host": theirs, "port": 5514}]
    daemon = Daemon({**RUNNING, "listeners": listeners})
    assert on(TAKEN, daemon=daemon, host=host).level == level


def test_a_name_is_our_daemons_by_its_address():
    """The daemon says where it is bound."""
    listeners = [{"name": "a", "transport": "tcp", "host": "127.0.0.1", "port": 5514}]
    daemon = Daemon({**RUNNING, "listeners": listeners})
    for address, level in (("127.0.0.1", "ok"), ("127.0.1.1", "error"), ("", "error")):
        attempt = replace(TAKEN, address=address)
        assert on(attempt, daemon=daemon, host="localhost").level == level


def test_sockets_of_systemd_are_handed_over():
    attempt = Attempt("Address already in use", errno.EADDRINUSE, Holder("systemd", 1, 1))
    assert on(attempt).level == "note"


@pytest.mark.parametrize(
    ("number", "listener", "advice"),
    [
        (errno.EACCES, {"port": 514}, "AmbientCapabilities"),
        (errno.EADDRNOTAVAIL, {}, "0.0.0.0"),
        (errno.EAFNOSUPPORT, {"host": "::"}, "no IPv6"),
        (errno.EACCES, {"transport": "unix", "path": "/run/x"}, "the daemon's user"),
    ],
)
def test_other_errors_say_what_to_do(number, listener, advice):
    found = on(Attempt("no", number), **listener)
    assert found.level == "error"
    assert advice in found.advice


@pytest.mark.parametrize(
    ("attempt", "daemon", "level"),
    [
        (FREE, NOBODY, "ok"),
        (FREE, Daemon(RUNNING), "ok"),
        (TAKEN, Daemon(problem="HTTP 404"), "error"),
        (Attempt("no", errno.EADDRNOTAVAIL), NOBODY, "error"),
        (Attempt("no", errno.EADDRNOTAVAIL), CLOSED, "error"),
    ],
)
def test_the_admin_server_is_looked_at_likewise(attempt, daemon, level):
    found = places.on_admin(AdminSettings(), attempt, daemon)
    assert found.level == level
    if attempt is TAKEN:
        assert "HTTP 404" in found.found


def test_an_admin_server_that_nobody_finds_is_noted():
    assert places.on_admin(AdminSettings(port=0), FREE, NOBODY).level == "note"


@pytest.mark.parametrize(
    ("is_locked", "daemon", "level"),
    [
        (False, NOBODY, None),
        (False, CLOSED, None),
        (True, Daemon(RUNNING), "ok"),
        (True, Daemon({**RUNNING, "spool": {"path": "/else"}}), "error"),
        (True, NOBODY, "error"),
        (True, CLOSED, "warning"),
    ],
)
def test_a_spool_is_one_daemons(is_locked, daemon, level):
    found = places.on_spool_lock("/var/lib/collector", is_locked=is_locked, daemon=daemon)
    assert (found and found.level) == level


def test_a_spool_is_the_running_daemons_however_its_path_is_written():
    found = places.on_spool_lock("/var/./lib/collector/", is_locked=True, daemon=Daemon(RUNNING))
    assert found
    assert found.level == "ok"


@pytest.mark.parametrize("attempt", [TAKEN, HELD_BY_ONE_NOT_SEEN])
@pytest.mark.parametrize(
    "listener", [{}, {"transport": "udp"}, {"transport": "unix", "path": "/run/x.sock"}]
)
def test_what_a_daemon_may_have_that_tells_us_nothing_is_no_error(attempt, listener):
    """It wants a token that we have not."""
    found = on(attempt, daemon=CLOSED, **listener)
    assert found.level == "warning"
    assert UNTOLD in found.found
    assert "admin.token_file" in found.advice


def test_what_somebody_else_has_is_an_error_beside_such_a_daemon_too():
    """As far as is to be seen; its workers are of its process group."""
    daemon = CLOSED._replace(holder=Holder("collector", 5, 5))
    assert on(TAKEN, daemon=daemon).level == "error"
    worker = Attempt("Address already in use", errno.EADDRINUSE, Holder("python3", 6, 5))
    found = on(worker, daemon=daemon)
    assert found.level == "warning"
    assert "by python3 (process 6)" in found.found


def test_what_answers_in_the_place_of_the_admin_server_and_wants_a_token_is_no_error():
    """With who it is, and what to do."""
    holder = Holder("collector", 5, 5)
    attempt = Attempt("Address already in use", errno.EADDRINUSE, holder)
    found = places.on_admin(AdminSettings(), attempt, CLOSED._replace(holder=holder))
    assert (found.level, found.where) == ("warning", "admin.token_file")
    assert "by collector (process 5)" in found.found
    assert UNTOLD in found.found
    assert "HTTP 401" in found.found
