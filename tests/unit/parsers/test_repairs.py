"""The names of repairs."""

from collector.parsers import repairs


def test_every_tag_has_a_name_that_tells_it_from_all_others():
    """A tag is the name after ``repaired:``; a cut message is not repaired, and has no prefix."""
    names = [name for name in dir(repairs) if name.isupper() and not name.startswith("_")]
    tags = [getattr(repairs, name) for name in names if name != "NAMES"]
    expected = [
        "truncated" if name == "truncated" else f"repaired:{name}" for name in repairs.NAMES
    ]
    assert sorted(tags) == sorted(expected)
    assert len(set(repairs.NAMES)) == len(repairs.NAMES)


def test_a_repair_has_a_name_and_other_tags_have_none():
    """As the metric counts it."""
    assert repairs.name_of("repaired:bom") == "bom"
    assert repairs.name_of("truncated") == "truncated"
    assert repairs.name_of("timestamp:received") is None
