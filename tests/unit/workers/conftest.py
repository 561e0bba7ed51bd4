"""What the tests of workers share: settings of listeners."""

from tests.unit.listeners.conftest import listener_settings, stats

__all__ = ["listener_settings", "stats"]
