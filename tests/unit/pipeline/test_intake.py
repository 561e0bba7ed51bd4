"""Intakes and their outlets."""

import json
from dataclasses import replace

import pytest

from collector.ratelimit import TokenBucket
from tests.pipelines import Room, keyed


def test_a_sink_gets_the_documents_it_asks_for():
    """Made of the event, its JSON, the text and how it came."""

    def document(event, encoded, text, arrival):
        assert json.loads(encoded) == event
        return json.dumps([event["message"], text, arrival.receipt.peer]).encode()

    room = Room(document_of=document)
    room.feed(keyed("k2", "hello"))
    assert room.first.events[0]["message"] == "hello"
    assert room.second.events == [["hello", "hello", "192.0.2.1"]]
    assert room.second.arrivals[0][1] == "two"


class Translator:
    takes_runs = True


@pytest.mark.parametrize(
    ("changes", "takes_runs"),
    [
        ({}, True),
        ({"translator": None}, False),
        ({"select": lambda _event, _dropped: ()}, False),
        ({"limit": TokenBucket(1)}, False),
    ],
)
def test_runs_are_of_messages_of_which_nothing_is_left_to_decide(room, changes, takes_runs):
    """Neither where they go nor whether they may."""
    intake = replace(room.one, **{"translator": Translator(), **changes})
    assert intake.takes_runs is takes_runs


def test_runs_are_of_events_that_are_documents_as_they_are():
    """A sink that asks for others has each made by itself."""
    for document_of in (None, lambda *_: b""):
        room = Room(document_of=document_of)
        intake = replace(room.two, translator=Translator())
        assert intake.takes_runs is (document_of is None)
