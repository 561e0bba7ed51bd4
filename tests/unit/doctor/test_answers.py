"""What answers of sinks mean."""

import ssl

import orjson
import pytest

from collector.doctor import answers
from tests.unit.doctor.conftest import config_of


def sink(**settings):
    return config_of(sinks=[{"name": "s", "url": "https://siem.example", **settings}]).sinks[0]


TOKEN = {"bearer": {"token": "the-token-of-the-test"}}


@pytest.mark.parametrize(
    ("status", "level", "advice"),
    [
        (200, "ok", ""),
        (204, "ok", ""),
        (400, "error", "format"),
        (401, "error", "set auth"),
        (403, "error", "rights"),
        (404, "error", "path"),
        (405, "error", "url"),
        (407, "error", "USER:PASSWORD"),
        (415, "error", "format"),
        (429, "warning", "spool"),
        (503, "warning", "spool"),
        (799, "warning", "spool"),
    ],
)
def test_a_status_has_a_meaning_and_something_to_do(status, level, advice):
    found = answers.of_status(status, {}, "said", sink())
    assert found.level == level
    assert advice in found.advice


def test_401_names_the_credentials_that_were_shown():
    assert "auth.bearer" in answers.of_status(401, {}, "", sink(auth=TOKEN)).advice


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example/secret-path?token=x", "https://login.example"),
        ("/other", "a redirect"),
        ("https://user:password@x.example/", "https://x.example"),
        ("", "a redirect"),
    ],
)
def test_a_redirect_shows_no_more_than_a_host(location, shown):
    found = answers.of_status(302, {"Location": location}, "", sink())
    assert found.level == "error"
    assert found.found.endswith(shown)
    assert "secret" not in found.found


def test_what_is_said_is_cut_and_harmless():
    found = answers.of_status(500, {}, "\x1b[31m" + "x" * 1000 + "\n\n", sink())
    assert "\x1b" not in found.found
    assert len(found.found) < 300


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "ok"), (404, "note"), (405, "note"), (401, "error"), (503, "warning")],
)
def test_head_says_little_where_post_alone_is_known(status, level):
    assert answers.to_nothing(status, {}, "", sink()).level == level


@pytest.mark.parametrize(("status", "level"), [(204, "ok"), (400, "note"), (403, "error")])
def test_an_empty_batch_says_more(status, level):
    assert answers.to_empty_batch(status, {}, "no events", sink()).level == level


REQUIRED = '{"error":{"type":"parse_exception","reason":"request body is required"},"status":400}'


@pytest.mark.parametrize(
    ("status", "body", "level"),
    [
        (400, REQUIRED, "ok"),
        (200, '{"errors":false,"items":[]}', "ok"),
        (200, "<html>Welcome", "error"),
        (400, "Bad Request", "error"),
        (401, '{"error":{}}', "error"),
        (503, "{}", "warning"),
    ],
)
def test_elasticsearch_refuses_an_empty_bulk_request_once_it_knows_us(status, body, level):
    assert answers.to_empty_bulk(status, {}, body, sink()).level == level


@pytest.mark.parametrize(
    ("status", "body", "level", "shown"),
    [
        (200, {"create_doc": True, "auto_configure": True}, "ok", "may write to logs-x"),
        (200, {"create_doc": True, "auto_configure": False}, "note", "not make"),
        (200, {"create_doc": False, "auto_configure": True}, "error", "may not write"),
        (200, "nonsense", "error", "may not write"),
        (404, {}, "note", "not every cluster says"),
    ],
)
def test_rights_are_read(status, body, level, shown):
    text = orjson.dumps({"index": {"logs-x": body}}).decode()
    found = answers.to_privileges(status, {}, text, sink())
    assert found.level == level
    assert shown in found.found


@pytest.mark.parametrize("body", ["", "[]", '{"index": []}', "{" * 1000])
def test_other_answers_say_nothing_of_rights(body):
    assert answers.to_privileges(200, {}, body, sink()).level == "note"


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "ok"), (503, "warning"), (400, "error"), (404, "note"), (403, "error")],
)
def test_splunk_says_how_it_is(status, level):
    assert answers.to_hec_health(status, {}, '{"text":"HEC is","code":17}', sink()).level == level


@pytest.mark.parametrize(
    ("status", "code", "level"),
    [
        (400, 5, "ok"),
        (403, 4, "error"),
        (403, 1, "error"),
        (401, 2, "error"),
        (400, 10, "error"),
        (400, 6, "error"),
        (200, 0, "error"),
        (503, 9, "warning"),
    ],
)
def test_splunk_refuses_no_data_once_it_knows_the_token(status, code, level):
    body = f'{{"text":"said","code":{code}}}'
    assert answers.to_empty_hec(status, {}, body, sink(auth=TOKEN)).level == level


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "ok"), (401, "error"), (403, "error"), (400, "note"), (404, "error")],
)
def test_sekoia_is_asked_with_a_key(status, level):
    assert answers.to_empty_intake(status, {}, "{}", sink()).level == level


@pytest.mark.parametrize(("status", "advice"), [(407, "USER:PASSWORD"), (403, "lets through")])
def test_a_proxy_that_refuses_says_why(status, advice):
    assert advice in answers.of_proxy(status).advice


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ConnectionRefusedError(111, "x"), "refuses connections"),
        (TimeoutError(), "does not answer"),
        (OSError(113, "No route to host"), "No route to host"),
    ],
)
def test_what_cannot_be_connected_with_says_why(error, shown):
    found = answers.of_connection(error, "siem.example:443")
    assert found.level == "error"
    assert shown in found.found
    assert found.advice


def tls_error(reason):
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (tls_error("WRONG_VERSION_NUMBER"), "http://"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "tls.cert_file"),
        (tls_error("UNSUPPORTED_PROTOCOL"), "TLS 1.2"),
        (ConnectionResetError(), "no TLS on this port"),
        (TimeoutError(), "no TLS on this port"),
    ],
)
def test_a_handshake_that_fails_says_why(error, advice):
    assert advice in answers.of_tls(error, "siem.example").advice


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (18, "ca_file"),
        (20, "ca_file"),
        (62, "name"),
        (10, "renewed"),
        (9, "clock"),
        (99, "ca_file"),
    ],
)
def test_a_certificate_that_is_refused_says_why(code, advice):
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, "why"
    found = answers.of_tls(error, "siem.example")
    assert found.found == "the certificate of siem.example is refused: why"
    assert advice in found.advice
