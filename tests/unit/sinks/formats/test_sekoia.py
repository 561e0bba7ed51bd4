"""Raw messages under the key of their intake."""

import json

import pytest

from collector.sinks.formats import SealError
from tests.making import document_of, entry_of, form_of, intake_of


def test_a_body_is_stored_without_the_key_and_sealed_with_it():
    """The platform parses on its side, so it gets the messages as they came."""
    form = form_of("sekoia", [intake_of()])
    body = form.join([document_of(form, text, entry_of()) for text in ("a", 'b\n"c"')])
    assert body == b'["a",\n"b\\n\\"c\\""]'
    assert json.loads(form.seal(body, "edr")) == {
        "intake_key": "key-of-edr",
        "jsons": ["a", 'b\n"c"'],
    }
    assert (form.is_sealed, form.per_intake, form.is_raw) == (True, True, True)


@pytest.mark.parametrize("url", ["https://intake.sekoia.io", "https://intake.sekoia.io/batch"])
def test_batches_have_an_address_of_their_own(url):
    """It is appended unless it is there."""
    assert form_of("sekoia", url=url).url == "https://intake.sekoia.io/batch"


def test_the_first_key_counts_and_a_key_file_is_read_for_each_request(tmp_path):
    """A key that changes is a list for some time; a file may be replaced."""
    file = tmp_path / "key"
    file.write_text("old\n")
    intakes = [
        intake_of("a", key=["new", "old"]),
        intake_of("b", key=(), key_file=str(file)),
    ]
    form = form_of("sekoia", intakes)
    assert json.loads(form.seal(b"[]", "a"))["intake_key"] == "new"
    assert json.loads(form.seal(b"[]", "b"))["intake_key"] == "old"
    file.write_text("new\n")
    assert json.loads(form.seal(b"[]", "b"))["intake_key"] == "new"
    file.unlink()
    with pytest.raises(SealError, match=r"key of intake 'b': .*key cannot be read"):
        form.seal(b"[]", "b")


@pytest.mark.parametrize(
    ("intake", "problem"),
    [("gone", "intake 'gone' is no longer configured"), ("keyless", "intake 'keyless' has no key")],
)
def test_without_a_key_nothing_is_sent(intake, problem):
    """The batch is to wait until there is one."""
    form = form_of("sekoia", [intake_of("keyless", key=())])
    with pytest.raises(SealError, match=problem):
        form.seal(b"[]", intake)


def test_a_key_that_an_answer_repeats_is_masked():
    """What a sink says is logged."""
    form = form_of("sekoia", [intake_of()])
    form.seal(b"[]", "edr")
    verdict = form.read(403, {}, 'unknown intake "key-of-edr"', 1, 0.0)
    assert verdict.problem.endswith(': unknown intake "***"')
