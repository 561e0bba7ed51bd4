"""The picture on a terminal: it fits, whatever the size."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from collector.describe import top_screen
from collector.describe.status_picture import Picture, Section
from collector.describe.top_screen import TopScreen, dealt

SECTION = Section(
    ("sink", "state", "delivered", "waiting", "problem"),
    (("siem", "up", "1,000", "0", ""), ("other", "DOWN", "0", "12", "HTTP 503 " * 40)),
    frozenset({"delivered", "waiting"}),
    ("delivered",),
    frozenset({1}),
)
PICTURE = Picture("collector 1.2, listening", ("sink other: HTTP 503",), (SECTION,))


def shown(picture=PICTURE, width=100, height=20, problem="", color=None):
    output = io.StringIO()
    console = Console(
        file=output, force_terminal=True, width=width, height=height, color_system=color
    )
    screen = TopScreen("http://127.0.0.1:9514", picture, problem, "5s", "q quits")
    options = console.options.update(height=height, max_width=width)
    for segment in console.render(screen, options):
        output.write(segment.text)
    return [line.rstrip() for line in output.getvalue().split("\n")]


def test_everything_is_there_where_there_is_room():
    found = shown()
    text = "\n".join(found)
    for word in ("collector 1.2", "! sink other: HTTP 503", "siem", "delivered", "DOWN"):
        assert word in text
    assert found[-1] == "q quits; http://127.0.0.1:9514"
    assert "more" not in text


@pytest.mark.parametrize("width", [20, 40, 60, 200])
@pytest.mark.parametrize("height", [3, 6, 12, 60])
def test_it_fits_into_any_terminal(width, height):
    found = shown(width=width, height=height)
    assert len(found) <= height
    assert max(map(len, found)) <= width


def test_what_is_left_out_is_said_to_be_so():
    """Empty lines go first."""
    assert shown(height=6)[-1].startswith("q quits")
    assert shown(height=5)[-1].startswith("q quits; 1 line more on a larger terminal")
    assert shown(height=4)[-1].startswith("q quits; 3 lines more on a larger terminal")


def table(name, number, alarming=()):
    rows = tuple((f"{name}-{at}",) for at in range(number))
    return Section((name,), rows, alarming=frozenset(alarming))


def test_a_long_table_does_not_hide_those_below_it():
    """Each says how many of its rows there are."""
    sections = (table("flow", 4), table("intake", 60), table("listener", 3), table("spool", 1))
    assert shown(Picture("t", (), sections), height=15) == [
        "t",
        *("flow", "flow-0", "flow-1", "flow-2", "flow-3"),
        *("intake (2 of 60)", "intake-0", "intake-1"),
        *("listener (2 of 3)", "listener-0", "listener-1"),
        *("spool", "spool-0"),
        "q quits; 59 lines more on a larger terminal; http://127.0.0.1:9514",
    ]


def test_rows_that_want_to_be_looked_at_are_shown_before_others():
    """In their order."""
    found = shown(Picture("t", (), (table("sink", 9, alarming=(4, 7)),)), height=6)
    assert found[1:-1] == ["sink (3 of 9)", "sink-0", "sink-4", "sink-7"]


def test_many_alarms_leave_room_for_the_tables():
    alarms = tuple(f"sink {number} is down" for number in range(30))
    found = shown(Picture("t", alarms, (table("flow", 4),)), height=21)
    assert found[1:6] == [*(f"! {alarm}" for alarm in alarms[:4]), "! 26 more"]
    assert "flow-3" in found


def test_rows_that_the_picture_leaves_out_are_counted():
    section = Section(("sender",), (("192.0.2.1",),), left_out=11)
    assert "sender (1 of 12)" in shown(Picture("t", (), (section,)))


@given(
    wanted=st.lists(st.integers(min_value=2, max_value=300), max_size=8),
    room=st.integers(min_value=0, max_value=200),
)
def test_no_more_lines_are_dealt_out_than_there_are(wanted, room):
    """And none is left over while a table that is shown wants more."""
    given_out = dealt(wanted, room)
    assert sum(given_out) <= room
    for number, wish in zip(given_out, wanted, strict=True):
        assert number == 0 or 2 <= number <= wish
        if 0 < number < wish:
            assert sum(given_out) == room


def test_columns_that_can_be_spared_go_before_texts_are_cut():
    narrow = "\n".join(shown(width=40))
    assert "delivered" not in narrow
    assert "siem" in narrow
    assert "…" in narrow


def test_a_daemon_that_is_away_is_told_beside_the_last_state():
    text = "\n".join(shown(problem="no answer from x"))
    assert "no answer from x; trying again" in text
    assert "collector 1.2, listening (5s ago)" in text


def test_before_the_first_answer_there_is_only_that():
    assert shown(None)[0] == "asking http://127.0.0.1:9514"
    assert shown(None, problem="no answer")[0] == "no answer; trying again"


def test_names_are_no_markup():
    section = Section(("sink",), (("[red]x[/red]",),))
    assert "[red]x[/red]" in "\n".join(shown(Picture("t", (), (section,))))


def test_shown_once_it_is_as_long_as_it_needs_to_be():
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=60, height=3, color_system=None)
    top_screen.show(PICTURE, console)
    found = output.getvalue().splitlines()
    assert found[:2] == ["collector 1.2, listening", "! sink other: HTTP 503"]
    assert len(found) == 6
    assert max(map(len, found)) <= 60
