"""A syslog collector that normalizes EDR events to ECS while they pass through it."""

__version__ = "0.1.0"
