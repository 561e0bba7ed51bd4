"""The vocabulary of a vendor: which fields, types and kinds of messages its parser knows.

It follows from what is known of the vendor already: the sources and conditions of its rules, the
fields it is known to send that no rule reads, and the values that its conditions compare. Vendors
change their formats without notice; a message is examined to find where it has something new.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from types import NoneType
from typing import Any, Final, Literal, NamedTuple

from collector.parsers import paths
from collector.parsers.base import PROFILES
from collector.parsers.convert import Conversion, keyword, keywords
from collector.parsers.mapping import WHOLE_INPUT, Rule
from collector.parsers.vendor import Vendor

MAX_KEYS: Final = 2000
"""Keys that are looked at in one message; real ones have fewer than 400."""

MAX_FINDINGS: Final = 50
"""Findings of one message: the first ones tell that it is of another kind."""

MAX_KINDS: Final = 64
"""Kinds of messages whose types are remembered; HarfangLab is known to send about 20."""

JSON_TYPES: Final = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "list",
    dict: "object",
    NoneType: "null",
}
"""The types a decoded value can have, as operators are told of them."""

# Values that stand for none; they have no type.
_NOTHING: Final[tuple[Any, ...]] = (None, "", "-", "None", [], {})
_TYPES: Final = {"long", "float", "boolean", "date", "ip", "array of ip"}  # of fields, in ECS

FindingKind = Literal["field", "type", "family"]
"""A field never heard of, a known one with a value of another type, an unknown kind of message."""


class Finding(NamedTuple):
    """Something new in a message.

    Attributes:
        kind: what is new.
        field: its dotted path, of a family ``path=value``. Of any length and with any character:
            the sender chose it.
        value: the value that is there, of any JSON type.
    """

    kind: FindingKind
    field: str
    value: Any


@dataclass(slots=True)
class _Known:
    """What is known of a field.

    Attributes:
        path: its dotted path; "" for the message itself.
        below: the fields of the object it is.
        first: the first entry of the list it is.
        whole: what stands below it needs not be known by name.
        read: a rule reads it or what stands below it, so that its type matters.
        conversions: what the rules do to it.
        typed: they all take any value of their type, so that one of them has to yield something.
            Others look for something in a value, which need not be there.
        values: the kinds of messages it can name; None where it names none.
    """

    path: str
    below: dict[str, "_Known"] = field(default_factory=dict)
    first: "_Known | None" = None
    whole: bool = False
    read: bool = False
    conversions: list[Callable[[Any], Any]] = field(default_factory=list)
    typed: bool = True
    values: set[Any] | None = None

    def step(self, name: str) -> "_Known":
        """Return what is known of a field below, or of the first entry; now it is known."""
        if name == paths.FIRST:
            self.first = self.first or _Known(f"{self.path}{paths.FIRST}")
            return self.first
        return self.below.setdefault(name, _Known(self.path_of(name)))

    def path_of(self, name: str) -> str:
        """Return the path of a field below."""
        return f"{self.path}.{name}" if self.path else name

    def read_by(self, convert: Conversion) -> None:
        """Note what a rule does to the field."""
        function = convert.function
        if convert.yields is not None and any(name.endswith("*") for name in convert.yields):
            self.whole = True
            function = _object  # which is what it takes, and copying one takes time
        elif convert.joint:
            function = _anything  # what it makes of one source depends on the others
        else:
            self.typed = self.typed and _is_typed(convert)
        if function not in self.conversions:
            # Most values are texts, and this one takes them: it is tried first.
            self.conversions.insert(0 if convert is keyword else len(self.conversions), function)

    def names(self, value: Any) -> bool:
        """Tell whether a value of the field names a known kind of message."""
        return self.values is not None and isinstance(value, (str, int)) and value in self.values

    def uses(self, value: Any) -> bool:
        """Tell whether any rule can use a value; where only conditions read the field, all do."""
        if self.values is not None:
            return isinstance(value, (str, int, float))
        for convert in self.conversions:  # a loop is quicker here than any() of a generator
            if convert(value) is not None:
                return True
        if self.conversions:
            return False
        if self.first is not None:
            return isinstance(value, list)
        return not self.below

    def is_of_type(self, value: Any, types: "_Types") -> bool:
        """Tell whether a value is of a type the field usually has.

        A type is none as long as it has come less often than another: so one odd message does not
        make all others look odd, and what a vendor changed for good is news for a while.

        Args:
            value: not what stands for none.
            types: how often each field had which type; is completed.
        """
        seen = types.setdefault(self.path, {})
        kind = JSON_TYPES[type(value)]
        times = seen.get(kind, 0)
        usual = times >= max(seen.values(), default=0)
        if self.uses(value):
            seen[kind] = times + 1
            return usual
        return usual and not self.typed

    def objects_in(self, value: Any) -> Iterator[tuple["_Known", dict[str, Any]]]:
        """Yield the object to look into for a value, with what is known of it."""
        if self.below and isinstance(value, dict):
            yield self, value
        elif self.first is not None and isinstance(value, list) and isinstance(value[0], dict):
            yield self.first, value[0]

    def spread(self) -> None:
        """Have all be known that stands below what is known as a whole, at any depth."""
        for known in (*self.below.values(), *((self.first,) if self.first else ())):
            known.whole = known.whole or self.whole
            known.spread()


def _is_typed(convert: Conversion) -> bool:
    return convert in {keyword, keywords} or convert.field_type in _TYPES


def _anything(value: Any) -> Any:
    return value


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else None


_Types = dict[str, dict[str, int]]  # how often a field had which JSON type, by its path


class Vocabulary:
    """What is known of a vendor's messages.

    It remembers which JSON types each field had how often, by kind of message: so it is one per
    intake.

    Args:
        vendor: whose messages they are.
    """

    def __init__(self, vendor: Vendor) -> None:
        self._flat = vendor.table.flat
        self._families = tuple(self._steps(path) for path in vendor.families)
        self._types: dict[tuple[Any, ...], _Types] = {}
        self._message = _Known("")
        compared: set[tuple[str, str | int]] = {*vendor.known_families}
        for rule in (rule for profile in PROFILES for rule in vendor.table.rows(profile)):
            self._add(rule)
            compared.update(rule.when.compared if rule.when else ())
        for path in vendor.unmapped:
            self._known(path).whole = True
        self._message.spread()
        for path in vendor.families:
            values = {value for name, value in compared if name == path}
            self._known(path, read=True).values = values

    def examine(self, fields: dict[str, Any]) -> list[Finding]:
        """Find what is new in a message.

        Only known objects are looked into; an unknown one is one finding, whatever it holds. So
        the work is bounded by the table, by `MAX_KEYS` and by `MAX_FINDINGS`.

        Args:
            fields: the message as the vendor's `decode` returns it; it is not changed.

        Returns:
            At most `MAX_FINDINGS`.
        """
        found: list[Finding] = []
        types = self._types_of_kind(fields)
        objects = [(self._message, fields)]
        left = MAX_KEYS
        while objects and left > 0:
            parent, values = objects.pop()
            for name, value in islice(values.items(), left):
                known = parent.below.get(name)
                finding = None
                if known is None:
                    if not parent.whole:
                        finding = Finding("field", parent.path_of(name), value)
                elif known.read and value not in _NOTHING:
                    if known.below or known.first is not None:
                        objects += known.objects_in(value)
                    finding = _check(known, value, types)
                if finding is not None:
                    found.append(finding)
                    if len(found) >= MAX_FINDINGS:
                        return found
            left -= len(values)
        return found

    def _types_of_kind(self, fields: dict[str, Any]) -> _Types:
        """Return the types of the fields of a message like this, to be completed.

        Types are compared within one kind of message: HarfangLab's ``status`` is a text in alerts
        and a number in processes. A kind that is not known has none to compare with.
        """
        if self._flat:
            return {}  # all is text
        kind = []
        for steps in self._families:
            value, known = self._family(fields, steps)
            if value is not None and not known.names(value):
                return {}
            kind.append(value)
        types = self._types.get(tuple(kind))
        if types is None:
            types = {}
            if len(self._types) < MAX_KINDS:
                self._types[tuple(kind)] = types
        return types

    def _family(self, fields: dict[str, Any], steps: list[str]) -> tuple[Any, _Known]:
        """Return the value of a family field, None where it is absent, and what is known of it."""
        value: Any = fields
        known = self._message
        for step in steps:
            known = known.below[step]
            value = value.get(step) if isinstance(value, dict) else None
        return value or None, known

    def _add(self, rule: Rule) -> None:
        for path in rule.sources:
            if path != WHOLE_INPUT:
                self._known(path, read=True).read_by(rule.convert)
        for path in rule.when.paths if rule.when else ():
            self._known(path, read=True)

    def _known(self, path: str, *, read: bool = False) -> _Known:
        """Return what is known of a field, and mark the way to it as read."""
        known = self._message
        for name in self._steps(path):
            known = known.step(name)
            known.read = known.read or read
        return known

    def _steps(self, path: str) -> list[str]:
        return [path] if self._flat else paths.steps(path)


def _check(known: _Known, value: Any, types: _Types) -> Finding | None:
    """Return what is new about the value of a field that is read."""
    if known.below and isinstance(value, dict):
        return None
    if not known.is_of_type(value, types):
        return Finding("type", known.path, value)
    if known.values is not None and not known.names(value):
        return Finding("family", f"{known.path}={value}", value)
    return None
