"""What the kernel of shapes makes of messages beside what the general way makes of them.

Messages are varied by a `Random` of a seed that hypothesis draws: what fails comes again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from collector.events.constant_fields import adder
from collector.events.envelope import Arrival, Receipt, finisher, header_reader
from collector.events.translation import Translator
from collector.parsers import PARSERS, ParseError
from collector.parsers.paths import steps
from collector.samples import load
from collector.syslog.message import KeyName
from tests.support import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from collector.parsers import Parser, Profile, Vendor

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 7, UTC)
RECEIPT = Receipt(MOMENT, "2026-02-03T04:05:06.000007Z", UTC, "198.51.100.9")
FRAME = b'<134>1 2026-02-03T04:05:06Z h\xc3\xa9te app 7 id [x@1 a="b\\"c" a="d"] text'
ARRIVAL = Arrival("00112233445566778899aabbccddeeff", FRAME, (), RECEIPT)


@cache
def parser(vendor: str, profile: Profile) -> Parser:
    """Return the general way, compiled once."""
    return PARSERS[vendor].parser(profile)


class Pair:
    """A translator and the general way, with the same settings.

    Args:
        vendor: whose messages they read: a name, or the vendor itself.
        profile: the shape of the events.
        arrival: how all messages came.
        fields: constant fields.
        settings: of `finisher`.
    """

    def __init__(
        self,
        vendor: str | Vendor,
        profile: Profile = "ecs",
        *,
        arrival: Arrival = ARRIVAL,
        fields: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        known = PARSERS[vendor] if isinstance(vendor, str) else vendor
        parse = parser(vendor, profile) if isinstance(vendor, str) else vendor.parser(profile)
        self.parse = parse
        self.finish = finisher(add_fields=adder(fields or {}), **settings)
        self.arrival = arrival
        header = "syslog" in settings.get("parts", ())
        self.translator = Translator(
            known,
            profile,
            parse,
            self.finish,
            header_reader(KeyName(), ()) if header else None,
        )

    def general(self, message: str) -> bytes | None:
        """Return the event of a message; None if there is none."""
        try:
            event = self.parse(message)
        except ParseError:
            return None
        self.finish(event, self.arrival)
        return orjson.dumps(event)

    def translate(self, message: str) -> bytes | None:
        """Have a message translated, and fail if another event comes of it than the general one."""
        event = self.translator.translate(message.encode(), self.arrival)
        if event is not None:
            assert event == self.general(message), message
        return event

    def translates(self, message: str) -> bool:
        """Say whether a message is translated, after one of its kind was."""
        return self.translate(message) is not None

    def learn(self, messages: Iterable[str]) -> None:
        """Show messages to the translator."""
        for message in messages:
            self.translate(message)


@cache
def samples(vendor: str) -> tuple[str, ...]:
    """Return the documented messages of a vendor."""
    return tuple(sample.raw for sample in load(vendor))


@cache
def vectors(vendor: str) -> tuple[str, ...]:
    """Return the messages beside the specification; none where they are not there."""
    paths = sorted(SHARED.glob(f"vectors/*/{vendor}_*.json")) + sorted(
        SHARED.glob(f"vectors/{vendor}/*.json")
    )
    return tuple(json.loads(path.read_text(encoding="utf-8"))["raw"] for path in paths)


# Texts that rules, JSON or CEF treat in ways of their own.
TEXTS = (
    *("a", "None", "-", " ", "  ", "a  b", " a", "a ", "a\tb", "\t", '"', 'say "x"', '""', "0"),
    "1",
    *("\\", "\\\\", "a\\b", "DOM\\user", "D\\\\u", "\\n", "\\=", "x\\", "C:\\Windows\\a.exe"),
    "/a/b",
    *("\x01", "\x1f", "\x7f", "a\nb", "a\r\n", "\r", "\b\f", "é", "日本", "😀", "\u2028", "\ufeff"),
    *("\ue0001", "x" * 191, "x" * 193, "y" * 5000, "=", "a=b", "a b=c", "k= v", "|", "a|b", "{}"),
    *("true", "True", "false", "False", "TRUE", "01", "-1", "+1", "1.0", "1e3", "1_000", "٣"),
    "1" * 18,
    *("9" * 19, "9" * 20, "18446744073709551615", "-0", "0x1", "253402300799999"),
    "253402300800000",
    *("1625748509151", "999999999999999", "1625748509151 ", "-62135596800000", "951782400000"),
    *("2024-02-29T23:59:59.123Z", "2023-02-29T00:00:00Z", "2026-01-02T03:04:60Z"),
    "0000-01-01T00:00:00Z",
    *("9999-12-31T23:59:59.999999Z", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"),
    *("2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.12Z"),
    "2026-01-02",
    *(f"2026-01-02T03:04:05.{'1234567890'[:digits]}Z" for digits in range(3, 11)),
    *("2026-01-02T03:04:05.678901+00:00", "2026-01-02T03:04:05.Z", "2026-01-02 03:04:05"),
    "1900-02-29T00:00:00Z",
    *("2026-01-02t03:04:05z", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z"),
    "2026-01-02T24:00:00Z",
    *("10.0.0.1", "10.0.0.01", "256.1.1.1", "1.2.3", "1.2.3.4.5", "::1", "fe80::1%eth0"),
    "2001:db8::1",
    *("::ffff:10.0.0.1", "1.2.3.4 ", "0.0.0.0", "127.0.0.1", "a.example.co.uk", "host.example.com"),
    *("https://u:p@www.example.co.uk:8443/p?q=1#f", "http://[::1]/", "ftp://", "attack.t1057"),
    *("Mozilla/5.0 (Windows NT 10.0) Chrome/99", "CN=Jo Do,OU=x", "high", "0" * 32, "a" * 40),
    "b" * 64,
    *("S-1-5-18", "NT AUTHORITY\\SYSTEM", "user@example.com", "in", "out", "ALLOW", "4624", "4625"),
    "3",
)  # fmt: skip

# Values as they stand in JSON, besides texts.
VALUES = (
    *("0", "-0", "1", "-5", "1.0", "2.5", "-0.0", "1e3", "1E400", "1e-400", "123456789012345678"),
    *("1234567890123456789", "9223372036854775807", "9223372036854775808", "-9223372036854775809"),
    *("18446744073709551616", f"{'1' * 308}", f"{'1' * 310}", f"{'9' * 400}.5", f"0.{'3' * 400}"),
    *("01", "1.", ".5", "+1", "--1", "null", "true", "false", "nul", "True", "NaN", "Infinity"),
    *("[]", "{}", "[1]", "[null]", "[[]]", '["10.0.0.1"]', '["a",""]', '[""]', '["a","b","a"]'),
    "[1,]",
    *('[{"name":"g","id":1}]', '[{"name":"g"},{"user_name":"D\\\\u"}]', '[{"rule_name":"r"}]'),
    '[{}]',
    *('[{"rule_name":null,"rule_level":3}]', '[{"user_name":"D\\\\u"}]', '{"a":1,"a":2}'),
    '{"":""}',
    *('{"md5":"00000000000000000000000000000000","odd":{"x":[1]}}', '{"a" : [ 1 , 2 ] }', "[" * 70),
    *("[" * 63 + "]" * 63, "[" * 65 + "]" * 65, '{"name":"n","id":"i"}', '{"TaskContent":"<a/>"}'),
    *('"\\u0041"', '"\\u00e9\\u0000"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00"'),
    '"\\ud83d\\u0041"',
    *('"\\/"', '"\\x"', '"\\"', '"a\nb"', '"\x01"', '"\\u12"', '"\\u00E9"'),
    '"\\b\\f\\n\\r\\t\\"\\\\"',
)  # fmt: skip


def json_value(random: Random) -> str:
    """Return any value as it stands in JSON, or what is none."""
    chance = random.random()
    if chance < 0.5:
        return json.dumps(random.choice(TEXTS), ensure_ascii=random.random() < 0.2)
    if chance < 0.6:
        return orjson.dumps(any_text(random)).decode()
    return random.choice(VALUES)


def any_text(random: Random) -> str:
    """Return a text of a few odd characters, or of ordinary ones."""
    odd = 'ab 01\\"=|/.:-\n\r\t\0\x7fé😀'
    return "".join(random.choices(odd, k=random.randrange(1, 12)))


@dataclass
class Members:
    """An object of JSON as it is written: names and values, also twice or in any order."""

    pairs: list[tuple[str, Members | str]] = field(default_factory=list)

    @classmethod
    def of(cls, value: dict[str, Any]) -> Members:
        """Return an object; lists and scalars in it are texts."""
        return cls([
            (json.dumps(name), cls.of(inner) if isinstance(inner, dict) else _written(inner))
            for name, inner in value.items()
        ])  # fmt: skip

    def write(self) -> str:
        """Return the JSON."""
        inside = ",".join(
            f"{name}:{value if isinstance(value, str) else value.write()}"
            for name, value in self.pairs
        )
        return f"{{{inside}}}"

    def all(self) -> list[Members]:
        """Return the object and those in it."""
        inner = [value for _, value in self.pairs if isinstance(value, Members)]
        return [self, *(below for value in inner for below in value.all())]

    def copy(self) -> Members:
        """Return another one that is alike."""
        return Members(
            [
                (name, value if isinstance(value, str) else value.copy())
                for name, value in self.pairs
            ]
        )


def _written(value: Any) -> str:
    return orjson.dumps(value).decode()


def vary_json(message: Members, random: Random, *, values_only: bool = False) -> Members:
    """Return a message with a few changes."""
    varied = message.copy()
    for _ in range(random.randrange(1, 5)):
        holder = random.choice([inner for inner in varied.all() if inner.pairs] or [varied])
        pairs = holder.pairs
        at = random.randrange(len(pairs)) if pairs else 0
        way = 0.0 if values_only else random.random()
        if not pairs or way > 0.95:
            pairs.append((json.dumps(random.choice(TEXTS)), json_value(random)))
        elif way < 0.6:
            pairs[at] = (pairs[at][0], _other(pairs[at][1], random, anything=not values_only))
        elif way < 0.7:
            del pairs[at]
        elif way < 0.8:
            random.shuffle(pairs)
        elif way < 0.85:
            pairs.insert(random.randrange(len(pairs)), pairs[at])
        elif way < 0.9:
            pairs[at] = (pairs[at][0], Members([("a", "1")]).write())
        else:
            pairs[at] = (pairs[at][0] + random.choice(("", " ", "\n")), f" {_text(pairs[at][1])}")
    return varied


def _text(value: Members | str) -> str:
    return value if isinstance(value, str) else value.write()


def _other(value: Members | str, random: Random, *, anything: bool) -> Members | str:
    """Return another value, mostly of the same kind."""
    if isinstance(value, Members) and not anything:
        return value
    if anything and random.random() < 0.5:
        return json_value(random)
    if isinstance(value, str) and value[:1].isdigit():
        return random.choice([value for value in VALUES if value[0] in "-0123456789"])
    if isinstance(value, str) and value in ("true", "false"):
        return random.choice(("true", "false"))
    return json.dumps(random.choice(TEXTS), ensure_ascii=random.random() < 0.2)


def vary_text(text: str, random: Random) -> str:
    """Return a message cut, or with something in it or behind it."""
    at = random.randrange(len(text) + 1)
    way = random.randrange(5)
    if way == 0:
        return text[:at]
    if way == 1:
        return text + random.choice((" ", "\n", "\r\n", "}", "x", ",{}", "\0", "\t", "  ", "="))
    odd = random.choice((*' \t\n\0\x01"\\=|,:{}[]xé', "\ufeff", "  ", "\\u00", "null"))
    if way == 2:
        return text[:at] + odd + text[at + 1 :]
    return text[:at] + odd + text[at:]


@dataclass
class Fields:
    """A CEF message as it is written."""

    header: str
    pairs: list[tuple[str, str]]

    @classmethod
    def of(cls, text: str) -> Fields:
        """Take a message apart in which no value holds an `=` or two blanks."""
        *header, extension = text.split("|", 7)
        chunks = extension.split("=")
        keys = [chunks[0], *(chunk.rpartition(" ")[2] for chunk in chunks[1:-1])]
        values = [*(chunk.rpartition(" ")[0] for chunk in chunks[1:-1]), chunks[-1]]
        return cls("|".join(header), list(zip(keys, values, strict=True)))

    def write(self) -> str:
        """Return the message."""
        return f"{self.header}|{' '.join(f'{key}={value}' for key, value in self.pairs)}"


def cef_value(random: Random) -> str:
    """Return any value of a CEF extension, escaped or not."""
    value = any_text(random) if random.random() < 0.2 else random.choice(TEXTS)
    if random.random() < 0.7:
        value = value.replace("\\", "\\\\").replace("=", "\\=")
    if random.random() < 0.3:
        value = value.replace("\n", "\\n").replace("\r", "\\r").replace("|", "\\|")
    return value


def vary_cef(message: Fields, random: Random, *, values_only: bool = False) -> Fields:
    """Return a message with a few changes."""
    varied = Fields(message.header, [*message.pairs])
    pairs = varied.pairs
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(pairs)) if pairs else 0
        way = 0.0 if values_only else random.random()
        if not pairs or way > 0.95:
            label = random.choice(
                ("MalopId", "filePath", "Name", "a b", "", "None", "DeviceVendor")
            )
            pairs += [("cs9", cef_value(random)), ("cs9Label", label)]
        elif way < 0.6:
            free = [n for n, (key, _) in enumerate(pairs) if not key.endswith("Label")]
            at = random.choice(free or [at]) if values_only else at
            pairs[at] = (pairs[at][0], cef_value(random))
        elif way < 0.7:
            del pairs[at]
        elif way < 0.8:
            random.shuffle(pairs)
        elif way < 0.85:
            pairs.insert(random.randrange(len(pairs)), pairs[at])
        elif way < 0.9:
            parts = varied.header.split("|")
            parts[random.randrange(len(parts))] = random.choice(
                ("CEF:0", "1", "", " x", "a\\|b", "3")
            )
            varied.header = "|".join(parts)
        else:
            pairs[at] = (
                random.choice(("dst", "rt", "request", "a.b", "a[0]", "é", "")),
                pairs[at][1],
            )
    return varied


def read_message(random: Random) -> Members:
    """Return a HarfangLab message of fields that rules read, of any family."""
    table = PARSERS["harfanglab"].table
    rules = (*table.rules, *table.ecs_rules)
    compared = [pair for rule in rules if rule.when for pair in rule.when.compared]
    message = Members()
    for path in random.sample(sorted(table.read_paths()), random.randrange(1, 40)):
        _put(message, steps(path), json_value(random))
    for path, value in random.sample(compared, random.randrange(3)):
        _put(message, steps(path), _written(value))
    families = sorted(
        {str(value) for path, value in compared if path in ("log_type", "alert_subtype")}
    )
    for family in ("log_type", "alert_subtype"):
        if random.random() < 0.8:
            _put(message, [family], _written(random.choice(families)))
    random.shuffle(message.pairs)
    return message


def _put(holder: Members, path: list[str], value: str) -> None:
    """Set a field, unless something else is in its way; a list has one entry."""
    written = json.dumps(path[0])
    at = next((n for n, (name, _) in enumerate(holder.pairs) if name == written), None)
    if len(path) == 1:
        if at is None:
            holder.pairs.append((written, value))
        else:
            holder.pairs[at] = (written, value)
        return
    if path[1] == "[0]":
        inner = Members()
        if path[2:]:
            _put(inner, path[2:], value)
        value = f"[{inner.write() if path[2:] else value}]"
        _put(holder, path[:1], value)
        return
    if at is None:
        holder.pairs.append((written, Members()))
    below = holder.pairs[-1 if at is None else at][1]
    if isinstance(below, Members):
        _put(below, path[1:], value)
