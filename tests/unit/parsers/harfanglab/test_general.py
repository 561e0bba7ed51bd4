"""What every HarfangLab event has, whatever its family."""

import pytest

from collector.parsers import build
from tests.support import harfanglab_fields as mapped

PARSE = {profile: build("harfanglab", profile) for profile in ("documented", "ecs")}
both = pytest.mark.parametrize("profile", ["documented", "ecs"])


@both
def test_an_empty_object_is_an_event(profile):
    """There is nothing to know but whose it is."""
    assert mapped(profile) == {"agent.name": "harfanglab"}


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


@both
@pytest.mark.parametrize(
    ("user_name", "username", "name", "domain"),
    [
        ("ACME\\ann", None, "ann", "ACME"),
        ("ACME\\ann", "bob", "ann", "ACME"),
        ("ACME\\ann\\x", None, "ann\\x", "ACME"),
        ("\\ann", "bob", "ann", None),
        ("ACME\\", "bob", "bob", "ACME"),
        ("ACME\\", None, None, "ACME"),
        ("ann", "ACME\\bob", "ACME\\bob", None),
        ("ann", None, "ann", None),
        ("ann", "", "ann", None),
        ("", "ACME\\bob", "ACME\\bob", None),
        (5, None, "5", None),
        (["ACME\\ann"], "bob", "bob", None),
        ({"name": "ann"}, {"name": "bob"}, None, None),
    ],
)
def test_the_user_of_an_event(profile, user_name, username, name, domain):
    """With a domain from one field, otherwise from the other; that one is not split."""
    found = mapped(profile, user_name=user_name, username=username)
    assert found.get("user.name") == name
    assert found.get("user.domain") == domain


@both
def test_a_user_that_is_null_switches_the_other_off(profile):
    """A missing one does not."""
    assert "user.name" not in mapped(profile, user_name=None, username="ann")
    assert mapped(profile, username="ACME\\ann")["user.name"] == "ACME\\ann"


USB = {
    "event_type": "device_connected",
    "product_id": 4660,
    "vendor_id": "abcd",
    "product_name": "Stick",
    "vendor_name": "Maker",
    "db_product_name": "Stick 3",
}
USB_FIELDS = {
    "agent.name": "harfanglab",
    "action.name": "device_connected",
    "action.properties.ProductId": "4660",
    "action.properties.VendorId": "abcd",
    "action.properties.ProductName": "Stick",
    "action.properties.VendorName": "Maker",
    "action.properties.DbProductName": "Stick 3",
}


@both
def test_a_usb_device(profile):
    """Its identifiers and names."""
    assert mapped(profile, **USB) == USB_FIELDS


@both
@pytest.mark.parametrize(
    ("change", "applies"),
    [
        ({"product_id": None}, False),
        ({"vendor_id": ""}, False),
        ({"vendor_id": None}, True),
        ({"product_id": ""}, True),
        ({"product_id": {}, "vendor_id": []}, True),
    ],
)
def test_what_switches_the_fields_of_a_device_off(profile, change, applies):
    """A product that is null, a vendor that is empty."""
    found = mapped(profile, **USB | change)
    assert found.get("action.name") == ("device_connected" if applies else None)


@both
def test_the_type_of_an_event_is_its_action(profile):
    """No device is needed for that; an operation on a pipe counts more."""
    assert mapped(profile, event_type="x", operation="y")["action.name"] == "x"
    assert mapped(profile, operation="y")["action.name"] == "y"
    found = mapped(profile, event_type="x", pipe_operation="connect")
    assert found["action.name"] == "connect"
    found = mapped(profile, event_type="x", pipe_operation=None)
    assert found["action.name"] == "x"


@both
@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.8", True),
        ("2001:db8::8", True),
        ("gate.example", False),
        ("", False),
        (None, False),
        (3221226000, False),
        (["192.0.2.8"], False),
    ],
)
def test_a_remote_address(profile, address, found):
    """Port and protocol go with it."""
    fields = {"address": address, "port": "514", "transport_protocol": "tcp"}
    expected = {
        "agent.name": "harfanglab",
        "source.address": address,
        "source.ip": address,
        "source.port": 514,
        "network.protocol": "tcp",
        "related.ip": [address],
    }
    assert mapped(profile, **fields) == (expected if found else {"agent.name": "harfanglab"})


@both
@pytest.mark.parametrize(
    ("url", "original"),
    [("gate", "gate"), (5, "5"), ("", "other"), ([], "other"), ({"a": 1}, "other")],
)
def test_a_request(profile, url, original):
    """Its method and its user agent, unless its URL is null; the URL of another field is kept."""
    fields = {"url": url, "method": "GET", "user_agent": "", "source_url": "other"}
    found = mapped(profile, **fields)
    assert found["http.request.method"] == "GET"
    assert found["url.original"] == original
    found = mapped(profile, **fields | {"url": None, "user_agent": "x"})
    assert found == mapped(profile, source_url="other")
    assert mapped(profile, method="GET")["http.request.method"] == "GET"


@both
def test_the_query_of_a_wmi_filter(profile):
    """Other kinds of events have none."""
    fields = {"kind": "WmiFilterEvent", "query": "SELECT * FROM x"}
    assert mapped(profile, **fields)["action.properties.Query"] == "SELECT * FROM x"
    assert mapped(profile, **fields | {"kind": "x"}) == {"agent.name": "harfanglab"}


@both
def test_the_agents_of_an_event(profile):
    """Those of which something is known."""
    agents = [
        {"agent_id": "a-1", "agent_hostname": "pc1", "agent_ostype": "windows"},
        {"agent_id": 2, "agent_hostname": None},
        {"agent_ostype": "linux"},
        "a-3",
        None,
    ]
    found = mapped(profile, agents=agents)
    assert found["harfanglab.agents"] == [{"id": "a-1", "hostname": "pc1"}, {"id": "2"}]


@both
@pytest.mark.parametrize("agents", [None, [], {}, "a-1", 5, [{}], [None], {"agent_id": "a-1"}])
def test_agents_that_are_none_are_absent(profile, agents):
    """Only a list of objects names them."""
    assert mapped(profile, agents=agents) == {"agent.name": "harfanglab"}
