"""Messages as senders send them: the vendors' samples with values that differ from one to the next.

Hosts, users, files and hashes come out of some hundreds each, as in a company; times, GUIDs and
process ids are new in every message; now and then a key is missing. What a parser keeps in a cache
therefore pays as much here as it does in the field, and no more.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEYS: Final = {"cybereason": "key-of-cybereason", "harfanglab": "key-of-harfanglab"}
"""The intake key of each vendor; the header's app-name is the vendor too."""

LOADS: Final = {
    "cybereason": ("cybereason",),
    "harfanglab": ("harfanglab",),
    "mixed": ("cybereason", "harfanglab"),
}
"""The vendors whose messages take turns, by the name of a load."""

CORPUS_MESSAGES: Final = 20_000
"""How many different messages there are; they are sent over and over."""

_HOSTS, _USERS, _FILES = 400, 600, 2000
_BEGIN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_SHARE_WITHOUT_A_KEY: Final = 0.05

_NAMES: Final = (
    "anna",
    "ben",
    "clara",
    "david",
    "emma",
    "felix",
    "greta",
    "hugo",
    "ida",
    "jonas",
    "mia",
)
_SURNAMES: Final = ("bauer", "costa", "dubois", "evans", "garcia", "huber", "ivanov", "jansen")
_SITES: Final = ("par", "lyo", "ber", "muc", "lon", "mad", "rom", "waw")
_PROGRAMS: Final = ("report", "invoice", "setup", "viewer", "update", "agent", "backup", "scan")
_DIRECTORIES: Final = (
    r"C:\Windows\System32",
    r"C:\Program Files\Common Files",
    r"C:\Users\Public\Downloads",
    r"E:\Data (shared)\Tools",
)
_PORTS: Final = (443, 443, 443, 80, 8080, 8443, 53, 389, 445, 3389, 25)
_COUNTRIES: Final = ("None", "None", "United States", "France", "Germany", "The Netherlands")
_RULES: Final = tuple(f"6f2b7c1e-3a4d-4c58-9b0e-{number:012x}" for number in range(300))
_DECISIONS: Final = (
    "maliciousByDualExtensionByFileRootCause",
    "maliciousByHashByMalopProcess",
    "abusingWindowsToolByCommandLine",
)


class Draw:
    """Draws values for one message after the other.

    Args:
        seed: the same seed gives the same values.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._moment = _BEGIN
        self._hosts = [f"{self.among(_SITES)}-ws-{number:04}" for number in range(_HOSTS)]
        self._agents = {host: self.guid() for host in self._hosts}
        self._users = [
            f"{self.among(_NAMES)}.{self.among(_SURNAMES)}{number}" for number in range(_USERS)
        ]
        self._files = [
            (f"{self.among(_PROGRAMS)}_{number}.exe", self.hexadecimal(64))
            for number in range(_FILES)
        ]
        self.next()

    def next(self) -> None:
        """Go on to the next message: what belongs together stays together within one."""
        self._moment += timedelta(microseconds=self.below(4000))
        self.host = self.among(self._hosts)
        self.agent = self._agents[self.host]
        self.user = self.among(self._users)
        self.file, self.sha256 = self.among(self._files)
        self.path = f"{self.among(_DIRECTORIES)}\\{self.file}"

    def among(self, values: Sequence[Any]) -> Any:
        """Return one of some values."""
        return values[self.below(len(values))]

    def below(self, bound: int) -> int:
        """Return a number of 0 to `bound` - 1."""
        return int(self._random.random() * bound)

    def happens(self, share: float) -> bool:
        """Return whether something happens that does in this share of messages."""
        return self._random.random() < share

    def hexadecimal(self, digits: int) -> str:
        """Return so many hexadecimal digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def guid(self) -> str:
        """Return a GUID as text."""
        digits = self.hexadecimal(32)
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def number(self, bits: int = 63) -> int:
        """Return a signed number of so many bits."""
        return self._random.getrandbits(bits) - (1 << (bits - 1))

    def address(self) -> str:
        """Return an IPv4 address, a private one in half of the cases."""
        if self.happens(0.5):
            return f"10.{self.below(8)}.{self.below(256)}.{1 + self.below(254)}"
        return f"{11 + self.below(80)}.{self.below(256)}.{self.below(256)}.{1 + self.below(254)}"

    def pid(self) -> int:
        """Return a process id of Windows."""
        return 4 * (1 + self.below(10_000))

    def moment(self) -> datetime:
        """Return when something happened: up to five seconds before the message."""
        return self._moment - timedelta(milliseconds=self.below(5000))

    def milliseconds(self) -> int:
        """Return the same in milliseconds since 1970."""
        return int(self.moment().timestamp() * 1000)

    def iso(self) -> str:
        """Return the same as ISO 8601 with milliseconds."""
        return self.moment().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def header_time(self) -> str:
        """Return when the message was sent, as RFC 5424 has it."""
        return self._moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _quoted_path(draw: Draw) -> str:
    path = f"C:\\Users\\{draw.user}\\Downloads\\{draw.file}".replace("\\", "\\\\")
    return f'"{path}"'


