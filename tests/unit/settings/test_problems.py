"""What is wrong, in words."""

import pytest

from collector.settings.problems import (
    ConfigError,
    Problem,
    joined,
    kind_of,
    listed,
    shown,
    suggestion,
    unchosen,
)


def test_an_error_is_one_line_for_each_problem():
    """File, path, message; without path where the whole file is meant."""
    error = ConfigError("c.yaml", [Problem("a[0].b", "wrong"), Problem("", "empty")])
    assert str(error) == "c.yaml: a[0].b: wrong\nc.yaml: empty"
    assert error.problems == (Problem("a[0].b", "wrong"), Problem("", "empty"))
    assert error.source == "c.yaml"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("many", "'many'"),
        ("a\nb", r"'a\nb'"),
        ("x" * 61, f"'{'x' * 60}…'"),
        (70000, "70000"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (None, "nothing"),
        pytest.param(10**5000, "a number", id="a number too long for Python to write"),
        (["x"], "a list"),
        ({"x": 1}, "a mapping"),
        (b"x", "a value of another kind"),
    ],
)
def test_a_value_is_shown_if_it_is_short(value, text):
    """A message stays one line of bounded length."""
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("secret", "a text"), (5, "a number"), (0.5, "a number"), (True, "true or false")],
)
def test_the_kind_of_a_value_says_nothing_of_it(value, text):
    """A boolean is not taken for the integer it is in Python."""
    assert kind_of(value) == text


def test_a_close_word_is_suggested():
    """No word is better than a far one."""
    assert suggestion("portt", ["name", "port"]) == "port"
    assert suggestion("zzz", ["name", "port"]) is None
    assert suggestion("x", []) is None


def test_the_case_of_a_word_does_not_matter():
    assert suggestion("URL", ["name", "url"]) == "url"
    assert suggestion("siemm", ["SIEM", "other"]) == "SIEM"


def test_words_are_listed_as_in_a_sentence():
    """With the last word of one's choice."""
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a or b"
    assert listed(["a", "b", "c"], "and") == "a, b and c"


def test_a_path_holds_names_only():
    """A key that is no name could be anything, line breaks and secrets included."""
    assert joined("", "sinks") == "sinks"
    assert joined("sinks[0]", "url") == "sinks[0].url"
    assert joined("sinks[0]", "Bearer x\n") == "sinks[0].…"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("UDP", "'UDP' is not one of the choices (did you mean 'udp'?)"),
        ("carrier pigeon", "'carrier pigeon' is not one of the choices"),
        (3, "3 is not one of the choices"),
        (["udp"], "a list is not one of the choices"),
    ],
)
def test_a_value_that_is_none_of_the_choices_says_which_was_meant(value, message):
    assert unchosen(value, ("udp", "tcp")) == message
