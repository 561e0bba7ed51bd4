"""The whole cluster is away under load: receivers go on, and what waits with them goes first."""

import pytest

from tests.fleet import feeding, fleet_settings, running_fleet
from tests.nats import Nats
from tests.recording_sink import recording_sink

RATE = 500
BEFORE, AFTER = 1, 1
"""Seconds of load before the outage and after the moment when the servers are started again."""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_is_lost_or_overtaken_while_the_cluster_is_away(tmp_path, in_full):
    """Each receiver answers from its own file; the ledger of all adds up to what was sent."""
    seconds = 30 if in_full else 2
    count = RATE * (BEFORE + seconds + AFTER)
    async with (
        Nats(tmp_path / "nats", 3) as brokers,
        recording_sink(tmp_path) as arrivals,
        running_fleet(
            tmp_path, fleet_settings(brokers.urls, arrivals, stream="away", is_ordered=True)
        ) as fleet,
        feeding(fleet, count, rate=RATE) as feeds,
    ):
        await feeds.until(BEFORE * RATE / count)
        await brokers.kill()
        for member in fleet.members:
            await member.until_degraded()
        answered = feeds.answered
        await feeds.until((BEFORE + seconds) * RATE / count)
        assert feeds.answered > answered
        waiting = await fleet.ledger()
        assert waiting.spooled > 0
        brokers.start()
        await feeds.until(1)
        await arrivals.until(lambda: arrivals.look() >= feeds.count, 60)
        total = await fleet.until_settled()
        arrivals.look()

        assert {name: list(found) for name, found in arrivals.first.items()} == feeds.numbers
        assert all(again.before.identifier == again.now.identifier for again in arrivals.again)
        assert total.received == total.handed_over == feeds.count
        assert total.taken_over == total.delivered == arrivals.accepted.total()
        assert total.delivered - total.received == len(arrivals.again)
        for member in fleet.members:
            await member.until_well()
