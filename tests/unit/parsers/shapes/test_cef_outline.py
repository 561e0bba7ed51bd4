"""CEF messages taken apart."""

import pytest

from collector.parsers.shapes.cef_outline import outline_of
from collector.parsers.shapes.outline import Kind, UnfitError

HEADER = "CEF:0|V|P|1|3|Name|5|"
FIELDS = {"DeviceVendor": "V", "Name": "Name", "DeviceVersion": "-"}


def outline(extension, header=HEADER):
    return outline_of(header + extension, FIELDS, {"filePath"})


def steps_of(extension):
    return [(step.literal, step.octets, step.fixed) for step in outline(extension).steps]


def test_keys_belong_to_the_shape():
    """And the header."""
    assert steps_of("a=1 b=x y") == [
        (f"{HEADER}a=".encode(), b"1", False),
        (b" b=", b"x y", False),
        (b"", b"", False),
    ]


def test_labels_belong_to_the_shape_too():
    """The value is known by its label."""
    steps = steps_of("cs1=4 cs1Label=MalopId")
    assert [fixed for _, _, fixed in steps] == [False, True, False]
    assert outline("cs1=4 cs1Label=MalopId").sources["MalopId",].value == "4"


@pytest.mark.parametrize("nothing", ["", "-", "None"])
def test_values_that_say_nothing_belong_to_the_shape(nothing):
    """There is no field then."""
    made = outline(f"a={nothing} b=1")
    assert made.steps[0].fixed
    assert ("a",) not in made.sources


def test_a_header_alone_is_a_message():
    """Without fields."""
    assert steps_of("") == [(HEADER.encode(), b"", False)]


def test_the_header_counts_more_than_a_key_of_its_name():
    """Also where it says nothing."""
    sources = outline("Name=x DeviceVersion=2 b=1").sources
    assert {path[0]: source.value for path, source in sources.items()} == {
        "b": "1",
        "DeviceVendor": "V",
        "Name": "Name",
    }


def test_escapes_are_undone_but_where_they_belong_to_the_value():
    """By the name of the value."""
    made = outline("a=\\\\x\\= cs1=\\\\y cs1Label=filePath")
    assert made.sources["a",].value == "\\x="
    assert made.sources["filePath",].value == "\\\\y"
    assert [step.kind for step in made.steps[:2]] == [Kind.FIELD, Kind.FIELD_AS_IS]


@pytest.mark.parametrize(
    "extension",
    [
        *("a=1  b=2", "a=1 ", " a=1", "a=1\tb=2", "a=x=y", "a=1 a=2", "a=\0", "junk a=1"),
        *("cs1=1 cs2=2 cs1Label=X cs2Label=X", "a=1 cs1=1 cs1Label=a", "a=1\r\n", "a=1\n"),
    ],
)
def test_of_some_no_shape_is_made(extension):
    """Repaired ones, and those of names that come twice."""
    with pytest.raises(UnfitError):
        outline(extension)
