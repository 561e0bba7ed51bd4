"""A settings file as plain data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.settings import document
from collector.settings.document import read_mapping, read_text
from collector.settings.problems import ConfigError

TABS = "; accepted: indentation with blanks, not tabs"


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        read_mapping(text, "c.yaml")
    return str(caught.value)


def test_yaml_is_plain_data():
    """Texts, numbers, lists and mappings; a date stays the text it was."""
    text = "a: [1, x, 2.5, true, null]\nb: {c: 2024-01-31}\n"
    assert read_mapping(text, "c.yaml") == {
        "a": [1, "x", 2.5, True, None],
        "b": {"c": "2024-01-31"},
    }


def test_what_only_yaml_1_1_takes_for_a_number_is_a_text():
    """A code with a leading zero, a time of day: filters compare them by what was written."""
    text = "[0123, -010, 00, 12:30, 5:00.5, 0, -7, 10, 0.5, 010.5, 0x1F]"
    assert read_mapping(f"a: {text}", "f.yaml") == {
        "a": ["0123", "-010", "00", "12:30", "5:00.5", 0, -7, 10, 0.5, 10.5, 31]
    }


def test_keys_are_the_text_that_was_written():
    """YAML would read them as a boolean, a number and null."""
    assert read_mapping("on: 1\n5514: 2\n~: 3\n", "c.yaml") == {"on": 1, "5514": 2, "~": 3}


def test_aliases_and_merges_work():
    """Settings may be shared between entries."""
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n"
    assert read_mapping(text, "c.yaml") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }


def test_every_repeated_key_is_told_with_its_line():
    """YAML would take the last one and say nothing."""
    assert refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 4\n").splitlines() == [
        "c.yaml: line 5, column 3: 'c' is written twice, first on line 3; accepted: each key once",
        "c.yaml: line 6, column 1: 'a' is written twice, first on line 1; accepted: each key once",
    ]


@pytest.mark.parametrize(
    ("text", "kind"), [("", "nothing"), ("# a\n", "nothing"), ("- a", "a list"), ("a", "a text")]
)
def test_a_document_that_is_no_mapping_is_told(text, kind):
    """Settings have names."""
    message = f"holds {kind} where a mapping is expected; accepted: settings as `name: value`"
    assert refusal(text) == f"c.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: b: c", (1, 5), "mapping values are not allowed here"),
        ("a:\n\tb: 1\n", (2, 1), r"found character '\t' that cannot start any token" + TABS),
        ("a: [1\nb: 2\n", (2, 2), "expected ',' or ']', but got ':'"),
        ("a: {", (1, 5), "expected the node content, but found '<stream end>'"),
        (
            "a: 1\n---\n",
            (2, 1),
            "expected a single document in the stream, but found another document",
        ),
        ("? [a]\n: 1\n", (1, 3), "a list or mapping as a key"),
        ("a: &a [*a]", (1, 8), "an alias stands inside what it names"),
        pytest.param("a: " + "9" * 5000, (1, 4), "a value that cannot be read", id="long number"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text, place, reason):
    """Line and column count from 1."""
    line, column = place
    assert refusal(text) == f"c.yaml: line {line}, column {column}: is not valid YAML: {reason}"


def test_control_characters_are_told_with_their_line():
    """They are not shown, since a terminal would obey them."""
    message = "line 2: holds a control character; accepted: printable text"
    assert refusal("a: 1\nb: \x1b[2J") == f"c.yaml: {message}"


@pytest.mark.parametrize(
    "text",
    ["token: *s3cret", "token: !s3cret x", "token: &s3cret x\nb: &s3cret y", "token: {*s3cret}"],
)
def test_words_of_the_file_are_not_told(text):
    """A secret that begins like YAML syntax and lacks its quotes."""
    assert "s3cret" not in refusal(text)
    assert refusal(text).startswith("c.yaml: line ")


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.getcwd []", "!!bool x", "!!timestamp x", "!!int ''", "!x y"]
)
def test_tags_are_refused(value):
    """They make objects, or values that cannot be made."""
    message = "line 1, column 4: is not valid YAML: a tag (!…), which no setting needs"
    assert refusal(f"a: {value}") == f"c.yaml: {message}"


@given(st.text(alphabet="a1:- \n[]{}&*!|>'\"#%@`?,<=~.$\t\\é", max_size=60))
def test_any_text_is_read_or_refused_with_its_place(text):
    """Nothing but the one exception is raised, and each problem is one line."""
    lines = []
    try:
        tree = read_mapping(text, "c.yaml")
    except ConfigError as error:
        tree, lines = {}, str(error).splitlines()
    assert isinstance(tree, dict)
    for line in lines:
        assert line.startswith(("c.yaml: line ", "c.yaml: holds "))


def nested(levels):
    return "a: " + "[" * levels + "]" * levels


def test_depth_is_bounded():
    """The mapping itself is the first level."""
    assert read_mapping(nested(document.MAX_DEPTH - 1), "c.yaml")
    assert refusal(nested(document.MAX_DEPTH)).endswith("more than 32 levels")
    assert refusal(nested(100_000)).endswith("more than 32 levels")


def test_depth_is_bounded_through_aliases():
    """Each alias adds the levels of what it names."""
    text = f"a: &a {'[' * 20 + ']' * 20}\nb: {'[' * 15}*a{']' * 15}\n"
    assert refusal(text).endswith("more than 32 levels")


@pytest.mark.parametrize("more", ["[*a, *a]", "{<<: [*a, *a], k: 1}"])
def test_what_aliases_unfold_to_is_bounded(more):
    """Thirty lines would unfold to a thousand million values."""
    lines = ["a0: &a0 {k0: 1}"]
    for number in range(30):
        step = more.replace("*a", f"*a{number}").replace("k:", f"k{number + 1}:")
        lines.append(f"a{number + 1}: &a{number + 1} {step}")
    problem = refusal("\n".join(lines))
    assert problem.endswith(("more than 50000 values", "more than 32 levels"))


def test_a_wide_merge_is_bounded():
    """Merges are counted before they are carried out."""
    lines = ["a0: &a0 {k: 1}"]
    for number in range(10):
        aliases = ", ".join([f"*a{number}"] * 10)
        lines.append(f"a{number + 1}: &a{number + 1} {{<<: [{aliases}]}}")
    assert refusal("\n".join(lines)).endswith("more than 50000 values")


def test_a_file_is_read_without_its_byte_order_mark(tmp_path):
    """Editors of some systems put one."""
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\n")
    assert read_text(file) == "a: é\n"


def test_a_missing_file_is_told(tmp_path):
    """With the system's reason."""
    file = tmp_path / "c.yaml"
    with pytest.raises(ConfigError) as caught:
        read_text(file)
    reason = "cannot be read: No such file or directory; accepted: a readable YAML file"
    assert str(caught.value) == f"{file}: {reason}"


