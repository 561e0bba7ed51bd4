"""What holds of the code as a whole: protocols are pure, and every module has its tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "collector"
MODULES = sorted(PACKAGE.rglob("*.py"))
COMPILED = sorted(path for kind in ("pyx", "pxd") for path in PACKAGE.rglob(f"*.{kind}"))
PURE = [path for path in MODULES if path.parts[len(PACKAGE.parts)] in ("syslog", "parsers")]

# What would give a protocol eyes, hands or a watch.
IMPURE = {
    "aiohttp",
    "asyncio",
    "collector.config",
    "collector.settings",
    "logging",
    "os",
    "pathlib",
    "random",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "structlog",
    "subprocess",
    "threading",
    "time",
    "uvloop",
}
# Started as processes by the integration tests, which is what they are for.
TESTED_AS_PROCESSES = {
    "__main__.py",
    "daemon.py",
    "process.py",
    "service.py",
    "single.py",
    "supervisor.py",
    "worker.py",
}


def imported(path):
    """Return every module that a file imports, type checking aside."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_protocols_do_no_io_and_read_no_clock(path):
    """Everything they need comes in as an argument."""
    roots = {".".join(name.split(".")[:depth]) for name in imported(path) for depth in (1, 2)}
    assert roots & IMPURE == set()


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_protocols_do_not_ask_for_the_time(path):
    """`datetime.now` is a clock too."""
    clocks = {"now", "utcnow", "today"}
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in clocks
    ]
    assert calls == []


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in (*MODULES, *COMPILED)
        if path.name not in TESTED_AS_PROCESSES | {"__init__.py"}
    ],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_every_module_has_a_test_module(path):
    """`collector/a/b.py` is tested in `tests/unit/a/test_b.py`."""
    relative = path.relative_to(PACKAGE)
    assert (ROOT / "tests/unit" / relative.with_name(f"test_{relative.stem}.py")).is_file()
