"""Cybereason's CEF, in both profiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import ParseError
from collector.parsers.cybereason import TABLE, VENDOR

PARSE = {profile: VENDOR.parser(profile) for profile in ("documented", "ecs")}
both = pytest.mark.parametrize("profile", ["documented", "ecs"])


def message(extension="", class_id="2", severity="5", name="Malop"):
    """Write a message."""
    return f"CEF:0|Cybereason|Cybereason|1.0|{class_id}|{name}|{severity}|{extension}"


def mapped(extension, profile="documented", class_id="2"):
    """Parse a message with this extension."""
    return PARSE[profile](message(extension, class_id))


def field(event, path):
    """Return a field by its dotted name, None where it is absent."""
    for key in path.split("."):
        event = event.get(key, {})
    return event if event != {} else None


class TestHeader:
    """What every message has."""

    @both
    def test_header_fields_come_out(self, profile):
        """With the text of the message as it came."""
        raw = message()
        event = PARSE[profile](raw)
        assert event == {
            "message": raw,
            "observer": {"vendor": "Cybereason", "product": "Cybereason", "version": "1.0"},
            "event": {
                "action": "Malop",
                "severity": 5,
                "code": "2",
                "kind": "event",
                "type": "info" if profile == "documented" else ["info"],
                "category": ["intrusion_detection"],
                **({"module": "cybereason", "risk_score_norm": 50.0} if profile == "ecs" else {}),
            },
            "cybereason": {"cef": {"version": "0"}},
            **({"ecs": {"version": "9.4.0"}} if profile == "ecs" else {}),
        }

    @both
    @pytest.mark.parametrize(
        ("class_id", "kind", "category"),
        [
            ("1", "alert", "malware"),
            ("2", "event", "intrusion_detection"),
            ("3", "event", "intrusion_detection"),
            ("5", "event", "session"),
            ("6", "event", "intrusion_detection"),
            ("4", "event", "intrusion_detection"),
            ("unheard of", "event", "intrusion_detection"),
            ("", "event", "intrusion_detection"),
        ],
    )
    def test_the_class_decides_kind_and_category(self, profile, class_id, kind, category):
        """Classes the documentation does not name are events all the same."""
        event = PARSE[profile](message(class_id=class_id))
        assert event["event"]["kind"] == kind
        assert event["event"]["category"] == [category]
        assert event["event"].get("code") == (class_id or None)

    @pytest.mark.parametrize(
        ("severity", "number"), [("8", 8), ("0", 0), ("High", None), ("", None), ("-", None)]
    )
    def test_severity_is_a_number(self, severity, number):
        """A word is not."""
        event = PARSE["ecs"](message(severity=severity))
        assert event["event"].get("severity") == number

    @pytest.mark.parametrize(("severity", "risk"), [("8", 80.0), ("12", 100.0), ("High", None)])
    def test_severity_is_a_risk(self, severity, risk):
        """Out of a hundred, in profile `ecs` only."""
        raw = message(severity=severity)
        assert PARSE["ecs"](raw)["event"].get("risk_score_norm") == risk
        assert "risk_score_norm" not in PARSE["documented"](raw)["event"]

    def test_a_header_without_vendor_and_product_has_them_in_profile_ecs(self):
        """Only this vendor's messages get here."""
        raw = "CEF:0|||1.0|2|Malop|5|"
        assert PARSE["documented"](raw)["observer"] == {"version": "1.0"}
        assert PARSE["ecs"](raw)["observer"] == {
            "vendor": "Cybereason",
            "product": "Cybereason",
            "version": "1.0",
        }
        assert PARSE["ecs"]("CEF:0|V|P|1.0|2|Malop|5|")["observer"] == {
            "vendor": "V",
            "product": "P",
            "version": "1.0",
        }

    def test_the_id_of_a_batch_is_no_id_of_an_event(self):
        """Several events have the same."""
        for parse in PARSE.values():
            event = parse(message("CybereasonCEFgeneratorBatchId1=77"))
            assert event["cybereason"]["event"]["id"] == "77"
            assert "id" not in event["event"]

    def test_extension_keys_cannot_pose_as_header_fields(self):
        """Neither plain ones nor labels."""
        event = mapped("DeviceVendor=x Name=y cs1=z cs1Label=DeviceProduct CEFVersion=9")
        assert event["observer"] == {
            "vendor": "Cybereason",
            "product": "Cybereason",
            "version": "1.0",
        }
        assert (event["event"]["action"], event["cybereason"]["cef"]["version"]) == ("Malop", "0")

    @pytest.mark.parametrize("raw", ["0|Cybereason|C|1.0|2|n|5|dpt=1", " CEF: 0|C|C|1|2|n|5|dpt=1"])
    def test_a_damaged_prefix_is_no_loss(self, raw):
        """The message keeps the text as it came."""
        event = PARSE["documented"](raw)
        assert (event["message"], event["destination"]["port"]) == (raw, 1)

    def test_what_is_not_cef_is_refused(self):
        """With its reason."""
        with pytest.raises(ParseError) as caught:
            PARSE["documented"]('{"json": true}')
        assert caught.value.reason == "not_cef"


