"""Kinds of values a setting can have: how each is read, what it accepts, how the schema says it.

A kind stands in the annotation of a setting, as in `port: Annotated[int, whole(0, 65535)]`, where
pydantic calls it for validation and for the JSON schema: a bound is stated once.
"""

from __future__ import annotations

import ipaddress
import os
import re
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from pydantic_core import PydanticCustomError, core_schema

from collector.settings.files import FileError, read_beginning
from collector.settings.problems import kind_of, shown, unchosen
from collector.settings.secret_files import (
    MAX_SECRET_LENGTH,
    read_credentials,
    read_secret,
    secret_flaw,
)
from collector.settings.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    guess_duration,
    guess_size,
    parse_duration,
    parse_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler


INBOX = "inbox:"
"""The address of the daemon's own inbox, in place of a URL."""

MAX_URL_LENGTH = 2048
MAX_SOCKET_PATH_LENGTH = 107
"""Octets of the path of a unix socket: `sockaddr_un` has 108, of which the last is null."""
MAX_COMPARED_LENGTH = 4096
MAX_COMPARED_BITS = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TLS_VERSIONS = ("1.2", "1.3")

_DIGITS = re.compile(r"[0-9]{1,12}")
_MODE_PATTERN = "0?[0-7]{1,3}"
_MODE = re.compile(_MODE_PATTERN)
_HOST_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_HOST_NAME = re.compile(rf"{_HOST_LABEL}(\.{_HOST_LABEL}){{0,126}}")
_IPV4_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

_Number = TypeVar("_Number", int, float)


class KindError(Exception):
    """A value is not of its kind; the text says what is wrong, for a secret without the value."""


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of value, put into the annotation of a setting.

    Attributes:
        read: Turns what YAML, a variable or code gave into the value, or raises KindError.
        accepted: What `read` accepts, for messages.
        schema: The same as JSON schema.
        write: Turns a value into what JSON shows of it.
    """

    read: Callable[[Any], object]
    accepted: str
    schema: dict[str, Any]
    write: Callable[[Any], object] = str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.write, when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return deepcopy(self.schema)  # what is said of one setting is written into it

    def _validated(self, value: object) -> object:
        try:
            return self.read(value)
        except KindError as error:
            message = f"{error}; accepted: {self.accepted}"
            raise PydanticCustomError("kind", "{message}", {"message": message}) from None


@dataclass(frozen=True, eq=False)
class OneOrMany:
    """Marks a list that may be written as its only item."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


def whole(low: int, high: int) -> Kind:
    """Whole numbers from `low` to `high`, as a number or, out of a variable, as digits."""

    def read(value: object) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            return _within(int(value), low, high, value)
        if isinstance(value, int) and not isinstance(value, bool):
            return _within(value, low, high, value)
        raise KindError(f"{shown(value)} is not a whole number")

    accepted = f"{low} to {high}"
    return Kind(read, accepted, _number_or_text(low, high, "^[0-9]{1,12}$", accepted), int)


def whole_or(low: int, high: int, word: str) -> Kind:
    """Whole numbers as `whole` has them, or a word."""
    numbers = whole(low, high)
    accepted = f"{numbers.accepted}, or {word}"

    def read(value: object) -> object:
        return word if value == word else numbers.read(value)

    schema = {"anyOf": [*numbers.schema["anyOf"], {"const": word}]}
    return Kind(read, accepted, schema, lambda value: value)


