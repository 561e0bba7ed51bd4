"""The examples beside the specification come out as they say.

`vectors/documented` are the documentation's samples in profile `documented`; the others are in
profile `ecs`. Examples of HarfangLab families that the parser does not have yet are left out.
"""

import json

import orjson
import pytest

from collector.parsers import build
from tests.support import SHARED, differences

VECTORS = SHARED / "vectors"
# Examples whose expectations lie within the families and inferred fields there are.
HARFANGLAB = (
    "alert",
    "alert_false_positive",
    "network",
    "network3",
    "network5",
    "process",
    "process2",
    "process3",
    "process-event7",
    "process-event8",
    "process-event10",
)

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the examples are not there")


def examples():
    """Yield vendor and file of every example that must hold."""
    for path in sorted(VECTORS.glob("documented/*.json")):
        yield path.stem.partition("_")[0], path
    for path in sorted(VECTORS.glob("cybereason/*.json")):
        yield "cybereason", path
    for name in HARFANGLAB:
        yield "harfanglab", VECTORS / "harfanglab" / f"{name}.json"


@pytest.mark.parametrize(
    ("vendor", "path"),
    [
        pytest.param(*example, id=f"{example[1].parent.name}/{example[1].stem}")
        for example in examples()
    ],
)
def test_every_field_of_the_example_comes_out(vendor, path):
    """Compared as the specification says: what is expected is there, more may be."""
    vector = json.loads(path.read_text(encoding="utf-8"))
    event = build(vendor, vector["profile"])(vector["raw"])
    assert differences(vector["expected"], orjson.loads(orjson.dumps(event))) == []
