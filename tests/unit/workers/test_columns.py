"""Which columns of the board settings need."""

from collector import board
from collector.config import parse
from collector.workers import columns


def test_settings_say_which_columns_there_are():
    """An intake with a rate has two."""
    config = parse(
        """
listeners: [{name: l, transport: udp, host: 127.0.0.1, port: 0}]
intakes:
  - {name: i, parser: raw, key: k, max_rate: {events_per_second: 5}}
  - {name: j, parser: raw, key: m}
sinks: [{name: s, url: "http://127.0.0.1/"}]
""",
        source="test",
        environ={},
    )
    found = columns.names(config)
    assert len(found) == len(set(found))
    assert {board.BUFFERED_OCTETS, board.admitted("i"), board.granted("i")} <= set(found)
    assert board.admitted("j") not in found
