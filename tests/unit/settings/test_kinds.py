"""Kinds of values: what each takes and what it says of the rest."""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter

from collector.settings.kinds import (
    BOOLEAN,
    COMPARED,
    CREDENTIALS_FILE,
    FIELD_NAME,
    HEADER_NAME,
    HOST,
    LABEL,
    MODE,
    NATS_URL,
    NETWORK,
    PEER_NAME,
    PEM_FILE,
    PROXY_URL,
    SD_NAME,
    SECRET,
    SECRET_FILE,
    SOCKET_PATH,
    TIMEZONE,
    TLS_VERSION,
    URL,
    USER_NAME,
    KindError,
    OneOrMany,
    choice,
    duration,
    size,
    text,
    whole,
    whole_or,
)
from collector.settings.secret_files import MAX_CREDENTIALS_OCTETS
from tests.accounts import SOMEBODY

PORT = whole(0, 65535)
SIZE = size(1024, 1024 * 1024)
DURATION = duration("100ms", "10m")
WAIT = duration("0", "1m")
COUNT = whole_or(1, 64, "auto")
COLOUR = choice(["red", "green"])


def refusal(kind, value):
    with pytest.raises(KindError) as caught:
        kind.read(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (COUNT, 4, 4),
        (COUNT, "4", 4),
        (COUNT, "auto", "auto"),
        (PORT, 0, 0),
        (PORT, 65535, 65535),
        (PORT, "5514", 5514),
        (SIZE, 1024, 1024),
        (SIZE, "1024", 1024),
        (SIZE, "1MiB", 1_048_576),
        (DURATION, "100ms", 0.1),
        (DURATION, "10m", 600.0),
        (WAIT, 0, 0.0),
        (WAIT, "0", 0.0),
        (COLOUR, "red", "red"),
        (BOOLEAN, True, True),
        (BOOLEAN, "true", True),
        (BOOLEAN, "false", False),
        (COMPARED, "a", "a"),
        (COMPARED, 4624, "4624"),
        (COMPARED, -1.5, "-1.5"),
        (COMPARED, True, "true"),
        (COMPARED, False, "false"),
        (FIELD_NAME, "event.code", "event.code"),
        (FIELD_NAME, "@timestamp", "@timestamp"),
        (FIELD_NAME, "a b.c-d", "a b.c-d"),
        (TIMEZONE, "UTC", UTC),
        (TIMEZONE, UTC, UTC),
        (TIMEZONE, "Europe/Paris", ZoneInfo("Europe/Paris")),
        (MODE, "0660", 0o660),
        (MODE, "660", 0o660),
        (MODE, "0", 0),
        (SOCKET_PATH, "/run/syslog.sock", Path("/run/syslog.sock")),
        (SOCKET_PATH, Path("/run/s"), Path("/run/s")),
        (SOCKET_PATH, "/" + "x" * 106, Path("/" + "x" * 106)),
        (PEER_NAME, "sender.example", "sender.example"),
        (PEER_NAME, "*.example", "*.example"),
        (PEER_NAME, "2001:db8::1", "2001:db8::1"),
        (TLS_VERSION, 1.2, "1.2"),
        (TLS_VERSION, "1.3", "1.3"),
        (LABEL, "a.B-c_9", "a.B-c_9"),
        (HOST, "0.0.0.0", "0.0.0.0"),
        (HOST, "::1", "::1"),
        (HOST, "fe80::1%eth0", "fe80::1%eth0"),
        (HOST, "collector-1.example", "collector-1.example"),
        (NETWORK, "10.0.0.0/8", ip_network("10.0.0.0/8")),
        (NETWORK, "192.0.2.7", ip_network("192.0.2.7/32")),
        (NETWORK, "2001:db8::/32", ip_network("2001:db8::/32")),
        (NETWORK, "::ffff:10.0.0.0/104", ip_network("10.0.0.0/8")),
        (NETWORK, ip_network("10.0.0.0/8"), ip_network("10.0.0.0/8")),
        (URL, "https://siem.example/ingest?x=1", "https://siem.example/ingest?x=1"),
        (URL, "HTTP://[::1]:8080", "HTTP://[::1]:8080"),
        (URL, "inbox:", "inbox:"),
        (SD_NAME, "SEKOIA@53288", "SEKOIA@53288"),
        (HEADER_NAME, "X-Api-Key", "X-Api-Key"),
        (USER_NAME, "a user@example", "a user@example"),
        (SECRET, "s3 cret", SecretStr("s3 cret")),
        (SECRET, SecretStr("s3cret"), SecretStr("s3cret")),
    ],
)
def test_values_are_read(kind, value, read):
    """From what YAML gives, from digits of a variable, and from values that are read already."""
    assert kind.read(value) == read


