"""What tests of the pipeline share."""

import pytest

from tests.pipelines import Room


@pytest.fixture
def room():
    return Room()
