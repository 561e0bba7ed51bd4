"""User agents."""

import subprocess
import sys
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.inferred.user_agents import user_agent_parts

OTHER = {"device": {"name": "Other"}}
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/16.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            EDGE,
            {
                "name": "Edge",
                "version": "120.0.2210.91",
                "os": {"name": "Windows", "version": "10"},
            },
        ),
        (
            SAFARI,
            {
                "name": "Mobile Safari",
                "version": "16.5",
                "os": {"name": "iOS", "version": "16.5.1"},
                "device": {"name": "iPhone"},
            },
        ),
        (
            "Mozilla/4.0 (compatible; MSIE 6.0b1; Windows NT 5.1)",
            {"name": "IE", "version": "6.0", "os": {"name": "Windows", "version": "XP"}},
        ),
        ("curl/8.5.0", {"name": "curl", "version": "8.5.0"}),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
            {"name": "Firefox", "version": "115.0", "os": {"name": "Linux"}},
        ),
    ],
)
def test_program_system_and_device_are_named(text, expected):
    """The version of the program is numbers, that of a system may be a word."""
    assert user_agent_parts(text) == {**OTHER, **expected}


@pytest.mark.parametrize("text", ["", "-", "no program that is known", "\x00\n", "é" * 512])
def test_what_is_unknown_is_absent_but_for_the_device(text):
    """Which is `Other`."""
    assert user_agent_parts(text) == OTHER


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mozilla/5.0 (Linux; Android 4.0; wetab Build/1)", "Android"),
        ("/1 CFNetwork", None),
        ("Mozilla/5.0 (compatible; AspiegelBot)", "AspiegelBot"),
    ],
)
def test_a_pattern_that_finds_no_name_finds_nothing(text, expected):
    """ua-parser raises for some of them, returns an empty name for others."""
    found = user_agent_parts(text)
    assert found.get("name") == expected
    assert found["device"]["name"]
    assert found.get("os", {}).get("name") != "Other"


def test_events_share_nothing():
    """Though what a text stands for is remembered."""
    user_agent_parts(EDGE)["os"]["name"] = "changed"
    user_agent_parts(EDGE)["device"].clear()
    assert user_agent_parts(EDGE)["os"] == {"name": "Windows", "version": "10"}
    assert user_agent_parts(EDGE)["device"] == {"name": "Other"}


@pytest.mark.parametrize("value", [None, True, 5, 1.5, [], [EDGE], {"a": EDGE}, "x" * 513])
def test_what_is_no_text_or_too_long_is_not_looked_at(value):
    """However often a pattern would have to try."""
    assert user_agent_parts(value) is None


@pytest.mark.parametrize(
    "piece",
    [
        *("MozillaaMobile", ";  ", "Teams/1.1.", "iPodaVersion/1.1.1", " 1", "Sony", "a ", "Bot"),
        *("NokiaBrowser/1.1", "AppleWebKit/1.1 Safari ", "Linux CrKey/1.1D", "\u0661"),
    ],
)
def test_the_longest_text_takes_little_time_whatever_it_is(piece):
    """Twenty milliseconds at most were measured, in pure Python."""
    user_agent_parts("compile the patterns")
    start = time.perf_counter()
    assert user_agent_parts((piece * 512)[:512])["device"]
    assert time.perf_counter() - start < 1


WORDS = ["Mozilla/5.0", "(", ")", ";", "Windows NT 6.1", "; wetab Build", "MSIE 6.0b;", "CFNetwork"]


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=8).map(" ".join))
def test_any_text_has_parts_that_can_be_encoded(text):
    """None of them empty."""
    found = user_agent_parts(text)
    assert orjson.loads(orjson.dumps(found)) == found
    assert all(found.values())
    assert all(found.get("os", {"name": "none"}).values())


def test_the_rules_are_not_loaded_before_a_text_is_there():
    """They take a quarter of the memory of a daemon."""
    code = (
        "import sys; from collector.parsers import build; build('harfanglab', 'ecs')\n"
        "assert 'ua_parser' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