def size(low: int, high: int) -> Kind:
    """Sizes from `low` to `high` bytes; the value is in bytes."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return _within(value, low, high, value)
        return _within(_parsed(parse_size, value, "a size", guess_size), low, high, value)

    bounds = f"{format_size(low)} to {format_size(high)}"
    accepted = f"{bounds}, in bytes or with a unit (256KiB, 10GiB, 1MB)"
    return Kind(read, accepted, _number_or_text(low, high, SIZE_PATTERN, accepted), format_size)


def duration(low: str, high: str) -> Kind:
    """Durations from `low` to `high`, both with their unit; the value is in seconds."""
    shortest, longest = parse_duration(low), parse_duration(high)

    def read(value: object) -> float:
        if _is_number(value) and value != 0:
            raise KindError(f"{shown(value)} has no unit")
        if _is_number(value):
            seconds = 0.0
        else:
            seconds = _parsed(parse_duration, value, "a duration", guess_duration)
        return _within(seconds, shortest, longest, value)

    accepted = f"{low} to {high}, with a unit (250ms, 30s, 5m, 2h, 1d)"
    schema = {"anyOf": [{"const": 0}, _plain(accepted, pattern=DURATION_PATTERN)]}
    return Kind(read, accepted, schema, format_duration)


def choice(choices: Iterable[str]) -> Kind:
    """Texts that are one of `choices`, where these are known only at run time."""
    names = tuple(choices)

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise KindError(unchosen(value, names))
        return value

    return Kind(read, ", ".join(names), {"type": "string", "enum": [*names]})


def text(pattern: str, noun: str, accepted: str, *, secret: bool = False) -> Kind:
    """Texts that match `pattern` as a whole.

    Args:
        pattern: A regular expression that reads the same in Python and in JSON schema.
        noun: What such a text is, with its article.
        accepted: The pattern in words.
        secret: Whether a text that does not match may hold a secret and is not shown.

    Returns:
        The kind of such texts.
    """
    compiled = re.compile(pattern)

    def read(value: object) -> str:
        written = _text(value, secret=secret)
        if not compiled.fullmatch(written):
            raise KindError(f"{'the text' if secret else shown(value)} is not {noun}")
        return written

    return _text_kind(read, accepted, pattern=f"^(?:{pattern})$")


def _read_boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):  # out of a variable
        return value == "true"
    raise KindError(f"{shown(value)} is neither true nor false")


def _read_compared(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if _is_number(value):
        if isinstance(value, int) and value.bit_length() > MAX_COMPARED_BITS:
            raise KindError(f"{shown(value)} is too large")
        return str(value)
    written = _text(value)
    if len(written) > MAX_COMPARED_LENGTH:
        raise KindError("is too long")
    return written


def _read_timezone(value: object) -> tzinfo:
    if isinstance(value, tzinfo):
        return value
    name = _text(value)
    if name == "UTC":  # known without a database of zones
        return UTC
    # Paths that are no zones raise OSError, an unknown name KeyError, anything else ValueError.
    with suppress(OSError, KeyError, ValueError):
        return ZoneInfo(name)
    raise KindError(f"{shown(value)} is not a time zone of this system")


def _read_host(value: object) -> str:
    host = _text(value)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _read_host_name(host)
    return host


def _read_host_name(name: str) -> str:
    # A name whose last part is a number is a mistyped IPv4 address.
    if not _HOST_NAME.fullmatch(name) or name.rpartition(".")[2].isdecimal():
        raise KindError(f"{shown(name)} is neither an address nor a host name")
    return name


def _read_peer_name(value: object) -> str:
    name = _text(value)
    with suppress(KindError):
        if name.startswith("*."):
            _read_host_name(name.removeprefix("*."))
        else:
            _read_host(name)
        return name
    raise KindError(f"{shown(value)} is not a name of a certificate")


def _read_mode(value: object) -> int:
    # The YAML reader leaves octal numbers as texts. A number is one that looks decimal.
    if isinstance(value, str) and _MODE.fullmatch(value):
        return int(value, 8)
    raise KindError(f"{shown(value)} is not an octal mode")


def _read_socket_path(value: object) -> Path:
    written = str(value) if isinstance(value, Path) else _text(value)
    path = Path(written)
    if not path.is_absolute() or not path.name or "\0" in written:
        raise KindError(f"{shown(written)} is not the absolute path of a socket")
    try:
        length = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise KindError(f"{shown(written)} is no file name") from None
    if length > MAX_SOCKET_PATH_LENGTH:
        raise KindError(f"{shown(written)} is too long")
    return path


def _read_tls_version(value: object) -> str:
    version = str(value) if isinstance(value, float) else _text(value)
    if version not in TLS_VERSIONS:
        raise KindError(f"{shown(value)} is not one of the choices")
    return version


def _read_network(value: object) -> Network:
    if isinstance(value, Network):
        return value
    written = _text(value)
    try:
        interface = ipaddress.ip_interface(written)
    except ValueError:
        raise KindError(f"{shown(value)} is not a network") from None
    network = interface.network
    if interface.ip != network.network_address:
        raise KindError(f"{shown(value)} has bits beyond its prefix, which is {network}")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_IPV4_MAPPED):
        # A peer of an IPv6 socket is compared as IPv4 where it is one.
        base = int(network.network_address) & 0xFFFF_FFFF
        return ipaddress.IPv4Network((base, network.prefixlen - _IPV4_MAPPED.prefixlen))
    return network


def _read_url(value: object) -> str:
    """Read where a sink is; a URL is never shown, since it may hold a password or a token."""
    url = _text(value, secret=True)
    if url == INBOX:
        return url
    parts = _split_url(url, {"http", "https"})
    if "@" in parts.netloc:
        raise KindError("holds a user name or a password, which belong in auth.basic")
    return url


def _read_proxy_url(value: object) -> SecretStr:
    given = value.get_secret_value() if isinstance(value, SecretStr) else value
    url = _text(given, secret=True)
    parts = _split_url(url, {"http"})
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise KindError("holds more than the address of a proxy")
    return SecretStr(url)


def _read_nats_url(value: object) -> str:
    """Read where a server of NATS is; a URL is not shown, since it may hold a password."""
    url = _text(value, secret=True)
    parts = _split_url(url, {"nats", "tls"})
    if "@" in parts.netloc:
        raise KindError("holds a user name, a password or a token, which belong in files")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise KindError("holds more than the address of a server")
    return (
        parts.scheme + url[len(parts.scheme) :]
    )  # in lower case, as the programs after us want it


def _split_url(url: str, schemes: AbstractSet[str]) -> SplitResult:
    """Take a URL apart that names a host."""
    if len(url) > MAX_URL_LENGTH or not url.isprintable() or " " in url:
        raise KindError("is too long, or holds a blank or a control character")
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in schemes and parts.hostname and parts.port != 0:
            return parts
    raise KindError(f"is not a complete {' or '.join(sorted(schemes))} URL")


def _read_secret(value: object) -> SecretStr:
    given = value.get_secret_value() if isinstance(value, SecretStr) else value
    written = _text(given, secret=True)
    if flaw := secret_flaw(written):
        raise KindError(flaw)
    return SecretStr(written)


def _read_secret_file(value: object) -> Path:
    path = _path(value)
    try:
        read_secret(path)
    except FileError as error:
        raise _unusable(error) from None
    return path


def _read_pem_file(value: object) -> Path:
    path = _path(value)
    try:
        beginning = read_beginning(path, 1)
    except FileError as error:
        raise _unusable(error) from None
    if not beginning:
        raise _unusable(FileError(path, "is empty"))
    return path


def _read_credentials_file(value: object) -> Path:
    path = _path(value)
    try:
        read_credentials(path)
    except FileError as error:
        raise _unusable(error) from None
    return path


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value, secret=True))


def _unusable(error: FileError) -> KindError:
    # What does not look like a path may be the secret itself, written in the wrong place.
    name = repr(str(error.path)) if str(error.path).startswith(("/", ".")) else "the file"
    return KindError(f"{name} {error.reason}")


def _text(value: object, *, secret: bool = False) -> str:
    if isinstance(value, str):
        return value
    what = kind_of(value) if secret else shown(value)
    hint = ", put it in quotes" if isinstance(value, bool | int | float) else ""
    raise KindError(f"{what} where a text is expected{hint}")


def _parsed(
    parse: Callable[[str], _Number],
    value: object,
    noun: str,
    guess: Callable[[str], str | None],
) -> _Number:
    hint = ""
    if isinstance(value, str):
        with suppress(ValueError):
            return parse(value)
        meant = guess(value)
        hint = "" if meant is None else f" (did you mean {meant!r}?)"
    raise KindError(f"{shown(value)} is not {noun}{hint}")


def _within(number: _Number, low: float, high: float, value: object) -> _Number:
    if number < low:
        raise KindError(f"{shown(value)} is too small")
    if number > high:
        raise KindError(f"{shown(value)} is too large")
    return number


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | int | float | Path | SecretStr) else value


def _number_or_text(low: int, high: int, pattern: str, accepted: str) -> dict[str, Any]:
    number = {"type": "integer", "minimum": low, "maximum": high}
    return {"anyOf": [number, _plain(accepted, pattern=pattern)]}


def _plain(accepted: str, **rules: object) -> dict[str, Any]:
    return {"type": "string", "description": accepted, **rules}


def _text_kind(read: Callable[[Any], object], accepted: str, **rules: object) -> Kind:
    return Kind(read, accepted, {"anyOf": [_plain(accepted, **rules)]})


HOST = _text_kind(_read_host, "an IPv4 or IPv6 address, or a host name", maxLength=253)
"""An address or name to listen on."""

NETWORK = _text_kind(_read_network, "an address or a network, such as 10.0.0.0/8 or 2001:db8::/32")
"""An IPv4 or IPv6 network; IPv4 written as IPv6 (`::ffff:…`) is read as IPv4."""

URL = _text_kind(
    _read_url,
    f"http://… or https://… without user name and password, or {INBOX}",
    pattern=f"^([Hh][Tt][Tt][Pp][Ss]?://.+|{INBOX})$",
)
"""Where a sink posts to."""

NATS_URL = _text_kind(
    _read_nats_url,
    "nats://host:port or tls://host:port",
    pattern="^([Nn][Aa][Tt][Ss]|[Tt][Ll][Ss])://[^@]+$",
)
"""A server of a NATS cluster."""

SECRET = _text_kind(
    _read_secret, f"1 to {MAX_SECRET_LENGTH} characters on one line", maxLength=MAX_SECRET_LENGTH
)
"""A key, password, token or header value, masked wherever it is printed."""

SECRET_FILE = _text_kind(
    _read_secret_file, "a readable file that holds the secret, and nothing else, on one line"
)
"""The path of a secret's file; it is read once for validation and again where it is used."""

