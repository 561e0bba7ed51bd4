"""How the benchmark shows what it found."""

from tests.bench.measuring import Summary
from tests.bench.table import machine, render

OURS = Summary(
    program="collector",
    load="cybereason",
    way="tcp-1",
    rounds=2,
    rate=51_234.5,
    cpu_microseconds=19.94,
    best_cpu_microseconds=18.0,
    peak_octets=90 * 1024 * 1024,
    written_octets=1234.5,
    sent=1000,
    lost=0,
    other_cores=0.04,
    rate_ratio=1.0,
    cpu_ratio=1.0,
)
THEIRS = Summary(
    program="syslog-ng",
    load="cybereason",
    way="udp-25000",
    rounds=2,
    rate=9_000.0,
    cpu_microseconds=80.0,
    best_cpu_microseconds=75.5,
    peak_octets=25 * 1024 * 1024,
    written_octets=0.0,
    sent=1000,
    lost=15,
    other_cores=1.0,
    rate_ratio=None,
    cpu_ratio=None,
)


def test_a_table_is_markdown_with_a_row_for_each():
    """So that it can be pasted into the README."""
    head, rule, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in render([OURS, THEIRS]).splitlines()
    ]
    assert head[3:5] == ["events/s", "CPU µs/event"]
    assert all(set(cell) <= {"-", ":"} for cell in rule)
    assert rows == [
        [
            *("cybereason", "tcp-1", "collector", "51,234", "19.9", "18.0", "90"),
            *("1,234", "0", "1.00", "1.00", "0.0"),
        ],
        [
            *("cybereason", "udp-25000", "syslog-ng", "9,000", "80.0", "75.5", "25"),
            *("0", "15 (1.5%)", "", "", "1.0"),
        ],
    ]


def test_lines_are_equally_long():
    """It can be read as it is, too."""
    assert len({len(line) for line in render([OURS, THEIRS]).splitlines()}) == 1


def test_the_machine_is_named():
    """A figure without it says nothing."""
    found = machine()
    assert found["cores"] >= 1
    assert all(found[name] for name in ("cpu", "kernel", "python", "uvloop"))
