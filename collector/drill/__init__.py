"""Outage drill: what the user's settings make of a sink that fails, tried out on a private daemon.

`settings` rewrites the user's settings so that nothing outside is touched, `sink` is the private
sink, `daemon` the private daemon, `load` what is sent, `course` the run and `verdict` what comes of
it.
"""
