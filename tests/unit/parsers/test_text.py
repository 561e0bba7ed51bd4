"""Texts that can be encoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.text import well_formed


@pytest.mark.parametrize("text", ["", "plain", "é", "\U0001f600", "\x00\x7f"])
def test_a_well_formed_text_is_returned_as_it_is(text):
    """The same object, without a copy."""
    assert well_formed(text) is text


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udcff", "\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("é\ud800\ud800", "é\ufffd\ufffd"),
    ],
)
def test_lone_surrogates_become_replacement_characters(text, repaired):
    """Two halves that belong together become the character they are."""
    assert well_formed(text) == repaired


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_every_text_can_be_encoded_afterwards(text):
    """Whatever it holds."""
    assert well_formed(text + "\ud800").encode().decode().endswith("\ufffd")
