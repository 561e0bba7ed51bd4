# cython: language_level=3, wraparound=False, cdivision=True
r"""The inner loop of shapes, compiled: walk a message, write its event.

A `Tree` knows messages by what they have in common. Its edges are octets that must stand in a
message exactly so, each followed by a value whose octets are free within its kind. What a leaf
holds is a `Program`: the octets of an event in order, constant ones and those that follow from a
value. For `{"pid":5,"name":"x"}` it is two edges and the end

    {"pid":  INTEGER  ->  ,"name":"  TEXT  ->  "}  END

and a program such as `{"process":{"pid":`, slot 0 `BARE`, `,"name":"`, slot 1 `QUOTED`, `"}}`.

So a message takes these steps, the sections below:

- the walk from the root, which finds the end of each value by its kind (`scanning`), notes it in a
  slot, and goes on where the next literal fits;
- the operations of the program: functions in Python of some of the values, whose results are
  remembered, since values come again;
- the pieces of the program, one after the other into one buffer (`writing`, `dates`).

In a run, what stands before the message in its frame is compared with a header that was read
before (`headers`).

Nothing here knows a vendor, a rule or a field. Whatever is not exactly as it was learned ends the
walk with None, and the message is read the general way: that one decides, this one is quick.

No octet of a message is trusted: every read is within the message, and every write within the
buffer. Numbers of slots, which no message decides, are checked once, when a `Program` is made.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.mem cimport PyMem_Free
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp, memcpy

from collector.parsers.shapes.headers cimport behind_tail
from collector.parsers.shapes.scanning cimport (
    CONTROL,
    ESCAPES,
    PLAIN,
    UNUSUAL,
    Message,
    Value,
    end_of_boolean,
    end_of_field,
    end_of_integer,
    end_of_rest,
    end_of_text,
    end_of_value,
    look_over,
    octet,
    says_nothing,
)
from collector.parsers.shapes.writing cimport (
    Output,
    give_back,
    put,
    put_address,
    put_bytes,
    put_date,
    put_epoch,
    put_escaped,
    put_flag,
    put_list,
    put_unescaped,
    put_unquoted,
    put_value,
    put_whole,
)

from orjson import dumps

# What these numbers mean, and why they stand here too, says `codes`.

cpdef enum Kind:
    TEXT = 0
    INTEGER = 1
    BOOLEAN = 2
    VALUE = 3
    FIELD = 4
    MARK = 5
    END = 6
    FIELD_AS_IS = 7
    REST = 8

cpdef enum Argument:
    SLOT = 0
    SPAN = 1
    RESULT = 2

cpdef enum Way:
    CONSTANT = 0
    RAW = 1
    QUOTED = 2
    UNESCAPED = 3
    BARE = 4
    WHOLE = 5
    FLAG = 6
    EPOCH = 7
    DATE = 8
    LEAF = 9
    ENVELOPE = 10
    ADDRESS = 11
    UNQUOTED = 12
    LISTED = 13
    SORTED = 14

cpdef enum:
    MAX_SLOTS = 512  # values of a message
    MAX_ENTRIES = 16  # of a list

cdef enum:
    ENVELOPE_PARTS = 4  # octets that the caller gives
    ID_OCTETS = 16
    MAX_PROGRAMS = 8  # for messages of the same outline
    MAX_TIMES = 4  # that a message is looked at, in search of its shape
    SPARE_OCTETS = 1048576  # that may be looked at besides: short messages may be tried often
    MAX_RESULTS = 16384  # remembered of all operations
    MEMO_ENTRIES = 1024  # of an operation
    MEMO_SPAN = 1024  # octets of what an operation takes whole: its names may be in the result
    MEMO_OCTETS = 192  # of a key

# What keeps a value from being copied as it is: what is known of its octets, or else
cdef enum:
    NOTHING = 0
    ITS_WAY = 255


# Programs: how events are written.

cdef class Piece:
    """Constant octets of an event, then a value."""

    cdef bytes literal
    cdef const char *at
    cdef Py_ssize_t size
    cdef int way
    cdef int index
    cdef int leaf
    cdef octet hindrance  # what keeps the value from being copied as it is
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
        if way == Way.BARE:
            self.hindrance = NOTHING
        elif way == Way.QUOTED:
            self.hindrance = UNUSUAL
        elif way == Way.RAW or way == Way.UNESCAPED:
            self.hindrance = ESCAPES
        else:
            self.hindrance = ITS_WAY

    cdef int check(self, Py_ssize_t slots, Py_ssize_t operations) except -1:
        """See to it that what is written is there, but for leaves: each result has its own."""
        _check_number(self.way, Way.SORTED + 1)
        if self.way == Way.LEAF:
            _check_number(self.index, operations)
        elif self.way == Way.ENVELOPE:
            _check_number(self.index, ENVELOPE_PARTS)
        elif self.way == Way.LISTED or self.way == Way.SORTED:
            _check_number(len(self.slots), MAX_ENTRIES + 1)
            for slot in self.slots:
                _check_number(slot, slots)
        elif self.way != Way.CONSTANT:
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
            if argument[0] == Argument.SPAN:
                self.takes_span = True
                _, first, last = argument
                _check_number(first, last + 1)
                _check_number(last, slots)
            else:
                way, number = argument
                _check_number(number, slots if way == Argument.SLOT else operations)
        return 0


cdef class Program:
    """How the event of a shape is written.

    Args:
        kinds: the kind of each slot.
        operations: what is computed, in order.
        pieces: what is written, in order.

    Raises:
        ValueError: they ask for a slot, an operation or a part of the envelope that is not there,
            or in a way that is none.
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
        _check_number(len(kinds), MAX_SLOTS + 1)
        for kind in kinds:
            _check_number(kind, Kind.REST + 1)
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


