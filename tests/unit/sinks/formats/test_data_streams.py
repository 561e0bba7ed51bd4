"""Names of indices and data streams."""

import pytest

from collector.sinks.formats.data_streams import flaw, index_name, is_almost_stream, stream_fields

DEFAULT = "logs-edr.{intake}-default"


@pytest.mark.parametrize(
    ("template", "fields", "name"),
    [
        (DEFAULT, {}, "logs-edr.cybereason-default"),
        ("edr", {}, "edr"),
        ("logs-{dataset}-{namespace}", {}, "logs-edr.cybereason-default"),
        ("{dataset}", {"event": {"dataset": "d"}}, "d"),
        ("{dataset}", {"event": {"dataset": "d"}, "data_stream": {"dataset": "s"}}, "s"),
        ("{namespace}", {"data_stream": {"namespace": "prod"}}, "prod"),
        ("{dataset}-{namespace}", {"data_stream": {"dataset": 5, "namespace": [1]}}, None),
        ("{dataset}-{namespace}", {"data_stream": "text", "event": []}, None),
    ],
)
def test_a_template_is_filled_with_what_the_intake_says(template, fields, name):
    """Its constant fields first; only texts are names."""
    assert index_name(template, "cybereason", fields) == (name or "edr.cybereason-default")


def test_what_is_put_in_is_not_read_again():
    """A dataset is no template."""
    fields = {"data_stream": {"dataset": "{intake}"}}
    assert index_name("{dataset}", "i", fields) == "{intake}"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("logs-edr.cybereason-default", None),
        (".hidden", None),
        ("a" * 255, None),
        ("Logs", "is not in lower case"),
        ("a b", "holds ' '"),
        ("a*", "holds '*'"),
        ("a:b", "holds ':'"),
        ('a"b', "holds '\"'"),
        ("-a", "begins with '-'"),
        ("_a", "begins with '_'"),
        ("+a", "begins with '+'"),
        ("..", "begins with '.'"),
        ("é" * 128, "is longer than 255 octets"),
    ],
)
def test_a_name_that_elasticsearch_refuses_is_told(name, problem):
    """By its rules for names of indices."""
    assert flaw(name) == problem


@pytest.mark.parametrize(
    ("name", "fields", "almost"),
    [
        ("logs-edr.x-default", ("logs", "edr.x", "default"), False),
        ("metrics-a-b", ("metrics", "a", "b"), False),
        ("logs-edr.my-edr-default", None, True),
        ("logs-a", None, False),
        ("edr-a-b", None, False),
        ("logs--b", None, True),
        ("logs-A-b", None, True),
    ],
)
def test_a_data_stream_is_known_by_its_name(name, fields, almost):
    """type-dataset-namespace, with a type that Elastic has."""
    expected = fields and dict(zip(("type", "dataset", "namespace"), fields, strict=True))
    assert stream_fields(name) == expected
    assert is_almost_stream(name) == almost
