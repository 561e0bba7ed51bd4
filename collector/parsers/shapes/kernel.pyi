from collections.abc import Callable, Sequence
from typing import Any

TEXT: int
INTEGER: int
BOOLEAN: int
VALUE: int
FIELD: int
MARK: int
END: int
FIELD_AS_IS: int
REST: int

CONSTANT: int
RAW: int
QUOTED: int
UNESCAPED: int
BARE: int
WHOLE: int
FLAG: int
EPOCH: int
DATE: int
LEAF: int
ENVELOPE: int
ADDRESS: int
UNQUOTED: int
LISTED: int
SORTED: int

SLOT: int
SPAN: int
RESULT: int

MAX_SLOTS: int

class Piece:
    def __init__(
        self,
        literal: bytes,
        way: int,
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
        self, kinds: list[int], operations: list[Operation], pieces: list[Piece]
    ) -> None: ...

class Tree:
    nodes: int
    octets: int
    results: int
    def __init__(self, load: Callable[[bytes], Any], unescape: Callable[[str], str]) -> None: ...
    def add(self, steps: list[tuple[bytes, int, bytes | None]], program: Program) -> None: ...
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
