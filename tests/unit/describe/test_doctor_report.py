"""How findings are shown."""

import io

from rich.console import Console

from collector.describe import doctor_report
from collector.doctor.findings import Finding

FINDINGS = [
    Finding("ok", "disk", "spool.path", "fast"),
    Finding("error", "sink [red]s[/red]", "sinks[0].url", "no\x1b[31m\n", "do this"),
    Finding("note", "user", "", "root"),
]


def shown(*, terminal, width=80):
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width, color_system=None)
    doctor_report.show(FINDINGS, console)
    return output.getvalue()


def test_each_finding_has_a_line_and_what_to_do_another():
    assert shown(terminal=False, width=20).splitlines() == [
        "ok       disk (spool.path): fast",
        r"error    sink [red]s[/red] (sinks[0].url): no\x1b[31m\n",
        "         → do this",
        "note     user: root",
        "1 error, 1 note, 1 ok",
    ]


def test_on_a_terminal_nothing_is_left_out():
    text = shown(terminal=True, width=30)
    assert r"\x1b[31m" in text
    assert "\x1b[31m" not in text
    assert max(map(len, text.splitlines())) <= 30


def test_programs_get_every_part():
    assert doctor_report.as_object(FINDINGS[0]) == {
        "level": "ok",
        "subject": "disk",
        "where": "spool.path",
        "found": "fast",
        "advice": "",
    }