# The tree: which shapes are known.

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
        self.is_field = kind == Kind.FIELD or kind == Kind.FIELD_AS_IS


cdef class Node:
    cdef list edges
    cdef list programs  # the newest last; None but at the end of messages

    def __cinit__(self):
        self.edges = []


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
    # Of the message at hand:
    cdef bint is_busy
    cdef Message message
    cdef Value[MAX_SLOTS] values
    cdef Output out

    def __cinit__(self, load, unescape):
        self.root = Node()
        self.load = load
        self.unescape = unescape
        self.nodes = 1
        self.memos = {}

    def __dealloc__(self):
        PyMem_Free(self.out.at)

    # What is learned.

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
        if kinds != program.kinds or Kind.END not in kinds or kinds.index(Kind.END) != len(kinds) - 1:
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
                node.edges.insert(len(node.edges) if kind == Kind.VALUE else 0, found)
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
        elif len(node.programs) >= MAX_PROGRAMS:
            del node.programs[0]
        node.programs.append(program)
        return 0

    # What is asked for.

    def translate(self, bytes message not None, tuple envelope not None):
        """Return the event of a message as JSON, or None where no shape fits.

        Args:
            message: UTF-8.
            envelope: octets for the pieces that ask for them; None where there are none, then no
                shape that asks for them fits.
        """
        if len(envelope) != ENVELOPE_PARTS:
            raise ValueError(f"an envelope has {ENVELOPE_PARTS} parts")
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
        cdef octet[ID_OCTETS] number
        cdef bytes event
        cdef object frame
        if PyBytes_GET_SIZE(identifier) != ID_OCTETS:
            raise ValueError(f"an id has {ID_OCTETS} octets")
        memcpy(number, PyBytes_AS_STRING(identifier), ID_OCTETS)
        for position in range(first, len(frames)):
            frame = frames[position]
            if not PyBytes_CheckExact(frame):
                break
            start = behind_tail(<bytes>frame, tail)
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
        self.message.text = <const octet *>PyBytes_AS_STRING(octets) + start
        self.message.end = PyBytes_GET_SIZE(octets) - start
        look_over(&self.message)
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

    # The walk.

    cdef Node _walk(self):
        cdef Node node = self.root, below
        cdef Edge edge
        cdef const octet *text = self.message.text
        cdef Py_ssize_t end = self.message.end
        cdef Py_ssize_t position = 0, after
        cdef Py_ssize_t left = SPARE_OCTETS + MAX_TIMES * end  # octets to be looked at
        cdef int slot = 0
        while True:
            below = None
            for edge in node.edges:
                if edge.size > end - position:
                    continue
                if memcmp(text + position, edge.at, edge.size) != 0:
                    continue
                after = self._scan(edge.kind, position + edge.size, slot)
                left -= (end if after < 0 else after) - position
                if left < 0:  # shapes so much alike are made to be tried in vain
                    return None
                if after < 0:
                    continue
                if edge.constants is not None:
                    below = <Node>edge.constants.get(_octets(&self.values[slot]))
                if below is None:
                    below = edge.otherwise
                    if below is None:
                        continue
                    if edge.is_field and says_nothing(&self.values[slot]):
                        below = None
                        continue
                position = after
                if edge.kind != Kind.END:
                    slot += 1
                break
            if below is None:
                return None
            node = below
            if node.programs is not None:
                return node

    cdef Py_ssize_t _scan(self, int kind, Py_ssize_t start, int slot) noexcept:
        """Note the value that begins at a position; return its end, -1 if it is none of its kind."""
        cdef const Message *message = &self.message
        cdef Value *value = &self.values[slot]
        cdef Py_ssize_t end = start
        value.flags = PLAIN
        if kind == Kind.TEXT:
            end = end_of_text(message, start, &value.flags)
            if end == start:
                end = -1
        elif kind == Kind.FIELD or kind == Kind.FIELD_AS_IS:
            end = end_of_field(message, start, &value.flags)
        elif kind == Kind.REST:
            end = end_of_rest(message, start, &value.flags)
        elif kind == Kind.INTEGER:
            end = end_of_integer(message, start)
        elif kind == Kind.BOOLEAN:
            end = end_of_boolean(message, start)
        elif kind == Kind.VALUE:
            end = end_of_value(message, start)
            value.flags = ESCAPES | CONTROL if message.has_controls else ESCAPES
        elif kind == Kind.END and start != message.end:
            end = -1
        value.at = message.text + start
        value.size = end - start
        return end

    # Operations.

    cdef object _value(self, Program program, int slot):
        """Return a value as the general way has it."""
        cdef int kind = <int>program.kinds[slot]
        cdef const Value *value = &self.values[slot]
        if kind == Kind.FIELD:
            return self.unescape(_text(value)) if value.flags else _text(value)
        if kind == Kind.FIELD_AS_IS or kind == Kind.REST:
            return _text(value)
        if kind == Kind.TEXT:
            return self.load(b'"%b"' % _octets(value)) if value.flags else _text(value)
        if kind == Kind.BOOLEAN:
            return value.at[0] == c't'
        return self.load(_octets(value))

    cdef bytes _span(self, int first, int last):
        """Return what stands between two marks."""
        cdef const octet *begin = self.values[first].at
        return PyBytes_FromStringAndSize(<const char *>begin, self.values[last].at - begin)

    cdef object _key(self, Operation operation):
        """Return what decides the result of an operation; None if it is long."""
        cdef Py_ssize_t size = 0
        cdef int slot
        if operation.takes_span and self._extent(operation.depends) > MEMO_SPAN:
            return None
        for slot in operation.depends:
            size += self.values[slot].size
        if size > MEMO_OCTETS:
            return None
        if len(operation.depends) == 1:
            slot = <int>operation.depends[0]
            return _octets(&self.values[slot])
        return tuple([_octets(&self.values[<int>slot]) for slot in operation.depends])

    cdef Py_ssize_t _extent(self, tuple slots) except -1:
        """Return how many octets stand from the beginning of the first to the end of the last."""
        cdef const Value *last
        if not slots:
            return 0
        last = &self.values[<int>slots[len(slots) - 1]]
        return last.at + last.size - self.values[<int>slots[0]].at

    cdef tuple _compute(self, Program program, Operation operation, list results):
        """Return what an operation makes of the message; None where it is of another shape."""
        cdef tuple found
        key = self._key(operation)
        if key is not None and key in operation.memo:
            return operation.memo[key]
        arguments = []
        for argument in operation.arguments:
            if argument[0] == Argument.SLOT:
                arguments.append(self._value(program, argument[1]))
            elif argument[0] == Argument.SPAN:
                arguments.append(self.load(self._span(argument[1], argument[2])))
            else:
                arguments.append(results[argument[1]][0])
        found = operation.function(*arguments)
        if key is not None:
            self._remember(operation, key, found)
        return found

    cdef int _remember(self, Operation operation, key, found) except -1:
        if self.results >= MAX_RESULTS:
            for memo in self.memos.values():
                memo.clear()
            self.results = 0
        if len(operation.memo) >= MEMO_ENTRIES:
            self.results -= len(operation.memo)
            operation.memo.clear()
        operation.memo[key] = found
        self.results += 1
        return 0

    # The event.

    cdef bytes _write(self, Program program, tuple envelope):
        """Return the event of the message; None where it is of another shape after all."""
        cdef Operation operation
        cdef Piece piece
        cdef list results = []
        cdef tuple found
        cdef Output *out = &self.out
        for operation in program.operations:
            found = self._compute(program, operation, results)
            if found is None:
                return None
            results.append(found)
        out.used = 0
        for piece in program.pieces:
            put(out, piece.at, piece.size)
            if piece.hindrance != ITS_WAY and not (
                self.values[piece.index].flags & piece.hindrance
            ):
                put_value(out, &self.values[piece.index])
            elif piece.way == Way.CONSTANT:
                continue
            elif piece.way == Way.LEAF:
                put_bytes(out, (<tuple>results[piece.index])[piece.leaf])
            elif piece.way == Way.ENVELOPE:
                if envelope[piece.index] is None:
                    return None
                put_bytes(out, envelope[piece.index])
            elif not self._write_value(piece) and not self._convert(program, piece):
                return None
        written = PyBytes_FromStringAndSize(out.at, out.used)
        give_back(out)
        return written

    cdef bint _write_value(self, Piece piece) except -1:
        """Write a value that is not copied as it is; say whether that was possible."""
        cdef Output *out = &self.out
        cdef const Value *value = &self.values[piece.index]
        cdef int way = piece.way
        if way == Way.QUOTED:
            return self._put_normalised(value)
        if way == Way.RAW:
            put_escaped(out, value)
            return True
        if way == Way.UNESCAPED:
            put_unescaped(out, value, False)
            return True
        if way == Way.WHOLE:
            return put_whole(out, value)
        if way == Way.EPOCH:
            return put_epoch(out, value)
        if way == Way.DATE:
            return put_date(out, value)
        if way == Way.FLAG:
            return put_flag(out, value)
        if way == Way.ADDRESS:
            return put_address(out, value)
        if way == Way.UNQUOTED:
            return put_unquoted(out, value)
        return self._put_list(piece.slots, way == Way.SORTED)

    cdef bint _put_normalised(self, const Value *value) except -1:
        """Write a JSON string in the one way in which events are written."""
        cdef bytes written = dumps(self.load(b'"%b"' % _octets(value)))
        put(&self.out, PyBytes_AS_STRING(written) + 1, PyBytes_GET_SIZE(written) - 2)
        return True

    cdef bint _put_list(self, tuple slots, bint is_sorted) except -1:
        cdef const Value *values[MAX_ENTRIES]
        cdef int count = 0, slot
        for slot in slots:
            values[count] = &self.values[slot]
            count += 1
        return put_list(&self.out, values, count, is_sorted)

    cdef bint _convert(self, Program program, Piece piece) except -1:
        """Write a value by the function that says how; say whether it has one."""
        if piece.convert is None:
            return False
        if piece.way == Way.LISTED or piece.way == Way.SORTED:
            written = piece.convert([self._value(program, slot) for slot in piece.slots])
        else:
            written = piece.convert(self._value(program, piece.index))
        if written is None:
            return False
        put_bytes(&self.out, written)
        return True


