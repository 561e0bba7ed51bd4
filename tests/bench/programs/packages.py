"""Programs that cannot be installed beside each other, unpacked from Debian's packages.

rsyslog and syslog-ng exclude each other as packages, not as programs: what `dpkg -x` unpacks runs
from where it is when it is told where its libraries and modules are.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "syslog-ng-core",
    "syslog-ng-mod-http",
    # What syslog-ng needs and a small system may lack.
    "libcurl4",
    "libivykis0",
    "libjson-c5",
    "libnet1",
    "libwrap0",
    # An output over HTTP for rsyslog, which Debian builds without omhttp.
    "rsyslog-elasticsearch",
)

DIRECTORY: Final = Path(os.environ.get("COLLECTOR_BENCH_PACKAGES", "~/.cache/collector-bench"))
"""Where they are unpacked, unless an option says otherwise."""

HOW: Final = (
    "python -m tests.bench --fetch, or by hand: apt-get download "
    + " ".join(PACKAGES)
    + f", then for each file dpkg -x FILE {DIRECTORY}"
)
"""How to get them."""


def fetch(directory: Path) -> None:
    """Download the packages and unpack them; needs apt-get and dpkg, but not root.

    Raises:
        subprocess.CalledProcessError: one of them failed; it has said why.
    """
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=directory, check=True)
    for package in sorted(directory.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, directory], check=True)
        package.unlink()


def find(pattern: str, directory: Path) -> Path | None:
    """Return a file of an installed or unpacked package; the installed one first.

    Args:
        pattern: its path from the root, with wildcards.
        directory: where packages were unpacked.
    """
    for root in (Path("/"), directory):
        for found in sorted(root.glob(pattern)):
            return found
    return None


def library_path(directory: Path) -> dict[str, str]:
    """Return the environment that lets programs find libraries of unpacked packages (ld.so(8))."""
    directories = [
        *directory.glob("usr/lib/syslog-ng"),
        *directory.glob("usr/lib/*-linux-gnu*"),
        *directory.glob("lib/*-linux-gnu*"),
    ]
    known = os.environ.get("LD_LIBRARY_PATH", "")
    return {"LD_LIBRARY_PATH": ":".join(filter(None, [*map(str, directories), known]))}
