"""How dead letters are shown."""

import io

import pytest
from rich.console import Console

from collector.describe import letter_report
from collector.spool import Letter
from collector.spool.letters import Kind
from collector.syslog.message import KeyName

KEY = 'ke"y]1'
MASK = letter_report.masking(KeyName("SEKOIA@53288", "intake_key"), [KEY, "zz", "zzz"])


def letter(raw=b"hello", event=None, **changes):
    attributes = {
        "reason": "refused",
        "problem": "HTTP 400",
        "identifier": f"{7:032x}",
        "intake": "edr",
        "sink": "siem",
        "listener": "",
        "peer": "192.0.2.1",
        "received": 1.0,
        "number": 17,
        "kept": 2.0,
    }
    return Letter(**{**attributes, **changes}, raw=raw, event=event, is_frame=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('x ke"y]1 y', "x *** y"),
        (r'{"a":"ke\"y]1"}', '{"a":"***"}'),
        (r'[other key="ke\"y\]1"] x', '[other key="***"] x'),
        ("zzzzz", "******"),
        ('[SEKOIA@53288 intake_key="unknown"] x', '[SEKOIA@53288 intake_key="***"] x'),
        ("nothing", "nothing"),
    ],
)
def test_known_keys_are_masked_wherever_they_stand_and_unknown_ones_by_their_name(text, shown):
    """The longest first, so that nothing of one is left."""
    assert MASK(text.encode()) == shown.encode()


def test_without_known_keys_unknown_ones_are_masked():
    mask = letter_report.masking(KeyName("SEKOIA@53288", "intake_key"), [])
    assert mask(b'[SEKOIA@53288 intake_key="x"] y') == b'[SEKOIA@53288 intake_key="***"] y'


def test_people_see_what_is_known():
    """The event too, if there is one; nothing of what is not known."""
    assert letter_report.lines(letter(event=b'{"message":"hello"}'), MASK) == [
        "dead letter 17",
        "  reason     refused: HTTP 400",
        "  set aside  1970-01-01T00:00:02+00:00",
        "  received   1970-01-01T00:00:01+00:00",
        "  intake     edr",
        "  sink       siem",
        "  peer       192.0.2.1",
        f"  event.id   {7:032x}",
        "  payload    hello",
        '  event      {"message":"hello"}',
    ]


def test_long_messages_are_cut_for_people_alone():
    item = letter(b"x" * 5000)
    assert max(map(len, letter_report.lines(item, MASK))) < 4100
    assert letter_report.as_object(item, MASK)["raw"] == "x" * 5000


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (None, None),
        (b'{"a":["zz"]}', {"a": ["***"]}),
        (b'{"zz":zz}', '{"***":***}'),
        (b"\xff", {"b64": "/w=="}),
    ],
)
def test_programs_get_the_event_as_json(event, shown):
    """As a text where masking or damage has made it something else."""
    assert letter_report.as_object(letter(event=event), MASK)["event"] == shown


def test_kinds_are_rows():
    """With times that people can read."""
    output = io.StringIO()
    kind = Kind("refused", "edr", "siem", 3, 900, 1.0, 2.0)
    letter_report.show_kinds([kind], Console(file=output, force_terminal=False))
    first, second = "1970-01-01T00:00:01+00:00", "1970-01-01T00:00:02+00:00"
    assert output.getvalue().splitlines() == [
        "reason\tintake\tsink\tletters\toctets\toldest\tnewest",
        f"refused\tedr\tsiem\t3\t900\t{first}\t{second}",
    ]
    assert letter_report.kind_object(kind) == {
        "reason": "refused",
        "intake": "edr",
        "sink": "siem",
        "letters": 3,
        "octets": 900,
        "oldest": first,
        "newest": second,
    }