class TestExtension:
    """What some messages have."""

    @both
    @pytest.mark.parametrize(
        ("extension", "path", "value"),
        [
            ("rt=1629500007043", "@timestamp", "2021-08-20T22:53:27.043000Z"),
            ("rt=soon", "@timestamp", None),
            ("requestContext=a reason, with = in it", "event.reason", "a reason, with = in it"),
            ("reason=unmapped", "event.reason", None),
            (
                "cs6=https://c.example/?a=b cs6Label=IncidentLink",
                "event.url",
                "https://c.example/?a=b",
            ),
            ("duser=ann", "user.name", "ann"),
            ("CybereasonCEFgeneratorOrganizationName1=ACME", "user.domain", "ACME"),
            ("dhost=pc", "host.hostname", "pc"),
            ("CybereasonCEFgeneratorMachineGuid1=-5.11", "host.id", "-5.11"),
            ("CybereasonCEFgeneratorOSandVersion1=Windows_10_x", "host.os.full", "Windows 10 x"),
            ("cs4=aa cs4Label=processSha1", "file.hash.sha1", "aa"),
            ("cs4=bb cs4Label=MalopHashList", "file.hash.sha1", "bb"),
            (
                "cs4=bb cs4Label=MalopHashList cs5=aa cs5Label=processSha1",
                "file.hash.sha1",
                "aa",
            ),
            ("fname=x.exe", "process.name", "x.exe"),
            ("deviceProcessName=p.exe", "process.parent.name", "p.exe"),
            ("dst=192.0.2.1", "destination.ip", "192.0.2.1"),
            ("dpt=443", "destination.port", 443),
            ("dpt=https", "destination.port", None),
            ("CybereasonCEFgeneratorcountry1Name=France", "destination.geo.country_name", "France"),
            ("destinationTranslatedAddress=192.0.2.9", "destination.nat.ip", "192.0.2.9"),
            ("CybereasonCEFgeneratorBatchId1=b-1", "cybereason.event.id", "b-1"),
            ("cs1=11.-6 cs1Label=MalopId", "cybereason.malop.id", "11.-6"),
            ("cfp2=1 cfp2Label=isOnline", "cybereason.malop.host.is_online", True),
            (
                "cfp3=0 cfp3Label=isOriginalMachine",
                "cybereason.malop.host.is_original_machine",
                False,
            ),
            (
                "flexString2=True flexString2Label=isMalicious",
                "cybereason.malop.host.is_malicious",
                True,
            ),
            ("cn3=False cn3Label=isSigned", "cybereason.malop.file.is_signed", False),
            ("cn3Label=isSigned", "cybereason.malop.file.is_signed", None),
            (
                "deviceFacility=Under Investigation",
                "cybereason.malop.status",
                "Under Investigation",
            ),
            ("cs2=EXT cs2Label=MalopDetectionType", "cybereason.malop.detection.type", "EXT"),
            ("cs3=INF cs3Label=MalopActivityType", "cybereason.malop.activity.type", "INF"),
            ("cs5=why cs5Label=DecisionFeatures", "cybereason.malop.decision", "why"),
            (
                "cn1=3 cn1Label=AffectedMachinesCount",
                "cybereason.malop.counters.affected_machines",
                3,
            ),
            ("cn2=0 cn2Label=AffectedUsersCount", "cybereason.malop.counters.affected_users", 0),
            (
                "deviceCustomDate1=1636629776184 deviceCustomDate1Label=ModifiedTime",
                "cybereason.malop.modified_at",
                "2021-11-11T11:22:56.184000Z",
            ),
            ("cs1=g cs1Label=MalwareGUID", "cybereason.malop.malware.guid", "g"),
            ("cs1=g cs1Label=MalwareGUID", "threat.software.type", "Malware"),
            ("cs1=Detected cs1Label=MalwareStatus", "cybereason.malop.malware.status", "Detected"),
            (
                "cs1=KnownMalware cs1Label=MalwareType",
                "cybereason.malop.malware.type",
                "KnownMalware",
            ),
            ("cs1=Trojan.X cs1Label=MalwareName", "threat.software.name", "Trojan.X"),
            ("cs1=pc9 cs1Label=MachineName", "host.name", "pc9"),
        ],
    )
    def test_fields_come_out(self, profile, extension, path, value):
        """In both profiles."""
        assert field(mapped(extension, profile), path) == value

    @both
    @pytest.mark.parametrize("unknown", ["None", "-", "", " "])
    def test_what_stands_for_nothing_is_absent(self, profile, unknown):
        """From plain keys and from labelled ones."""
        extension = f"cs1={unknown} duser={unknown} dst={unknown} rt={unknown} cs1Label=MalopId"
        raw = message(extension)
        assert PARSE[profile](raw) == PARSE[profile](message()) | {"message": raw}

    def test_none_and_a_dash_inside_a_text_are_text(self):
        """Only the whole value stands for nothing."""
        event = mapped("duser=None of us fname=-x-")
        assert (event["user"]["name"], event["process"]["name"]) == ("None of us", "-x-")

    @both
    @pytest.mark.parametrize(
        ("extension", "addresses"),
        [
            ("dst=10.0.2.15 destinationTranslatedAddress=192.0.2.1", ["10.0.2.15", "192.0.2.1"]),
            ("destinationTranslatedAddress=192.0.2.1", ["192.0.2.1"]),
            ("dst=None destinationTranslatedAddress=-", None),
            ("", None),
        ],
    )
    def test_the_machine_of_class_3_is_the_destination(self, profile, extension, addresses):
        """Its addresses are those of the host; other classes have no `host.ip`."""
        assert field(mapped(extension, profile, class_id="3"), "host.ip") == addresses
        assert field(mapped(extension, profile, class_id="2"), "host.ip") is None

    @both
    def test_the_process_of_class_2_has_started_then(self, profile):
        """Other classes have no `process.start`."""
        started = mapped("rt=1629700682928", profile, class_id="2")
        assert started["process"]["start"] == "2021-08-23T06:38:02.928000Z"
        assert "process" not in mapped("rt=1629700682928", profile, class_id="1")

    def test_a_destination_that_is_no_address_is_kept_by_documented_alone(self):
        """Its samples say so."""
        extension = "dst=proxy.example destinationTranslatedAddress=nat.example"
        destination = mapped(extension, "documented")["destination"]
        assert (destination["ip"], destination["nat"]["ip"]) == ("proxy.example", "nat.example")
        assert "destination" not in mapped(extension, "ecs")


