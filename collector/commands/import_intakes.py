"""`collector import-intakes`: settings made from the file of a Sekoia.io forwarder."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.commands.access import fail
from collector.describe.imported_settings import settings_text, variables
from collector.describe.terminal import printable
from collector.settings.document import read_text
from collector.settings.problems import ConfigError
from collector.settings.sekoia_intakes import read_intakes

if TYPE_CHECKING:
    from collector.settings.sekoia_intakes import Imported

CERT_FILE: Final = Path("/etc/collector/tls/server.pem")
KEY_FILE: Final = Path("/etc/collector/tls/server.key")


def import_intakes(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="intakes.yaml of the forwarder.", dir_okay=False),
    ],
    *,
    keys_as_env: Annotated[
        bool,
        typer.Option("--keys-as-env", help="Write ${NAME} in place of each key, NAME on stderr."),
    ] = False,
    tls_cert: Annotated[
        Path, typer.Option(metavar="FILE", help="Certificate of listeners that speak TLS.")
    ] = CERT_FILE,
    tls_key: Annotated[Path, typer.Option(metavar="FILE", help="Its private key.")] = KEY_FILE,
) -> None:
    """Turn the intakes.yaml of a Sekoia.io forwarder into a configuration, on stdout.

    For example `(umask 077; collector import-intakes intakes.yaml > collector.yaml)`.

    Each of its ports becomes a listener, each key an intake; messages go on to Sekoia.io as they
    came. `collector check` accepts what comes out.
    """
    try:
        imported = read_intakes(read_text(file), str(file))
    except ConfigError as error:
        fail(_lines(error), 2)
    text = settings_text(
        imported, file.name, tls_files=(tls_cert, tls_key), keys_as_env=keys_as_env
    )
    sys.stdout.write(text)
    for remark in _remarks(imported, (tls_cert, tls_key), keys_as_env=keys_as_env):
        typer.echo(printable(f"{file}: {remark}"), err=True)


def _lines(error: ConfigError) -> str:
    return "\n".join(map(printable, str(error).splitlines()))


def _care() -> str:
    """Say how to keep the output secret, which a shell may have made a file of."""
    with suppress(OSError):  # there may be none, as under a supervisor
        status = os.fstat(sys.stdout.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            return "`chmod 600` its file, which others can read"
    return "keep it as secret as this file"


def _remarks(imported: Imported, tls_files: tuple[Path, Path], *, keys_as_env: bool) -> list[str]:
    """Say what is to be known of what was made."""
    found = [str(remark) for remark in imported.remarks]
    if keys_as_env:
        found += [
            f"intake {label}: set {name} to its key"
            for label, name in variables(imported.groups).items()
        ]
    else:
        found.append(f"the output holds the intake keys: {_care()}")
    is_tls = any(port.protocol == "tls" for group in imported.groups for port in group.ports)
    missing = [str(path) for path in tls_files if not path.is_file()]
    if is_tls and missing:
        found.append(f"listeners with TLS need {' and '.join(missing)}: --tls-cert, --tls-key")
    return found
