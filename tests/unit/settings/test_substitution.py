"""Environment variables in settings."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.settings.problems import Problem
from collector.settings.substitution import substitute, without_blanks

ENVIRON = {"HOST": "siem.example", "EMPTY": "", "SECRET": "pa$$w${HOST}rd", "YAML": "{a: [b"}


def filled(text):
    tree, problems = substitute({"a": text}, ENVIRON)
    assert problems == []
    return tree["a"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOST}", "siem.example"),
        ("https://${HOST}/${HOST}", "https://siem.example/siem.example"),
        ("${NONE:-inbox:}", "inbox:"),
        ("${HOST:-inbox:}", "siem.example"),
        ("${EMPTY:-inbox:}", "inbox:"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("${NONE:-5$$}", "5$"),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$siem.example"),
        ("pa$word $ 5$", "pa$word $ 5$"),
        ("${SECRET}", "pa$$w${HOST}rd"),
        ("${YAML}", "{a: [b"),
    ],
)
def test_variables_are_put_into_texts(text, value):
    """What a variable holds is taken as it is, dollars and YAML syntax included."""
    assert filled(text) == value


def test_a_malformed_reference_is_told_in_the_environment_of_a_process_too():
    """Which is asked for names alone: it takes nothing else."""
    _, problems = substitute({"a": "${"}, os.environ)
    assert [problem.path for problem in problems] == ["a"]


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-B}", "${A", "${A:-${HOST}}", "${ A }"])
def test_a_malformed_reference_is_told_without_the_text(text):
    """The text may be a secret with a dollar in it."""
    tree, problems = substitute({"a": {"b": ["s3cret", f"s3cret{text}"]}}, ENVIRON)
    message = "'${' begins no variable; accepted: ${NAME}, ${NAME:-default}, $$ for $"
    assert problems == [Problem("a.b[1]", message)]
    assert tree["a"]["b"][1] == f"s3cret{text}"


def test_every_unset_variable_is_told():
    """With the path of its setting, once each."""
    tree, problems = substitute({"a": "${NO}${NO}${NOR}", "b": [{"c": "${NO}"}]}, ENVIRON)
    assert problems == [
        Problem("a", "the variable NO is not set; accepted: set it, or ${NO:-}"),
        Problem("a", "the variable NOR is not set; accepted: set it, or ${NOR:-}"),
        Problem("b[0].c", "the variable NO is not set; accepted: set it, or ${NO:-}"),
    ]
    assert tree == {"a": "${NO}${NO}${NOR}", "b": [{"c": "${NO}"}]}


def test_only_texts_are_looked_at():
    """Keys, numbers and nulls stay, and so does the given tree."""
    given_tree = {"${HOST}": [1, True, None, 2.5], "b": {"c": "${HOST}"}}
    tree, problems = substitute(given_tree, ENVIRON)
    assert tree == {"${HOST}": [1, True, None, 2.5], "b": {"c": "siem.example"}}
    assert problems == []
    assert given_tree["b"]["c"] == "${HOST}"


@given(st.text())
def test_any_text_can_be_written_with_doubled_dollars(text):
    """`$$` is a way to write every value."""
    assert filled(text.replace("$", "$$")) == text


@given(st.text(alphabet="${}:-AB", max_size=40))
def test_no_text_is_too_odd(text):
    """A text is filled in, or kept and told."""
    tree, problems = substitute({"a": text}, {"A": "x"})
    assert problems == [] or tree["a"] == text


@pytest.mark.parametrize(
    ("tree", "left"),
    [
        ({"a": "", "b": 1}, {"b": 1}),
        ({"a": None, "b": False, "c": 0}, {"b": False, "c": 0}),
        ({"auth": {"bearer": {"token_file": ""}}}, {}),
        (
            {"auth": {"bearer": {"token_file": ""}, "basic": {"x": 1}}},
            {"auth": {"basic": {"x": 1}}},
        ),
        ({"key": ["", "k", None]}, {"key": ["k"]}),
        ({"key": ["", None]}, {"key": []}),
        ({"sinks": [{"url": ""}, {"url": "u"}]}, {"sinks": [{"url": "u"}]}),
        ({"a": {}}, {}),
        ({"a": " "}, {"a": " "}),
        ({}, {}),
    ],
)
def test_what_is_blank_counts_as_not_written(tree, left):
    """Empty texts, nulls, and mappings of nothing else; a list may be empty."""
    assert without_blanks(tree) == left