_CEF_VALUES: Final[dict[str, Callable[[Draw], object]]] = {
    "CybereasonCEFgeneratorBatchId1": Draw.guid,
    "CybereasonCEFgeneratorcountry1Name": lambda draw: draw.among(_COUNTRIES),
    "CybereasonCEFgeneratorMachineGuid1": lambda draw: f"{draw.number(31)}.{draw.number()}",
    "cn1": lambda draw: 1 + draw.below(3),
    "cn2": lambda draw: 1 + draw.below(3),
    "cs4": lambda draw: draw.sha256[:40],
    "cs5": lambda draw: draw.among(_DECISIONS),
    "destinationDnsDomain": lambda draw: draw.host,
    "destinationTranslatedAddress": Draw.address,
    "deviceCustomDate1": Draw.milliseconds,
    "deviceProcessName": lambda draw: draw.file,
    "dhost": lambda draw: draw.host,
    "dpt": lambda draw: draw.among(_PORTS),
    "dst": Draw.address,
    "duser": lambda draw: draw.user,
    "flexString2": lambda draw: draw.among(("True", "False")),
    "request": _quoted_path,
    "requestContext": lambda draw: (
        f"{draw.file}, which has an unknown reputation, has dual extensions, "
        "which is hiding the true nature of the process."
    ),
    "rt": Draw.milliseconds,
}
_CEF_OPTIONAL: Final = ("dst", "dpt", "cs4", "dhost", "cn2", "deviceProcessName", "dpriv")
_CEF_PAIR: Final = re.compile(r"(\w+)=(.*?)(?= \w+=|$)")
_MALOP: Final = re.compile(r"11\.-?[0-9]+")


def vary_cef(raw: str, draw: Draw) -> str:
    """Return a CEF message with other values, and now and then without one of its keys."""
    *header, extension = raw.split("|", 7)
    missing = draw.among(_CEF_OPTIONAL) if draw.happens(_SHARE_WITHOUT_A_KEY) else None
    pairs = []
    for key, value in _CEF_PAIR.findall(extension):
        if key != missing:
            make = _CEF_VALUES.get(key)
            pairs.append(f"{key}={value if make is None else make(draw)}")
    # The incident stands in its id and in its link.
    text = _MALOP.sub(f"11.{draw.number()}", " ".join(pairs))
    return "|".join([*header, text])


