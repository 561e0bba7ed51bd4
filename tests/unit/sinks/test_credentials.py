"""What a request says of us, and what must not come back."""

from collector import __version__
from collector.config import parse
from collector.sinks.credentials import mask, request_headers, secrets_of

SETTINGS = """
listeners: [{name: l, transport: tcp, port: 0, intake: i}]
intakes: [{name: i, parser: raw}]
sinks: [{name: s, url: "http://127.0.0.1/"%s}]
"""


def headers(more=""):
    return request_headers(parse(SETTINGS % more, source="test", environ={}).sinks[0])


def test_without_settings_a_request_names_its_type_and_the_program():
    """Nothing else."""
    assert headers() == {
        "Content-Type": "application/x-ndjson",
        "User-Agent": f"collector/{__version__}",
    }


def test_a_secret_file_is_read_each_time(tmp_path):
    """A replaced secret is used from then on."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    auth = f", auth: {{header: {{name: X-Key, value_file: {file}}}}}"
    settings = parse(SETTINGS % auth, source="test", environ={}).sinks[0]
    assert request_headers(settings)["X-Key"] == "first"
    file.write_text("second\n")
    assert request_headers(settings)["X-Key"] == "second"


def test_an_answer_is_masked_of_what_was_sent():
    """Words of headers and of the query that are long enough to be told from ordinary text."""
    sent = {"Authorization": "Bearer abcdef", "X-Site": "paris"}
    secrets = secrets_of("http://siem.example/in?apikey=query-secret&a=b", sent)
    text = "Bearer abcdef from paris? abcdefg, apikey=query-secret"
    assert mask(text, secrets) == "*** *** from paris? ***g, ***=***"
