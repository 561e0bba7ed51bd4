"""One document per line."""

from tests.making import document_of, entry_of, form_of


def test_events_are_documents_as_they_are():
    """Nothing is done for each of them."""
    form = form_of("ndjson")
    assert document_of(form, "", entry_of(), event={"a": 1}) == b'{"a":1}'
    assert form.join([b'{"a":1}', b'{"a":2}']) == b'{"a":1}\n{"a":2}\n'
    assert form.content_type == "application/x-ndjson"


def test_a_raw_message_is_a_json_string():
    """With its line feeds escaped."""
    form = form_of("ndjson", payload="raw")
    assert document_of(form, 'a "b"\nc', entry_of()) == b'"a \\"b\\"\\nc"'
