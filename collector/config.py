"""Every setting of the collector, declared once.

Validation, defaults, the JSON schema and the help of a setting come from its declaration here; how
a file becomes settings is in `collector.settings`. `load` is the way from a file to a `Config`,
`warnings` says what is allowed but probably not meant.

Sizes are in bytes and durations in seconds once they are read.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, SecretStr, ValidationError

from collector import roles
from collector.events.envelope import DEFAULT_PARTS, Part
from collector.events.fields import ALWAYS, known_fields
from collector.parsers import PARSERS, PROFILES, Profile
from collector.settings import (
    advice,
    constant_fields,
    listener_relations,
    relations,
    sink_relations,
)
from collector.settings.checking import Settings, check
from collector.settings.constant_fields import CONSTANT_FIELDS
from collector.settings.document import read_mapping, read_text
from collector.settings.json_schema import json_schema
from collector.settings.kinds import (
    BOOLEAN,
    COMPARED,
    CREDENTIALS_FILE,
    DIRECTORY,
    FIELD_NAME,
    HEADER_NAME,
    HOST,
    INBOX,
    INDEX,
    LABEL,
    MODE,
    NATS_URL,
    NETWORK,
    PEER_NAME,
    PEM_FILE,
    PORT,
    PROXY_URL,
    SD_NAME,
    SECRET,
    SECRET_FILE,
    SOCKET_PATH,
    STREAM_NAME,
    TEMPLATE,
    TIMEZONE,
    TLS_VERSION,
    URL,
    USER_NAME,
    WORKERS,
    Network,
    OneOrMany,
    choice,
    duration,
    size,
    whole,
)
from collector.settings.problems import ConfigError, Problem, joined, listed
from collector.settings.secret_files import read_secret
from collector.settings.substitution import substitute
from collector.settings.units import GIB, KIB, MIB, TIB, format_duration

ALL_SINKS = "all"
"""In place of a sink's name: every sink. No sink can have this name."""

Transport = Literal["udp", "tcp", "relp", "unix", "unix-datagram"]
Framing = Literal["auto", "octet-counted", "lf", "nul"]
WhenOversize = Literal["truncate", "reject"]
LogLevel = Literal["debug", "info", "warning", "error"]
WhenFull = Literal["block", "drop"]
SpoolType = Literal["sqlite", "memory", "jetstream"]
FormatName = Literal["ndjson", "json", "elasticsearch", "splunk_hec", "sekoia"]
Payload = Literal["event", "raw"]
Compression = Literal["none", "gzip", "zstd"]

Networks = Annotated[tuple[Annotated[Network, NETWORK], ...], Field(max_length=1000), OneOrMany()]
SecretText = Annotated[SecretStr, SECRET]
SecretFile = Annotated[Path, SECRET_FILE]
PemFile = Annotated[Path, PEM_FILE]

# Headers that follow from how a request is sent.
_OWN_HEADERS = {
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
}


_INTERNET: tuple[Transport, ...] = ("udp", "tcp", "relp")
_STREAMS: tuple[Transport, ...] = ("tcp", "relp", "unix")
_UNIX: tuple[Transport, ...] = ("unix", "unix-datagram")


class _Only:
    """Marks a setting that only listeners of some transports have, or spools of some types."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices


def _misplaced(
    declaration: type[Settings], written: Mapping[str, Any], chooser: str, what: str
) -> Iterator[Problem]:
    """Find settings that are not had with what is chosen.

    Args:
        declaration: of the mapping.
        written: its settings; what is chosen is one of the choices, or nothing for its default.
        chooser: the setting that chooses.
        what: is chosen, for people.
    """
    chosen = written.get(chooser, declaration.model_fields[chooser].default)
    for name, field in declaration.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, _Only) and name in written and chosen not in mark.choices:
                accepted = f"accepted with {chooser}: {listed(mark.choices)}"
                yield Problem(name, f"not a setting of {what}; {accepted}")


class _OwnPath:
    """Marks a path that the daemon makes itself, and so does not read."""


class FilterSettings(Settings):
    """A test of one field of an event, by exactly one of equals, in, prefix and exists.

    The field is that of the event as a sink gets it. A list matches if one of its entries does.
    Values are compared by their text: 4624 is the same as "4624".
    """

    name: Annotated[str, LABEL]
    """The filter's name in logs and metrics; unique in its list."""
    field: Annotated[str, FIELD_NAME]
    """The field, with its dotted name, as event.code."""
    equals: Annotated[str, COMPARED] | None = None
    """The value that matches."""
    in_: Annotated[
        tuple[Annotated[str, COMPARED], ...],
        Field(alias="in", min_length=1, max_length=10_000),
        OneOrMany(),
    ] = ()
    """The values of which each matches."""
    prefix: Annotated[str, COMPARED] | None = None
    """The beginning of the values that match."""
    exists: Annotated[bool, BOOLEAN] | None = None
    """true to match where the field is, false where it is not."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a filter that asks for nothing, or for several things."""
        return relations.exactly_one(written, ["equals", "in", "prefix", "exists"])


