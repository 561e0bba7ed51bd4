"""Dates, read and written in the form that events have."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.convert import epoch_ms, iso_date
from collector.parsers.shapes import compiled
from collector.parsers.shapes.codes import Kind, Way
from tests.peers import require_kernel
from tests.trees import written

if compiled.IS_THERE:
    pass


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


@given(
    st.dates().map(str),
    st.times().map(str),
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+01:00", "", "Zx", "0Z", "0000Z"]),
)
def test_every_date_is_written_as_its_conversion_does(date, time, zone):
    """With any fraction."""
    text = f"{date}T{time}{zone}"
    found = written(Kind.TEXT, Way.DATE, text.encode())
    assert found is None or found == orjson.dumps(iso_date(text))


@given(st.one_of(st.integers(0, 10**15 - 1), st.integers(253402300799000, 253402300801000)))
def test_every_time_in_milliseconds_is_written_as_its_conversion_does(milliseconds):
    """To the end of the year 9999."""
    found = written(Kind.TEXT, Way.EPOCH, b"%d" % milliseconds)
    expected = epoch_ms(milliseconds)
    assert found == (None if expected is None else orjson.dumps(expected))
