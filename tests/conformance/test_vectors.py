"""The examples beside the specification come out as they say.

`vectors/documented` are the documentation's samples in profile `documented`; the others are in
profile `ecs`.
"""

import json

import orjson
import pytest

from collector.parsers import build
from tests.support import SHARED, differences

VECTORS = SHARED / "vectors"

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the examples are not there")


def examples():
    """Yield vendor and file of every example."""
    for path in sorted(VECTORS.glob("*/*.json")):
        directory = path.parent.name
        yield path.stem.partition("_")[0] if directory == "documented" else directory, path


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