PEM_FILE = _text_kind(_read_pem_file, "a readable file in PEM form")
"""The path of a file of certificates or of a private key; what it holds is checked at its use."""

CREDENTIALS_FILE = _text_kind(
    _read_credentials_file, "a readable file with a JWT and a seed, as nsc writes for a user"
)
"""The path of a NATS user's file of several lines; it is read again at each connection."""

PEER_NAME = _text_kind(
    _read_peer_name,
    "a host name, one with *. before it for any name directly below, or an IP address",
    maxLength=255,
)
"""A name that a certificate may carry: subject alternative names of the types DNS and IP."""

TLS_VERSION = Kind(
    _read_tls_version,
    " or ".join(TLS_VERSIONS),
    {"anyOf": [{"enum": [*TLS_VERSIONS, *map(float, TLS_VERSIONS)]}]},
)
"""The oldest version of TLS that is spoken; the value is a text."""

PROXY_URL = _text_kind(
    _read_proxy_url,
    "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
    pattern="^[Hh][Tt][Tt][Pp]://.+$",
)
"""An HTTP proxy; the value is secret, since it may hold a password."""

PORT = whole(0, 65535)
"""A port to listen on; 0 lets the system choose one."""

WORKERS = whole_or(1, 64, "auto")
"""How many processes."""

