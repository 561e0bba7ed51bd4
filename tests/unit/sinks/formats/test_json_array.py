"""An array of events."""

import json

from tests.making import document_of, entry_of, form_of


def test_a_body_is_one_array_with_an_event_on_each_line():
    """Whatever the events hold."""
    form = form_of("json")
    events = [{"message": "],\n["}, {"message": ',\n"'}]
    body = form.join([document_of(form, "", entry_of(), event=event) for event in events])
    assert json.loads(body) == events
    assert body.count(b"\n") == 1
    assert form.content_type == "application/json"
