"""Reading the forwarder's file."""

import pytest

from collector.settings.problems import ConfigError
from collector.settings.sekoia_intakes import MOST_ENTRIES, parser_of, read_intakes

ENTRY = "- {{name: {name}, protocol: {protocol}, port: {port}, intake_key: {key}}}\n"


def entry(name="x", protocol="tcp", port=1, key="abc"):
    return ENTRY.format(name=name, protocol=protocol, port=port, key=key)


def read(*entries):
    return read_intakes("---\nintakes:\n" + "".join(entries), "intakes.yaml")


def problems(text):
    with pytest.raises(ConfigError) as caught:
        read_intakes(text, "intakes.yaml")
    return {problem.path: problem.message for problem in caught.value.problems}


def test_each_entry_is_a_port_with_its_key():
    found = read(entry("a", "udp", 20516, "k1"), entry("b", "TLS", "'20517'", 12))
    assert [(group.label, group.key) for group in found.groups] == [("a", "k1"), ("b", "12")]
    ports = [group.ports[0] for group in found.groups]
    assert [(port.protocol, port.port) for port in ports] == [("udp", 20516), ("tls", 20517)]
    assert found.remarks == []


def test_a_key_that_is_used_twice_is_one_intake():
    """As where a vendor sends over both protocols."""
    found = read(entry("a", "udp", 1, "k"), entry("b", "tcp", 1, "k"))
    (group,) = found.groups
    assert [port.label for port in group.ports] == ["a", "b"]
    assert [remark.path for remark in found.remarks] == ["intakes[1]"]


def test_a_port_can_be_used_once():
    """Once by udp, and once by tcp or tls."""
    read(entry(port=5, key="a"), entry(protocol="udp", port=5, key="b"))
    text = "intakes:\n" + entry(port=5, key="a") + entry(protocol="tls", port=5, key="b")
    assert "intakes[1].port" in problems(text)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["a b", "a b", "a b"], ["a-b", "a-b-tcp", "a-b-tcp-2"]),
        (["' -- '", "été"], ["intake", "t"]),
        (["x" * 100], ["x" * 60]),
        (["x" * 100, "x" * 100], ["x" * 60, "x" * 56 + "-tcp"]),
    ],
)
def test_names_become_those_that_settings_can_have(names, labels):
    found = read(*(entry(name, port=at, key=f"k{at}") for at, name in enumerate(names, 1)))
    assert [group.label for group in found.groups] == labels
    assert found.groups[0].ports[0].name == names[0].strip("'").strip()


@pytest.mark.parametrize(
    ("name", "parser"),
    [
        ("Cybereason", "cybereason"),
        ("cyber-reason malops", "cybereason"),
        ("HarfangLab EDR", "harfanglab"),
        ("fortigate", "raw"),
        ("", "raw"),
    ],
)
def test_the_name_tells_the_parser(name, parser):
    assert parser_of(name) == parser


@pytest.mark.parametrize(
    ("written", "key"),
    [("1000000", "1000000"), ("-7", "-7"), ("'1_000_000'", "1_000_000"), ("0123", "0123")],
)
def test_a_key_of_digits_is_that_which_was_written(written, key):
    assert [group.key for group in read(entry(key=written)).groups] == [key]


@pytest.mark.parametrize("written", ["1_000_000", "0x1F4", "0b101", "+12", "1__0"])
def test_a_number_that_is_another_text_when_it_is_read_is_no_key(written):
    """Which of the two is meant nobody can tell; the key is not shown."""
    with pytest.raises(ConfigError) as caught:
        read(entry(), entry("y", "tcp", 2, written))
    (problem,) = caught.value.problems
    assert problem.path == "line 4, column 49"
    assert problem.message == (
        "a number that is not read as it is written; accepted: a text in quotes"
    )


def test_a_blank_text_is_said_to_be_empty():
    """Only a name has a bound of its own."""
    text = f"intakes:\n- {{name: {'n' * 201}, protocol: ' ', port: 1, intake_key: '  '}}\n"
    assert problems(text) == {
        "intakes[0].name": "is too long; accepted: a text of at most 200 characters",
        "intakes[0].protocol": "is empty; accepted: a text of at most 16 characters",
        "intakes[0].intake_key": "is empty; accepted: a text",
    }


def test_figures_of_the_forwarder_and_what_is_not_known_are_left_out():
    found = read(
        "- {name: Stats, stats: True, intake_key: k}\n",
        "- {name: x, protocol: tcp, port: 1, intake_key: abc, debug: true, region: FRA1}\n",
    )
    assert len(found.groups) == 1
    assert {remark.path for remark in found.remarks} == {
        *("intakes[0]", "intakes[1].debug", "intakes[1].region")
    }


def test_every_problem_is_told_with_its_path_and_without_the_key():
    text = (
        "intakes:\n"
        "- {nam: x, protocol: sctp, port: 70000, intake_key: [secret-key]}\n"
        "- 3\n"
        '- {name: {a: b}, protocol: 5, intake_key: "secret\\nkey"}\n'
        "- {name: y, protocol: tcp, port: true, intake-key: secret-key}\n"
        f"- {{name: {'n' * 300}, protocol: tcp, port: 1, intake_key: k}}\n"
        f"- {{name: z, protocol: tcp, port: 2, intake_key: {'k' * 5000}}}\n"
    )
    found = problems(text)
    assert set(found) == {
        *("intakes[0].nam", "intakes[0].name", "intakes[0].protocol", "intakes[0].port"),
        *("intakes[0].intake_key", "intakes[1]", "intakes[2].name", "intakes[2].protocol"),
        *("intakes[2].port", "intakes[2].intake_key", "intakes[3].port"),
        *("intakes[3].intake-key", "intakes[3].intake_key", "intakes[4].name"),
        "intakes[5].intake_key",
    }
    assert found["intakes[0].nam"] == "is not known; did you mean 'name'?"
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "text",
    [
        "intakes: []",
        "intakes: 3",
        "other: 1",
        "[]",
        "",
        "intakes: [",
        "intakes: [{a: 1, a: 2}]",
        "intakes: !!python/object:x []",
        "intakes:\n- {stats: true}\n",
        "intakes:\n" + entry() * (MOST_ENTRIES + 1),
        "intakes: " + "[" * 100,
    ],
)
def test_hostile_files_are_a_clear_error(text):
    assert problems(text)


@pytest.mark.parametrize(
    ("names", "parser"),
    [
        (("Firewall", "Cybereason"), "cybereason"),
        (("Cybereason", "cybereason 2"), "cybereason"),
        (("Cybereason", "Harfanglab"), "raw"),
        (("Firewall", "Proxy"), "raw"),
    ],
)
def test_ports_of_one_key_have_the_parser_that_their_names_agree_on(names, parser):
    entries = (
        f"- {{name: {name}, protocol: tcp, port: {port}, intake_key: the-key}}\n"
        for port, name in enumerate(names, 20516)
    )
    (group,) = read_intakes("intakes:\n" + "".join(entries), "x").groups
    assert group.parser == parser


@pytest.mark.parametrize(
    ("text", "problem"),
    [("intakes: []", "is empty"), ("intakes: {}", "a mapping"), ("other: 1", "is missing")],
)
def test_a_file_without_entries_says_so(text, problem):
    with pytest.raises(ConfigError) as caught:
        read_intakes(text, "x")
    (found,) = caught.value.problems
    assert found.message.startswith(f"{problem}; accepted: a list of entries")
