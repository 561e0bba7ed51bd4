"""What is added to events besides what their parser knows."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.events.envelope import (
    FIELDS,
    Arrival,
    Receipt,
    add_tags,
    finisher,
    syslog_fields,
)
from collector.parsers import repairs
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName, parse
from tests.support import leaves

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
CREATED = "2026-01-02T03:04:05.678901Z"
FRAME = (
    b"<165>1 2003-10-11T22:14:15.003Z mymachine su 77 ID47 "
    b'[SEKOIA@53288 intake_key="s3cret"][meta@1 sequence="5"] hello'
)


def arrival(frame=FRAME, *, tags=(), zone=UTC):
    return Arrival("00ff", frame, tags, Receipt(NOW, CREATED, zone, "192.0.2.7"))


def finished(event, *parts, given=None, **settings):
    finisher(parts, **settings)(event, given or arrival())
    return event


def test_by_default_an_event_gets_its_id_and_the_time_of_receipt():
    """Beside what it has."""
    event = {"event": {"kind": "alert"}, "@timestamp": "2020-01-01T00:00:00.000000Z"}
    finisher()(event, arrival())
    assert event == {
        "event": {"kind": "alert", "id": "00ff", "created": CREATED},
        "@timestamp": "2020-01-01T00:00:00.000000Z",
    }


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], {"event": {"id": "00ff"}}),
        (["received"], {"event": {"id": "00ff", "created": CREATED}}),
        (["source"], {"event": {"id": "00ff"}, "log": {"source": {"address": "192.0.2.7"}}}),
    ],
)
def test_each_part_is_added_where_it_is_asked_for(parts, expected):
    """The id always is."""
    assert finished({}, *parts, timestamp_fallback=False) == expected


def test_a_sender_without_address_has_no_source():
    """It speaks through a Unix socket."""
    local = arrival()._replace(receipt=Receipt(NOW, CREATED, UTC, ""))
    assert "log" not in finished({}, "source", given=local)


def test_an_event_without_date_is_dated_by_its_receipt():
    """Also where event.created is not asked for; a tag says so."""
    event = finished({"tags": ["repaired:bom"]})
    assert event["@timestamp"] == CREATED
    assert event["tags"] == ["repaired:bom", "timestamp:received"]
    assert "created" not in event["event"]


def test_without_fallback_no_date_is_made_up():
    """And there is no tag."""
    assert finished({}, timestamp_fallback=False) == {"event": {"id": "00ff"}}


def test_repairs_of_the_frame_are_tags_each_of_them_once():
    """The parser may have found the same."""
    event = {"tags": [repairs.TRUNCATED, repairs.BOM]}
    given = arrival(tags=(repairs.OCTET_COUNT, repairs.TRUNCATED))
    finished(event, given=given, timestamp_fallback=False)
    assert event["tags"] == [repairs.TRUNCATED, repairs.BOM, repairs.OCTET_COUNT]


def test_fields_come_last():
    """They see a complete event."""
    seen = []
    finished({}, "received", add_fields=lambda event: seen.append(leaves(event)))
    assert seen == [
        {
            "event.id": "00ff",
            "event.created": CREATED,
            "@timestamp": CREATED,
            "tags": ["timestamp:received"],
        }
    ]


def test_the_syslog_header_is_shown():
    """All of it but the intake key."""
    event = finished({"log": {"hostname": "h"}}, "syslog", "source", timestamp_fallback=False)
    assert event["log"] == {
        "hostname": "h",
        "source": {"address": "192.0.2.7"},
        "syslog": {
            "priority": 165,
            "facility": {"code": 20, "name": "local4"},
            "severity": {"code": 5, "name": "Notice"},
            "version": "1",
            "timestamp": "2003-10-11T22:14:15.003000Z",
            "hostname": "mymachine",
            "appname": "su",
            "procid": "77",
            "msgid": "ID47",
            "structured_data": {"meta@1": {"sequence": "5"}},
        },
    }


def test_every_field_of_the_envelope_is_listed():
    """With its type, for those who make mappings."""
    event = finished({}, *FIELDS, timestamp_fallback=False)
    listed = {name for fields in FIELDS.values() for name in fields}
    structured = "log.syslog.structured_data."
    found = {f"{structured}*" if name.startswith(structured) else name for name in leaves(event)}
    assert found == listed | {"event.id"}


def test_the_header_behind_an_octet_count_is_shown():
    """Of a cut message too."""
    for frame in (b"345 " + FRAME, CutFrame(b"345 " + FRAME)):
        event = finished({}, "syslog", given=arrival(frame))
        assert event["log"]["syslog"]["hostname"] == "mymachine"


def test_an_old_header_has_no_version_and_its_time_is_that_of_the_zone():
    """The year is the one nearest to the receipt."""
    frame = b"<34>Oct 11 22:14:15 host su[5]: hello"
    given = arrival(frame, zone=ZoneInfo("Europe/Paris"))
    assert finished({}, "syslog", given=given)["log"]["syslog"] == {
        "priority": 34,
        "facility": {"code": 4, "name": "auth"},
        "severity": {"code": 2, "name": "Critical"},
        "timestamp": "2025-10-11T20:14:15.000000Z",
        "hostname": "host",
        "appname": "su",
        "procid": "5",
    }


def test_without_header_there_is_nothing_to_show():
    """Unknown is absent."""
    assert "log" not in finished({}, "syslog", given=arrival(b"hello"))


@pytest.mark.parametrize("known", [{"priority": 13, "hostname": "h"}, {}])
def test_a_header_that_is_known_from_before_is_shown_as_it_was(known):
    """There is no frame any more to read it from."""
    given = Arrival("00ff", b"", (), arrival().receipt, known)
    event = finished({}, "syslog", given=given, timestamp_fallback=False)
    assert event.get("log") == ({"syslog": known} if known else None)


def fields_of(frame):
    return syslog_fields(parse(frame, now=NOW), KeyName())


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'[SEKOIA@53288 intake_key="s3cret"]', None),
        (b'[SEKOIA@53288 intake_key="s3cret" x="1"]', {"SEKOIA@53288": {"x": "1"}}),
        (b'[SEKOIA@53288 intake_key="s3cret" intake_key="s3cret2"]', None),
        (b'[other@1 intake_key="s3cret" x="1"]', {"other@1": {"x": "1"}}),
        (
            b'[a@1 x="<1>1 - [SEKOIA@53288 intake_key=\\"s3cret\\"\\]"]',
            {"a@1": {"x": '<1>1 - [SEKOIA@53288 intake_key="***"]'}},
        ),
        (b'[a@1 x="1" x="" x="2" y=""][b@1][c@1 z=""]', {"a@1": {"x": ["1", "2"]}}),
        (b'[a@1 x="1" x=""]', {"a@1": {"x": ["1"]}}),
    ],
)
def test_structured_data_is_shown_without_keys_and_blanks(data, shown):
    """A key in the wrong element is a secret, too."""
    assert fields_of(b"<34>1 - - - - - " + data + b" x").get("structured_data") == shown


@pytest.mark.parametrize(
    "data",
    [
        b'[SEKOIA@53288 Intake_Key="s3cret"]',
        b'[SEKOIA@53288 key="s3cret"]',
        b'[a@1 intake_key.x="s3cret"]',
        b'[a@1 b="intake_key=s3cret" c="1"]',
    ],
)
def test_a_key_under_a_wrong_name_is_masked(data):
    """The listener's intake took the message all the same, and the key is none of its reader's."""
    header = parse(b"<34>1 - - - - - " + data + b" x", now=NOW)
    assert "s3cret" not in str(syslog_fields(header, KeyName(), ["s3cret", "other"]))
    finish = finisher(["syslog"], keys=["s3cret"])
    event = {}
    finish(event, arrival(b"<34>1 - - - - - " + data + b" x"))
    assert "s3cret" not in str(event)
    assert event["log"]["syslog"]["priority"] == 34


@pytest.mark.parametrize(
    "frame",
    [
        b'<34>1 - h a [SEKOIA@53288/intake_key="s3cret"] - - x',
        b'<34>1 - h a p [intake_key="s3cret"] - x',
        b'<34>Oct 11 22:14:15 h su[intake_key="s3cret"]: x',
    ],
)
def test_a_key_in_the_place_of_another_field_is_masked(frame):
    """Broken structured data may end up there."""
    fields = str(fields_of(frame))
    assert "s3cret" not in fields
    assert 'intake_key="***"' in fields


@given(frame=st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: b"<1>1 " + rest))
def test_no_header_raises_and_nothing_shown_is_empty(frame):
    """Whatever was sent."""
    assert all(value not in (None, "", [], {}) for value in leaves(fields_of(frame)).values())


def test_tags_are_distinct():
    """Those there keep their places."""
    event = {}
    add_tags(event, ["b", "a"])
    add_tags(event, ["c", "a"])
    assert event == {"tags": ["b", "a", "c"]}