Filters = Annotated[tuple[FilterSettings, ...], Field(max_length=100)]


class ListenerTls(Settings):
    """TLS on a listener (RFC 5425)."""

    cert_file: PemFile
    """The file that holds the certificate, followed by those of the authorities between (PEM)."""
    key_file: PemFile
    """The file that holds the private key of the certificate (PEM)."""
    client_ca_file: PemFile | None = None
    """The file that holds the authorities whose certificates senders may have (PEM)."""
    require_client_cert: Annotated[bool, BOOLEAN] | None = None
    """Whether a sender without a certificate is refused; unwritten for true with client_ca_file."""
    allowed_names: Annotated[
        tuple[Annotated[str, PEER_NAME], ...], Field(max_length=1000), OneOrMany()
    ] = ()
    """The names of which a sender's certificate needs one; empty for any. *.example.com stands for
    every name directly below example.com."""
    min_version: Annotated[Literal["1.2", "1.3"], TLS_VERSION] = "1.2"
    """The oldest version of TLS that is spoken."""
    handshake_timeout: Annotated[float, duration("100ms", "5m")] = 10.0
    """How long a handshake may take before its connection is closed."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find what needs the certificates of senders where none are asked for."""
        return listener_relations.asked_for_certificates(written)

    @property
    def asks_for_client_cert(self) -> Literal["required", "optional", "no"]:
        """Whether a sender has to show a certificate, may show one, or is not asked for one."""
        if self.client_ca_file is None:
            return "no"
        return "optional" if self.require_client_cert is False else "required"


class ListenerSettings(Settings):
    """A socket that messages arrive on."""

    name: Annotated[str, LABEL]
    """The listener's name in logs and metrics; unique."""
    transport: Transport
    """How messages arrive: udp, one message in a datagram; tcp, framed in a stream; relp, each
    answered once it is safe; unix and unix-datagram, as tcp and udp at a socket of this machine."""
    host: Annotated[str, HOST, _Only(*_INTERNET)] = "0.0.0.0"
    """The address to listen on (udp, tcp, relp); `::` takes IPv4 too."""
    port: Annotated[Annotated[int, PORT] | None, _Only(*_INTERNET)] = None
    """The port to listen on (udp, tcp, relp); 0 lets the system choose one, which the log tells."""
    path: Annotated[Annotated[Path, SOCKET_PATH] | None, _Only(*_UNIX), _OwnPath()] = None
    """The path of the socket (unix, unix-datagram)."""
    mode: Annotated[int, MODE, _Only(*_UNIX)] = 0o660
    """The permissions of the socket (unix, unix-datagram); who may write to it may send."""
    intake: Annotated[str, LABEL] | None = None
    """The intake that messages without a key belong to."""
    framing: Annotated[Framing, _Only("tcp", "unix")] = "auto"
    """How messages follow one another (tcp, unix): octet-counted or lf, nul, or auto for each
    frame."""
    timezone: Annotated[tzinfo, TIMEZONE] = UTC
    """The zone of times in syslog headers that name none; shown with envelope: syslog."""
    max_message_bytes: Annotated[int, size(1 * KIB, 16 * MIB)] = 256 * KIB
    """The length beyond which a message is oversize."""
    when_oversize: WhenOversize = "truncate"
    """What becomes of an oversize message: truncate keeps its beginning, reject nothing of it."""
    allowed_sources: Annotated[Networks, _Only(*_INTERNET)] = ()
    """The networks that may send (udp, tcp, relp); empty for all."""
    max_connections: Annotated[int, whole(1, 100_000), _Only(*_STREAMS)] = 1024
    """How many connections may be open at once (tcp, relp, unix)."""
    max_connections_per_source: Annotated[int, whole(1, 100_000), _Only("tcp", "relp")] = 128
    """How many connections one address may have open at once (tcp, relp)."""
    idle_timeout: Annotated[Annotated[float, duration("10ms", "30d")] | None, _Only(*_STREAMS)] = (
        None
    )
    """How long a connection may be silent before it is closed (tcp, relp, unix); unwritten for
    ever."""
    frame_timeout: Annotated[float, duration("10ms", "1h"), _Only(*_STREAMS)] = 30.0
    """How long a message that has begun may take to end before its connection is closed (tcp,
    relp, unix)."""
    receive_buffer: Annotated[int, size(4 * KIB, 1 * GIB), _Only("udp", "unix-datagram")] = 8 * MIB
    """The socket's receive buffer, SO_RCVBUF (udp, unix-datagram); the kernel may give less, which
    is logged."""
    proxy_protocol: Annotated[Networks, _Only("tcp", "relp")] = ()
    """The networks of the proxies (tcp, relp): a connection from there has to begin with a PROXY
    header, which says who sends; from elsewhere none is read."""
    tls: Annotated[ListenerTls | None, _Only("tcp", "relp")] = None
    """TLS (tcp, relp); unwritten for none."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find settings of another transport, and a place that is missing."""
        transport = written.get("transport")
        if transport not in get_args(Transport):
            return
        yield from _misplaced(cls, written, "transport", f"a {transport} listener")
        place, kind = ("path", SOCKET_PATH) if transport in _UNIX else ("port", PORT)
        if place not in written:
            yield Problem(place, f"is missing; accepted: {kind.accepted}")


