"""Several processes that work as one daemon: a supervisor, and workers that do what one would.

The supervisor opens all sockets, reads the settings, answers the admin server and looks after the
workers. A worker receives, parses, keeps and delivers (`collector.service`), with a spool file of
its own; what it receives from is handed to it: the connections that the supervisor accepts, and a
datagram socket of its own for each listener.

What one process may do only so much of, all may do together: the supervisor keeps the limits of
connections, the others are kept by numbers that all processes see (`collector.board`). There a
worker shows that it lives, too (`pulse`), so that one that hangs is known without being asked.
"""
