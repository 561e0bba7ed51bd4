"""The samples of the vendors' documentation, and what becomes of them."""

import orjson
import pytest

from collector import samples
from collector.parsers import build
from tests.support import FIXTURES, differences, expected_event

VENDORS = ("cybereason", "harfanglab")
SAMPLES = [sample for vendor in VENDORS for sample in samples.load(vendor)]


def test_samples_are_loaded_in_the_order_of_their_names():
    """Five of Cybereason, four of HarfangLab."""
    assert [(sample.vendor, sample.name) for sample in SAMPLES] == [
        ("cybereason", "malop_connection"),
        ("cybereason", "malop_created"),
        ("cybereason", "malop_machine"),
        ("cybereason", "malop_process"),
        ("cybereason", "malop_user"),
        ("harfanglab", "eventlog"),
        ("harfanglab", "network"),
        ("harfanglab", "process"),
        ("harfanglab", "process_alert"),
    ]


def test_a_vendor_without_samples_is_an_error():
    """There is nothing to load."""
    with pytest.raises(FileNotFoundError):
        samples.load("nobody")


def test_the_pretty_printed_sample_keeps_its_line_feeds():
    """So that framing has something to keep whole."""
    (sample,) = [sample for sample in SAMPLES if sample.name == "process_alert"]
    assert sample.raw.startswith('{\n  "@version": "1",\n')
    assert sample.raw.endswith("}\n")
    assert "\r" not in sample.raw


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_documented_field_comes_out_as_documented(sample):
    """In profile `documented`; further fields may stand beside them."""
    event = orjson.loads(orjson.dumps(build(sample.vendor)(sample.raw)))
    assert differences(expected_event(sample), event) == []


def test_every_expected_event_belongs_to_a_sample():
    """Nothing is expected that is not tested."""
    expected = {path.relative_to(FIXTURES) for path in FIXTURES.glob("expected/*/*.json")}
    assert {str(path.with_suffix("")) for path in expected} == {
        f"expected/{sample.vendor}/{sample.name}" for sample in SAMPLES
    }
