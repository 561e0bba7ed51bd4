"""What `collector send` and drills send, as a real sender frames it, and how it is sent."""

from collector.sending.messages import Outgoing, message, octet_counted

__all__ = ["Outgoing", "message", "octet_counted"]
