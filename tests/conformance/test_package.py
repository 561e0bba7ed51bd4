"""What is installed is what is here: every file of the package, those that are no Python too."""

import shutil
import subprocess
import sys
import tarfile

import pytest

from tests.support import ROOT

MADE = shutil.ignore_patterns("__pycache__", "*.so", "kernel.c")
"""What is made of other files of the package."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Copy what the image is built from, and nothing that an earlier build has left."""
    pytest.importorskip("setuptools", minversion="80", reason="needs setuptools")
    directory = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "collector", directory / "collector", ignore=MADE)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, directory)
    return directory


def setup(directory, *commands):
    """Run commands of setuptools, as pip has them run; the kernel is not compiled."""
    script = "import setuptools; setuptools.setup()"
    command = [sys.executable, "-c", script, "--quiet", *commands]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def files(directory):
    """Return the files of the package, relative to where it is."""
    found = (directory / "collector").rglob("*")
    paths = {str(path.relative_to(directory)) for path in found if path.is_file()}
    assert {"collector/admin/page/index.html", "collector/py.typed"} <= paths
    return paths


def test_what_a_wheel_is_made_of_holds_every_file(clone, tmp_path):
    setup(clone, "build_py", "--build-lib", str(tmp_path))
    assert files(tmp_path) == files(clone)


def test_the_source_distribution_holds_every_file(clone, tmp_path):
    """And what a wheel is built of it with."""
    setup(clone, "sdist", "--dist-dir", str(tmp_path))
    (path,) = tmp_path.iterdir()
    with tarfile.open(path) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert files(clone) <= found
    assert {"pyproject.toml", "README.md", "LICENSE"} <= found