class TestBackslashes:
    """Doubled on the wire."""

    @pytest.mark.parametrize(
        ("raw", "command_line"),
        [
            (r'"C:\\Users\\chand\\a.exe"', r"C:\Users\chand\a.exe"),
            (r'"C:\\x y.exe" /a "b"', r"C:\x y.exe /a b"),
            (r"\\\\host\\share\\new.exe", r"\\host\share\new.exe"),
            (r"a.exe -k\=v", "a.exe -k=v"),
            ('""', None),
        ],
    )
    def test_request_is_undoubled_once_and_loses_its_quotes(self, raw, command_line):
        r"""A path of a share keeps both of its backslashes."""
        assert field(mapped(f"request={raw} dpt=1"), "process.command_line") == command_line

    def test_file_path_stays_as_it_is_on_the_wire(self):
        """So does what is inferred from it."""
        assert mapped(r"filePath=C:\\Users\\ann\\x.exe fname=C:\\y.exe")["file"] == {
            "path": r"C:\\Users\\ann\\x.exe",
            "directory": "C:\\\\Users\\\\ann\\",
            "name": "x.exe",
        }
        assert mapped(r"filePath=a\=b\\c")["file"]["path"] == r"a\=b\\c"
        labelled = mapped(r"cs1=C:\\x cs1Label=filePath")
        assert labelled["file"]["path"] == r"C:\\x"

    def test_other_values_are_unescaped(self):
        """As CEF says."""
        event = mapped(r"requestContext=one\ntwo \\ three\=3 duser=D\\u")
        assert event["event"]["reason"] == "one\ntwo \\ three=3"
        assert event["user"]["name"] == "D\\u"


class TestInferred:
    """What follows from other fields."""

    @both
    def test_hosts_addresses_users_and_hashes_are_related(self, profile):
        """Each once, sorted."""
        event = mapped(
            "dhost=pc dst=192.0.2.9 destinationTranslatedAddress=192.0.2.1 duser=ann"
            " cs4=aa cs4Label=processSha1",
            profile,
            class_id="3",
        )
        assert event["related"] == {
            "hosts": ["pc"],
            "ip": ["192.0.2.1", "192.0.2.9"],
            "user": ["ann"],
            "hash": ["aa"],
        }
        assert event["host"]["name"] == "pc"
        assert event["destination"]["address"] == "192.0.2.9"

    def test_the_name_a_rule_sets_is_kept(self):
        """The host's own name is not inferred then."""
        assert mapped("dhost=pc cs1=other cs1Label=MachineName")["host"]["name"] == "other"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([path for rule in TABLE.rules for path in rule.sources]),
            st.text(alphabet="a1\\\"'-=N. ") | st.just("None"),
        )
    )
)
def test_any_value_may_stand_in_any_field(pairs):
    """Header and extension, in both profiles, without an exception."""
    raw = message(" ".join(f"{key}={value}" for key, value in pairs))
    for parse in PARSE.values():
        assert parse(raw)["message"] == raw


@pytest.mark.parametrize("unknown", ["None", "-", ""])
def test_a_label_names_its_value_whatever_stands_for_nothing_under_that_name(unknown):
    """A field without a value is not there."""
    event = mapped(f"MalopId={unknown} cs1=z cs1Label=MalopId")
    assert field(event, "cybereason.malop.id") == "z"
    event = mapped(f"MalopId=z cs1={unknown} cs1Label=MalopId")
    assert field(event, "cybereason.malop.id") == "z"
