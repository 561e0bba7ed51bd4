"""What of a consumer's condition is told, and when."""

import pytest
import structlog

from collector.stream import AwayError, MismatchError
from collector.stream.asking import ApiError, ForbiddenError, NobodyError
from collector.stream.condition import PATIENCE_SECONDS, Condition

CREATE = "$JS.API.CONSUMER.CREATE.events.siem.events.siem.*"


class Clock:
    """Gives the seconds that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def condition(clock):
    return Condition("events", "siem", clock)


LASTING = {
    "not permitted": (
        ForbiddenError(f'permissions violation for publish to "{CREATE.lower()}"', CREATE),
        f"{CREATE} is not permitted",
    ),
    "other settings": (
        MismatchError("consumer siem: max_waiting: 512 is needed, the consumer has 1"),
        "consumer siem: max_waiting: 512 is needed, the consumer has 1",
    ),
    "too many": (
        ApiError(400, 10026, "maximum consumers limit reached"),
        "maximum consumers limit reached (10026)",
    ),
}


@pytest.mark.parametrize(("error", "reason"), LASTING.values(), ids=LASTING)
def test_what_somebody_has_to_mend_is_told_at_once(condition, error, reason):
    """And until there is a sign of life, whatever else fails meanwhile; the log has it too."""
    with structlog.testing.capture_logs() as lines:
        condition.failed(error)
    problem = f"nothing comes from the stream: {reason}"
    assert condition.problem == problem
    assert [(line["log_level"], line["error"]) for line in lines] == [("error", reason)]
    condition.missed("no sign of life")
    condition.be_patient()
    assert condition.problem == problem
    condition.lives()
    assert condition.problem == ""


PASSING = {
    "no answer": AwayError("no answer within 2 seconds"),
    "nobody leads": NobodyError("nobody answers"),
    "an election": ApiError(503, 10008, "JetStream system temporarily unavailable"),
    "a failure of theirs": ApiError(500, 10012, "raft: not leader"),
    "no stream": ApiError(404, 10059, "stream not found"),
}


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_what_mostly_passes_is_told_when_it_has_not(condition, clock, error):
    """No line before that, and one from then on."""
    with structlog.testing.capture_logs() as lines:
        for seconds in (0, PATIENCE_SECONDS - 1):
            clock.now += seconds
            condition.failed(error)
            assert condition.problem == ""
        for _ in range(2):
            clock.now += 1
            condition.failed(error)
    assert condition.problem == f"nothing comes from the stream: {error}"
    told = [line["event"] for line in lines if line["log_level"] != "debug"]
    assert told == ["nothing comes from the stream"]


@pytest.mark.parametrize("begin_anew", [Condition.lives, Condition.be_patient])
def test_a_sign_of_life_and_a_stream_that_was_away_begin_the_time_anew(
    condition, clock, begin_anew
):
    """It is no problem of the consumer that nothing came meanwhile."""
    clock.now += PATIENCE_SECONDS
    condition.missed("no sign of life")
    assert condition.problem == "nothing comes from the stream: no sign of life"
    begin_anew(condition)
    assert condition.problem == ""
    clock.now += PATIENCE_SECONDS - 1
    condition.missed("no sign of life")
    assert condition.problem == ""


def test_acknowledgements_that_are_not_permitted_are_told_until_one_is_heard(condition):
    """Messages come all the same, again and again."""
    reply = "$JS.ACK.events.siem.1.7.3.1700000000000000000.0"
    condition.acknowledged(ForbiddenError("permissions violation", reply))
    unheard = (
        "what is delivered stays in the stream and comes again:"
        " $JS.ACK.events.siem.> is not permitted"
    )
    condition.lives()
    assert condition.problem == unheard
    condition.forbidden("$JS.API.CONSUMER.MSG.NEXT.events.siem")
    assert condition.problem == (
        "nothing comes from the stream: $JS.API.CONSUMER.MSG.NEXT.events.siem is not permitted;"
        f" {unheard}"
    )
    condition.acknowledged(None)
    condition.lives()
    assert condition.problem == ""