@pytest.mark.parametrize(
    ("kind", "value", "wrong"),
    [
        (PORT, -1, "-1 is too small"),
        (PORT, 65536, "65536 is too large"),
        (PORT, "65536", "'65536' is too large"),
        (COUNT, 0, "0 is too small"),
        (COUNT, "all", "'all' is not a whole number"),
        (PORT, "many", "'many' is not a whole number"),
        (PORT, "5514 ", "'5514 ' is not a whole number"),
        (PORT, 55.0, "55.0 is not a whole number"),
        (PORT, True, "true is not a whole number"),
        (PORT, [5514], "a list is not a whole number"),
        (SIZE, 1023, "1023 is too small"),
        (SIZE, "2MiB", "'2MiB' is too large"),
        (SIZE, "1XB", "'1XB' is not a size"),
        (SIZE, 2000.5, "2000.5 is not a size"),
        (SIZE, True, "true is not a size"),
        (DURATION, 30, "30 has no unit"),
        (DURATION, 0.5, "0.5 has no unit"),
        (DURATION, "30", "'30' is not a duration (did you mean '30s'?)"),
        (DURATION, "1 m", "'1 m' is not a duration (did you mean '1m'?)"),
        (DURATION, False, "false is not a duration"),
        (DURATION, 0, "0 is too small"),
        (DURATION, "99ms", "'99ms' is too small"),
        (DURATION, "11m", "'11m' is too large"),
        (COLOUR, "blue", "'blue' is not one of the choices"),
        (COLOUR, "Red", "'Red' is not one of the choices (did you mean 'red'?)"),
        (COLOUR, ["red"], "a list is not one of the choices"),
        (BOOLEAN, "yes", "'yes' is neither true nor false"),
        (BOOLEAN, 1, "1 is neither true nor false"),
        (BOOLEAN, [True], "a list is neither true nor false"),
        (COMPARED, ["a"], "a list where a text is expected"),
        (COMPARED, "x" * 4097, "is too long"),
        (COMPARED, 1 << 64, "18446744073709551616 is too large"),
        (COMPARED, 1 << 200, "a number is too large"),
        (FIELD_NAME, "event..code", "'event..code' is not a field name"),
        (FIELD_NAME, ".code", "'.code' is not a field name"),
        (FIELD_NAME, 5, "5 where a text is expected, put it in quotes"),
        (TIMEZONE, "Europe/Pari", "'Europe/Pari' is not a time zone of this system"),
        (TIMEZONE, "Europe", "'Europe' is not a time zone of this system"),
        (TIMEZONE, "../../etc/passwd", "'../../etc/passwd' is not a time zone of this system"),
        (TIMEZONE, "/etc/passwd", "'/etc/passwd' is not a time zone of this system"),
        (TIMEZONE, "+02:00", "'+02:00' is not a time zone of this system"),
        (TIMEZONE, "a\0b", r"'a\x00b' is not a time zone of this system"),
        (TIMEZONE, "x" * 9999, f"'{'x' * 60}…' is not a time zone of this system"),
        (TIMEZONE, 2, "2 where a text is expected, put it in quotes"),
        (LABEL, "a b", "'a b' is not a name"),
        (LABEL, "x" * 65, f"'{'x' * 60}…' is not a name"),
        (LABEL, "a\n", r"'a\n' is not a name"),
        (LABEL, 5, "5 where a text is expected, put it in quotes"),
        (LABEL, True, "true where a text is expected, put it in quotes"),
        (LABEL, {"a": 1}, "a mapping where a text is expected"),
        (HOST, "256.0.0.1", "'256.0.0.1' is neither an address nor a host name"),
        (HOST, "[::1]", "'[::1]' is neither an address nor a host name"),
        (HOST, "a..b", "'a..b' is neither an address nor a host name"),
        (NETWORK, "10.0.0.0/33", "'10.0.0.0/33' is not a network"),
        (NETWORK, "siem.example", "'siem.example' is not a network"),
        (
            NETWORK,
            "10.1.0.0/8",
            "'10.1.0.0/8' has bits beyond its prefix, which is 10.0.0.0/8",
        ),
        (MODE, 660, "660 is not an octal mode"),
        (MODE, "0o660", "'0o660' is not an octal mode"),
        (MODE, "0689", "'0689' is not an octal mode"),
        (MODE, "1777", "'1777' is not an octal mode"),
        (SOCKET_PATH, "run/s", "'run/s' is not the absolute path of a socket"),
        (SOCKET_PATH, "/", "'/' is not the absolute path of a socket"),
        (SOCKET_PATH, "/a\0b", r"'/a\x00b' is not the absolute path of a socket"),
        (SOCKET_PATH, "/\ud800", r"'/\ud800' is no file name"),
        (SOCKET_PATH, "/" + "x" * 107, f"'/{'x' * 59}…' is too long"),
        (SOCKET_PATH, "/" + "é" * 54, f"'/{'é' * 54}' is too long"),
        (PEER_NAME, "*", "'*' is not a name of a certificate"),
        (PEER_NAME, "*.", "'*.' is not a name of a certificate"),
        (PEER_NAME, "a.*.example", "'a.*.example' is not a name of a certificate"),
        (PEER_NAME, "a*.example", "'a*.example' is not a name of a certificate"),
        (PEER_NAME, "*.*.example", "'*.*.example' is not a name of a certificate"),
        (PEER_NAME, "*.192.0.2.1", "'*.192.0.2.1' is not a name of a certificate"),
        (PEER_NAME, "192.0.2.0/24", "'192.0.2.0/24' is not a name of a certificate"),
        (TLS_VERSION, 1.1, "1.1 is not one of the choices"),
        (TLS_VERSION, 1, "1 where a text is expected, put it in quotes"),
        (TLS_VERSION, "TLSv1.2", "'TLSv1.2' is not one of the choices"),
        (SD_NAME, 'a"b', "'a\"b' is not a structured-data name"),
    ],
)
def test_what_is_not_of_a_kind_is_told(kind, value, wrong):
    """The value is shown, and what is wrong with it."""
    assert refusal(kind, value) == wrong


