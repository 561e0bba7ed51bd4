from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

from collector.parsers.shapes import codes

MAX_SLOTS: int
MAX_ENTRIES: int

Kind: type[IntEnum]
Argument: type[IntEnum]
Way: type[IntEnum]

Step: TypeAlias = tuple[bytes, codes.Kind, bytes | None]

class Piece:
    def __init__(
        self,
        literal: bytes,
        way: codes.Way,
        index: int = 0,
        leaf: int = 0,
        convert: Callable[[Any], bytes | None] | None = None,
        slots: tuple[int, ...] = (),
    ) -> None: ...

class Operation:
    def __init__(
        self,
        function: Callable[..., tuple[Any, ...] | None],
        arguments: list[tuple[int, ...]],
        depends: tuple[int, ...],
        identity: bytes,
    ) -> None: ...

class Program:
    def __init__(
        self, kinds: list[codes.Kind], operations: list[Operation], pieces: list[Piece]
    ) -> None: ...

class Tree:
    nodes: int
    octets: int
    results: int
    def __init__(self, load: Callable[[bytes], Any], unescape: Callable[[str], str]) -> None: ...
    def add(self, steps: list[Step], program: Program) -> None: ...
    def translate(self, message: bytes, envelope: tuple[bytes | None, ...]) -> bytes | None: ...
    def translate_run(
        self,
        frames: Sequence[bytes],
        first: int,
        tail: bytes,
        identifier: bytes,
        created: bytes,
        peer: bytes | None,
    ) -> list[bytes]: ...

def after_tail(frame: bytes, tail: bytes) -> int: ...
