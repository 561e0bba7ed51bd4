"""Hostile messages: whatever a parser is given, it makes an event of it or raises `ParseError`.

An event can be encoded and holds nothing that is empty. Nothing takes more than linear time: in the
long run, texts are of lengths at which quadratic time would be minutes.
"""

from copy import deepcopy
from functools import cache

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import samples
from collector.parsers import PARSERS, PROFILES, ParseError, build, pipeline_error
from collector.parsers.mapping import WHOLE_INPUT

PARSES = {(name, profile): build(name, profile) for name in PARSERS for profile in PROFILES}
REASONS = {
    "cybereason": {"not_cef"},
    "harfanglab": {"not_json", "too_deep", "not_an_object"},
    "raw": set(),
}
SAMPLES = [sample for vendor in ("cybereason", "harfanglab") for sample in samples.load(vendor)]

every_profile = pytest.mark.parametrize("profile", PROFILES)
every_parser = pytest.mark.parametrize(("name", "profile"), list(PARSES), ids=lambda value: value)
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def parse(name, profile, raw):
    """Parse a message, see that only what may happen does, and return the event if there is one."""
    reason = None
    try:
        found = event = PARSES[name, profile](raw)
    except ParseError as error:
        reason, event, found = error.reason, None, pipeline_error(raw, error)
    assert reason is None or reason in REASONS[name]
    assert list(empty_fields(found)) == []
    assert orjson.loads(orjson.dumps(found)) == found
    return event


def empty_fields(value, path="event"):
    """Yield what should have been left out."""
    if value is None or value in ("", [], {}):
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from empty_fields(inner, f"{path}.{key}")
    if isinstance(value, list):
        for inner in value:
            yield from empty_fields(inner, f"{path}[]")


# Samples, damaged.


@pytest.mark.slow
@every_profile
@every_sample
def test_every_prefix_of_a_sample_is_parsed(sample, profile, in_full):
    """A JSON object is read up to the cut, CEF as soon as its header is there."""
    for length in range(1, len(sample.raw.rstrip()), 1 if in_full else 11):
        raw = sample.raw[:length]
        event = parse(sample.vendor, profile, raw)
        if event is None:
            # Too few header fields, or nothing of the first JSON field.
            assert raw.count("|") < 6 if sample.vendor == "cybereason" else "," not in raw
        elif sample.vendor == "harfanglab":
            assert event["tags"] == ["truncated"]
        else:
            assert raw.count("|") >= 6
        assert event is None or event["message"] == raw


@every_profile
@every_sample
@pytest.mark.parametrize(
    ("before", "behind", "tags"),
    [
        ("\ufeff", "", ["repaired:bom"]),
        ("", "\0\0", ["repaired:nul"]),
        ("345 ", "\n", ["repaired:octet_count"]),
        ("<134>1 2025-07-21T13:01:35Z mgr edr - - - ", "", ["repaired:nested_header"]),
        ("<134>Jul 21 13:01:35 mgr ", "\r\n", ["repaired:nested_header"]),
    ],
)
def test_a_wrapped_sample_gives_the_fields_of_the_sample(sample, profile, before, behind, tags):
    """And says in its tags what was around it; its message is the whole text."""
    raw = before + sample.raw + behind
    event = parse(sample.vendor, profile, raw)
    assert event.pop("tags") == tags
    assert event.pop("message") == raw
    assert {"message": sample.raw, **event} == parse(sample.vendor, profile, sample.raw)


@st.composite
def mutated(draw):
    """Damage a message here and there, as octets."""
    octets = bytearray(draw(st.sampled_from(SAMPLES)).raw.encode())
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(octets)))
        end = draw(st.integers(start, min(start + 50, len(octets))))
        piece = octets[start:end]
        kind = draw(st.sampled_from(["flip", "delete", "repeat", "move", "insert"]))
        if kind == "flip":
            octets[start:end] = bytes(octet ^ 1 << draw(st.integers(0, 7)) for octet in piece)
        elif kind == "repeat":
            octets[start:end] = piece * draw(st.integers(2, 5))
        elif kind == "insert":
            octets[start:start] = draw(st.binary(max_size=5))
        else:
            del octets[start:end]
            if kind == "move":
                place = draw(st.integers(0, len(octets)))
                octets[place:place] = piece
    return octets.decode("utf-8", "replace")


