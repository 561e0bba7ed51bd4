"""Members and brokers of a cluster are killed under load: nothing that was answered is lost."""

import pytest

from tests.fleet import feeding, fleet_settings, running_fleet
from tests.nats import Nats
from tests.recording_sink import recording_sink

STREAM = "killed"

# So that who is killed has something in flight.
ANSWER_SECONDS = 0.3


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_all_arrives_although_a_member_of_each_kind_is_killed(tmp_path, in_full):
    """And what comes twice has one id, and was repeated by its sender or for want of a word."""
    count, rate, patience = (500_000, None, 900) if in_full else (6_000, 1_000, 60)
    async with (
        Nats(tmp_path / "nats", 3) as brokers,
        recording_sink(tmp_path, ANSWER_SECONDS) as arrivals,
        running_fleet(tmp_path, fleet_settings(brokers.urls, arrivals, stream=STREAM)) as fleet,
        feeding(fleet, count, rate=rate) as feeds,
    ):
        await feeds.until(0.1, patience)
        dying = fleet.deliverers[0]
        first_life = dying.life
        seen = arrivals.look() and arrivals.accepted[first_life]
        await arrivals.until(lambda: arrivals.accepted[first_life] > seen, patience)
        await dying.kill()
        await feeds.until(0.25, patience)
        await fleet.receivers[0].kill()
        await fleet.receivers[0].start()
        await feeds.until(0.4, patience)
        leader = await brokers.leader(STREAM)
        await brokers.kill(leader)
        await feeds.until(0.6, patience)
        brokers.start(leader)
        await brokers.ready()
        await dying.start()
        await feeds.until(0.75, patience)
        other = (await brokers.leader(STREAM) + 1) % 3
        await brokers.kill(other)
        await feeds.until(0.9, patience)
        brokers.start(other)
        await feeds.until(1, patience)
        await arrivals.until(lambda: arrivals.look() >= feeds.count, patience)
        await fleet.until_settled()
        arrivals.look()

        assert {name: sorted(found) for name, found in arrivals.first.items()} == feeds.numbers
        assert all(again.before.identifier == again.now.identifier for again in arrivals.again)
        assert len(arrivals.identifiers) == feeds.count
        # In full, this process is too busy to meet it with something in flight.
        assert in_full or first_life in {again.before.deliverer for again in arrivals.again}
        unexplained = [
            again
            for again in arrivals.again
            if (again.sender, again.number) not in feeds.repeated
            and again.before.deliverer == again.now.deliverer
        ]
        assert unexplained == []
        surviving = await fleet.receivers[1].ledger()
        assert surviving.received == surviving.handed_over == count
        surviving = await fleet.deliverers[1].ledger()
        assert surviving.taken_over == surviving.delivered
        assert surviving.delivered == arrivals.accepted[fleet.deliverers[1].life]