INCOMPLETE = "is not a complete http or https URL"


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://u:s3cret@h/", "holds a user name or a password, which belong in auth.basic"),
        ("https://s3cret@h/", "holds a user name or a password, which belong in auth.basic"),
        ("s3cret", INCOMPLETE),
        ("ftp://h/s3cret", INCOMPLETE),
        ("https:///s3cret", INCOMPLETE),
        ("https://h:0/s3cret", INCOMPLETE),
        ("https://h:70000/s3cret", INCOMPLETE),
        ("https://[h/s3cret", INCOMPLETE),
        ("https://h/s3 cret", "is too long, or holds a blank or a control character"),
        ("https://h/s3cret\n", "is too long, or holds a blank or a control character"),
        ("https://h/" + "s3cret" * 400, "is too long, or holds a blank or a control character"),
        (53, "a number where a text is expected, put it in quotes"),
    ],
)
def test_a_url_is_never_shown(url, wrong):
    """It may hold a password or a token."""
    assert refusal(URL, url) == wrong


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://u:s3cret@h:1", "is not a complete http URL"),
        ("s3cret", "is not a complete http URL"),
        ("http://u:s3cret@", "is not a complete http URL"),
        ("http://u:s3cret@h:0", "is not a complete http URL"),
        ("http://h/s3cret", "holds more than the address of a proxy"),
        ("http://h?s3cret", "holds more than the address of a proxy"),
        ("http://h#s3cret", "holds more than the address of a proxy"),
        ("http://u:s3 cret@h", "is too long, or holds a blank or a control character"),
        (["s3cret"], "a list where a text is expected"),
    ],
)
def test_a_proxy_is_never_shown(url, wrong):
    """It may hold a password."""
    assert refusal(PROXY_URL, url) == wrong


@pytest.mark.parametrize(
    "url", ["http://h", "http://h:3128/", "HTTP://u:p%40@h:3128", "http://[::1]:3128"]
)
def test_a_proxy_is_a_secret(url):
    """Read as it was written, and masked where it is printed."""
    proxy = PROXY_URL.read(url)
    assert proxy.get_secret_value() == url
    assert PROXY_URL.read(proxy) == proxy
    assert PROXY_URL.write(proxy) == "**********"


