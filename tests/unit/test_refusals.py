"""Why a daemon does not start, or does not go by settings."""

import pytest

from collector.listeners.opening import ListenError
from collector.refusals import REFUSALS, RefusedError, StartError
from collector.settings.files import FileError
from collector.settings.problems import ConfigError
from collector.settings.secret_files import SecretFileError


@pytest.mark.parametrize(
    "error", [ConfigError, FileError, SecretFileError, ListenError, RefusedError]
)
def test_settings_may_be_refused_for_what_is_wrong_with_them(error):
    """Not for a mistake of ours, nor for what keeps a daemon from starting."""
    assert issubclass(error, REFUSALS)
    assert not issubclass(StartError, REFUSALS)
