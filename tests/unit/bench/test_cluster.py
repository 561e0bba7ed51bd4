"""What the measurement of a cluster makes of its runs."""

from tests.bench.cluster import Run, Taken, render


def run_of(system, seconds, **cpu):
    """Return a run of 1,000 events in which parts took so many microseconds for each."""
    parts = {part: Taken(spent, 64 * 1024 * 1024, 500.0) for part, spent in cpu.items()}
    return Run(system, "mixed", 1000, 1000, seconds, 300.0, parts, 0.5)


def test_each_part_has_its_row():
    """With medians of the rounds; all together are compared with the reference round by round."""
    runs = [
        run_of("sqlite", 0.1, daemon=10.0),
        run_of("jetstream", 0.2, receiver=12.0, deliverer=3.0),
        run_of("jetstream", 0.4, receiver=14.0, deliverer=6.0),
        run_of("sqlite", 0.3, daemon=20.0),
    ]
    assert render(runs).splitlines()[2:] == [
        "| mixed | sqlite | daemon |  | 15.0 | 64 | 500 |  |",
        "| mixed | sqlite | all | 6,667 | 15.0 |  |  | 1.00 |",
        "| mixed | jetstream | receiver |  | 13.0 | 64 | 500 |  |",
        "| mixed | jetstream | deliverer |  | 4.5 | 64 | 500 |  |",
        "| mixed | jetstream | all | 3,750 | 17.5 |  |  | 1.25 |",
    ]


def test_without_the_reference_nothing_is_compared():
    """As where only one system was run."""
    assert render([run_of("jetstream", 1.0, receiver=1.0)]).endswith("| 1.0 |  |  |  |")
