"""Collectors for `collector send`: one connection, served on a thread with blocking I/O."""

import socket
import ssl
import threading
from contextlib import contextmanager, suppress

from collector.syslog.relp import Session

SECONDS = 30


@contextmanager
def serving(serve, context=None):
    """Serve one connection on a thread; give the port.

    Args:
        serve: called with the connection; what it raises about the connection is passed over.
        context: for TLS; a handshake that fails ends the connection.
    """

    def run():
        with suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(SECONDS)
            with connection:
                if context is None:
                    serve(connection)
                    return
                with context.wrap_socket(connection, server_side=True) as encrypted:
                    serve(encrypted)
                    encrypted.unwrap()  # says that all was read, as a collector does

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join(SECONDS)
            assert not thread.is_alive()


def tls_context(issued, *, client_ca_file=None):
    """Return a server's context, which requires a client's certificate if it is given a CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    if client_ca_file is not None:
        context.load_verify_locations(client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def read_all(into):
    """Return a server that appends what it reads to a list, until the sender has ended."""

    def serve(connection):
        while data := connection.recv(65_536):
            into.append(data)

    return serve


class RelpReceiver:
    """Answers RELP with `Session`, the server's side that the daemon has.

    Args:
        refused: ordinals of the messages that are answered 500.
        answers_from: how many commands are waited for before the first answer to a message.
        hangs_up_at: ends the connection without further answers once so many messages have come.

    Attributes:
        messages: what was received.
        most_unanswered: how many commands waited for an answer at most.
        ended: whether the client has said that it closes.
    """

    def __init__(self, *, refused=(), answers_from=0, hangs_up_at=None):
        self._refused = refused
        self._answers_from = answers_from
        self._hangs_up_at = hangs_up_at
        self.messages = []
        self.most_unanswered = 0
        self.ended = False

    def __call__(self, connection):
        session = Session(software="test")
        while not session.ended and (data := connection.recv(65_536)):
            self.messages += session.feed(data)
            self.most_unanswered = max(self.most_unanswered, session.unanswered)
            if self._hangs_up_at is not None and session.messages >= self._hangs_up_at:
                return
            for ordinal in self._refused:
                if ordinal < session.messages:
                    session.refuse(ordinal)
            if session.messages >= self._answers_from:
                session.accept(session.messages)
            connection.sendall(session.answers())
        self.ended = session.ended
