"""Where the benchmark finds programs that are not installed."""

from tests.bench.programs.packages import PACKAGES, find, library_path


def test_what_was_unpacked_is_found(tmp_path):
    """By its path from the root, which may hold wildcards."""
    program = tmp_path / "usr/lib/some-arch/nobody-has-this.so"
    program.parent.mkdir(parents=True)
    program.touch()
    assert find("usr/lib/*/nobody-has-this.so", tmp_path) == program


def test_what_is_installed_comes_first(tmp_path):
    """It is what runs on this machine."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").touch()
    assert str(find("bin/sh", tmp_path)) == "/bin/sh"


def test_what_is_missing_is_not_found(tmp_path):
    """Not an error: the program is left out."""
    assert find("usr/sbin/nobody-has-this", tmp_path) is None


def test_libraries_of_packages_come_before_what_was_said(tmp_path, monkeypatch):
    """And nothing is looked for in the working directory, which an empty entry would mean."""
    (tmp_path / "usr/lib/syslog-ng").mkdir(parents=True)
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir()
    ours = f"{tmp_path}/usr/lib/syslog-ng:{tmp_path}/usr/lib/x86_64-linux-gnu"
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    assert library_path(tmp_path) == {"LD_LIBRARY_PATH": ours}
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert library_path(tmp_path) == {"LD_LIBRARY_PATH": f"{ours}:/opt/lib"}


def test_packages_are_named_once():
    """Each is fetched and unpacked."""
    assert len(set(PACKAGES)) == len(PACKAGES)
