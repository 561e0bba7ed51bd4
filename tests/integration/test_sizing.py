"""The measurement of what events take on disk, as it is called, with a few messages."""

from tests.bench.sizing import main


def test_octets_are_printed_for_each_vendor_and_rate(capsys):
    """More than none, and less than the message took on its way."""
    main(["--rates", "1000", "0", "--compressions", "gzip", "--most", "200"])
    _, _, *rows = capsys.readouterr().out.splitlines()
    found = [[cell.strip().replace(",", "") for cell in row.split("|")[1:-1]] for row in rows]
    assert [(vendor, rate) for vendor, _, rate, _ in found] == [
        (vendor, rate) for vendor in ("cybereason", "harfanglab") for rate in ("1000", "most")
    ]
    assert all(0 < int(octets) < int(message) for _, message, _, octets in found)
