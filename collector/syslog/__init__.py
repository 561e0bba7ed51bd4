"""Syslog as octets: framing on a stream (RFC 6587) and message headers (RFC 5424, RFC 3164).

Everything here is pure: no input or output, no clock, no settings. Octets, the current time and
limits come in as arguments.
"""
