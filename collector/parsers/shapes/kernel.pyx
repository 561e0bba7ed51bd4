# cython: language_level=3, wraparound=False, cdivision=True
r"""The inner loop of shapes, compiled: walk a message, write its event.

A `Tree` knows messages by what they have in common. Its edges are octets that must stand in a
message exactly so, each followed by a value whose octets are free within its kind. What a leaf
holds is a `Program`: the octets of an event in order, constant ones and those that follow from a
value.

Nothing here knows a vendor, a rule or a field. Whatever is not exactly as it was learned ends the
walk with None, and the message is read the general way: that one decides, this one is quick.

No octet of a message is trusted: every read is within `[text, text + end)`, and every write within
the buffer, whose room is asked for before. Numbers of slots, which no message decides, are checked
once, when a `Program` is made.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp, memcpy

from orjson import dumps

cdef extern from "string.h" nogil:
    void *memrchr(const void *, int, size_t)

ctypedef unsigned char octet

# Kinds of values.
TEXT = 0  # the inside of a JSON string, not empty
INTEGER = 1  # a JSON number of at most 18 digits, written as everybody writes it
BOOLEAN = 2
VALUE = 3  # any JSON value
FIELD = 4  # the value of a CEF extension that says something
MARK = 5  # no octets: a place
END = 6  # the end of the message
FIELD_AS_IS = 7  # a FIELD whose escapes belong to it
REST = 8  # all that is left, if there is anything

cdef enum:
    K_TEXT = 0
    K_INTEGER = 1
    K_BOOLEAN = 2
    K_VALUE = 3
    K_FIELD = 4
    K_MARK = 5
    K_END = 6
    K_FIELD_AS_IS = 7
    K_REST = 8

# Ways to write a value.
CONSTANT = 0  # nothing but the octets before it
RAW = 1  # the octets of the message, as the inside of a JSON string
QUOTED = 2  # a TEXT, an INTEGER or a BOOLEAN, as the inside of a JSON string
UNESCAPED = 3  # a FIELD without its CEF escapes, as the inside of a JSON string
BARE = 4  # an INTEGER or a BOOLEAN as it is
WHOLE = 5  # a text of digits as a number
FLAG = 6  # the text of a boolean as a boolean
EPOCH = 7  # milliseconds since 1970 as a date, with its quotes
DATE = 8  # an ISO 8601 date as a date, with its quotes
LEAF = 9  # what an operation has made
ENVELOPE = 10  # what the caller gives
ADDRESS = 11  # an IP address, with its quotes
UNQUOTED = 12  # a FIELD without its CEF escapes and double quotes, with quotes around it
LISTED = 13  # a JSON list of texts
SORTED = 14  # a JSON list of texts, sorted, each once

cdef enum:
    W_CONSTANT = 0
    W_RAW = 1
    W_QUOTED = 2
    W_UNESCAPED = 3
    W_BARE = 4
    W_WHOLE = 5
    W_FLAG = 6
    W_EPOCH = 7
    W_DATE = 8
    W_LEAF = 9
    W_ENVELOPE = 10
    W_ADDRESS = 11
    W_UNQUOTED = 12
    W_LISTED = 13
    W_SORTED = 14

# Where an argument of an operation comes from.
SLOT = 0
SPAN = 1  # from one MARK to another
RESULT = 2  # of an operation before

cdef enum:
    A_SLOT = 0
    A_SPAN = 1
    A_RESULT = 2

# What is known of the octets of a slot.
cdef enum:
    F_PLAIN = 0
    F_ESCAPES = 1  # some are not written as they are within a JSON string
    F_UNUSUAL = 2  # escapes that are written in another way than JSON is written here
    F_CONTROL = 4  # not quotes and backslashes alone
    F_ANY = 255  # of what hinders: there is always something

MAX_SLOTS = 512
cdef enum:
    C_MAX_SLOTS = 512
    C_NO_SLOT = 511  # has the flags of texts within a VALUE; nobody asks for them
    C_ENVELOPE = 4  # octets that the caller gives
    C_MAX_TIMES = 4  # that a message is looked at, in search of its shape
    C_SPARE_OCTETS = 1048576  # that may be looked at besides: short messages may be tried often
    C_MAX_DEPTH = 64  # of a VALUE
    C_MAX_DIGITS = 300  # before the decimal point: no such number is infinite
    C_MAX_ENTRIES = 16  # of a list
    C_MEMO_ENTRIES = 1024  # of an operation
    C_MEMO_SPAN = 1024  # octets of what an operation takes whole: its names may be in the result
    C_MEMO_OCTETS = 192  # of a key
    C_MAX_RESULTS = 16384  # remembered of all operations
    C_MAX_PROGRAMS = 8  # for messages of the same outline
    C_MAX_ROOM = 1048576  # octets that are kept for the next event

cdef octet[256] SPECIAL  # 1 where JSON wants an escape
cdef octet[256] USUAL  # 1 for what may follow a backslash in the JSON of events
cdef octet[256] SHORT  # the letter of the short escape, 0 where there is none
cdef octet[256] MAY_BEGIN_HEADER  # 1 also where it may stand behind blanks and the like
cdef int[12] DAYS
cdef const char *HEX = b"0123456789abcdef"
cdef const char *STAMP = b"0000-00-00T00:00:00"


cdef void _prepare():
    cdef int c
    for c in range(256):
        SPECIAL[c] = c < 0x20 or c == c'"' or c == c'\\'
        SHORT[c] = USUAL[c] = 0
        MAY_BEGIN_HEADER[c] = c in b"[<0123456789 \0\xef\xbb\xbf"
    for c, letter in zip(b'"\\\b\t\n\f\r', b'"\\btnfr'):
        SHORT[c] = letter
        USUAL[letter] = 1
    for c, days in enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)):
        DAYS[c] = days

_prepare()


cdef class Edge:
    """Octets, then a value of a kind; then it goes on by what the value is, or whatever it is."""

    cdef bytes literal
    cdef const char *at
    cdef Py_ssize_t size
    cdef int kind
    cdef bint is_field
    cdef dict constants  # value: Node; None where no value decides
    cdef Node otherwise

    def __cinit__(self, bytes literal not None, int kind):
        self.literal = literal
        self.at = PyBytes_AS_STRING(literal)
        self.size = PyBytes_GET_SIZE(literal)
        self.kind = kind
        self.is_field = kind == K_FIELD or kind == K_FIELD_AS_IS


cdef class Node:
    cdef list edges
    cdef list programs  # the newest last; None but at the end of messages

    def __cinit__(self):
        self.edges = []


cdef class Piece:
    """Constant octets of an event, then a value."""

    cdef bytes literal
    cdef const char *at
    cdef Py_ssize_t size
    cdef int way
    cdef int index
    cdef int leaf
    cdef octet hindrance  # what of a slot keeps it from being copied as it is
    cdef object convert  # what writes the value where the quick way does not know it
    cdef tuple slots  # of a list

    def __cinit__(
        self,
        bytes literal not None,
        int way,
        int index=0,
        int leaf=0,
        convert=None,
        tuple slots not None=(),
    ):
        self.literal = literal
        self.at = PyBytes_AS_STRING(literal)
        self.size = PyBytes_GET_SIZE(literal)
        self.way = way
        self.index = index
        self.leaf = leaf
        self.convert = convert
        self.slots = slots
        if way == W_QUOTED or way == W_BARE:
            self.hindrance = F_UNUSUAL
        elif way == W_RAW or way == W_UNESCAPED:
            self.hindrance = F_ESCAPES | F_UNUSUAL | F_CONTROL
        else:
            self.hindrance = F_ANY

    cdef int check(self, Py_ssize_t slots, Py_ssize_t operations) except -1:
        """See to it that what is written is there, but for leaves: each result has its own."""
        if self.way == W_LEAF:
            _check_number(self.index, operations)
        elif self.way == W_ENVELOPE:
            _check_number(self.index, C_ENVELOPE)
        elif self.way == W_LISTED or self.way == W_SORTED:
            _check_number(len(self.slots), C_MAX_ENTRIES + 1)
            for slot in self.slots:
                _check_number(slot, slots)
        elif self.way != W_CONSTANT:
            _check_number(self.index, slots)
        return 0


cdef class Operation:
    """A function of values.

    Args:
        function: takes the arguments; returns a tuple of the result and the octets of what it
            writes, or None where the message is not of the shape after all. It must depend on its
            arguments alone: what it returned is remembered.
        arguments: as (`SLOT`, slot), (`SPAN`, slot, slot) or (`RESULT`, operation).
        depends: the slots that decide the result.
        identity: operations of the same one yield the same for slots of the same octets.
    """

    cdef object function
    cdef tuple arguments
    cdef tuple depends
    cdef bytes identity
    cdef bint takes_span
    cdef dict memo  # what the function has returned for the octets of the slots

    def __cinit__(
        self, function, list arguments not None, tuple depends not None, bytes identity not None
    ):
        self.function = function
        self.arguments = tuple(arguments)
        self.depends = depends
        self.identity = identity

    cdef int check(self, Py_ssize_t slots, Py_ssize_t operations) except -1:
        """See to it that what is taken is there; `operations` is how many come before."""
        cdef tuple argument
        if list(self.depends) != sorted(self.depends):
            raise ValueError("slots that are not in order")
        for slot in self.depends:
            _check_number(slot, slots)
        for argument in self.arguments:
            if argument[0] == A_SPAN:
                self.takes_span = True
                _, first, last = argument
                _check_number(first, last + 1)
                _check_number(last, slots)
            else:
                way, number = argument
                _check_number(number, slots if way == A_SLOT else operations)
        return 0


cdef class Program:
    """How the event of a shape is written.

    Args:
        kinds: the kind of each slot.
        operations: what is computed, in order.
        pieces: what is written, in order.

    Raises:
        ValueError: they ask for a slot, an operation or a part of the envelope that is not there.
    """

    cdef tuple kinds
    cdef tuple operations
    cdef tuple pieces

    def __cinit__(
        self, list kinds not None, list operations not None, list pieces not None
    ):
        cdef Operation operation
        cdef Piece piece
        cdef Py_ssize_t number
        self.kinds = tuple(kinds)
        self.operations = tuple(operations)
        self.pieces = tuple(pieces)
        _check_number(len(kinds), C_MAX_SLOTS)
        if None in self.operations or None in self.pieces:
            raise ValueError("an operation or a piece is None")
        for number, operation in enumerate(self.operations):
            operation.check(len(kinds), number)
        for piece in self.pieces:
            piece.check(len(kinds), len(operations))


cdef int _check_number(Py_ssize_t number, Py_ssize_t count) except -1:
    if not 0 <= number < count:
        raise ValueError(f"{number} is none of {count}")
    return 0


cdef class Tree:
    """The shapes that are known of one kind of messages.

    Args:
        load: reads JSON octets.
        unescape: undoes the escapes of a CEF value.

    Attributes:
        nodes: how many there are; with `octets` a measure of the memory they take.
        octets: of all literals.
        results: how many results of operations are remembered.
    """

    cdef Node root
    cdef object load
    cdef object unescape
    cdef readonly Py_ssize_t nodes
    cdef readonly Py_ssize_t octets
    cdef readonly Py_ssize_t results
    cdef dict memos  # of operations, by identity
    cdef const octet *text
    cdef Py_ssize_t end
    cdef bint has_controls  # below the blank, anywhere in the message
    cdef bint has_escapes  # or what else is not written as it is within a JSON string
    cdef Py_ssize_t[C_MAX_SLOTS] starts
    cdef Py_ssize_t[C_MAX_SLOTS] ends
    cdef octet[C_MAX_SLOTS] flags
    cdef char *out
    cdef Py_ssize_t used
    cdef Py_ssize_t room
    cdef bint is_busy

    def __cinit__(self, load, unescape):
        self.root = Node()
        self.load = load
        self.unescape = unescape
        self.nodes = 1
        self.memos = {}
        self.out = NULL
        self.room = 0

    def __dealloc__(self):
        PyMem_Free(self.out)

    def add(self, list steps not None, Program program not None):
        """Learn a shape.

        Args:
            steps: (literal, kind, constant) one after the other; a constant is the octets that a
                value must have, or None. The last one is an `END`.
            program: how its event is written.

        Raises:
            ValueError: the program is one for other steps, or they end elsewhere.
        """
        cdef Node node = self.root
        cdef Edge edge, found
        kinds = tuple([kind for _, kind, _ in steps])
        if kinds != program.kinds or END not in kinds or kinds.index(END) != len(kinds) - 1:
            raise ValueError("the steps are not those of the program, or do not end with an END")
        for literal, kind, constant in steps:
            found = None
            for edge in node.edges:
                if edge.kind == kind and edge.literal == literal:
                    found = edge
                    break
            if found is None:
                found = Edge(literal, kind)
                self.octets += found.size
                # A VALUE is tried last: most others are one as well.
                node.edges.insert(len(node.edges) if kind == K_VALUE else 0, found)
            if constant is None:
                if found.otherwise is None:
                    found.otherwise = Node()
                    self.nodes += 1
                node = found.otherwise
            else:
                if found.constants is None:
                    found.constants = {}
                if constant not in found.constants:
                    found.constants[constant] = Node()
                    self.nodes += 1
                node = <Node>found.constants[constant]
        self._keep(node, program)

    cdef int _keep(self, Node node, Program program) except -1:
        """Have messages that end at a node be written by a program, if by none of the others."""
        cdef Operation operation
        cdef Piece piece
        for operation in program.operations:
            operation.memo = self.memos.setdefault(operation.identity, {})
        for piece in program.pieces:
            self.octets += piece.size
        if node.programs is None:
            node.programs = []
        elif len(node.programs) >= C_MAX_PROGRAMS:
            del node.programs[0]
        node.programs.append(program)
        return 0

    def translate(self, bytes message not None, tuple envelope not None):
        """Return the event of a message as JSON, or None where no shape fits.

        Args:
            message: UTF-8.
            envelope: octets for the pieces that ask for them; None where there are none, then no
                shape that asks for them fits.
        """
        if len(envelope) != C_ENVELOPE:
            raise ValueError(f"an envelope has {C_ENVELOPE} parts")
        return self._translate(message, 0, envelope)

    def translate_run(
        self,
        frames not None,
        Py_ssize_t first,
        bytes tail not None,
        bytes identifier not None,
        bytes created not None,
        bytes peer,
    ):
        """Return the events of frames one after the other.

        The first that is to be read the general way ends them.

        Args:
            frames: syslog messages.
            first: the position of the first that is translated.
            tail: what their headers end with, see `after_tail`.
            identifier: the id of the first event, 16 octets; those that follow count up.
            created: as in an envelope, without its fields of the header.
            peer: as in an envelope.
        """
        cdef list events = []
        cdef Py_ssize_t position, start
        cdef octet[16] number
        cdef bytes event
        cdef object frame
        if PyBytes_GET_SIZE(identifier) != 16:
            raise ValueError("an id has 16 octets")
        memcpy(number, PyBytes_AS_STRING(identifier), 16)
        for position in range(first, len(frames)):
            frame = frames[position]
            if not PyBytes_CheckExact(frame):
                break
            start = _after_tail(<bytes>frame, tail)
            if start < 0:
                break
            if not _is_utf8(<bytes>frame):
                break
            try:
                event = self._translate(frame, start, (_quoted_hex(number), created, peer, None))
            except Exception:
                if not events:
                    raise
                break  # it is raised when this frame is the first one
            if event is None:
                break
            events.append(event)
            _count_up(number)
        return events

    cdef bytes _translate(self, bytes octets, Py_ssize_t start, tuple envelope):
        """Return the event of the message that begins at `start`."""
        if self.is_busy:  # with another one: a function of an operation calls, or another thread
            return None
        self.is_busy = True
        self.text = <const octet *>PyBytes_AS_STRING(octets) + start
        self.end = PyBytes_GET_SIZE(octets) - start
        self._look_over()
        try:
            return self._event(envelope)
        finally:
            self.is_busy = False

    cdef bytes _event(self, tuple envelope):
        cdef Node node = self._walk()
        cdef Program program
        cdef bytes event
        if node is None:
            return None
        for program in node.programs:
            event = self._write(program, envelope)
            if event is not None:
                return event
        return None

    # The way through the tree.

    cdef void _look_over(self) noexcept:
        """Find out what is nowhere in the message, and so need not be looked for in each value."""
        cdef const octet *text = self.text
        cdef Py_ssize_t position
        cdef octet c, controls = 0, escapes = 0
        for position in range(self.end):  # without a way out, so that it becomes vector code
            c = text[position]
            controls |= c < 0x20
            escapes |= (c == c'\\') | (c == c'"')
        self.has_controls = controls
        self.has_escapes = controls | escapes

    cdef Node _walk(self):
        cdef Node node = self.root, below
        cdef Edge edge
        cdef Py_ssize_t position = 0, after
        cdef Py_ssize_t left = C_SPARE_OCTETS + C_MAX_TIMES * self.end  # octets to be looked at
        cdef int slot = 0
        while True:
            below = None
            for edge in node.edges:
                if edge.size > self.end - position:
                    continue
                if memcmp(self.text + position, edge.at, edge.size) != 0:
                    continue
                after = self._scan(edge.kind, position + edge.size, slot)
                left -= (self.end if after < 0 else after) - position
                if left < 0:  # shapes so much alike are made to be tried in vain
                    return None
                if after < 0:
                    continue
                if edge.constants is not None:
                    below = <Node>edge.constants.get(self._octets(slot))
                if below is None:
                    below = edge.otherwise
                    if below is None:
                        continue
                    if edge.is_field and self._says_nothing(slot):
                        below = None
                        continue
                position = after
                if edge.kind != K_END:
                    slot += 1
                break
            if below is None:
                return None
            node = below
            if node.programs is not None:
                return node

    cdef Py_ssize_t _scan(self, int kind, Py_ssize_t start, int slot) noexcept:
        """Find where a value ends; -1 if there is none of its kind."""
        cdef Py_ssize_t end = start
        self.flags[slot] = F_PLAIN
        if kind == K_TEXT:
            end = self._scan_text(start, slot)
            if end == start:
                end = -1
        elif kind == K_FIELD or kind == K_FIELD_AS_IS:
            end = self._scan_field(start, slot)
        elif kind == K_REST:
            end = self._scan_rest(start, slot)
        elif kind == K_INTEGER:
            end = self._scan_integer(start)
        elif kind == K_BOOLEAN:
            if self.end - start >= 4 and memcmp(self.text + start, b"true", 4) == 0:
                end = start + 4
            elif self.end - start >= 5 and memcmp(self.text + start, b"false", 5) == 0:
                end = start + 5
            else:
                end = -1
        elif kind == K_VALUE:
            end = self._scan_value(start)
            self.flags[slot] = F_ESCAPES | F_CONTROL if self.has_controls else F_ESCAPES
        elif kind == K_END and start != self.end:
            end = -1
        self.starts[slot] = start
        self.ends[slot] = end
        return end

    cdef Py_ssize_t _scan_text(self, Py_ssize_t start, int slot) noexcept:
        """Find the quote that ends a JSON string (RFC 8259 section 7)."""
        cdef const octet *text = self.text
        cdef Py_ssize_t position = start, end = -1
        cdef octet c, found = 0
        cdef const octet *escape
        while True:
            if end < position:
                escape = <const octet *>memchr(text + position, c'"', self.end - position)
                if escape == NULL:
                    return -1
                end = escape - text
            escape = <const octet *>memchr(text + position, c'\\', end - position)
            if escape == NULL:
                break
            self.flags[slot] |= F_ESCAPES
            position = escape - text + 1  # within the message: a quote stands somewhere behind it
            c = text[position]
            if c == c'/':
                self.flags[slot] |= F_UNUSUAL
            elif c == c'u':
                self.flags[slot] |= F_UNUSUAL
                position = self._end_of_code(position)
                if position < 0:
                    return -1
            elif not USUAL[c]:
                return -1
            position += 1
        if self.has_controls:
            for position in range(start, end):  # becomes vector code
                found |= text[position] < 0x20
        return -1 if found else end

    cdef Py_ssize_t _end_of_code(self, Py_ssize_t position) noexcept:
        """Return the last octet of a character written as `uXXXX`; -1 if it is none."""
        cdef int unit = self._unit(position)
        if 0xD800 <= unit <= 0xDBFF:
            position += 6
            if position >= self.end or self.text[position - 1] != c'\\':
                return -1
            unit = self._unit(position)
            if not 0xDC00 <= unit <= 0xDFFF:
                return -1
        elif unit < 0 or 0xDC00 <= unit <= 0xDFFF:
            return -1
        return position + 4

    cdef int _unit(self, Py_ssize_t position) noexcept:
        """Return the number in `uXXXX`; -1 if there is none."""
        cdef int unit = 0
        cdef octet c
        cdef Py_ssize_t digit
        if self.end - position < 5 or self.text[position] != c'u':
            return -1
        for digit in range(position + 1, position + 5):
            c = self.text[digit]
            unit *= 16
            if c'0' <= c <= c'9':
                unit += c - c'0'
            elif c'a' <= (c | 0x20) <= c'f':
                unit += (c | 0x20) - (c'a' - 10)
            else:
                return -1
        return unit

    cdef Py_ssize_t _scan_field(self, Py_ssize_t start, int slot) noexcept:
        """Find where the value of a CEF extension ends: before the blank before the next key."""
        cdef const octet *text = self.text
        cdef Py_ssize_t position = start, end = self.end, before
        cdef const octet *equals
        cdef const octet *blank
        cdef octet c, found = 0, refused = 0, control = 0
        while True:
            equals = <const octet *>memchr(text + position, c'=', self.end - position)
            if equals == NULL:
                break
            before = equals - text - 1
            while before >= start and text[before] == c'\\':
                before -= 1
            if (equals - text - 1 - before) & 1:  # escaped
                position = equals - text + 1
                continue
            blank = <const octet *>memrchr(text + start, c' ', equals - text - start)
            if blank == NULL:
                return -1
            end = blank - text
            break
        if end > start and text[end - 1] == c' ':
            return -1
        if not self.has_escapes:
            return end
        for position in range(start, end):  # becomes vector code
            c = text[position]
            found |= (c == c'\\') | (c == c'"')
            control |= c < 0x20
            refused |= (c == c'\t') | (c == 0)  # a blank to CEF; and what is left out
        if refused:
            return -1
        if found:
            self.flags[slot] = F_ESCAPES
        if control:
            if end == self.end and (text[end - 1] == c'\n' or text[end - 1] == c'\r'):
                return -1  # a line end behind the message
            self.flags[slot] = F_ESCAPES | F_CONTROL
        return end

    cdef Py_ssize_t _scan_rest(self, Py_ssize_t start, int slot) noexcept:
        cdef Py_ssize_t position
        cdef octet c, found = 0, control = 0
        for position in range(start, self.end):
            c = self.text[position]
            found |= (c == c'\\') | (c == c'"')
            control |= c < 0x20
        self.flags[slot] = F_ESCAPES | F_CONTROL if control else F_ESCAPES if found else F_PLAIN
        return self.end if self.end > start else -1

    cdef bint _says_nothing(self, int slot) noexcept:
        """Say whether a CEF value stands for none."""
        cdef Py_ssize_t size = self.ends[slot] - self.starts[slot]
        cdef const octet *at = self.text + self.starts[slot]
        if size == 4:
            return memcmp(at, b"None", 4) == 0
        return size == 0 or (size == 1 and at[0] == c'-')

    cdef Py_ssize_t _scan_integer(self, Py_ssize_t start) noexcept:
        cdef Py_ssize_t position = start, first
        if position < self.end and self.text[position] == c'-':
            position += 1
        first = position
        while position < self.end and c'0' <= self.text[position] <= c'9':
            position += 1
        if position == first or position - first > 18:
            return -1
        if self.text[first] == c'0' and (position - first > 1 or first > start):
            return -1
        if position < self.end and memchr(b".eE", self.text[position], 3) != NULL:
            return -1
        return position

    cdef Py_ssize_t _scan_value(self, Py_ssize_t start) noexcept:
        """Find the end of any JSON value (RFC 8259), all of which is checked but for escapes."""
        cdef octet[C_MAX_DEPTH] closing
        cdef int depth = 0
        cdef Py_ssize_t position = start
        cdef octet c
        cdef bint wants_value = True, may_close = False
        while True:
            position = self._skip_blanks(position)
            if position >= self.end:
                return -1
            c = self.text[position]
            if wants_value:
                if may_close and c == closing[depth - 1]:
                    position += 1
                    depth -= 1
                    wants_value = False
                else:
                    if depth and closing[depth - 1] == c'}':
                        position = self._skip_key(position)
                        if position < 0:
                            return -1
                        c = self.text[position]
                    if c == c'{' or c == c'[':
                        if depth == C_MAX_DEPTH:
                            return -1
                        closing[depth] = c + 2  # ASCII has them so: `[` and `]`, `{` and `}`
                        depth += 1
                        position += 1
                        may_close = True
                        continue
                    position = self._skip_scalar(position)
                    if position < 0:
                        return -1
                    wants_value = False
            elif c == c',':
                position += 1
                wants_value = True
            elif c == closing[depth - 1]:
                position += 1
                depth -= 1
            else:
                return -1
            may_close = False
            if depth == 0 and not wants_value:
                return position

    cdef Py_ssize_t _skip_blanks(self, Py_ssize_t position) noexcept:
        cdef octet c
        while position < self.end:
            c = self.text[position]
            if not (c == c' ' or c == c'\n' or c == c'\r' or c == c'\t'):
                break
            position += 1
        return position

    cdef Py_ssize_t _skip_key(self, Py_ssize_t position) noexcept:
        """Return where the value of a member begins, with an octet to look at; -1 if none does."""
        if self.text[position] != c'"':
            return -1
        position = self._scan_text(position + 1, C_NO_SLOT)
        if position < 0:
            return -1
        position = self._skip_blanks(position + 1)
        if position >= self.end or self.text[position] != c':':
            return -1
        position = self._skip_blanks(position + 1)
        return position if position < self.end else -1

    cdef Py_ssize_t _skip_scalar(self, Py_ssize_t position) noexcept:
        cdef octet c = self.text[position]
        cdef Py_ssize_t left = self.end - position
        if c == c'"':
            position = self._scan_text(position + 1, C_NO_SLOT)
            return position + 1 if position >= 0 else -1
        cdef const octet *at = self.text + position
        if left >= 4 and (memcmp(at, b"true", 4) == 0 or memcmp(at, b"null", 4) == 0):
            return position + 4
        if left >= 5 and memcmp(at, b"false", 5) == 0:
            return position + 5
        return self._skip_number(position)

    cdef Py_ssize_t _skip_number(self, Py_ssize_t position) noexcept:
        """Return the end of a number that is small enough to be read."""
        cdef Py_ssize_t first
        if self.text[position] == c'-':
            position += 1
        first = position
        position = self._skip_digits(position)
        if position == first or (self.text[first] == c'0' and position > first + 1):
            return -1
        if position - first > C_MAX_DIGITS:
            return -1
        if position < self.end and self.text[position] == c'.':
            first = position + 1
            position = self._skip_digits(first)
            if position == first:
                return -1
        if position < self.end and (self.text[position] == c'e' or self.text[position] == c'E'):
            return -1  # rare, and may be infinite: orjson decides
        return position

    cdef Py_ssize_t _skip_digits(self, Py_ssize_t position) noexcept:
        while position < self.end and c'0' <= self.text[position] <= c'9':
            position += 1
        return position

    # Values.

    cdef bytes _octets(self, int slot):
        return PyBytes_FromStringAndSize(
            <const char *>self.text + self.starts[slot], self.ends[slot] - self.starts[slot]
        )

    cdef object _value(self, Program program, int slot):
        """Return a value as the general way has it."""
        cdef int kind = <int>program.kinds[slot]
        cdef const char *at = <const char *>self.text + self.starts[slot]
        cdef Py_ssize_t size = self.ends[slot] - self.starts[slot]
        if kind == K_FIELD:
            text = PyUnicode_DecodeUTF8(at, size, NULL)
            return self.unescape(text) if self.flags[slot] else text
        if kind == K_FIELD_AS_IS or kind == K_REST:
            return PyUnicode_DecodeUTF8(at, size, NULL)
        if kind == K_TEXT:
            if self.flags[slot]:
                return self.load(b'"%b"' % self._octets(slot))
            return PyUnicode_DecodeUTF8(at, size, NULL)
        if kind == K_BOOLEAN:
            return at[0] == c't'
        return self.load(self._octets(slot))

    cdef object _key(self, Operation operation):
        """Return what decides the result of an operation; None if it is long."""
        cdef Py_ssize_t size = 0
        cdef int slot
        if operation.takes_span and self._extent(operation.depends) > C_MEMO_SPAN:
            return None
        if len(operation.depends) == 1:
            slot = <int>operation.depends[0]
            if self.ends[slot] - self.starts[slot] > C_MEMO_OCTETS:
                return None
            return self._octets(slot)
        key = []
        for slot in operation.depends:
            size += self.ends[slot] - self.starts[slot]
            if size > C_MEMO_OCTETS:
                return None
            key.append(self._octets(slot))
        return tuple(key)

    cdef Py_ssize_t _extent(self, tuple slots) except -1:
        """Return how many octets stand from the beginning of the first to the end of the last."""
        if not slots:
            return 0
        return self.ends[<int>slots[len(slots) - 1]] - self.starts[<int>slots[0]]

    cdef tuple _compute(self, Program program, Operation operation, list results):
        """Return what an operation makes of the message; None where it is of another shape."""
        cdef tuple found
        key = self._key(operation)
        if key is not None and key in operation.memo:
            return operation.memo[key]
        arguments = []
        for argument in operation.arguments:
            if argument[0] == A_SLOT:
                arguments.append(self._value(program, argument[1]))
            elif argument[0] == A_SPAN:
                arguments.append(
                    self.load(
                        PyBytes_FromStringAndSize(
                            <const char *>self.text + self.starts[<int>argument[1]],
                            self.starts[<int>argument[2]] - self.starts[<int>argument[1]],
                        )
                    )
                )
            else:
                arguments.append(results[argument[1]][0])
        found = operation.function(*arguments)
        if key is not None:
            self._remember(operation, key, found)
        return found

    cdef int _remember(self, Operation operation, key, found) except -1:
        if self.results >= C_MAX_RESULTS:
            for memo in self.memos.values():
                memo.clear()
            self.results = 0
        if len(operation.memo) >= C_MEMO_ENTRIES:
            self.results -= len(operation.memo)
            operation.memo.clear()
        operation.memo[key] = found
        self.results += 1
        return 0

    # The event.

    cdef bytes _write(self, Program program, tuple envelope):
        cdef Operation operation
        cdef Piece piece
        cdef list results = []
        cdef tuple found
        cdef int slot
        for operation in program.operations:
            found = self._compute(program, operation, results)
            if found is None:
                return None
            results.append(found)
        self.used = 0
        for piece in program.pieces:
            self._put(piece.at, piece.size)
            slot = piece.index
            if piece.hindrance != F_ANY and not self.flags[slot] & piece.hindrance:
                self._put(<const char *>self.text + self.starts[slot], self.ends[slot] - self.starts[slot])
            elif piece.way == W_CONSTANT:
                continue
            elif piece.way == W_LEAF:
                self._put_bytes((<tuple>results[piece.index])[piece.leaf])
            elif piece.way == W_ENVELOPE:
                if envelope[piece.index] is None:
                    return None
                self._put_bytes(envelope[piece.index])
            elif not self._write_slot(piece):
                if not self._convert(program, piece):
                    return None
        written = PyBytes_FromStringAndSize(self.out, self.used)
        if self.room > C_MAX_ROOM:
            PyMem_Free(self.out)
            self.out = NULL
            self.room = 0
        return written

    cdef bint _write_slot(self, Piece piece) except -1:
        """Write a value that is not copied as it is; say whether that was possible."""
        cdef int slot = piece.index
        cdef const octet *at = self.text + self.starts[slot]
        cdef Py_ssize_t size = self.ends[slot] - self.starts[slot]
        cdef int way = piece.way
        if way == W_QUOTED or way == W_BARE:
            return self._put_normalised(slot)
        if way == W_RAW:
            self._put_escaped(at, size, self.flags[slot] & F_CONTROL)
            return True
        if way == W_UNESCAPED:
            self._put_unescaped(at, size)
            return True
        if way == W_WHOLE:
            if size > 18 or not _is_whole(at, size):
                return False
            self._put(<const char *>at, size)
            return True
        if way == W_EPOCH:
            return _is_whole(at, size) and size <= 15 and self._put_epoch(at, size)
        if way == W_DATE:
            return self._put_date(at, size)
        if way == W_FLAG:
            return self._put_flag(at, size)
        if way == W_ADDRESS:
            if self.flags[slot] or not _is_ipv4(at, size):
                return False
            self._put(b'"', 1)
            self._put(<const char *>at, size)
            self._put(b'"', 1)
            return True
        if way == W_UNQUOTED:
            return self._put_unquoted(at, size)
        if way == W_LISTED or way == W_SORTED:
            return self._put_list(piece.slots, way == W_SORTED)
        return False

    cdef bint _convert(self, Program program, Piece piece) except -1:
        """Write a value by the function that says how; say whether it has one."""
        if piece.convert is None:
            return False
        if piece.way == W_LISTED or piece.way == W_SORTED:
            written = piece.convert([self._value(program, slot) for slot in piece.slots])
        else:
            written = piece.convert(self._value(program, piece.index))
        if written is None:
            return False
        self._put_bytes(written)
        return True

    cdef int _ask(self, Py_ssize_t size) except -1:
        """See to it that there is room for more octets."""
        cdef char *out
        cdef Py_ssize_t room
        if self.room - self.used >= size:
            return 0
        room = max(2 * self.room, self.used + size, 4096)
        out = <char *>PyMem_Realloc(self.out, room)
        if out == NULL:
            raise MemoryError
        self.out = out
        self.room = room
        return 0

    cdef inline int _put(self, const char *at, Py_ssize_t size) except -1:
        if self.room - self.used < size:
            self._ask(size)
        memcpy(self.out + self.used, at, size)
        self.used += size
        return 0

    cdef int _put_bytes(self, octets) except -1:
        if not PyBytes_CheckExact(octets):
            raise TypeError("octets are needed")
        return self._put(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))

    cdef bint _put_normalised(self, int slot) except -1:
        """Write a JSON string in the one way in which events are written."""
        cdef bytes written = dumps(self.load(b'"%b"' % self._octets(slot)))
        self._put(PyBytes_AS_STRING(written) + 1, PyBytes_GET_SIZE(written) - 2)
        return True

    cdef int _put_escaped(self, const octet *at, Py_ssize_t size, bint has_control) except -1:
        """Write octets as the inside of a JSON string."""
        cdef Py_ssize_t position
        cdef octet *out
        cdef octet c
        self._ask(6 * size)
        if has_control:
            for position in range(size):
                self._put_octet(at[position])
            return 0
        out = <octet *>self.out + self.used
        for position in range(size):
            c = at[position]
            out[0] = c'\\'
            out += SPECIAL[c]
            out[0] = c
            out += 1
        self.used = out - <octet *>self.out
        return 0

    cdef bint _put_flag(self, const octet *at, Py_ssize_t size) except -1:
        if (size == 1 and at[0] == c'1') or (
            size == 4 and (memcmp(at, b"true", 4) == 0 or memcmp(at, b"True", 4) == 0)
        ):
            self._put(b"true", 4)
            return True
        if (size == 1 and at[0] == c'0') or (
            size == 5 and (memcmp(at, b"false", 5) == 0 or memcmp(at, b"False", 5) == 0)
        ):
            self._put(b"false", 5)
            return True
        return False

    cdef bint _put_unquoted(self, const octet *at, Py_ssize_t size) except -1:
        cdef Py_ssize_t before
        self._put(b'"', 1)
        before = self.used
        self._put_unescaped(at, size, True)
        if self.used == before:
            self.used -= 1
            return False
        self._put(b'"', 1)
        return True

    cdef bint _put_list(self, tuple slots, bint is_sorted) except -1:
        """Write the texts of slots as a list; sorted by code points, as their octets are."""
        cdef int[C_MAX_ENTRIES] order
        cdef int count = 0, slot, at, compared
        cdef Py_ssize_t size
        for slot in slots:
            if self.flags[slot]:
                return False
            at = count
            if is_sorted:
                compared = 1
                while at > 0:
                    compared = self._compare(order[at - 1], slot)
                    if compared <= 0:
                        break
                    at -= 1
                if at > 0 and compared == 0:
                    continue
                for compared in range(count, at, -1):
                    order[compared] = order[compared - 1]
            order[at] = slot
            count += 1
        self._put(b"[", 1)
        for at in range(count):
            slot = order[at]
            self._put(b',"', 2) if at else self._put(b'"', 1)
            size = self.ends[slot] - self.starts[slot]
            self._put(<const char *>self.text + self.starts[slot], size)
            self._put(b'"', 1)
        self._put(b"]", 1)
        return True

    cdef int _compare(self, int one, int other) noexcept:
        cdef Py_ssize_t size = self.ends[one] - self.starts[one]
        cdef Py_ssize_t other_size = self.ends[other] - self.starts[other]
        cdef int found = memcmp(
            self.text + self.starts[one], self.text + self.starts[other], min(size, other_size)
        )
        if found == 0:
            return (size > other_size) - (size < other_size)
        return found

    cdef int _put_unescaped(
        self, const octet *at, Py_ssize_t size, bint without_quotes=False
    ) except -1:
        r"""Write a CEF value without its escapes: `\\`, `\=`, `\|`, `\n` and `\r`."""
        cdef Py_ssize_t position = 0
        cdef octet c
        self._ask(6 * size)
        while position < size:
            c = at[position]
            position += 1
            if c == c'\\' and position < size:
                if at[position] == c'\\' or at[position] == c'=' or at[position] == c'|':
                    c = at[position]
                    position += 1
                elif at[position] == c'n':
                    c = c'\n'
                    position += 1
                elif at[position] == c'r':
                    c = c'\r'
                    position += 1
            if not (without_quotes and c == c'"'):
                self._put_octet(c)
        return 0

    cdef inline void _put_octet(self, octet c) noexcept:
        """Write an octet as JSON has it, for which there is room."""
        cdef char *out = self.out + self.used
        if not SPECIAL[c]:
            out[0] = c
            self.used += 1
        elif SHORT[c]:
            out[0] = c'\\'
            out[1] = SHORT[c]
            self.used += 2
        else:
            memcpy(out, b"\\u00", 4)
            out[4] = HEX[c >> 4]
            out[5] = HEX[c & 15]
            self.used += 6

    cdef bint _put_epoch(self, const octet *at, Py_ssize_t size) except -1:
        """Write milliseconds since 1970 as a date; not beyond the year 9999."""
        cdef long long milliseconds = 0, days
        cdef Py_ssize_t position
        for position in range(size):
            milliseconds = 10 * milliseconds + (at[position] - c'0')
        if milliseconds > 253402300799999:
            return False
        # Days to year, month and day as in Howard Hinnant, "chrono-Compatible Low-Level Date
        # Algorithms": years begin in March, eras have 400 of them.
        days = milliseconds // 86_400_000 + 719_468
        milliseconds = milliseconds % 86_400_000
        cdef long long era = days // 146_097
        cdef long long of_era = days - era * 146_097
        cdef long long year = (
            of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096
        ) // 365
        cdef long long of_year = of_era - (365 * year + year // 4 - year // 100)
        cdef long long month = (5 * of_year + 2) // 153
        cdef long long day = of_year - (153 * month + 2) // 5 + 1
        month = month + 3 if month < 10 else month - 9
        year = year + era * 400 + (month <= 2)
        self._ask(29)
        self._put_date_and_time(
            year, month, day, milliseconds // 3_600_000, milliseconds // 60_000 % 60,
            milliseconds // 1000 % 60, milliseconds % 1000 * 1000,
        )
        return True

    cdef void _put_date_and_time(
        self, int year, int month, int day, int hour, int minute, int second, int microsecond
    ) noexcept:
        cdef char *out = self.out + self.used
        memcpy(out, b'"0000-00-00T00:00:00.000000Z"', 29)
        _digits(out + 1, 4, year)
        _digits(out + 6, 2, month)
        _digits(out + 9, 2, day)
        _digits(out + 12, 2, hour)
        _digits(out + 15, 2, minute)
        _digits(out + 18, 2, second)
        _digits(out + 21, 6, microsecond)
        self.used += 29

    cdef bint _put_date(self, const octet *at, Py_ssize_t size) except -1:
        """Write a date in UTC of the usual form: `2026-01-02T03:04:05.678Z`; no other is known."""
        cdef int year, month, day, hour, minute, second, fraction = 0, digits = 0
        cdef Py_ssize_t position = 19
        if size < 20 or not _has_form(at, STAMP):
            return False
        year = _number(at, 4)
        month = _number(at + 5, 2)
        day = _number(at + 8, 2)
        hour = _number(at + 11, 2)
        minute = _number(at + 14, 2)
        second = _number(at + 17, 2)
        if year < 1 or not 1 <= month <= 12 or not 1 <= day <= _days(year, month):
            return False
        if hour > 23 or minute > 59 or second > 59:
            return False
        if at[position] == c'.':
            position += 1
            while position < size and digits < 6 and c'0' <= at[position] <= c'9':
                fraction = 10 * fraction + (at[position] - c'0')
                digits += 1
                position += 1
            if digits != 3 and digits != 6:
                return False
            if digits == 3:
                fraction *= 1000
        if not (
            (size - position == 1 and at[position] == c'Z')
            or (size - position == 6 and memcmp(at + position, b"+00:00", 6) == 0)
        ):
            return False
        self._ask(29)
        self._put_date_and_time(year, month, day, hour, minute, second, fraction)
        return True


cdef void _digits(char *out, int count, int number) noexcept:
    while count:
        count -= 1
        out[count] = c'0' + number % 10
        number //= 10


cdef bint _has_form(const octet *at, const char *form) noexcept:
    """Say whether octets are as in a form, in which zeros stand for any digits."""
    while form[0]:
        if form[0] == c'0':
            if not c'0' <= at[0] <= c'9':
                return False
        elif at[0] != <octet>form[0]:
            return False
        form += 1
        at += 1
    return True


cdef int _number(const octet *at, int count) noexcept:
    """Return the number of so many digits."""
    cdef int found = 0, position
    for position in range(count):
        found = 10 * found + (at[position] - c'0')
    return found


cdef int _days(int year, int month) noexcept:
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return DAYS[month - 1]


cdef bint _is_ipv4(const octet *at, Py_ssize_t size) noexcept:
    """Say whether octets are an IPv4 address: four numbers up to 255 without zeros before them."""
    cdef Py_ssize_t position = 0, first
    cdef int part, number
    for part in range(4):
        if part:
            if position >= size or at[position] != c'.':
                return False
            position += 1
        first = position
        number = 0
        while position < size and position - first < 4 and c'0' <= at[position] <= c'9':
            number = 10 * number + (at[position] - c'0')
            position += 1
        if position == first or number > 255 or (at[first] == c'0' and position - first > 1):
            return False
    return position == size


cdef bint _is_whole(const octet *at, Py_ssize_t size) noexcept:
    """Say whether octets are a number of digits without a zero before them."""
    cdef Py_ssize_t position
    if size == 0 or (at[0] == c'0' and size > 1):
        return False
    for position in range(size):
        if not c'0' <= at[position] <= c'9':
            return False
    return True


cdef bint _is_utf8(bytes octets) except -1:
    cdef const octet *text = <const octet *>PyBytes_AS_STRING(octets)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(octets), position
    cdef octet found = 0
    for position in range(size):  # without a way out, so that it becomes vector code
        found |= text[position]
    if found < 0x80:
        return True
    try:
        PyUnicode_DecodeUTF8(<const char *>text, size, NULL)
    except UnicodeDecodeError:
        return False
    return True


cdef bytes _quoted_hex(const octet *number):
    cdef char[34] written
    cdef int position
    written[0] = written[33] = c'"'
    for position in range(16):
        written[2 * position + 1] = HEX[number[position] >> 4]
        written[2 * position + 2] = HEX[number[position] & 15]
    return PyBytes_FromStringAndSize(written, 34)


cdef void _count_up(octet *number) noexcept:
    cdef int position = 15
    while position >= 0:
        number[position] += 1
        if number[position]:
            return
        position -= 1


def after_tail(bytes frame not None, bytes tail not None):
    """Return where the message begins in a frame whose header ends with known octets.

    Args:
        frame: a syslog message; the header is that of RFC 5424 section 6.2.
        tail: the structured data of another frame and the blank behind it.

    Returns:
        The position of the message; -1 where the header is another one, and where more has to be
        looked at: a message that may begin with a header, too.
    """
    return _after_tail(frame, tail)


cdef Py_ssize_t _after_tail(bytes frame, bytes tail) noexcept:
    cdef const octet *text = <const octet *>PyBytes_AS_STRING(frame)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(frame), position = 1
    cdef int pri, word
    if size < 8 or text[0] != c'<':
        return -1
    while position < 5 and c'0' <= text[position] <= c'9':
        position += 1
    pri = _number(text + 1, position - 1)
    if position == 1 or position == 5 or pri > 191 or (text[1] == c'0' and position > 2):
        return -1
    if size - position < 4 or memcmp(text + position, b">1 ", 3) != 0:
        return -1
    position = _after_stamp(text, position + 3, size)
    for word in range(4):
        position = _after_word(text, position, size)
    if position < 0 or position >= size or text[position] != c' ':
        return -1
    position += 1
    if size - position < PyBytes_GET_SIZE(tail):
        return -1
    if memcmp(text + position, PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail)) != 0:
        return -1
    position += PyBytes_GET_SIZE(tail)
    return -1 if position == size or MAY_BEGIN_HEADER[text[position]] else position


cdef Py_ssize_t _after_word(const octet *text, Py_ssize_t start, Py_ssize_t size) noexcept:
    """Return the end of the word behind the blank that stands at a position; -1 if none does."""
    cdef Py_ssize_t position
    if start < 0 or start >= size or text[start] != c' ':
        return -1
    start += 1
    position = start
    while position < size and text[position] > 0x20 and text[position] != 0x7F:
        position += 1
    return position if 0 < position - start <= 1024 else -1


cdef Py_ssize_t _after_stamp(const octet *text, Py_ssize_t start, Py_ssize_t size) noexcept:
    """Return the end of a timestamp as RFC 5424 section 6.2.3 writes it; -1 for any other."""
    cdef Py_ssize_t position = start + 19, first
    if start < size and text[start] == c'-':
        return start + 1
    if size - start < 20:
        return -1
    if not _has_form(text + start, STAMP):
        return -1
    if text[position] == c'.':
        first = position + 1
        position = first
        while position < size and position - first < 9 and c'0' <= text[position] <= c'9':
            position += 1
        if position == first:
            return -1
    if position < size and text[position] == c'Z':
        return position + 1
    if size - position >= 6 and (text[position] == c'+' or text[position] == c'-'):
        if _has_form(text + position + 1, b"00:00"):
            return position + 6
    return -1
