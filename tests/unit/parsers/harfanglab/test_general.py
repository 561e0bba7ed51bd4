"""What every HarfangLab event has, whatever its family."""

import pytest

from collector.parsers import build
from tests.support import harfanglab_fields as mapped

PARSE = {profile: build("harfanglab", profile) for profile in ("documented", "ecs")}
both = pytest.mark.parametrize("profile", ["documented", "ecs"])


@both
def test_an_empty_object_is_an_event(profile):
    """There is nothing to know but whose it is."""
    assert PARSE[profile]("{}") == {"message": "{}", "agent": {"name": "harfanglab"}}


@both
def test_the_agent_says_whose_event_it_is(profile):
    """Its host, its system, its groups."""
    agent = {
        "agentid": "a-1",
        "hostname": "pc",
        "domainname": "ACME",
        "domain": None,
        "osversion": "10.0",
        "osproducttype": "Windows 10 Pro",
        "ostype": "windows",
        "ipaddress": "192.0.2.7",
        "additional_info": {"additional_info1": "one", "additional_info4": 4},
    }
    groups = [{"name": "Head office", "id": "g1"}]
    assert mapped(profile, agent=agent, groups=groups, tenant="t-1") == {
        "agent.id": "a-1",
        "agent.name": "harfanglab",
        "host.hostname": "pc",
        "host.name": "pc",
        "host.domain": "ACME",
        "host.os.version": "10.0",
        "host.os.full": "Windows 10 Pro",
        "host.os.type": "windows",
        "host.ip": ["192.0.2.7"],
        "log.hostname": "pc",
        "organization.id": "t-1",
        "harfanglab.groups": ['{"id":"g1","name":"Head office"}'],
        "user.roles": "Headoffice",
        "action.properties.additional_info.additional_info1": "one",
        "action.properties.additional_info.additional_info4": "4",
        "related.hosts": ["pc"],
        "related.ip": ["192.0.2.7"],
    }


@both
@pytest.mark.parametrize(
    ("source", "value", "target", "expected"),
    [
        (
            "@event_create_date",
            "2024-03-19T04:21:00-05:00",
            "@timestamp",
            "2024-03-19T09:21:00.000000Z",
        ),
        ("@timestamp", "2024-03-19T04:21:00Z", "@timestamp", None),
        ("log_type", "a new family", "event.dataset", "a new family"),
        ("event_id", 4688, "event.code", "4688"),
        ("source_url", "https://a.example/", "url.original", "https://a.example/"),
        ("details_url_request", {"url": "http://b.example"}, "url.original", "http://b.example"),
        ("image_name", "C:\\a.exe", "process.executable", "C:\\a.exe"),
        ("source_image", "C:\\b.exe", "process.executable", "C:\\b.exe"),
        ("process_image_path", "C:\\c.exe", "process.executable", "C:\\c.exe"),
        ("pid", 12, "process.pid", 12),
        ("pid", "12", "process.pid", 12),
        ("process_commandline", "a.exe -x", "process.command_line", "a.exe -x"),
        ("stacktrace", "trace", "action.properties.StackTrace", "trace"),
        ("desired_access_id", 4096, "action.properties.DesiredAccess", "4096"),
        ("desired_access_str", "READ", "action.properties.DesiredAccessStr", "READ"),
        ("device_name", "disk", "action.properties.DeviceName", "disk"),
        ("sock_type", 1, "action.properties.SockType", "1"),
        ("family", 2, "action.properties.Family", "2"),
        ("tamper_flag", 0, "action.properties.TamperFlag", "0"),
        ("tamper_flag_as_str", "NONE", "action.properties.TamperFlagStr", "NONE"),
        ("process_entrypoint_memory", "m", "action.properties.ProcessEntrypointMemory", "m"),
        ("process_header_memory", "h", "action.properties.ProcessHeaderMemory", "h"),
        ("access", 3, "action.properties.Access", "3"),
        ("access_str", "WRITE", "action.properties.AccessStr", "WRITE"),
        ("operation", "CREATE", "action.name", "CREATE"),
        ("user_sid", "S-1-5-18", "user.id", "S-1-5-18"),
        ("process_entrypoint_file", "e.exe", "file.name", "e.exe"),
        ("pe_info", {"original_filename": "o.exe"}, "file.name", "o.exe"),
        ("referrer_url", "https://r.example", "http.request.referrer", "https://r.example"),
        ("query_type", "AAAA", "dns.question.type", "AAAA"),
        ("requested_name", "q.example", "dns.question.name", "q.example"),
        ("ip_addresses", ["192.0.2.1", "192.0.2.2"], "dns.resolved_ip", ["192.0.2.1", "192.0.2.2"]),
        ("agent", {"ipaddress": "unknown"}, "host.ip", None),
        ("tenant", "", "organization.id", None),
        ("tenant", None, "organization.id", None),
        ("groups", [], "harfanglab.groups", None),
    ],
)
def test_fields_at_the_top_come_out(profile, source, value, target, expected):
    """In both profiles; null and empty texts are nothing."""
    assert mapped(profile, **{source: value}).get(target) == expected


@pytest.mark.parametrize("odd", [None, "", "text", 5, 1.5, True, [], ["x"], {}, {"x": [1]}])
@pytest.mark.parametrize(
    "source", ["agent", "groups", "pe_info", "ip_addresses", "log_type", "pid"]
)
def test_anything_may_stand_anywhere(source, odd):
    """Where an object, a list or a text is expected."""
    for profile in PARSE:
        assert mapped(profile, **{source: odd})["agent.name"] == "harfanglab"
