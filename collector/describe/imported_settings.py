"""Settings of ours that were made of another program's, as YAML with comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from collector.describe.terminal import cut
from collector.settings.sekoia_intakes import RAW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from collector.settings.sekoia_intakes import Group, Imported, Port

SINK_URL: Final = "https://intake.sekoia.io"
"""Of the region FRA1, the forwarder's default."""

_SHOWN_LENGTH: Final = 80

# Of every forwarder.
_REST: Final = f"""\
# Sekoia.io parses what it gets: messages go on as they came, under their intake's key.
sinks:
  - name: sekoia
    url: ${{SINK_URL:-{SINK_URL}}}  # that of your region
    format: sekoia
  # Events in ECS for another SIEM as well, from the intakes whose parser is not raw:
  # - name: siem
  #   url: https://siem.example/ingest

# What waits while Sekoia.io is away is kept here.
# spool:
#   path: /var/lib/collector
#   max_bytes: 10GiB
"""


def settings_text(
    imported: Imported, source: str, *, tls_files: tuple[Path, Path], keys_as_env: bool
) -> str:
    """Return settings that do what the forwarder did.

    Args:
        imported: what its file asks for.
        source: the name of that file.
        tls_files: certificate and key of listeners that speak TLS.
        keys_as_env: whether keys are taken from variables; else they stand in the text.
    """
    names = variables(imported.groups) if keys_as_env else {}
    lines = (
        *_head(imported, source, keys_as_env=keys_as_env),
        "",
        "# What arrives at a port belongs to one intake, with or without a key in the message.",
        "listeners:",
        *(
            line
            for group in imported.groups
            for port in group.ports
            for line in _listener(port, group.label, tls_files)
        ),
        "",
        "intakes:",
        *(line for group in imported.groups for line in _intake(group, names.get(group.label))),
        "",
        _REST,
    )
    return "\n".join(lines)


def variables(groups: Iterable[Group]) -> dict[str, str]:
    """Return the name of the variable for the key of each intake, by the intake's name."""
    names: dict[str, str] = {}
    for group in groups:
        plain = re.sub(r"[^A-Z0-9]+", "_", group.label.upper()).strip("_")
        wanted = f"{'_' if plain[:1].isdigit() else ''}{plain}_INTAKE_KEY"
        name, number = wanted, 2
        while name in names.values():
            name, number = f"{wanted}_{number}", number + 1
        names[group.label] = name
    return names


def _head(imported: Imported, source: str, *, keys_as_env: bool) -> Iterator[str]:
    """Say where the settings come from, what was left out, and what becomes of the keys."""
    yield f"# Made from {_comment(source)} by `collector import-intakes`."
    if keys_as_env:
        yield "# The keys of the intakes are taken from the environment."
    else:
        yield (
            "# It holds the keys of the intakes: let the collector's user alone read it "
            "(chmod 600)."
        )
    for remark in imported.remarks:
        yield f"# {_comment(str(remark))}"


def _listener(port: Port, intake: str, tls_files: tuple[Path, Path]) -> Iterator[str]:
    yield f"  - name: {_scalar(port.label)}{_was(port)}"
    yield f"    transport: {'udp' if port.protocol == 'udp' else 'tcp'}"
    yield f"    port: {port.port}"
    yield f"    intake: {_scalar(intake)}"
    if port.protocol == "tls":
        yield "    tls:"
        for setting, file in zip(("cert_file", "key_file"), tls_files, strict=True):
            yield f"      {setting}: {_scalar(str(file))}"


def _was(port: Port) -> str:
    """Return what an entry was called, where that cannot be its name here."""
    return "" if port.label == port.name else f"  # {_comment(port.name)}"


def _intake(group: Group, variable: str | None) -> Iterator[str]:
    yield f"  - name: {_scalar(group.label)}"
    if group.parser == RAW:
        yield "    parser: raw  # cybereason or harfanglab, if that is what it sends"
    else:
        yield f"    parser: {group.parser}  # as its name says"
    yield f"    key: {_scalar(group.key) if variable is None else f'${{{variable}}}'}"


def _scalar(text: str) -> str:
    """Write a text in YAML so that it is read as it is: `$` would begin a variable."""
    if re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", text) and text.lower() not in _WORDS:
        return text
    escaped = (
        character
        if character.isascii() and character.isprintable() and character not in '"\\'
        else f"\\U{ord(character):08X}"
        for character in text.replace("$", "$$")
    )
    return f'"{"".join(escaped)}"'


# What YAML 1.1 takes for something else than a text.
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _comment(text: str) -> str:
    return cut(text, _SHOWN_LENGTH)