@pytest.mark.parametrize(
    ("kind", "value", "wrong"),
    [
        (PEM_FILE, "s3cret", "the file cannot be read: No such file or directory"),
        (PEM_FILE, "-----BEGIN\ns3cret\0", "the file is no file name"),
        (PEM_FILE, ["s3cret"], "a list where a text is expected"),
        (SECRET, "", "is empty"),
        (SECRET, "s3cret\n", "holds a line break or another control character"),
        (SECRET, "s3cret" * 700, "is longer than 4096 characters"),
        (SECRET, 53, "a number where a text is expected, put it in quotes"),
        (SECRET, ["s3cret"], "a list where a text is expected"),
        (HEADER_NAME, "Authorization: Bearer s3cret", "the text is not a header name"),
        (USER_NAME, "user:s3cret", "the text is not a user name"),
        (SECRET_FILE, "s3cret", "the file cannot be read: No such file or directory"),
        (SECRET_FILE, 53, "a number where a text is expected, put it in quotes"),
    ],
)
def test_what_may_be_a_secret_is_never_shown(kind, value, wrong):
    """Nor what stands where a user name or a file is expected and may be a misplaced secret."""
    assert refusal(kind, value) == wrong


def test_a_secret_file_must_hold_a_secret(tmp_path):
    """What looks like a path is shown as one."""
    file = tmp_path / "token"
    assert refusal(SECRET_FILE, str(file)) == f"'{file}' cannot be read: No such file or directory"
    file.write_text("")
    assert refusal(SECRET_FILE, str(file)) == f"'{file}' is empty"
    file.write_text("s3cret\n")
    assert SECRET_FILE.read(str(file)) == file
    assert SECRET_FILE.read(file) == file


def test_a_file_of_certificates_must_be_readable(tmp_path):
    """What it holds is checked where it is used."""
    file = tmp_path / "server.pem"
    assert refusal(PEM_FILE, str(file)) == f"'{file}' cannot be read: No such file or directory"
    file.write_text("")
    assert refusal(PEM_FILE, str(file)) == f"'{file}' is empty"
    assert refusal(PEM_FILE, str(tmp_path)) == f"'{tmp_path}' is not a regular file"
    file.write_text("two\nlines\n")
    assert PEM_FILE.read(str(file)) == PEM_FILE.read(file) == file


def test_an_error_says_what_is_accepted():
    """pydantic carries the whole message, braces of the value included."""
    kind = text("[a-z]+", "a word", "small letters")
    with pytest.raises(ValueError, match=re.escape("'{x}' is not a word; accepted: small letters")):
        TypeAdapter(kind_of_text(kind)).validate_python("{x}")


def kind_of_text(kind):
    from typing import Annotated

    return Annotated[str, kind]


def test_one_path_may_stand_for_a_list(tmp_path):
    """As a text, or as code has it."""
    from typing import Annotated

    file = tmp_path / "key"
    file.write_text("s3cret")
    files = TypeAdapter(Annotated[tuple[Annotated[Path, SECRET_FILE], ...], OneOrMany()])
    assert files.validate_python(file) == files.validate_python(str(file)) == (file,)


def test_one_item_may_stand_for_a_list():
    """A mapping does not: it is a mistake, not an item."""
    from typing import Annotated

    names = TypeAdapter(Annotated[tuple[Annotated[str, LABEL], ...], OneOrMany()])
    assert names.validate_python("a") == ("a",)
    assert names.validate_python(["a", "b"]) == ("a", "b")
    with pytest.raises(ValueError, match="valid tuple"):
        names.validate_python({"a": 1})
    schema = names.json_schema()
    for written in ("a", ["a", "b"]):
        jsonschema.validate(written, schema)


VALUES = st.one_of(
    st.integers(-10, 70_000),
    st.integers(0, 70_000).map(str),
    st.text(max_size=8),
    st.from_regex(r"\A[0-9]{1,4}(ms|s|m|h|d|KiB|MB|)\Z"),
    st.sampled_from(
        [
            *("red", "auto", True, 1.5, "true", "a.b", "UTC"),
            *("0660", 0, 432, 1.2, "1.3", "/run/s", "*.a.b", "http://u:p@h:1"),
            *("10.0.0.0/8", "::1", "https://h", "HTTPS://h", "inbox:", "a-b.c", "X-A", "http:"),
            None,
        ]
    ),
)


