"""Scheduled tasks: what a task runs, from the XML that Windows writes of it.

The text is whatever the creator of the task wrote. It is read as a stream, within bounds and
without document types and entities; nothing is kept but the two texts that are looked for.
"""

import re
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import DefusedXMLParser

from collector.parsers.convert import fields_of

_MAX_CHARACTERS: Final = 65_536
_MAX_ELEMENTS: Final = 1024
_MAX_DEPTH: Final = 32
_DECLARATION: Final = "<?xml"
# What is left of a namespace whose quotes were escaped once too often.
_MALFORMED_NAMESPACE: Final = re.compile(r"xmlns=\\[^\\<>]*\\")
_EXEC: Final = ("Task", "Actions", "Exec")
_COMMAND: Final = (*_EXEC, "Command")
_ARGUMENTS: Final = (*_EXEC, "Arguments")


@fields_of({"TaskContentNew_Command": "keyword", "TaskContentNew_Args": "keyword"}, joint=True)
def task_command(*contents: Any) -> dict[str, str] | None:
    """Take command and arguments of the first text that is XML.

    Nothing if it is not well-formed, larger than 64 KiB, or does not say one command: a task may
    have several actions.
    """
    for content in contents:
        if isinstance(content, str) and _DECLARATION in content:
            return _read(content)
    return None


def _read(content: str) -> dict[str, str] | None:
    if len(content) > _MAX_CHARACTERS:
        return None
    if "xmlns=\\" in content:
        content = _MALFORMED_NAMESPACE.sub("", content)
    reader = _TaskReader()
    parser = DefusedXMLParser(target=reader, forbid_dtd=True)
    try:
        parser.feed(content)
        parser.close()
    except (ParseError, ValueError):  # not well-formed; forbidden or unfit
        return None
    found = {
        "TaskContentNew_Command": reader.text(_COMMAND),
        "TaskContentNew_Args": reader.text(_ARGUMENTS),
    }
    return {name: text for name, text in found.items() if text} or None


class _TaskReader:
    """Is told of elements and texts by an XML parser; keeps the texts of one action.

    Raises:
        ValueError: the document is too large or too deep, or has something twice.
    """

    def __init__(self) -> None:
        self._path: tuple[str, ...] = ()
        self._elements = 0
        self._texts: dict[tuple[str, ...], list[str]] = {}

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        """Enter an element."""
        self._elements += 1
        self._path = (*self._path, tag.rpartition("}")[2])
        if len(self._path) > _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            raise ValueError("no task is as large as that")
        if self._path[: len(_EXEC)] == _EXEC:
            if self._path in self._texts:
                raise ValueError("more than one action")
            self._texts[self._path] = []

    def data(self, text: str) -> None:
        """Take a piece of text."""
        if self._path in self._texts:
            self._texts[self._path].append(text)

    def end(self, _tag: str) -> None:
        """Leave an element."""
        self._path = self._path[:-1]

    def text(self, path: tuple[str, ...]) -> str:
        """Return the text of an element without the white space around it."""
        return "".join(self._texts.get(path, ())).strip()
