"""Custom fields of CEF by the names their labels give them.

``cs1=42 cs1Label=MalopId`` is ``MalopId=42``; this holds for any key with a label (csN, cnN, cfpN,
flexStringN, deviceCustomDateN ...), wherever the label stands. Labels themselves are left out: one
without a value says nothing, and a value whose label is empty or unknown keeps its key. Where
several values have one name the last label counts, as the last of several equal keys does.

Messages of a kind come with the same keys in the same order, and with the same labels. What follows
from these is worked out once, and kept as a layout.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

UNKNOWN: Final = frozenset({"", "None", "-"})
"""Values that stand for none."""

_LABEL: Final = "Label"
# What is kept takes no more than some 25 MB, whatever is sent.
_MAX_LAYOUTS: Final = 128
_MAX_LABELINGS: Final = 16  # of one layout
_MAX_KEYS: Final = 128  # of a layout that is kept; real messages have fewer than 60
_MAX_CHARACTERS: Final = 2048  # of its keys together, and of its labels


class LabelResolver:
    """Names the values of CEF extensions; remembers the layouts it has seen.

    What it remembers is bounded: large layouts are worked out each time, and all are forgotten when
    they have become many.
    """

    def __init__(self) -> None:
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    def fields(self, keys: Sequence[str], values: Sequence[str]) -> dict[str, str]:
        """Return the known values by name.

        Args:
            keys: the keys as they stand in the message.
            values: the value of each.
        """
        keys = tuple(keys)
        layout = self._layouts.get(keys)
        if layout is None:
            layout = self._remember(keys)
        names = layout.names(values)
        if names is None:
            return resolve(keys, values)
        fields = dict(zip(names, values, strict=True))
        if layout.labels:
            del fields[""]
        if UNKNOWN.isdisjoint(values):
            return fields
        return {name: value for name, value in fields.items() if value not in UNKNOWN}

    def _remember(self, keys: tuple[str, ...]) -> "_Layout":
        layout = _Layout(keys)
        if len(keys) <= _MAX_KEYS and sum(map(len, keys)) <= _MAX_CHARACTERS:
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[keys] = layout
        return layout


class _Layout:
    """Keys in an order, and the names their values have by the labels seen with them.

    Attributes:
        labels: positions of the labels.
    """

    __slots__ = ("_keys", "_names", "_simple", "_take_labels", "labels")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._simple = len(set(keys)) == len(keys)  # repeated keys are for `resolve`
        self.labels = [index for index, key in enumerate(keys) if is_label(key)]
        self._take_labels: Callable[[Sequence[str]], str | tuple[str, ...]] = (
            itemgetter(*self.labels) if self.labels else lambda _: ()
        )
        self._names: dict[str | tuple[str, ...], list[str] | None] = {}

    def names(self, values: Sequence[str]) -> list[str] | None:
        """Return the name of each value, "" for labels; None where `resolve` has to decide."""
        if not self._simple:
            return None
        labels = self._take_labels(values)
        try:
            return self._names[labels]
        except KeyError:
            names = self._work_out(values)
        if sum(len(values[index]) for index in self.labels) <= _MAX_CHARACTERS:
            if len(self._names) >= _MAX_LABELINGS:
                self._names.clear()
            self._names[labels] = names
        return names

    def _work_out(self, values: Sequence[str]) -> list[str] | None:
        position = {key: index for index, key in enumerate(self._keys)}
        names = [*self._keys]
        for index in self.labels:
            names[index] = ""
            known = values[index] not in UNKNOWN
            target = position.get(self._keys[index].removesuffix(_LABEL))
            if target is not None and not is_label(self._keys[target]) and known:
                names[target] = values[index]
        named = [name for name in names if name]
        return names if len(set(named)) == len(named) else None


def names_of(keys: Sequence[str], values: Sequence[str]) -> list[str] | None:
    """Return the name of each value of one message, "" for labels.

    Returns:
        The names; None where keys or names come twice, so that the order decides.
    """
    return _Layout(tuple(keys)).names(values)


def is_label(key: str) -> bool:
    """Tell whether a key names another key's value."""
    return key.endswith(_LABEL) and key != _LABEL


def resolve(keys: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """Name the values of one message, whatever its keys are; `LabelResolver` is quicker."""
    pairs = zip(keys, values, strict=True)
    fields = {key: value for key, value in pairs if value not in UNKNOWN}
    labels = {key: fields.pop(key) for key in [*filter(is_label, fields)]}
    named = {}
    for key, name in labels.items():
        target = key.removesuffix(_LABEL)
        if target in fields:
            named[name] = fields.pop(target)
    return fields | named
