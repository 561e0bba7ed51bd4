"""The parts of a URL."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.inferred.urls import url_parts


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://www.example.com/a/b.html?c=d&e#f",
            {
                "scheme": "https",
                "domain": "www.example.com",
                "port": 443,
                "path": "/a/b.html",
                "query": "c=d&e",
                "fragment": "f",
            },
        ),
        (
            "HTTP://ann:secret@WWW.Example.COM:8080/",
            {
                "scheme": "http",
                "domain": "www.example.com",
                "port": 8080,
                "path": "/",
                "username": "ann",
                "password": "secret",
            },
        ),
        ("http://example.net", {"scheme": "http", "domain": "example.net", "port": 80}),
        ("ftp://example.net/a", {"scheme": "ftp", "domain": "example.net", "path": "/a"}),
        (
            "http://example.net:/",
            {"scheme": "http", "domain": "example.net", "port": 80, "path": "/"},
        ),
        ("http://h:0", {"scheme": "http", "domain": "h", "port": 0}),
        ("http://h:99999", {"scheme": "http", "domain": "h"}),
        ("http://h:" + "9" * 5000, {"scheme": "http", "domain": "h"}),
        ("http://h:²", {"scheme": "http", "domain": "h"}),
        ("http://:secret@h", {"scheme": "http", "domain": "h", "port": 80, "password": "secret"}),
        ("http://[2001:DB8::1]:81", {"scheme": "http", "domain": "[2001:db8::1]", "port": 81}),
        ("http://192.0.2.1", {"scheme": "http", "domain": "192.0.2.1", "port": 80}),
        (" http://h\n", {"scheme": "http", "domain": "h", "port": 80}),
        ("ht\ntp://h\t.example", {"scheme": "http", "domain": "h.example", "port": 80}),
    ],
)
def test_a_url_with_scheme_and_host_has_all_its_parts(url, expected):
    """The whole is unchanged."""
    assert url_parts(url) == {"full": url, **expected}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/a?b#c", {"path": "/a", "query": "b", "fragment": "c"}),
        ("//example.com/a", {"path": "/a"}),
        ("example.com/a", {"path": "example.com/a"}),
        ("file:///etc/passwd", {"path": "/etc/passwd"}),
        ("http:///a", {"path": "/a"}),
        ("http://ann:secret@:80/a", {"path": "/a"}),
        ("mailto:ann@example.com", {"path": "ann@example.com"}),
        ("http://a\\@example.com/b", {"path": "/b"}),
        ("http://a\\b", None),
        ("http://", None),
        ("?#", None),
        ("", None),
    ],
)
def test_without_scheme_or_host_it_has_path_query_and_fragment(url, expected):
    """A host that browsers would see elsewhere is none."""
    assert url_parts(url) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("http://[::1", "http://::1]", "http://[x]/", "http://a\u2100b/"),
        *("http://h/" + "a" * 8192, None, False, 7, 1.5, [], ["http://h"], {"a": 1}),
    ],
)
def test_what_cannot_be_split_has_no_parts(value):
    """Nor has what is too long to be remembered."""
    assert url_parts(value) is None


def test_the_longest_url_is_8192_characters():
    """It is split."""
    url = "http://h/".ljust(8192, "a")
    assert url_parts(url)["full"] == url


PIECES = (
    *("http", "https", ":", "//", "/", "@", "[", "]", "?", "#", "\\", "%", ".", " ", "\n"),
    *("example.com", "::1", "80", "99999", "ann", "İ", "℀"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(TEXTS | st.text())
def test_any_text_has_parts_that_can_be_encoded(text):
    """Or none."""
    found = url_parts(text)
    if found is None:
        return
    assert orjson.loads(orjson.dumps(found)) == found
    assert all(part not in (None, "") for part in found.values())
    assert found.get("full", text) == text
    whole = {"full", "scheme", "domain"} & found.keys()
    assert len(whole) in (0, 3)