_JSON_VALUES: Final[dict[str, Callable[[Draw], object]]] = {
    "@event_create_date": Draw.iso,
    "@timestamp": Draw.iso,
    "agentid": lambda draw: draw.agent,
    "aggregation_key": lambda draw: draw.hexadecimal(64),
    "alert_time": lambda draw: draw.iso().replace("Z", "+00:00"),
    "alert_unique_id": Draw.guid,
    "commandline": lambda draw: f'"{draw.path}" -u {draw.user} /out:C:\\Temp\\{draw.pid()}.log',
    "computer_name": lambda draw: draw.host.upper(),
    "create_time": Draw.iso,
    "current_directory": lambda draw: draw.among(_DIRECTORIES),
    "daddr": Draw.address,
    "detection_timestamp": lambda draw: f"{draw.moment():%Y/%m/%d %H:%M:%S.%f}",
    "dport": lambda draw: draw.among(_PORTS),
    "hostname": lambda draw: draw.host.upper(),
    "image_name": lambda draw: draw.path,
    "logonid": lambda draw: draw.below(1 << 28),
    "md5": lambda draw: draw.sha256[:32],
    "original_filename": lambda draw: draw.file,
    "param1": lambda draw: str(draw.pid()),
    "parent_unique_id": Draw.guid,
    "pe_imphash": lambda draw: draw.sha256[24:56].upper(),
    "pid": Draw.pid,
    "ppid": Draw.pid,
    "process_id": Draw.pid,
    "process_name": lambda draw: draw.file,
    "process_unique_id": Draw.guid,
    "record_number": lambda draw: draw.below(1 << 24),
    "rule_id": lambda draw: draw.among(_RULES),
    "saddr": Draw.address,
    "session": lambda draw: draw.below(4),
    "sha1": lambda draw: draw.sha256[:40],
    "sha256": lambda draw: draw.sha256,
    "size": lambda draw: 4096 + draw.below(1 << 20),
    "sport": lambda draw: 1024 + draw.below(64_000),
    "thread_id": Draw.pid,
    "username": lambda draw: f"CORP\\{draw.user}",
    "usersid": lambda draw: f"S-1-5-21-975228105-2966123187-{draw.below(1 << 31)}-1001",
}
_JSON_OPTIONAL: Final = ("size", "logonid", "current_directory", "saddr", "task", "aggregation_key")


def vary_json(raw: str, draw: Draw) -> str:
    """Return a JSON message on one line with other values, now and then without a key."""
    document = orjson.loads(raw)
    if draw.happens(_SHARE_WITHOUT_A_KEY):
        document.pop(draw.among(_JSON_OPTIONAL), None)
    return orjson.dumps(_varied(document, draw)).decode()


def _varied(document: dict[str, Any], draw: Draw) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        make = _JSON_VALUES.get(key)
        if isinstance(value, dict):
            found[key] = _varied(value, draw)
        elif make is None:
            found[key] = value
        else:
            found[key] = make(draw)
    return found


_VARY: Final = {"cybereason": vary_cef, "harfanglab": vary_json}


@dataclass(frozen=True, slots=True)
class Load:
    """Messages of some vendors, by turns.

    Attributes:
        name: a key of `LOADS`.
        messages: different ones, syslog header included; none holds a line feed.
    """

    name: str
    messages: Sequence[bytes]

    @property
    def octets(self) -> float:
        """The mean length of a message."""
        return sum(map(len, self.messages)) / len(self.messages)


def generate(name: str, count: int = CORPUS_MESSAGES, seed: int = 1) -> Load:
    """Make messages.

    Args:
        name: a key of `LOADS`.
        count: how many.
        seed: the same seed gives the same messages.
    """
    draw = Draw(seed)
    sources = [samples.load(vendor) for vendor in LOADS[name]]
    messages = []
    for number in range(count):
        turn, position = divmod(number, len(sources))
        sample = sources[position][turn % len(sources[position])]
        draw.next()
        messages.append(_message(sample.vendor, _VARY[sample.vendor](sample.raw, draw), draw))
    return Load(name, messages)


def _message(vendor: str, payload: str, draw: Draw) -> bytes:
    """Return a message with the header that a forwarder puts before it (RFC 5424)."""
    key = f'[SEKOIA@53288 intake_key="{KEYS[vendor]}"]'
    return f"<134>1 {draw.header_time()} edr {vendor} {draw.pid()} LOG {key} {payload}".encode()
