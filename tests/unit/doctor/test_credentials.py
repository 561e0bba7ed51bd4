"""Credentials for servers, by the time for which they are valid."""

import time

import pytest

from collector.doctor.credentials import on_credentials, warnings
from tests.accounts import Operator
from tests.unit.doctor.conftest import config_of


@pytest.fixture
def file(tmp_path):
    return tmp_path / "user.creds"


def told(file, content, then=None):
    """Return level and finding of a file, and what `check` warns of."""
    file.write_text(content)
    config = config_of(
        spool={"type": "jetstream", "servers": ["nats://h"], "credentials_file": str(file)}
    )
    if then is not None:
        file.write_text(then)
    now = time.time()
    (found,) = on_credentials(config, now)
    assert found.where == "spool.credentials_file"
    return found.level, found.found, list(map(str, warnings(config, now)))


def test_without_credentials_nothing_is_said():
    assert list(on_credentials(config_of(), 0.0)) == []


def test_a_jwt_that_has_expired_is_an_error(file):
    level, found, warned = told(file, Operator().user(valid_seconds=-1)[1])
    assert level == "error"
    assert found.startswith(f"{file} expired on ")
    assert found.endswith(" UTC: the servers refuse it")
    assert warned == [f"spool.credentials_file: {found}"]


def test_a_jwt_that_is_valid_is_told_with_its_end(file):
    level, found, warned = told(file, Operator().user(valid_seconds=86400)[1])
    assert (level, warned) == ("ok", [])
    assert "is valid until 20" in found


def test_a_jwt_without_an_end_is_fine(file):
    level, found, warned = told(file, Operator().user()[1])
    assert (level, warned) == ("ok", [])
    assert found == f"{file} holds a JWT that does not end"


def test_a_file_that_is_damaged_since_is_an_error(file):
    """Nothing of it is shown."""
    good = Operator().user()[1]
    seed = next(line for line in good.splitlines() if line.startswith("SU"))
    level, found, _ = told(file, good, good.replace(seed, seed[:-1]))
    assert (level, found) == ("error", f"{file} holds a seed that cannot be read")
