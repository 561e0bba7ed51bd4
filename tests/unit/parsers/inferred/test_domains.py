"""Domain names and the public suffix list."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.inferred.domains import domain_parts


def parts(registered=None, top_level=None, subdomain=None):
    """Return the fields that are known."""
    fields = {
        "registered_domain": registered,
        "top_level_domain": top_level,
        "subdomain": subdomain,
    }
    return {name: value for name, value in fields.items() if value} or None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.com", parts("example.com", "com")),
        ("www.example.com", parts("example.com", "com", "www")),
        ("a.b.example.com", parts("example.com", "com", "a.b")),
        ("www.example.co.uk", parts("example.co.uk", "co.uk", "www")),
        ("_ldap._tcp.example.com", parts("example.com", "com", "_ldap._tcp")),
        ("WWW.Example.COM", parts("example.com", "com", "www")),
        ("www.example.com.", parts("example.com", "com", "www")),
        ("com.", None),
    ],
)
def test_a_name_is_split_in_lower_case(name, expected):
    """With or without the dot of the root."""
    assert domain_parts(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("someone.github.io", parts("someone.github.io", "github.io")),
        ("a.b.kawasaki.jp", parts("a.b.kawasaki.jp", "b.kawasaki.jp")),
        ("www.city.kawasaki.jp", parts("city.kawasaki.jp", "kawasaki.jp", "www")),
        ("www.食狮.公司.cn", parts("食狮.公司.cn", "公司.cn", "www")),
        (
            "www.xn--85x722f.xn--55qx5d.cn",
            parts("xn--85x722f.xn--55qx5d.cn", "xn--55qx5d.cn", "www"),
        ),
        ("मेरा.भारत", parts("मेरा.भारत", "भारत")),
    ],
)
def test_the_list_knows_wildcards_exceptions_private_suffixes_and_other_scripts(name, expected):
    """As it is published."""
    assert domain_parts(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dc01.corp.local", parts(subdomain="dc01.corp")),
        ("corp.local", parts(subdomain="corp")),
        ("co.uk", parts(top_level="co.uk")),
        ("github.io", parts(top_level="github.io")),
    ],
)
def test_where_nothing_is_registered_the_rest_is_said(name, expected):
    """Under an unknown suffix, all labels but the last; of a suffix, itself."""
    assert domain_parts(name) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", ".", "..", "com", "localhost", "DESKTOP-1", "-"),
        *(".example.com", "www..example.com", "example.com.."),
        *("192.0.2.1", "192.0.2.1.", "192.0.2.256", "1.2", "2001:db8::1", "[2001:db8::1]"),
        *("::ffff:192.0.2.1", "[::ffff:192.0.2.1]", "192.0.2.1:445", "192.0.2.0/24"),
        *("www.example.com:443", "a b.example.com", "a\n.example.com", "*.example.com"),
        *("!www.ck", "user@example.com", "http://example.com", "\\\\server.example.com"),
        *("a" * 64 + ".example.com", "a." * 122 + "example.com", "a." * 100_000 + "com"),
        *(None, True, 5, 1.5, [], ["www.example.com"], {"a": "b"}),
    ],
)
def test_what_is_no_domain_name_has_no_parts(value):
    """Addresses, single labels, lists, and what is too long."""
    assert domain_parts(value) is None


def test_the_longest_name_is_253_characters_without_the_dot_of_the_root():
    """And its longest label 63."""
    name = ".".join(["a" * 63] * 3) + "." + "b" * 49 + ".example.com"
    assert len(name) == 253
    assert domain_parts(f"{name}.")["registered_domain"] == "example.com"
    assert domain_parts(f"b{name}") is None


def test_events_share_nothing():
    """Though the parts of a name are remembered."""
    first = domain_parts("shared.example.com")
    first["subdomain"] = "changed"
    assert domain_parts("shared.example.com") == parts("example.com", "com", "shared")


NAMES = st.lists(
    st.sampled_from(["", "a", "com", "co", "uk", "ck", "www", "!", "*", "local", "公司", "İ", "1"])
    | st.text(max_size=3),
    max_size=8,
).map(".".join)


@given(NAMES | st.text())
def test_the_parts_make_up_the_name(name):
    """Whatever it is."""
    found = domain_parts(name)
    if found is None:
        return
    assert orjson.loads(orjson.dumps(found)) == found
    assert all(found.values())
    whole = name.lower().removesuffix(".")
    if "registered_domain" in found:
        above = f"{found['subdomain']}." if "subdomain" in found else ""
        assert above + found["registered_domain"] == whole
        assert found["registered_domain"].endswith(f".{found['top_level_domain']}")
    elif "top_level_domain" in found:
        assert found == {"top_level_domain": whole}
    else:
        assert found["subdomain"] == whole.rpartition(".")[0]
