"""The gate."""

from functools import partial

from collector.backpressure import Gate, Waiting


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


def test_a_callback_is_called_once_when_the_gate_opens():
    """At once where it is open; not at all if it was forgotten."""
    gate, called = Gate(), []
    gate.when_open(lambda: called.append("open"))
    gate.close()
    gate.when_open(lambda: called.append("waited"))
    forgotten = partial(called.append, "forgotten")
    gate.when_open(forgotten)
    gate.forget(forgotten)
    assert called == ["open"]
    gate.open()
    gate.close()
    gate.open()
    assert called == ["open", "waited"]


def test_a_reader_goes_on_when_every_gate_it_waits_for_is_open():
    """In whatever order they open, and however often it is told to wait for them."""
    first, second, went_on = Gate(), Gate(), []
    waiting = Waiting(lambda: went_on.append(bool(waiting)))
    waiting.add([first, second])
    assert not waiting
    first.close()
    second.close()
    waiting.add([first, second])
    waiting.add([first])
    second.open()
    assert waiting
    assert went_on == []
    first.open()
    assert went_on == [False]


def test_a_gate_that_closes_again_meanwhile_is_no_reason_to_wait():
    """The reader finds out when it has read for that sink again."""
    first, second, went_on = Gate(), Gate(), []
    waiting = Waiting(lambda: went_on.append("on"))
    first.close()
    second.close()
    waiting.add([first, second])
    first.open()
    first.close()
    assert went_on == []
    second.open()
    assert went_on == ["on"]


def test_a_reader_that_is_gone_waits_no_more():
    """It is not called, and no gate holds it in memory."""
    gate, went_on = Gate(), []
    waiting = Waiting(lambda: went_on.append("on"))
    gate.close()
    waiting.add([gate])
    waiting.end()
    assert not waiting
    gate.open()
    assert went_on == []
