"""What the benchmark sends: the samples with values that differ, and nothing the daemon minds."""

import re
from datetime import UTC, datetime

import orjson
import pytest

from collector import frames, samples
from collector.parsers import PROFILES, build
from collector.parsers.base import ParseError
from collector.syslog.message import KeyName, parse
from tests.bench.load import KEYS, LOADS, Draw, generate, vary_cef, vary_json

COUNT = 600


@pytest.mark.parametrize("name", LOADS)
def test_every_message_is_different(name):
    """Otherwise a cache would look better than it is."""
    assert len(set(generate(name, COUNT).messages)) == COUNT


@pytest.mark.parametrize("name", LOADS)
def test_the_same_seed_gives_the_same_messages(name):
    """Two runs can be compared."""
    assert generate(name, 50, seed=7) == generate(name, 50, seed=7)
    assert generate(name, 50, seed=7) != generate(name, 50, seed=8)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_message_can_be_parsed(profile):
    """None becomes a pipeline_error."""
    parsers = {vendor: build(vendor, profile) for vendor in KEYS}
    vendors = {key: vendor for vendor, key in KEYS.items()}
    for message in generate("mixed", COUNT).messages:
        key, text, repairs = frames.read(message, KeyName())
        assert repairs == ()
        try:
            event = parsers[vendors[key]](text)
        except ParseError as error:
            pytest.fail(f"{error}: {text}")
        assert "tags" not in event or not any("repaired" in tag for tag in event["tags"])


def test_a_message_has_a_header_that_names_its_vendor():
    """By which the other programs choose how to parse it."""
    header = parse(generate("mixed", 2).messages[1], now=datetime(2026, 1, 2, tzinfo=UTC))
    assert header.app_name == "harfanglab"
    assert header.structured_data == {"SEKOIA@53288": {"intake_key": KEYS["harfanglab"]}}


def test_vendors_take_turns():
    """Half of the mixed load is of each."""
    messages = generate("mixed", 100).messages
    assert sum(b"CEF:0|" in message for message in messages) == 50


def test_hosts_come_again():
    """There are some hundreds of them, as in a company."""
    hosts = [
        re.search(rb"dhost=(\S+)", message) for message in generate("cybereason", 10_000).messages
    ]
    different = {found[1] for found in hosts if found}
    assert 300 <= len(different) <= 400


def test_a_cef_message_keeps_its_keys_and_its_incident():
    """Only values change; the link shows the same incident as the field."""
    sample = next(s for s in samples.load("cybereason") if s.name == "malop_created")
    varied = [vary_cef(sample.raw, draw) for draw in map(Draw, range(30))]
    keys = re.findall(r" (\w+)=", sample.raw)
    assert keys in [re.findall(r" (\w+)=", text) for text in varied]
    for text in varied:
        assert len(set(re.findall(r"11\.-?\d+", text))) == 1
        assert "deviceFacility=Under Investigation " in text


def test_a_json_message_is_on_one_line_and_keeps_its_nulls():
    """As the vendor sends it, whatever the documentation's sample looks like."""
    sample = next(s for s in samples.load("harfanglab") if s.name == "process_alert")
    text = vary_json(sample.raw, Draw(1))
    assert "\n" not in text
    process = orjson.loads(text)["process"]
    assert process["fake_ppid"] is None
    assert process["pid"] != orjson.loads(sample.raw)["process"]["pid"]


def test_now_and_then_a_key_is_missing():
    """As in the field: not every message of a kind has the same shape."""
    cef = (m for m in generate("cybereason", COUNT).messages if b"Malop Connection" in m)
    assert {b" dst=" in message for message in cef} == {True, False}


def test_the_length_is_that_of_the_mean_message():
    """It is printed beside the results."""
    load = generate("cybereason", 100)
    assert load.octets == sum(map(len, load.messages)) / 100
