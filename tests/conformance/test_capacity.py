"""The page on the capacity of a cluster: its table is what its arithmetic gives."""

import re
import shlex
import subprocess
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "deploy" / "capacity.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## How many")[2].partition("```")[0]

# As the page plans with them, in the order of `-v octets=`, `receiver=` and so on.
VENDORS = {
    "Cybereason": {"octets": 200, "receiver": 15, "deliverer": 3, "brokers": 15},
    "HarfangLab": {"octets": 600, "receiver": 35, "deliverer": 8, "brokers": 35},
}


def reckoned(rate, costs):
    """Run the page's program; return what it says of each row."""
    (program,) = re.findall(r"^awk .*?^  \}'$", PAGE, re.MULTILINE | re.DOTALL)
    command = shlex.split(program)
    for name, value in {"rate": rate, "hours": 4, **costs}.items():
        at = next(n for n, word in enumerate(command) if word.startswith(f"{name}="))
        command[at] = f"{name}={value}"
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.rsplit(" ", 1) for line in text.splitlines())


def test_the_table_is_what_the_arithmetic_gives():
    """For both vendors and all three rates."""
    rows = [line.strip("| ").split(" | ") for line in TABLE.splitlines() if line.startswith("| ")]
    columns = [
        reckoned(rate, costs) for rate in (10**4, 10**5, 10**6) for costs in VENDORS.values()
    ]
    assert {
        name: [float(cell.replace(",", "")) for cell in cells] for name, *cells in rows[1:]
    } == {name: [float(column[name]) for column in columns] for name in columns[0]}


def test_the_plan_is_that_of_the_table_before_it():
    """A processor half busy, and octets by 25 MB/s."""
    for column, costs in enumerate(VENDORS.values(), start=1):
        plan = PAGE.partition("## What to plan with")[2].partition("## ")[0]
        cells = [line.strip("| ").split(" | ") for line in plan.splitlines() if line[:2] == "| "]
        found = {
            name: [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", cell)]
            for name, cell in ((row[0], row[column]) for row in cells[1:])
        }
        assert found["octets in the stream"] == [costs["octets"]]
        assert found["NATS servers, all three"] == [costs["brokers"]]
        for part in ("receiver", "deliverer"):
            assert found[part] == [costs[part], 500_000 // costs[part] // 1000 * 1000]
        assert found["one stream, 25 MB/s"] == [25_000_000 // costs["octets"] // 1000 * 1000]
