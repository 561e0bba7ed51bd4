"""What a scheduled task runs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.harfanglab.task import task_command
from tests.support import harfanglab_fields as mapped

COMMAND, ARGS = "TaskContentNew_Command", "TaskContentNew_Args"
EXEC = "<Exec><Command>calc.exe</Command><Arguments>/a &lt;b&gt;</Arguments></Exec>"
FOUND = {COMMAND: "calc.exe", ARGS: "/a <b>"}


def task(actions=EXEC, declaration='<?xml version="1.0" encoding="UTF-16"?>', attributes=""):
    """Write a task as Windows does."""
    return (
        f"{declaration}\r\n<Task version='1.2'{attributes}>\r\n"
        f"  <RegistrationInfo><URI>\\x</URI></RegistrationInfo>\r\n"
        f"  <Actions Context='Author'>\r\n    {actions}\r\n  </Actions>\r\n</Task>"
    )


@pytest.mark.parametrize(
    "content",
    [
        task(),
        task(declaration='<?xml version="1.0"?>'),
        task(declaration='<?xml version="1.0" encoding="utf-8" standalone="yes"?>'),
        task(attributes=" xmlns='http://schemas.example/task'"),
        task(attributes=" xmlns=\\http://schemas.example/task\\"),
        task(attributes=" xmlns:x='urn:x'").replace("Exec>", "x:Exec>"),
        task(f"<!-- a comment --> <ComHandler/> {EXEC}"),
        task(EXEC.replace("calc.exe", "\r\n   calc.exe\r\n")),
        task(EXEC.replace("calc.exe", "<![CDATA[calc]]>.exe")),
        task(EXEC.replace("<Arguments>", "<WorkingDirectory>C:</WorkingDirectory><Arguments>")),
    ],
    ids=range(10),
)
def test_the_command_of_a_task(content):
    """Whatever encoding it claims: it is text already. Namespaces do not matter."""
    assert task_command(content) == FOUND


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ("<Exec><Command>a</Command></Exec>", {COMMAND: "a"}),
        ("<Exec><Arguments>b</Arguments></Exec>", {ARGS: "b"}),
        ("<Exec><Command/><Arguments> </Arguments></Exec>", None),
        ("<Exec/>", None),
        ("<Other><Command>a</Command></Other>", None),
        ("", None),
        (EXEC + EXEC, None),
        (EXEC + "<Exec/>", None),
        ("<Exec><Command>a</Command><Command>b</Command></Exec>", None),
        (EXEC + "</Actions><Actions>" + EXEC, None),
    ],
)
def test_a_task_with_one_action_says_what_it_runs(actions, expected):
    """Several would have to be told apart."""
    assert task_command(task(actions)) == expected


NESTED = "<?xml version='1.0'?>" + "<a>" * 33 + "</a>" * 33
LAUGHS = (
    "<?xml version='1.0'?><!DOCTYPE Task [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)
WITH_DTD = "<?xml version='1.0'?><!DOCTYPE Task SYSTEM 'file:///etc/passwd'>"


@pytest.mark.parametrize(
    "content",
    [
        *(None, "", 5, True, [], {}, ["<?xml"], "calc.exe", "<Task></Task>", "<?xml"),
        task().replace("</Task>", ""),
        task() + "x",
        "x" + task(),
        task().replace("calc.exe", "calc.exe & more"),
        task().replace("calc.exe", "&unknown;"),
        task().replace("calc.exe", "a\x00b"),
        task().replace("calc.exe", "a\x1bb"),
        task().replace("calc.exe", "&#0;"),
        task().replace("calc.exe", "\ud800"),
        task(attributes=" a='1' a='2'"),
        task(attributes=" xmlns=\\unfinished"),
        task(declaration="<?xml?>"),
        task().replace("<Exec>", "<x:Exec>").replace("</Exec>", "</x:Exec>"),
        task(declaration=LAUGHS).replace("calc.exe", "&j;"),
        task(declaration=WITH_DTD),
        task(declaration="<?xml version='1.0'?><!DOCTYPE Task>"),
        task(declaration="<?xml version='1.0'?><!DOCTYPE T [<!ENTITY e SYSTEM 'http://h/'>]>"),
        NESTED,
        task("<a/>" * 1025 + EXEC),
        task(EXEC.replace("calc.exe", "x" * 70_000)),
    ],
    ids=lambda content: ascii(content)[:24],
)
def test_what_is_no_task_within_bounds_runs_nothing(content):
    """Not well-formed, with a document type, too deep, too many elements, too large."""
    assert task_command(content) is None


def test_the_first_xml_counts():
    """Even if it is damaged: the other one is of another time."""
    other = task("<Exec><Command>other</Command></Exec>")
    assert task_command(task(), other) == FOUND
    assert task_command("no XML", other) == {COMMAND: "other"}
    assert task_command(None, other) == {COMMAND: "other"}
    assert task_command(task() + "<", other) is None


@pytest.mark.parametrize(
    "content",
    [
        "<?xml version='1.0'?>" + "<a>" * 21_000,
        "<?xml version='1.0'?>" + "<a/>" * 16_000,
        "<?xml version='1.0'?><a " + " ".join(f"a{n}=''" for n in range(7_000)) + "/>",
        "<?xml version='1.0'?><a>" + "<!---->" * 9_000,
        "<?xml version='1.0'?><a>" + "&amp;" * 13_000,
        "<?xml version='1.0'?><a " + "xmlns=\\" * 9_000,
        "<?xml version='1.0'?>" + "<" * 65_000,
        "<?xml" * 1_000_000,
        task(declaration=LAUGHS).replace("calc.exe", "&j;" * 1000),
    ],
    ids=lambda content: content[20:36],
)
def test_hostile_texts_take_little_time(content):
    """Some milliseconds; the bound leaves room for slow machines."""
    start = time.process_time()
    task_command(content)
    assert time.process_time() - start < 0.5


@given(st.text(st.sampled_from("<>/!?[]&;'\\ =axmlTskExec\r\n\x00\ud800é")), st.integers(0, 300))
def test_any_text_is_read_or_not(text, cut):
    """Nothing is raised."""
    for content in (f"<?xml version='1.0'?>{text}", task()[:cut] + text + task()[cut:]):
        found = task_command(content)
        assert found is None or {*found} <= {COMMAND, ARGS}


PREFIX = "action.properties."


@pytest.mark.parametrize("profile", ["documented", "ecs"])
def test_the_command_is_a_property_of_the_event(profile):
    """Beside the content itself, from either place."""
    record = {"TaskName": "\\x", "TaskContent": task()}
    for fields in ({"event_data": record}, {"eventlog": {"event_data": record}}):
        found = mapped(profile, log_type="eventlog", event_id=4698, **fields)
        assert {name: found[PREFIX + name] for name in FOUND} == FOUND
        assert found[PREFIX + "TaskContent"] == task()
        assert "tags" not in found


def test_the_new_content_of_a_changed_task_is_read():
    """Before the old one."""
    old = task("<Exec><Command>old</Command></Exec>")
    data = {"TaskContent": old, "TaskContentNew": task()}
    found = mapped("ecs", log_type="eventlog", event_data=data)
    assert found[PREFIX + COMMAND] == "calc.exe"
    assert found[PREFIX + "TaskContent"] == old
    found = mapped("ecs", log_type="eventlog", event_data={"TaskContentNew": task()})
    assert found[PREFIX + COMMAND] == "calc.exe"
    assert found[PREFIX + "TaskContent"] == task()