@every_parser
@given(raw=mutated())
def test_mutated_samples_are_parsed_or_refused(name, profile, raw):
    """Octets flipped, left out, repeated, moved, put in; what is no UTF-8 then is replaced."""
    parse(name, profile, raw)


@every_parser
@given(data=st.data())
def test_spliced_samples_are_parsed_or_refused(name, profile, data):
    """The beginning of one, anything, the end of another."""
    one = data.draw(st.sampled_from(SAMPLES)).raw
    other = data.draw(st.sampled_from(SAMPLES)).raw
    cut = data.draw(st.integers(0, len(one)))
    parse(name, profile, one[:cut] + data.draw(st.text(max_size=5)) + other[cut:])


@every_parser
@given(raw=st.text() | st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_parsed_or_refused(name, profile, raw):
    """Lone surrogates among them."""
    parse(name, profile, raw)


# Messages that are large as a whole.


def wide(sign, count):
    """Make numbered members, joined by a sign."""
    return sign.join(f'"k{number}":{number}' for number in range(count))


LARGE = {
    "lists": lambda n: "[" * n,
    "objects": lambda n: '{"agent":' * (n // 8),
    "1000 levels": lambda n: '{"agent":' * 1000 + " " * n + "}" * 1000,
    "members": lambda n: "{" + wide(",", n // 10) + "}",
    "cut members": lambda n: "{" + wide(",", n // 10) + ',"k',
    "equal keys": lambda n: "{" + ",".join(['"pid":{"a":[]}'] * (n // 15)) + "}",
    "long key": lambda n: '{"' + "k" * n + '":1}',
    "digits": lambda n: '{"pid":' + "9" * n + "}",
    "cut digits": lambda n: '{"pid":1,"ppid":-' + "9" * n,
    "exponent": lambda n: '{"pid":1e' + "9" * n + "}",
    "numbers": lambda n: '{"groups":[' + "NaN,1e999," * (n // 10) + "0]}",
    "escapes": lambda n: '{"pid":"' + '\\"\\ud800' * (n // 8),
    "line feeds": lambda n: '{"pid":"' + "\n" * n + '"}',
    "quotes": lambda n: '{"pid":' + '"' * n,
    "surrogates": lambda n: '{"pid":"' + "\ud800" * n + '"}',
    "replaced": lambda n: '{"pid":"' + "\ufffd" * n,
    "NULs": lambda n: "\0" * n,
    "marks": lambda n: "\ufeff" * n + "{}",
    "counts": lambda n: "1 " * (n // 2) + "{}",
    "headers": lambda n: "<13>" * (n // 4) + "{}",
    "elements": lambda n: "<13>1 - - - - - " + '[a b="c"]' * (n // 9) + ' {"pid":1}',
    "bars": lambda n: "CEF:0" + "|" * n,
    "equals": lambda n: "CEF:0|V|P|1|2|n|5|" + "=" * n,
    "keys": lambda n: "CEF:0|V|P|1|2|n|5|" + " ".join(f"k{key}=v" for key in range(n // 9)),
    "labels": lambda n: (
        "CEF:0|V|P|1|2|n|5|" + " ".join(f"cs{key}=v cs{key}Label=L" for key in range(n // 27))
    ),
    "labels of labels": lambda n: (
        "CEF:0|V|P|1|2|n|5|"
        + " ".join(f"cs1{'Label' * count}=v" for count in range(int(n**0.5 / 2)))
    ),
    "long CEF key": lambda n: "CEF:0|V|P|1|2|n|5|" + "k" * n + "=v " + "k" * n + "Label=w",
    "backslashes": lambda n: "CEF:0|V|P|1|2|n|5|rt=" + "\\" * n + " request=" + '"\\=' * (n // 3),
    "backslashes in the header": lambda n: "CEF:0|V" + "\\|" * (n // 2) + "|P|1|2|n|5|a=b",
    "blanks": lambda n: "CEF:0|V|P|1|2|n|5|" + " " * n + "dst=" + " \t" * (n // 2),
    "dashes": lambda n: "CEF:0|V|P|1|2|n|5|" + "-" * n + " a" * (n // 2),
    "brackets": lambda n: "CEF:0|V|P|1|2|n|5|" + "k" + "[0]" * (n // 3) + "=v",
}


@pytest.mark.slow
@every_parser
@pytest.mark.parametrize("kind", LARGE)
def test_large_messages_are_parsed_or_refused(kind, name, profile, in_full):
    """However many of something there are."""
    parse(name, profile, LARGE[kind](10_000_000 if in_full else 50_000))


# Values that are hostile where they are.

ENTITIES = "".join(
    f'<!ENTITY {new} "{f"&{old};" * 9}">' for old, new in zip("abcdef", "bcdefg", strict=True)
)
BOMB = (
    f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]>'
    "<Task><Actions><Exec><Command>&g;</Command></Exec></Actions></Task>"
)
TEXTS = (
    *("", " ", "-", "\0", "\n", "\ufffd", "\ufffe", "None", "null", "NaN", "-inf", "1e999", "0x10"),
    *("1_0", "٣", "+1", "9" * 5000, "1." + "0" * 999, "true", "4624", "\U0001f600" * 99),
    *("\\", "\\\\", "\\user", "DOMAIN\\", "/", "//", "C:\\", ".", "..", ".com", "a..com", "\\/."),
    *("fe80::1%eth0", "::ffff:10.0.0.1", "010.0.0.1", "1.2.3.4.", ":" * 45, "10.0.0.1/8"),
    *("http://", "http://[::1", "http://[fe80::1%25a]:99999999/", "//@:?#", "http://u:p@h:80/"),
    *("http://é/", "xn--", "data:,", "h\ttp://a b/", "http://a:b/", "http://[a]/", "%00%", "?#"),
    *("2025-02-30T25:61:61Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2025-W01"),
    *("CN=", "CN=\\,", "CN=,", "a|b||", "|", "Mozilla/5.0 (", "attack.t1059", "T1059.001", ",,"),
    *(BOMB, "<?xml", "<?xml version='1.0'?>" + "<a>" * 999, "<?xml?><Task " + "a='' " * 9 + "/>"),
    "<?xml version='1.0'?><!DOCTYPE a SYSTEM 'file:///etc/passwd'><Task>&a;</Task>",
    "<?xml version='1.0' encoding='utf-16'?><Task xmlns=\\x",
    "<?xml version='1.0'?><Task><Actions><Exec><Command>\0</Command></Exec></Actions></Task>",
)
VALUES = (
    *(orjson.dumps(text).decode() for text in TEXTS),
    *("null", "true", "false", "0", "-1", "1.5", "1e308", "-0.0", "1e-999", "1e999", "NaN"),
    *("18446744073709551615", "-9223372036854775808", "9223372036854775808", "9" * 400),
    *("[]", "{}", "[[]]", "[{}]", "[null]", '[""]', '["", null, 0, {}, [[]]]', '"\0\n"'),
    *('{"": ""}', '{"a": null}', '{"a.b": {"c": 1}}', '{"message": {}}', '{"\0": "\\udfff"}'),
    *('[{"user_name": ""}, {"name": {}}]', '[1, {"name": 1, "user_name": "\\\\"}, 2]'),
    *("[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300),
    *("[" + ",".join(map(str, range(600))) + "]", "{" + wide(",", 600) + "}"),
)


@cache
def rules(vendor):
    """Return the rules that read the input, each with the JSON it needs to apply."""
    table = PARSERS[vendor].table
    found = []
    for rule in (*table.rules, *table.ecs_rules):
        fields = {}
        for path in rule.when.paths if rule.when else ():
            put(fields, path, '["x", "y"]')
        for path, value in rule.when.compared if rule.when else ():
            put(fields, path, orjson.dumps(value).decode())
        found.append((rule, fields))
    return found


@cache
def families():
    """Return what conditions compare fields of the input of HarfangLab with, as (path, JSON)."""
    compared = {pair for rule, _ in rules("harfanglab") if rule.when for pair in rule.when.compared}
    return sorted((path, orjson.dumps(value).decode()) for path, value in compared)


@cache
def paths():
    """Return all paths in the input of HarfangLab, the outer ones first."""
    found = {path for rule, _ in rules("harfanglab") for path in rule.sources} - {WHOLE_INPUT}
    found |= {path for rule, _ in rules("harfanglab") if rule.when for path in rule.when.paths}
    return sorted(found, key=lambda path: (path.count("."), path))


def put(fields, path, value):
    """Put JSON at a path; what stands in its way becomes an object, or a list of two."""
    *parents, last = path.split(".")
    for parent in parents:
        name, is_list, _ = parent.partition("[")
        if not isinstance(fields.get(name), dict):
            fields[name] = {}
        fields = fields[name]
        if is_list:
            fields = fields.setdefault("[", {})
    fields[last] = value


def as_json(value):
    """Write what `put` has built; its leaves are JSON already."""
    if isinstance(value, str):
        return value
    if "[" in value:
        return f"[{as_json(value['['])},1]"
    return "{" + ",".join(f'"{key}":{as_json(inner)}' for key, inner in value.items()) + "}"


@pytest.mark.slow
@every_profile
@pytest.mark.parametrize("value", VALUES, ids=lambda text: ascii(text)[1:25])
def test_a_hostile_value_in_every_field_harms_no_event(value, profile, in_full):
    """In every family of events, and in place of whole objects."""
    fields = {}
    for path in paths():
        put(fields, path, value)
    some = slice(None) if in_full else slice(VALUES.index(value) % 13, None, 13)
    for path, family in families()[some]:
        before = fields[path]
        fields[path] = family
        assert parse("harfanglab", profile, as_json(fields)) is not None
        fields[path] = before
    outer = {path.partition(".")[0].partition("[")[0]: value for path in paths()}
    for path, family in families()[some]:
        assert parse("harfanglab", profile, as_json(outer | {path: family})) is not None


@every_profile
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[1:25])
def test_a_hostile_text_in_every_cef_field_harms_no_event(text, profile):
    """In header and extension, by key and by label, with and without its escapes."""
    keys = {path for rule, _ in rules("cybereason") for path in rule.sources} - {WHOLE_INPUT}
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("=", "\\=")
    for kind in ("1", "2", "3", "5", "6", "7", escaped):
        header = f"CEF:{escaped}|{escaped}|{escaped}|{escaped}|{kind}|{escaped}|{escaped}|"
        by_key = " ".join(f"{key}={text}" for key in sorted(keys))
        by_label = " ".join(
            f"cs{number}={escaped} cs{number}Label={key}" for number, key in enumerate(sorted(keys))
        )
        for extension in (by_key, by_label, f"{text}={text}", f"cs1=a cs1Label={text}"):
            assert parse("cybereason", profile, header + extension) is not None


UNITS = (
    *("a", " ", "9", ".", "a.", "/", "\\", "\\\\", "\\,", "|", ",", "-", "%", "%41", ":", "@", "?"),
    *("#", "[", "(", "=", "é", "a b", "http://", "//", "../", "xn--", "attack.t", "; ", "/5.0 ("),
)
STARTS = ("", "http://", "<?xml?>", "<?xml?><Task xmlns=\\\\", "CN=", "Mozilla/5.0 ", "2025-", "::")


@pytest.mark.slow
@every_profile
@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_a_long_text_in_any_field_is_read_in_linear_time(unit, profile, in_full):
    """In each field of HarfangLab alone, where its rule applies; in some of them if in short."""
    length = 300_000 if in_full else 30_000
    text = (unit * (length // len(unit))).replace("\\", "\\\\")
    for number, (rule, fields) in enumerate(rules("harfanglab")):
        if not in_full and number % len(UNITS) != UNITS.index(unit):
            continue
        for path in rule.sources:
            for start in {"", STARTS[number % len(STARTS)]}:
                message = deepcopy(fields)
                put(message, path, f'"{start}{text}"')
                assert parse("harfanglab", profile, as_json(message)) is not None