class RateSettings(Settings):
    """How many events an intake takes, so that one flood does not fill the spool for all."""

    events_per_second: Annotated[int, whole(1, 10_000_000)]
    """Events per second; what one second allows may come at once."""
    when_over: Literal["drop", "dead_letter"] = "drop"
    """What becomes of more: drop counts it as max_rate, dead_letter keeps it as dead letters."""


class IntakeSettings(Settings):
    """One kind of events: how its messages are recognized, read and forwarded."""

    name: Annotated[str, LABEL]
    """The intake's name in logs and metrics; unique."""
    parser: Annotated[str, choice(PARSERS)]
    """What reads its messages; raw only forwards them as text."""
    key: Annotated[tuple[SecretText, ...], Field(max_length=16), OneOrMany()] = ()
    """The key, or a list of keys while it changes, that its messages carry; a secret."""
    key_file: Annotated[tuple[SecretFile, ...], Field(max_length=16), OneOrMany()] = ()
    """The file that holds the key, or a list of files, one for each key."""
    sources: Networks = ()
    """The networks whose messages belong to this intake without a key."""
    profile: Profile = "documented"
    """The shape of its events: documented, as the vendor's integration documentation has them, or
    ecs, as current ECS has them."""
    on_parse_error: Literal["forward", "dead_letter"] = "forward"
    """What becomes of a message that cannot be parsed: forward as an event of kind pipeline_error,
    or dead_letter."""
    timestamp_fallback: Annotated[bool, BOOLEAN] = True
    """Whether an event without a date of its own gets the time of receipt as @timestamp."""
    envelope: Annotated[tuple[Part, ...], Field(max_length=3), OneOrMany()] = DEFAULT_PARTS
    """What is added of the message besides its text: syslog, the header as log.syslog; received,
    the time of receipt as event.created; source, the sender's address as log.source.address."""
    fields: Annotated[dict[str, Any], CONSTANT_FIELDS, Field(default_factory=dict)]
    """Fields added to each event, over those the parser sets; tags are added to the event's."""
    drop: Filters = ()
    """Filters: an event that one of them matches is dropped, counted as filter:NAME."""
    max_rate: RateSettings | None = None
    """How many events it takes; unwritten for any number."""
    expect_every: Annotated[float, duration("1s", "365d")] | None = None
    """How long a sender may be silent before that is reported; unwritten for ever."""
    sinks: Annotated[tuple[Annotated[str, LABEL], ...], Field(min_length=1), OneOrMany()] = (
        ALL_SINKS,
    )
    """The sinks its events go to, by name; all for every sink."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a key that is given twice over, and filters that share a name."""
        yield from relations.at_most_one(written, ["key", "key_file"])
        yield from relations.unique_names(written, "drop")

    @classmethod
    def as_written(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find fields without a value, and those that do not fit into the events."""
        fields = written.get("fields")
        if isinstance(fields, dict):
            for problem in constant_fields.problems(fields, _fields_as_written(written)):
                path = f"fields.{problem.path}" if problem.path else "fields"
                yield Problem(path, problem.message)

    def known_fields(self) -> dict[str, str]:
        """Return the type of each field its events can have, its own constant ones aside."""
        return known_fields(self.parser, self.profile, self.envelope)

    def read_keys(self) -> tuple[str, ...]:
        """Return the keys in plain text, in the order of the settings, files read again.

        Raises:
            SecretFileError: A file holds no usable key now.
        """
        if self.key_file:
            return tuple(read_secret(file) for file in self.key_file)
        return tuple(key.get_secret_value() for key in self.key)


class BasicAuth(Settings):
    """A user name and a password (RFC 7617)."""

    holds_secrets: ClassVar[bool] = True

    username: Annotated[str, USER_NAME]
    """The user name."""
    password: SecretText | None = None
    """The password; a secret."""
    password_file: SecretFile | None = None
    """The file that holds the password."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a password that is missing or given twice over."""
        return relations.exactly_one(written, ["password", "password_file"])

    def read_password(self) -> str:
        """Return the password in plain text; SecretFileError as `read_secret` raises it."""
        return _reveal(self.password, self.password_file)


class BearerAuth(Settings):
    """A token in the Authorization header (RFC 6750)."""

    holds_secrets: ClassVar[bool] = True

    token: SecretText | None = None
    """The token; a secret."""
    token_file: SecretFile | None = None
    """The file that holds the token."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a token that is missing or given twice over."""
        return relations.exactly_one(written, ["token", "token_file"])

    def read_token(self) -> str:
        """Return the token in plain text; SecretFileError as `read_secret` raises it."""
        return _reveal(self.token, self.token_file)


class HeaderAuth(Settings):
    """A secret in a header of its own, such as an API key."""

    holds_secrets: ClassVar[bool] = True

    name: Annotated[str, HEADER_NAME]
    """The name of the header."""
    value: SecretText | None = None
    """The value of the header; a secret."""
    value_file: SecretFile | None = None
    """The file that holds the value."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a value that is missing or given twice over, or a header that is the sink's own."""
        yield from relations.exactly_one(written, ["value", "value_file"])
        name = written.get("name")
        if isinstance(name, str) and name.lower() in _OWN_HEADERS:
            yield Problem("name", "set by the collector itself; accepted: another header")

    def read_value(self) -> str:
        """Return the value in plain text; SecretFileError as `read_secret` raises it."""
        return _reveal(self.value, self.value_file)


class AuthSettings(Settings):
    """How the collector authenticates at a sink: one of the three."""

    holds_secrets: ClassVar[bool] = True

    basic: BasicAuth | None = None
    """A user name and a password."""
    bearer: BearerAuth | None = None
    """A token."""
    header: HeaderAuth | None = None
    """A secret in a header of its own."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find more ways than one."""
        return relations.at_most_one(written, list(cls.model_fields))


class BatchSettings(Settings):
    """When a batch of events is complete: whichever comes first."""

    max_events: Annotated[int, whole(1, 100_000)] = 1000
    """Events in a batch."""
    max_bytes: Annotated[int, size(1 * KIB, 64 * MIB)] = 1 * MIB
    """Bytes of a batch before compression."""
    max_wait: Annotated[float, duration("0", "1m")] = 0.2
    """How long the first event of a batch waits for others."""


class RetrySettings(Settings):
    """How long a sink is left alone after it failed: from `initial`, doubling, up to `max`."""

    initial: Annotated[float, duration("1ms", "10m")] = 0.5
    """The wait after the first failure, before jitter."""
    max: Annotated[float, duration("1ms", "1d")] = 60.0
    """The longest wait, also where a sink asks for a longer one."""
    give_up_after: Annotated[float, duration("1s", "365d")] | None = None
    """The age at which events that a failing sink does not take become dead letters; unwritten for
    never."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a first wait that is longer than the longest."""
        try:
            retry = cls.model_validate(written)
        except ValidationError:
            return
        if retry.initial > retry.max:
            longest = format_duration(retry.max)
            yield Problem("initial", f"longer than max; accepted: 1ms to {longest}, as max is")


class SplunkSettings(Settings):
    """What Splunk is told of each event; {intake} is put in."""

    index: Annotated[str, TEMPLATE] | None = None
    """The index; unwritten for the token's own."""
    source: Annotated[str, TEMPLATE] | None = None
    """The source; unwritten for the token's own."""
    sourcetype: Annotated[str, TEMPLATE] = "collector:{intake}"
    """The source type."""
    host: Annotated[str, TEMPLATE] = "event"
    """The host: event for the one that the event names, else a text."""


class ShareSettings(Settings):
    """How much of the spool one sink may take, so that one that is away does not stop others."""

    max_bytes: Annotated[int, size(64 * KIB, 1 * TIB)] | None = None
    """How much may wait for this sink; unwritten for as much as the spool holds."""
    when_full: WhenFull | None = None
    """What becomes of more: block, its senders wait, or drop; unwritten for what the spool has."""


class SinkTls(Settings):
    """TLS towards a sink with an https URL."""

    ca_file: PemFile | None = None
    """The file that holds the authorities that are trusted (PEM); unwritten for the system's."""
    cert_file: PemFile | None = None
    """The file that holds the collector's own certificate (PEM), for sinks that ask for one."""
    key_file: PemFile | None = None
    """The file that holds the private key of that certificate (PEM)."""
    verify: Annotated[bool, BOOLEAN] = True
    """Whether the sink has to show a certificate that is valid for its name."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a certificate without its key, and the other way round."""
        return relations.all_or_none(written, ["cert_file", "key_file"])


class SinkSettings(Settings):
    """Where events go."""

    name: Annotated[str, LABEL]
    """The sink's name in logs and metrics; unique."""
    url: Annotated[str, URL]
    """Where batches are posted to; `inbox:` for the daemon's own inbox, which shows the newest."""
    format: FormatName = "ndjson"
    """The form of a batch: ndjson, one event per line; json, an array; elasticsearch, its bulk API;
    splunk_hec, Splunk's HTTP Event Collector; sekoia, raw messages for its intake."""
    payload: Payload = "event"
    """What is sent: event, or raw, the message without its syslog header (ndjson, splunk_hec)."""
    index: Annotated[str, INDEX] = "logs-edr.{intake}-default"
    """The data stream or index (elasticsearch); {intake}, {dataset} and {namespace} are put in."""
    splunk: SplunkSettings = SplunkSettings()
    """Where and as what events are indexed (splunk_hec)."""
    only: Filters = ()
    """Filters: only events that one of them matches go to this sink; others count as only:NAME."""
    headers: Annotated[
        dict[Annotated[str, HEADER_NAME], SecretText], Field(default_factory=dict, max_length=64)
    ]
    """Headers added to each request; their values are secrets."""
    auth: AuthSettings | None = None
    """How the collector authenticates: basic, bearer or header."""
    compression: Compression = "gzip"
    """How the body of a request is compressed: none, gzip, or zstd (ndjson, json)."""
    batch: BatchSettings = BatchSettings()
    """When a batch of events is complete."""
    concurrency: Annotated[int, whole(1, 64)] = 4
    """How many requests of each worker may be in flight; order is kept only with 1."""
    timeout: Annotated[float, duration("100ms", "10m")] = 30.0
    """How long a request may take in all."""
    retry: RetrySettings = RetrySettings()
    """How long the sink is left alone after it failed."""
    spool: ShareSettings = ShareSettings()
    """Its share of the spool."""
    tls: SinkTls | None = None
    """How TLS is spoken with it (https); unwritten for the system's authorities."""
    proxy: Annotated[SecretStr, PROXY_URL] | None = None
    """The HTTP proxy that requests go through; a secret, since it may hold a password. Unwritten
    for none: the variables of the environment are not looked at."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a name for all sinks, what does not go with the format, and names given twice."""
        yield from relations.unique_names(written, "only")
        yield from sink_relations.fitting_format(written, _defaults())
        yield from sink_relations.fitting_url(written)
        if written.get("name") == ALL_SINKS:
            yield Problem("name", f"{ALL_SINKS!r} means every sink; accepted: another name")
        headers, auth = written.get("headers"), written.get("auth")
        if not isinstance(headers, dict):
            return
        owners = dict.fromkeys(_OWN_HEADERS, "the collector itself")
        if isinstance(auth, dict):
            owners |= dict.fromkeys(_auth_headers(auth), "auth")
        for name in headers:
            owner = owners.get(name.lower())
            if owner:
                yield Problem(joined("headers", name), f"set by {owner}; accepted: other headers")
            owners[name.lower()] = "another spelling of the same header"

    @property
    def is_inbox(self) -> bool:
        """Whether events go to the daemon's own inbox."""
        return self.url == INBOX


class RoutingSettings(Settings):
    """Where a message carries the key of its intake."""

    structured_data_id: Annotated[str, SD_NAME] = "SEKOIA@53288"
    """The structured-data element (RFC 5424) that holds the key."""
    parameter: Annotated[str, SD_NAME] = "intake_key"
    """The parameter of that element whose value is the key."""
    on_unknown: Literal["dead_letter", "reject"] = "dead_letter"
    """What becomes of a message that belongs to no intake: kept as a dead letter, or rejected."""


class SpoolTls(Settings):
    """TLS towards the servers of a stream."""

    ca_file: PemFile | None = None
    """The file that holds the authorities that are trusted (PEM); unwritten for the system's."""
    cert_file: PemFile | None = None
    """The file that holds the collector's own certificate (PEM), for servers that ask for one."""
    key_file: PemFile | None = None
    """The file that holds the private key of that certificate (PEM)."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find a certificate without its key, and the other way round."""
        return relations.all_or_none(written, ["cert_file", "key_file"])


_STREAM_ONLY = _Only(roles.STREAM)


class SpoolSettings(Settings):
    """Where events wait until their sink has them."""

    type: SpoolType = "sqlite"
    """What holds them: sqlite, a file; memory, which is empty after a stop; jetstream, a stream of
    NATS that several daemons share."""
    path: Annotated[str, DIRECTORY] = "/var/lib/collector"
    """The directory of the file (sqlite; jetstream, for what waits while the stream is away); one
    daemon at a time uses it."""
    max_bytes: Annotated[int, size(64 * KIB, 1 * TIB)] | None = None
    """How much may wait, files of the write-ahead log included; unwritten for 10GiB, and for 256MiB
    with type: memory. With jetstream it is how much the stream holds on each server."""
    when_full: WhenFull = "block"
    """What becomes of more: block, senders wait, or drop, counted as spool_full."""
    synchronous: Literal["full", "normal"] = "full"
    """When what was written to the file is safe (sqlite, jetstream): full, also when the machine
    loses power, or normal, only when the process dies."""
    servers: Annotated[
        tuple[Annotated[str, NATS_URL], ...], Field(max_length=64), OneOrMany(), _STREAM_ONLY
    ] = ()
    """The servers of the cluster (jetstream), nats://host:4222 or tls://host:4222; one that answers
    is enough."""
    stream: Annotated[str, STREAM_NAME, _STREAM_ONLY] = "collector"
    """The name of the stream (jetstream); dead letters are in another, with -dead-letters behind
    it."""
    replicas: Annotated[int, whole(1, 5), _STREAM_ONLY] = 3
    """How many servers keep each event (jetstream): with 3 one may be lost, with 1 none."""
    local_max_bytes: Annotated[int, size(1 * MIB, 1 * TIB), _STREAM_ONLY] = 1 * GIB
    """How much may wait in the file at path (jetstream) while the stream is away or full."""
    max_age: Annotated[Annotated[float, duration("1h", "3650d")] | None, _STREAM_ONLY] = None
    """How long events are kept in the stream (jetstream): the servers delete what is older, which
    nobody counts; unwritten for as long as it takes."""
    ack_wait: Annotated[float, duration("2s", "1h"), _STREAM_ONLY] = 30.0
    """After how long without a sign of life what one deliverer took is given to another
    (jetstream)."""
    credentials_file: Annotated[Annotated[Path, CREDENTIALS_FILE] | None, _STREAM_ONLY] = None
    """The file of a NATS user (jetstream), with its JWT and its key."""
    user: Annotated[Annotated[str, USER_NAME] | None, _STREAM_ONLY] = None
    """The name of a NATS user who has a password (jetstream)."""
    password_file: Annotated[SecretFile | None, _STREAM_ONLY] = None
    """The file that holds that password (jetstream)."""
    token_file: Annotated[SecretFile | None, _STREAM_ONLY] = None
    """The file that holds the token that the servers ask for (jetstream)."""
    tls: Annotated[SpoolTls | None, _STREAM_ONLY] = None
    """TLS towards the servers (jetstream); with it, a server that offers none is not used."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find settings of another type, what a stream needs, and a bound that none keeps to."""
        kind = written.get("type", "sqlite")
        if kind not in get_args(SpoolType):
            return
        yield from _misplaced(cls, written, "type", f"a {kind} spool")
        if kind == roles.STREAM:
            if not written.get("servers"):
                yield Problem("servers", f"is missing; accepted: a list of {NATS_URL.accepted}")
            yield from relations.servers_once(written.get("servers"))
            yield from relations.at_most_one(written, ["credentials_file", "user", "token_file"])
            yield from relations.all_or_none(written, ["user", "password_file"])
        if kind != "memory" and (given := written.get("max_bytes")) is not None:
            with suppress(ValidationError):
                if (cls.model_validate({"max_bytes": given}).max_bytes or MIB) < MIB:
                    what = "a file" if kind == "sqlite" else "a stream"
                    yield Problem("max_bytes", f"too little for {what}; accepted: 1MiB to 1TiB")

    @property
    def bound(self) -> int:
        """How much may wait in the file or in memory, in octets."""
        if self.type == roles.STREAM:
            return self.local_max_bytes
        return self.max_bytes or (10 * GIB if self.type == "sqlite" else 256 * MIB)

    @property
    def stream_bound(self) -> int:
        """How much the stream may hold on each server, in octets."""
        return self.max_bytes or 10 * GIB


class DeadLetterSettings(Settings):
    """How many messages that could not be processed or delivered are kept, the newest ones."""

    max_bytes: Annotated[int, size(64 * KIB, 1 * TIB)] = 1 * GIB
    """How much of them is kept."""
    max_age: Annotated[float, duration("1s", "3650d")] = 30 * 86400.0
    """How long each is kept."""
    unknown_intake_max_bytes: Annotated[int, size(64 * KIB, 1 * TIB)] = 64 * MIB
    """How much is kept of those that anybody could have sent: of unknown intakes, and as much of
    incomplete ones."""


class AdminSettings(Settings):
    """The HTTP server for metrics, health and status."""

    host: Annotated[str, HOST] = "127.0.0.1"
    """The address to listen on; off loopback without token_file only metrics and health."""
    port: Annotated[int, PORT] = 9514
    """The port to listen on; 0 lets the system choose one."""
    token_file: SecretFile | None = None
    """The file that holds the token that the page and the API ask for."""
    open: tuple[Literal["metrics", "health"], ...] = ("metrics", "health")
    """What needs no token all the same: metrics, health, both or none."""

    def read_token(self) -> str | None:
        """Return the token in plain text, the file read again; None when there is none.

        Raises:
            SecretFileError: The file holds no usable token now.
        """
        return None if self.token_file is None else read_secret(self.token_file)


class LoggingSettings(Settings):
    """What the daemon says about itself, on standard error."""

    level: LogLevel = "info"
    """The least important level that is written: debug, info, warning or error."""
    format: Literal["json", "console"] = "json"
    """How a line looks: json for machines, console for people."""


class Config(Settings):
    """The settings of a collector."""

    listeners: Annotated[tuple[ListenerSettings, ...], Field(min_length=1, max_length=256)]
    """The sockets that messages arrive on; at least one."""
    intakes: Annotated[tuple[IntakeSettings, ...], Field(max_length=1000)] = ()
    """The kinds of events that are accepted; what belongs to none is kept aside or rejected."""
    sinks: Annotated[tuple[SinkSettings, ...], Field(min_length=1, max_length=64)]
    """Where events go; at least one."""
    routing: RoutingSettings = RoutingSettings()
    """Where a message carries the key of its intake."""
    identity: Literal["received", "content"] = "received"
    """What the id of an event comes from: received, each message has its own, which sorts by time;
    or content, a message that is sent again has the same."""
    spool: SpoolSettings = SpoolSettings()
    """Where events wait until their sink has them."""
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    """How many messages that could not be processed or delivered are kept."""
    admin: AdminSettings = AdminSettings()
    """The HTTP server for metrics, health and status."""
    logging: LoggingSettings = LoggingSettings()
    """What the daemon says about itself, on standard error."""
    workers: Annotated[int | Literal["auto"], WORKERS] = 1
    """How many processes share the work, each on a processor of its own; or auto, as many as
    processors may be used."""
    shutdown_grace: Annotated[float, duration("0", "1h")] = 8.0
    """How long a stop may take to deliver what waits."""
    max_buffered_bytes: Annotated[int, size(1 * MIB, 16 * GIB)] = 64 * MIB
    """How much of unfinished messages all connections may hold together; beyond that, connections
    are closed whose message is large and has long been unfinished. Senders that end none could
    otherwise ask for max_connections times max_message_bytes at every listener."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:
        """Find what does not fit between listeners, intakes and sinks."""
        for section in ("listeners", "intakes", "sinks"):
            yield from relations.unique_names(written, section)
        yield from relations.unique_addresses(_places(written))
        yield from relations.unique_paths(written)
        yield from relations.known_references(written, ALL_SINKS)
        yield from relations.reachable_intakes(written)
        yield from relations.unique_keys(written)
        yield from sink_relations.usable_indices(written, _defaults())
        yield from sink_relations.keyed_intakes(written, _defaults())

    def sinks_of(self, intake: IntakeSettings) -> tuple[SinkSettings, ...]:
        """Return the sinks the events of `intake` go to, in the order of the file."""
        if ALL_SINKS in intake.sinks:
            return self.sinks
        return tuple(sink for sink in self.sinks if sink.name in intake.sinks)


def load(
    path: Path, environ: Mapping[str, str] = os.environ, role: roles.Role = roles.Role.ALL
) -> Config:
    """Read a configuration file.

    Args:
        path: A YAML file in UTF-8.
        environ: What `${VAR}` refers to.
        role: Of the daemon that goes by it; what that does not use is not looked at.

    Returns:
        The settings, checked in themselves and against one another; secret files were readable.

    Raises:
        ConfigError: The file cannot be used; holds every problem, not the first one.
    """
    return parse(read_text(path), source=str(path), environ=environ, role=role)


def parse(
    text: str, *, source: str, environ: Mapping[str, str], role: roles.Role = roles.Role.ALL
) -> Config:
    """Read a configuration from a text; `source` names it in messages, the rest as `load`."""
    tree, problems = plain_data(text, source=source, environ=environ, role=role)
    return build(tree, source=source, problems=problems)


def plain_data(
    text: str, *, source: str, environ: Mapping[str, str], role: roles.Role
) -> tuple[dict[str, Any], list[Problem]]:
    """Read a configuration as far as `build` takes it: as plain data, environment put in.

    Returns:
        What `role` looks at of it, and what is already known to be wrong.

    Raises:
        ConfigError: It is no mapping in YAML.
    """
    written = roles.part_of(read_mapping(text, source), role)
    tree, problems = substitute(written, environ)
    return tree, [*problems, *roles.problems(tree, role)]


def build(tree: dict[str, Any], *, source: str, problems: Sequence[Problem] = ()) -> Config:
    """Check settings that are plain data already.

    Args:
        tree: The settings as a YAML file would have them, environment put in.
        source: Where they come from, for messages.
        problems: What is already known to be wrong with single values.

    Returns:
        The settings as `load` returns them.

    Raises:
        ConfigError: As `load` raises it.
    """
    config, found = check(Config, tree, problems)
    if config is None:
        raise ConfigError(source, found)
    return config


def warnings(config: Config) -> list[Problem]:
    """Find what is allowed but probably not meant.

    Args:
        config: Checked settings.

    Returns:
        A warning for each such thing, in the order of the file.
    """
    return [
        *advice.on_listeners(config),
        *advice.on_intakes(config),
        *advice.on_sinks(config),
        *sink_relations.elasticsearch_warnings(config),
        *advice.on_filters(config),
        *advice.on_spool(config),
        *advice.on_buffers(config),
    ]


def referenced_files(config: Config) -> tuple[Path, ...]:
    """List the files that settings refer to, so that a change of theirs can be noticed.

    Args:
        config: Checked settings.

    Returns:
        Every file of a secret, certificate or key, each once, in the order of the settings.
    """
    return tuple(dict.fromkeys(_paths(config)))


def files_of_connections(config: Config) -> frozenset[Path]:
    """Return those of the files that are read for each connection to the servers of a stream.

    What they held before is in use no longer than the connection there is.

    Args:
        config: Checked settings.
    """
    return frozenset(_paths(config.spool))


def _paths(value: object) -> Iterator[Path]:
    """Walk the paths in settings, those aside that the daemon makes itself."""
    if isinstance(value, Settings):
        for name, field in type(value).model_fields.items():
            if not any(isinstance(mark, _OwnPath) for mark in field.metadata):
                yield from _paths(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _paths(item)
    elif isinstance(value, Path):
        yield value


def schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of a configuration file."""
    return {**json_schema(Config), "title": "Configuration of the collector"}


def _places(written: Mapping[str, Any]) -> list[relations.Place]:
    """List where the listeners and the admin server are to listen."""
    host = ListenerSettings.model_fields["host"].default
    places = [
        relations.Place(
            path, listener.get("transport"), listener.get("host", host), listener.get("port")
        )
        for path, listener in relations.entries(written, "listeners")
    ]
    admin = written.get("admin", {})
    if isinstance(admin, dict):
        default = AdminSettings()
        admin_host, admin_port = admin.get("host", default.host), admin.get("port", default.port)
        places.append(relations.Place("admin", "tcp", admin_host, admin_port))
    return places


def _defaults() -> sink_relations.Defaults:
    fields = SinkSettings.model_fields
    return sink_relations.Defaults(fields["format"].default, fields["index"].default, ALL_SINKS)


def _reveal(secret: SecretStr | None, file: Path | None) -> str:
    """Return a secret in plain text; a file is read again, since it may have changed."""
    if file is not None:
        return read_secret(file)
    if secret is None:
        raise ValueError("neither a secret nor its file is set")
    return secret.get_secret_value()


def _auth_headers(auth: Mapping[str, Any]) -> Iterator[str]:
    """Yield the headers that the written way to authenticate sets, in lower case."""
    if "basic" in auth or "bearer" in auth:
        yield "authorization"
    header = auth.get("header")
    name = header.get("name") if isinstance(header, dict) else None
    if isinstance(name, str):
        yield name.lower()


def _fields_as_written(intake: Mapping[str, Any]) -> dict[str, str]:
    """Return what the events of an intake can have, as far as its settings are valid."""
    parser, profile, parts = (intake.get(name) for name in ("parser", "profile", "envelope"))
    if not isinstance(parser, str) or parser not in PARSERS:
        return ALWAYS
    known_parts = parts if isinstance(parts, list) else [parts]
    return known_fields(
        parser,
        next((known for known in PROFILES if known == profile), "documented"),
        [part for part in get_args(Part) if part in known_parts],
    )
