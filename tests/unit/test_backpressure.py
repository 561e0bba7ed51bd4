"""The gate."""

from collector.backpressure import Gate


class Reader:
    """Remembers what it was told."""

    def __init__(self):
        self.told = []

    def pause(self):
        self.told.append("pause")

    def resume(self):
        self.told.append("resume")


def test_every_reader_follows_the_gate():
    """Closing pauses and opening resumes, once each."""
    gate, readers = Gate(), [Reader(), Reader()]
    gate.join(readers)
    gate.close()
    gate.close()
    assert gate.closed
    gate.open()
    gate.open()
    assert not gate.closed
    assert [reader.told for reader in readers] == [["pause", "resume"]] * 2


def test_a_reader_that_joins_a_closed_gate_is_paused():
    """No reader slips in while there is no room."""
    gate, reader = Gate(), Reader()
    gate.close()
    gate.join([reader])
    assert reader.told == ["pause"]
