"""The names of repairs."""

from collector.parsers import repairs


def test_every_tag_has_a_name_that_tells_it_from_all_others():
    """A tag is the name after ``repaired:``; a cut message is not repaired, and has no prefix."""
    tags = [getattr(repairs, name) for name in dir(repairs) if name.isupper() and name != "NAMES"]
    expected = [
        "truncated" if name == "truncated" else f"repaired:{name}" for name in repairs.NAMES
    ]
    assert sorted(tags) == sorted(expected)
    assert len(set(repairs.NAMES)) == len(repairs.NAMES)