def test_a_directory_is_told(tmp_path):
    """As a mount of a missing file often is."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_text(tmp_path)


def test_the_length_of_a_file_is_bounded(tmp_path):
    """One byte more is refused."""
    file = tmp_path / "c.yaml"
    file.write_bytes(b"#" * document.MAX_BYTES)
    assert len(read_text(file)) == document.MAX_BYTES
    file.write_bytes(b"#" * (document.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="is too long; accepted: at most 1MiB"):
        read_text(file)


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path):
    """The line of the first wrong byte."""
    file = tmp_path / "c.yaml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match="line 2: is not UTF-8; accepted: text in UTF-8"):
        read_text(file)


def test_numbers_of_keys_that_are_texts_are_what_was_written():
    """Wherever the key stands; other numbers are numbers."""
    text = "key: 12\nother: 12\nlist: [{key: 0}, {key: '0x1'}, {key: 007}, {key: true}]\n"
    assert read_mapping(text, "c.yaml", texts={"key"}) == {
        "key": "12",
        "other": 12,
        "list": [{"key": "0"}, {"key": "0x1"}, {"key": "007"}, {"key": True}],
    }


@pytest.mark.parametrize("number", ["1_000", "0x10", "0b11", "+5"])
def test_a_number_that_is_no_text_as_it_stands_is_a_mistake_there(number):
    """It is named by its place alone."""
    with pytest.raises(ConfigError) as caught:
        read_mapping(f"a: 1\nkey: {number}\n", "c.yaml", texts={"key"})
    problem = "a number that is not read as it is written; accepted: a text in quotes"
    assert str(caught.value) == f"c.yaml: line 2, column 6: {problem}"
    assert read_mapping(f"key: {number}\n", "c.yaml") == {"key": int(number, 0)}
