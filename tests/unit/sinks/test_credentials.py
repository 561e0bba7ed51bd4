"""What a request says of us, and what must not come back."""

from urllib.parse import unquote

import pytest
from yarl import URL

from collector import __version__
from collector.sinks.credentials import mask, request_headers, secrets_of
from tests.making import form_of, sink_of


def headers(kind="ndjson", **settings):
    return request_headers(sink_of(kind, **settings), form_of(kind))


def test_without_settings_a_request_names_its_type_and_the_program():
    """And asks for an answer that can be read as it comes."""
    assert headers() == {
        "Accept-Encoding": "identity",
        "Content-Type": "application/x-ndjson",
        "User-Agent": f"collector/{__version__}",
    }


def test_a_format_has_its_own_word_before_a_token():
    """Splunk does not know Bearer."""
    auth = {"bearer": {"token": "t0ken"}}
    assert headers(auth=auth)["Authorization"] == "Bearer t0ken"
    assert headers("splunk_hec", auth=auth)["Authorization"] == "Splunk t0ken"


def test_a_secret_file_is_read_each_time(tmp_path):
    """A replaced secret is used from then on."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    auth = {"header": {"name": "X-Key", "value_file": str(file)}}
    assert headers(auth=auth)["X-Key"] == "first"
    file.write_text("second\n")
    assert headers(auth=auth)["X-Key"] == "second"


def test_an_answer_is_masked_of_what_was_sent():
    """Words of headers and of the query that are long enough to be told from ordinary text."""
    sent = {"Authorization": "Bearer abcdef", "X-Site": "paris"}
    secrets = secrets_of("http://siem.example/in?apikey=query-secret&a=b", sent)
    text = "Bearer abcdef from paris? abcdefg, apikey=query-secret"
    assert mask(text, secrets) == "*** *** from paris? ***g, ***=***"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/services/T024BE7LD/B0123ABCD/pXq8zzzz", "/services/***/***/***"),
        ("/api/webhooks/123456789012345678/x-Y_z.12", "/api/webhooks/***/***"),
        ("/bot1234567:AAF-x/send", "/***/send"),
        ("/in/abcdefghijklmnopqrstuvwxyz", "/in/***"),
        ("/in/to%2Bken%2FX12", "/in/***"),
        ("/in/schlüssel-1", "/in/***"),
        ("/services/collector/event", "/services/collector/event"),
        ("/logs-edr.cybereason/v2/_bulk", "/logs-edr.cybereason/v2/_bulk"),
    ],
)
def test_of_a_path_what_may_be_a_token_is_masked(path, shown):
    """Webhooks have theirs in it; words and what is short help who looks for a mistake."""
    url = f"https://hooks.example:8443{path}"
    secrets = secrets_of(url, {})
    assert mask(f"no such hook: {url}", secrets) == (
        f"no such hook: https://hooks.example:8443{shown}"
    )
    for form in (str(URL(url)), unquote(url)):
        assert mask(form, secrets) == f"https://hooks.example:8443{shown}"


def test_an_answer_is_masked_of_what_was_sent_in_another_form():
    """Decoded, escaped as JSON has it, and a query as it is written and as it goes out."""
    sent = {"Authorization": "Basic c29tZW9uZTpQYXNz8J+UkSJ3b3Jk", "X-Key": 'key"of\\site'}
    secrets = secrets_of("http://siem.example/in?t=to%2Bken%2Fx", sent)
    text = 'Pass🔑"word Pass🔑\\"word key\\"of\\\\site to+ken/x to%2Bken%2Fx to%2Bken/x'
    assert mask(text, secrets) == "*** *** *** *** *** ***"


@pytest.mark.parametrize("value", ["not=base64", "/////w=="])
def test_a_header_of_the_settings_that_only_looks_like_basic_authentication_is_masked(value):
    secrets = secrets_of("http://siem.example/", {"Authorization": f"Basic {value}"})
    assert mask(f"Basic {value}", secrets) == "Basic ***"


def test_the_credentials_of_a_proxy_are_secrets_in_every_form():
    """As written, in plain, encoded as in a header, and the whole address."""
    proxy = "http://some%21one:pass%2Fword@proxy.example:3128"
    text = f"{proxy} some%21one:pass%2Fword some!one:pass/word c29tZSFvbmU6cGFzcy93b3Jk pass/word"
    assert mask(text, secrets_of("https://siem.example", {}, proxy)) == "*** *** *** *** ***"


def test_a_proxy_without_credentials_can_be_named():
    """As those who look for what is wrong will want to."""
    secrets = secrets_of("https://siem.example", {}, "http://proxy.example:3128")
    assert mask("cannot connect to proxy.example:3128", secrets) == (
        "cannot connect to proxy.example:3128"
    )
