"""What the compared programs are told to do."""

import pytest

from collector.config import build
from tests.bench.load import LOADS
from tests.bench.programs import Job, UnavailableError, rsyslog, syslog_ng
from tests.bench.programs.collector import settings


@pytest.fixture
def job(tmp_path):
    """Return a job with what is given."""

    def make(load="cybereason", transport="tcp", **given):
        return Job(load, transport, 8080, tmp_path, **given)

    return make


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("spool", ["disk", "memory"])
def test_the_daemon_has_its_defaults_apart_from_the_job(job, load, spool):
    """Its settings can be used, and name nothing that the job does not."""
    config = build(settings(job(load, spool=spool)), source="test")
    assert {intake.parser for intake in config.intakes} == set(LOADS[load])
    assert config.spool.type == {"disk": "sqlite", "memory": "memory"}[spool]
    assert config.sinks[0].compression == "none"
    assert config.sinks[0].batch.max_events == 1000


def test_the_floor_wraps_messages_of_every_vendor(job):
    """And does everything else as it does for them."""
    config = build(settings(job("mixed"), "raw"), source="test")
    assert [(intake.name, intake.parser) for intake in config.intakes] == [
        ("cybereason", "raw"),
        ("harfanglab", "raw"),
    ]


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("program", [syslog_ng, rsyslog])
def test_the_others_parse_what_the_load_holds(job, program, load, transport):
    """Each with its own parser, chosen by the app-name where there are two."""
    text = program.configuration(job(load, transport), port=5514)
    assert text.count("{") == text.count("}")
    assert '"5514"' in text or "port(5514)" in text
    assert "8080" in text
    assert ("$app-name ==" in text or "program(" in text) == (load == "mixed")


def test_what_waits_is_kept_on_disk_by_default(job):
    """As the daemon keeps it."""
    assert "reliable(yes)" in syslog_ng.configuration(job(), 1)
    assert 'queue.type="Disk"' in rsyslog.configuration(job(), 1)
    assert "disk-buffer" not in syslog_ng.configuration(job(spool="memory"), 1)
    assert 'queue.type="Disk"' not in rsyslog.configuration(job(spool="memory"), 1)


def test_the_message_can_be_left_out(job):
    """For a comparison with less than the daemon does."""
    assert "message=$MESSAGE" in syslog_ng.configuration(job(), 1)
    assert "$MESSAGE" not in syslog_ng.configuration(job(), 1, with_message=False)


async def test_a_program_that_is_missing_says_how_to_get_it(job, tmp_path, monkeypatch):
    """The others are measured without it."""
    monkeypatch.setattr(syslog_ng, "find", lambda *_: None)
    with pytest.raises(UnavailableError, match="--fetch"):
        async with syslog_ng.SyslogNg(job(), tmp_path):
            pass
