"""MITRE ATT&CK tags."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.inferred.attack import attack

SITE = "https://attack.mitre.org"
PROCESS_DISCOVERY = {
    "id": ["T1057"],
    "name": ["Process Discovery"],
    "reference": [f"{SITE}/techniques/T1057/"],
}
RUN_KEYS = {
    "id": ["T1547"],
    "name": ["Boot or Logon Autostart Execution"],
    "reference": [f"{SITE}/techniques/T1547/"],
    "subtechnique": {
        "id": ["T1547.001"],
        "name": ["Registry Run Keys / Startup Folder"],
        "reference": [f"{SITE}/techniques/T1547/001/"],
    },
}
EVASION = {
    "id": ["TA0005"],
    "name": ["Defense Evasion"],
    "reference": [f"{SITE}/tactics/TA0005/"],
}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["attack.t1057"], {"technique": PROCESS_DISCOVERY}),
        (["ATTACK.T1057"], {"technique": PROCESS_DISCOVERY}),
        ("attack.t1057", {"technique": PROCESS_DISCOVERY}),
        (["attack.t1547.001"], {"technique": RUN_KEYS}),
        (["attack.t1547", "attack.t1547.001", "attack.t1547"], {"technique": RUN_KEYS}),
        (["attack.defense_evasion"], {"tactic": EVASION}),
        (["attack.defense-evasion", "attack.Defense Evasion"], {"tactic": EVASION}),
        (["attack.ta0005"], {"tactic": EVASION}),
        (
            ["attack.t1057", "attack.s0057", "attack.g0016", "_dateparsefailure", 5, None, []],
            {"technique": PROCESS_DISCOVERY},
        ),
        (
            ["attack.t1547.001", "attack.defense_evasion"],
            {"technique": RUN_KEYS, "tactic": EVASION},
        ),
    ],
)
def test_tactics_and_techniques_are_described(tags, expected):
    """By id, name and page."""
    assert attack(tags) == {"framework": "MITRE ATT&CK", **expected}


def test_they_come_in_the_order_of_the_tags():
    """Each once."""
    tags = ["attack.t1112", "attack.impact", "attack.t1057", "attack.t1112", "attack.discovery"]
    threat = attack(tags)
    assert threat["technique"]["id"] == ["T1112", "T1057"]
    assert threat["technique"]["name"] == ["Modify Registry", "Process Discovery"]
    assert threat["tactic"]["name"] == ["Impact", "Discovery"]


def test_what_has_no_name_here_has_its_id_and_its_page():
    """A newer version of ATT&CK may have it."""
    assert attack(["attack.t9999.999", "attack.ta9999"]) == {
        "framework": "MITRE ATT&CK",
        "tactic": {"id": ["TA9999"], "reference": [f"{SITE}/tactics/TA9999/"]},
        "technique": {
            "id": ["T9999"],
            "reference": [f"{SITE}/techniques/T9999/"],
            "subtechnique": {
                "id": ["T9999.999"],
                "reference": [f"{SITE}/techniques/T9999/999/"],
            },
        },
    }


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 5, 1.5, "", [], {}, {"attack.t1057": 1}, [["attack.t1057"]], ["t1057"]),
        *(["attack."], ["attack.t105"], ["attack.t1057.1"], ["attack.t10577"], ["attack.t1057 "]),
        *(["attack.t١٠٥٧"], ["attack.s0057"], ["attack.no-tactic"], ["xattack.t1057"]),
        *(["attack.ta0005.001"], ["attack." + "t" * 100_000]),
    ],
)
def test_other_tags_say_nothing(value):
    """Nor does what is no list of tags."""
    assert attack(value) is None


def test_no_more_than_256_tags_are_read():
    """A rule has a handful."""
    tags = [f"attack.t{number:04}" for number in range(5000)]
    assert attack(tags)["technique"]["id"] == [f"T{number:04}" for number in range(256)]


def test_events_share_nothing():
    """Lists are made anew."""
    attack(["attack.t1057"])["technique"]["id"].append("changed")
    assert attack(["attack.t1057"])["technique"] == PROCESS_DISCOVERY


@given(
    st.lists(
        st.from_regex(r"(?i)attack\.(t[0-9]{4}(\.[0-9]{3})?|ta[0-9]{4}|[a-z_-]+)", fullmatch=True)
        | st.text()
        | st.integers()
        | st.none()
    )
)
def test_any_list_can_be_read_and_encoded(tags):
    """Nothing empty comes out of it."""
    threat = attack(tags)
    if threat is None:
        return
    assert orjson.loads(orjson.dumps(threat)) == threat
    assert threat.keys() > {"framework"}
    for found in (threat.get("tactic"), threat.get("technique")):
        assert found is None or (all(found.values()) and len(found["id"]) == len({*found["id"]}))
