"""What `check` says of events that wait from before."""

from tests.unit.commands.conftest import batch, letter


def warnings(place):
    code, output, _ = place.call("check")
    assert code == 0
    return [line for line in output.splitlines() if line.endswith("(warning)")]


def test_events_of_a_sink_that_is_gone_are_named(place):
    """With how to get rid of them."""
    place.fill([letter()], [batch("gone"), batch("gone")])
    (line,) = warnings(place)
    assert "sinks: 4 events wait for 'gone', which is not configured" in line
    assert "`collector dead-letters bury --sink gone`" in line


def test_events_that_will_be_encoded_anew_are_named(place):
    waiting = batch("siem")
    waiting.form = "elasticsearch:event:logs-edr.{intake}-default"
    place.fill([], [waiting, batch("siem")])
    (line,) = warnings(place)
    assert "sinks[0]: 2 events wait in another form (elasticsearch:event, gzip)" in line


def test_events_that_are_compressed_for_the_disk_alone_are_as_their_sink_wants_them(place):
    """Nothing is encoded anew."""
    settings = place.config.read_text()
    place.config.write_text(settings.replace('"inbox:"', '"inbox:", compression: none'))
    waiting = batch("siem")
    waiting.codec = "zstd"
    place.fill([], [waiting])
    assert warnings(place) == []


def test_a_spool_that_is_not_there_yet_is_no_matter(place):
    assert warnings(place) == []
    assert not place.spool.exists()


def test_a_spool_that_cannot_be_read_is_said_to_be_so(place):
    """It is moved aside when the daemon starts, not before."""
    place.fill([letter()])
    file = place.spool / "spool.db"
    file.write_bytes(b"nonsense" * 1000)
    (line,) = warnings(place)
    assert "spool.path: what waits there cannot be looked at: file is not a database" in line
    assert file.exists()


def test_what_waits_in_the_files_of_all_workers_is_added_up(place):
    """It is one sink, and one warning."""
    place.fill(batches=[batch("gone")])
    place.fill(batches=[batch("gone")], worker=1)
    (problem,) = warnings(place)
    assert "4 events wait for 'gone'" in str(problem)