@pytest.mark.parametrize(
    "kind",
    [
        PORT,
        SIZE,
        DURATION,
        WAIT,
        LABEL,
        HOST,
        NETWORK,
        URL,
        SD_NAME,
        HEADER_NAME,
        USER_NAME,
        SECRET,
        COLOUR,
        BOOLEAN,
        COMPARED,
        FIELD_NAME,
        TIMEZONE,
        MODE,
        SOCKET_PATH,
        PEER_NAME,
        PROXY_URL,
        TLS_VERSION,
        COUNT,
    ],
    ids=lambda kind: kind.accepted,
)
@given(value=VALUES)
def test_what_a_kind_reads_its_schema_accepts(kind, value):
    """The JSON schema may accept more, never less."""
    try:
        kind.read(value)
    except KindError:
        return
    jsonschema.validate(value, kind.schema)


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (PORT, 5514, 5514),
        (SIZE, 1_048_576, "1MiB"),
        (DURATION, 0.2, "200ms"),
        (NETWORK, ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (BOOLEAN, False, False),
        (MODE, 0o660, "0660"),
        (SOCKET_PATH, Path("/run/s"), "/run/s"),
        (TIMEZONE, UTC, "UTC"),
        (TIMEZONE, ZoneInfo("Europe/Paris"), "Europe/Paris"),
        (SECRET, SecretStr("s3cret"), "**********"),
        (SECRET_FILE, Path("/run/secrets/token"), "/run/secrets/token"),
    ],
)
def test_values_are_written_as_a_user_would(kind, value, written):
    """Except secrets, which are masked."""
    assert kind.write(value) == written


def test_a_zone_knows_summer_time():
    """It is one of rules, not of an offset."""
    paris = TIMEZONE.read("Europe/Paris")
    offsets = [datetime(2026, month, 1, tzinfo=paris).utcoffset() for month in (1, 7)]
    assert offsets == [timedelta(hours=1), timedelta(hours=2)]


def test_one_setting_says_nothing_of_another():
    """The schema of a kind is not written into."""
    first, second = (TypeAdapter(kind_of_text(BOOLEAN)).json_schema() for _ in range(2))
    first["default"] = True
    assert "default" not in second


def test_credentials_of_several_lines_are_known_by_their_parts(tmp_path):
    """What they hold is not shown."""
    file = tmp_path / "credentials"
    file.write_text(SOMEBODY)
    assert CREDENTIALS_FILE.read(str(file)) == file
    for content in ("s3cret", SOMEBODY.partition("-----BEGIN USER")[0], ""):
        file.write_text(content)
        flaw = f"{str(file)!r} holds no JWT with the seed of its key"
        assert refusal(CREDENTIALS_FILE, str(file)) == flaw
    file.write_text("x" * (MAX_CREDENTIALS_OCTETS + 1))
    long = f"{str(file)!r} is longer than {MAX_CREDENTIALS_OCTETS} octets"
    assert refusal(CREDENTIALS_FILE, str(file)) == long
    missing = "the file cannot be read: No such file or directory"
    assert refusal(CREDENTIALS_FILE, "s3cret") == missing


@pytest.mark.parametrize("url", ["nats://nats-1:4222", "tls://10.0.0.1", "nats://[::1]:4222/"])
def test_servers_of_a_stream_are_given_by_address_alone(url):
    assert NATS_URL.read(url) == url


def test_the_scheme_of_a_nats_url_is_put_in_lower_case():
    """Clients know no other."""
    assert NATS_URL.read("TLS://Nats-1:4222") == "tls://Nats-1:4222"


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        (
            "nats://s3cret@h",
            "holds a user name, a password or a token, which belong in files",
        ),
        ("nats://h/?s3cret", "holds more than the address of a server"),
        ("nats://h/s3cret", "holds more than the address of a server"),
        ("http://s3cret", "is not a complete nats or tls URL"),
        ("nats://", "is not a complete nats or tls URL"),
        ("nats://h:0", "is not a complete nats or tls URL"),
        (["nats://h"], "a list where a text is expected"),
    ],
)
def test_what_is_no_address_of_a_server_is_refused_without_being_shown(url, flaw):
    assert refusal(NATS_URL, url) == flaw
