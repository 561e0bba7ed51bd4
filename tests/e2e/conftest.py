"""What the tests end to end share."""

import pytest

from tests import forkserver
from tests.daemon import Daemon

ABOUT_SENDERS = {
    "test_haproxy.py",
    "test_local_senders.py",
    "test_real_senders.py",
    "test_relp_senders.py",
    "test_tls_senders.py",
}


@pytest.fixture(autouse=True)
def _started_soon(monkeypatch, request):
    """Have daemons forked where it is the senders that matter; the others start as users' do."""
    if request.path.name in ABOUT_SENDERS:
        monkeypatch.setattr(Daemon, "execute", staticmethod(forkserver.start))