SOCKET_PATH = _text_kind(
    _read_socket_path, f"an absolute path of at most {MAX_SOCKET_PATH_LENGTH} bytes"
)
"""The path of a unix socket, which need not be there yet."""

MODE = Kind(
    _read_mode,
    "octal digits from 0000 to 0777, such as 0660",
    {
        # YAML readers disagree about 0660: a text, a decimal number or an octal one.
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 777},
            _plain("octal digits, such as 0660", pattern=f"^{_MODE_PATTERN}$"),
        ]
    },
    "{:04o}".format,
)
"""Permissions of a file, as chmod has them."""

LABEL = text("[A-Za-z0-9_.-]{1,64}", "a name", "1 to 64 letters, digits, '_', '.' and '-'")
"""A name that metrics, logs and URLs can carry as it is."""

STREAM_NAME = text(
    "[A-Za-z0-9_-]{1,64}", "a name of a stream", "1 to 64 letters, digits, '_' and '-'"
)
"""The name of a stream of NATS, also the beginning of its subjects."""

HEADER_NAME = text(
    "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}",
    "a header name",
    "a header name, such as X-Api-Key",
    secret=True,
)
"""A field name (RFC 9110, section 5.1)."""

FIELD_NAME = text(
    r"[^\x00-\x1f\x7f.]{1,128}(\.[^\x00-\x1f\x7f.]{1,128}){0,15}",
    "a field name",
    "names joined by dots, such as labels.site",
)
"""The dotted name of a field of an event."""

BOOLEAN = Kind(
    _read_boolean,
    "true or false",
    {"anyOf": [{"type": "boolean"}, _plain("true or false", enum=["true", "false"])]},
    bool,
)
"""Yes or no; out of a variable, the words true and false."""

COMPARED = Kind(
    _read_compared,
    f"a text of at most {MAX_COMPARED_LENGTH} characters, a number of {MAX_COMPARED_BITS} bits, "
    "true or false",
    {"anyOf": [{"type": ["string", "number", "boolean"]}]},
)
"""What the text of a field is compared with; the value is a text."""

TIMEZONE = _text_kind(
    _read_timezone, "a name of the IANA time zone database, such as UTC or Europe/Paris"
)
"""A time zone; the value is a `tzinfo`."""

SD_NAME = text(
    r"[!#-<>-\\^-~]{1,32}",
    "a structured-data name",
    "1 to 32 printable ASCII characters without blank, '=', ']' and '\"'",
)
"""SD-NAME of RFC 5424, section 6: the name of an element or a parameter."""

TEMPLATE = text(
    r"([^\x00-\x1f\x7f{}]|\{intake\}){1,256}",
    "a text with {intake}",
    "1 to 256 characters; {intake} stands for the intake's name",
)
"""A text into which the name of an intake is put."""

INDEX = text(
    r"([^\x00-\x1f\x7f{}]|\{(intake|dataset|namespace)\}){1,256}",
    "a name of an index",
    "1 to 256 characters; {intake}, {dataset} and {namespace} are put in",
)
"""The name of a data stream or index, with what is put in for each intake."""

DIRECTORY = text(r"[^\x00]{1,1024}", "a directory", "the path of a directory")
"""A directory, which need not be there yet."""

USER_NAME = text(
    r"[^\x00-\x1f\x7f:]{1,256}", "a user name", "1 to 256 characters without ':'", secret=True
)
"""A user name of basic authentication, which a colon would end (RFC 7617, section 2)."""
