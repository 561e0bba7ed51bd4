"""Batches made anew for a sink whose settings have changed."""

from dataclasses import replace
from itertools import product

import pytest

from collector.sinks.encoders import COMPRESS, PlainBodies, documents_of
from collector.sinks.formats import FORMATS, SealError
from collector.sinks.recoding import RecodingError, recode
from collector.spool.entries import unpack
from tests.making import batch_of, document_of, entry_of, event_of, form_of, intake_of

TEXTS = ["zero", 'o"n\ne', "two"]
ENTRIES = [entry_of(0, "a"), entry_of(1, "b"), entry_of(2, "a")]
INTAKES = {name: intake_of(name) for name in "ab"}
FORMS = [
    form_of("sekoia") if name == "sekoia" else form_of(name, payload=payload)
    for name, kind in FORMATS.items()
    for payload in kind.payloads
]


def anew(batch, form, codec="none", intakes=INTAKES):
    return recode(batch, form, codec, intakes, event_of)


def in_order(batches):
    """Return each document with its entry, in the order of the entries' numbers."""
    pairs = [
        pair
        for batch in batches
        for pair in zip(documents_of(batch), unpack(batch.entries), strict=True)
    ]
    return sorted(pairs, key=lambda pair: pair[1].identifier)


@pytest.mark.parametrize(
    ("before", "after"), [*product(FORMS, FORMS)], ids=lambda form: form.form.partition(":{")[0]
)
def test_events_are_what_a_new_batch_would_have(before, after):
    """From every form to every other: same events, ids and entries, in the same order."""
    batch = batch_of(before, TEXTS, ENTRIES, codec="gzip")
    made = anew(batch, after, codec="gzip")
    assert in_order(made) == [
        (document_of(after, text, entry), entry) for text, entry in zip(TEXTS, ENTRIES, strict=True)
    ]
    for one in made:
        entries = unpack(one.entries)
        assert entries == sorted(entries)
        assert (one.sink, one.codec, one.form) == ("siem", "gzip", after.form)
        assert (one.number, one.refused_at) == (0, None)
        assert one.received == min(entry.received for entry in entries)


def test_an_index_or_a_setting_of_splunk_that_changed_is_in_the_new_batch():
    """The form is the same but for these."""
    batch = batch_of(form_of("elasticsearch"), TEXTS, ENTRIES)
    (made,) = anew(batch, form_of("elasticsearch", index="logs-{intake}-x"))
    assert b'"_index":"logs-a-x"' in documents_of(made)[0]
    assert b'"_index":"logs-b-x"' in documents_of(made)[1]
    batch = batch_of(form_of("splunk_hec"), TEXTS, ENTRIES)
    (made,) = anew(batch, form_of("splunk_hec", splunk={"index": "i"}))
    assert all(b'"index":"i"' in document for document in documents_of(made))


@pytest.mark.parametrize(("before", "after"), [*product(COMPRESS, COMPRESS)])
def test_another_codec_leaves_the_documents_alone(before, after):
    """They are not even read."""
    documents = [b"not", b"json"]
    batch = batch_of(form_of(), TEXTS, ENTRIES)
    body = COMPRESS[before](b"not\njson\n")
    batch = replace(batch, codec=before, body=body, octets=9, number=3)
    (made,) = anew(batch, form_of(), codec=after)
    assert (documents_of(made), made.codec, made.entries) == (documents, after, batch.entries)
    assert (made.number, made.refused_at) == (0, None)


def test_a_batch_made_anew_holds_no_plain_body():
    """Nobody would let go of it: what is kept is bounded for the batches as they were made."""
    batch = batch_of(form_of(), TEXTS, ENTRIES, codec="zstd")
    PlainBodies().keep(batch, b"not\njson\n")
    (made,) = anew(batch, form_of(), codec="gzip")
    assert made.plain is None


def test_where_a_request_holds_one_intake_there_is_a_batch_for_each():
    """In the order in which they first appear."""
    batch = batch_of(form_of(), TEXTS, ENTRIES)
    first, second = anew(batch, form_of("sekoia"))
    assert [entry.intake for entry in unpack(first.entries)] == ["a", "a"]
    assert [entry.intake for entry in unpack(second.entries)] == ["b"]


def test_an_intake_that_is_gone_has_no_settings_of_its_own():
    """Its events still have a place; what needs its key waits."""
    batch = batch_of(form_of(), TEXTS, ENTRIES)
    (made,) = anew(batch, form_of("elasticsearch"), intakes={})
    assert b'"_index":"logs-edr.a-default"' in documents_of(made)[0]
    sekoia = form_of("sekoia")
    first, _ = anew(batch, sekoia, intakes={})
    with pytest.raises(SealError, match="intake 'a' is no longer configured"):
        sekoia.seal(first.body, "a")


def test_a_form_of_another_version_is_an_error_that_names_it():
    """It is to wait for that version."""
    batch = replace(batch_of(form_of(), TEXTS, ENTRIES), form="parquet:event")
    with pytest.raises(RecodingError, match="stored in form 'parquet', which this version"):
        anew(batch, form_of("json"))


@pytest.mark.parametrize(
    "damage",
    [
        {"body": b"no gzip"},
        {"codec": "brotli"},
        {"codec": "none", "body": b"text\n" * 3},
        {"entries": b"[]\n"},
        {"entries": b""},
    ],
)
def test_a_damaged_batch_is_an_error_that_shows_nothing_of_it(damage):
    """It is to stay where it is."""
    batch = replace(batch_of(form_of(), TEXTS, ENTRIES, codec="gzip"), number=4, **damage)
    with pytest.raises(RecodingError) as caught:
        anew(batch, form_of("json"))
    assert str(caught.value) == "stored batch 4 cannot be read: it is damaged"


def test_a_damaged_body_is_an_error_for_another_codec_too():
    """Where nothing else would be read of it."""
    batch = replace(batch_of(form_of(), TEXTS, ENTRIES, codec="gzip"), body=b"no gzip")
    with pytest.raises(RecodingError, match="damaged"):
        anew(batch, form_of(), codec="zstd")
