"""What `/api/status` says of listeners, intakes and sinks."""

from types import SimpleNamespace

from collector.admin.status import intake_status, listener_status, sink_status
from collector.config import ListenerSettings
from collector.metrics import Histogram, IntakeStats, ListenerStats, SinkStats
from collector.spool import Backlog

TCP = ListenerSettings.model_validate({"name": "tcp", "transport": "tcp", "port": 0})


def test_a_listener_is_told_with_where_it_listens():
    stats = ListenerStats("tcp", messages=5, truncated=1, connections=2)
    stats.rejected["oversize"] = 3
    status = listener_status(TCP, stats, ("127.0.0.1", 5514))
    assert (status["host"], status["port"]) == ("127.0.0.1", 5514)
    assert (status["messages"], status["rejected"]) == (5, {"oversize": 3})
    assert status["kernel_drops"] is None


def test_a_listener_that_does_not_listen_is_told_with_its_settings():
    status = listener_status(TCP, ListenerStats("tcp"), None)
    assert (status["host"], status["port"]) == ("0.0.0.0", 0)


def test_an_intake_is_told_with_what_became_of_its_messages():
    stats = IntakeStats("edr", ok=4, pipeline_error=1)
    stats.parse_errors["not_json"] += 1
    assert intake_status(stats) == {
        "name": "edr",
        "events": {"ok": 4, "pipeline_error": 1},
        "parse_errors": {"not_json": 1},
        "repaired": {},
    }


def test_a_sink_is_told_with_its_problem_and_what_waits_for_it():
    sink = SimpleNamespace(name="siem", health=SimpleNamespace(up=False), problem="HTTP 401")
    stats = SinkStats("siem", Histogram((1.0,)), delivered=7, in_flight=1)
    status = sink_status(sink, stats, Backlog(10, 2000, 1.23456))
    assert (status["up"], status["problem"], status["delivered"]) == (False, "HTTP 401", 7)
    assert status["waiting"] == {"events": 10, "octets": 2000, "oldest_seconds": 1.235}