cdef bytes _octets(const Value *value):
    return PyBytes_FromStringAndSize(<const char *>value.at, value.size)


cdef str _text(const Value *value):
    return PyUnicode_DecodeUTF8(<const char *>value.at, value.size, NULL)


# Frames.

def after_tail(bytes frame not None, bytes tail not None):
    """Return where the message begins in a frame whose header ends with known octets.

    Args:
        frame: a syslog message; the header is that of RFC 5424 section 6.2.
        tail: the structured data of another frame and the blank behind it.

    Returns:
        The position of the message; -1 where the header is another one, and where more has to be
        looked at: a message that may begin with a header, too.
    """
    return behind_tail(frame, tail)


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


# Identifiers.

cdef bytes _quoted_hex(const octet *number):
    cdef char[34] written
    cdef const char *digits = b"0123456789abcdef"
    cdef int position
    written[0] = written[33] = c'"'
    for position in range(ID_OCTETS):
        written[2 * position + 1] = digits[number[position] >> 4]
        written[2 * position + 2] = digits[number[position] & 15]
    return PyBytes_FromStringAndSize(written, 34)


cdef void _count_up(octet *number) noexcept:
    cdef int position = ID_OCTETS - 1
    while position >= 0:
        number[position] += 1
        if number[position]:
            return
        position -= 1
