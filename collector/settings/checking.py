"""Settings held against their declaration: every problem, each with its path.

Four questions are asked of the same tree, and none waits for another's answer, so that an operator
sees all problems of a file at once: which settings are unknown, which values are not of their kind
(pydantic's part), which settings do not go together (`Settings.relations`), and what is wrong where
a blank is a mistake (`Settings.as_written`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeGuard, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from collector.settings.kinds import Kind
from collector.settings.problems import Problem, joined, kind_of, shown, suggestion, unchosen
from collector.settings.substitution import without_blanks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

# What pydantic finds wrong, by its name for it, in an operator's words.
_MESSAGES = {
    "kind": "{message}",
    "missing": "is missing; accepted: {accepted}",
    "literal_error": "{unchosen}; accepted: {expected}",
    "tuple_type": "{kind} where a list is expected",
    "dict_type": "{kind} where a mapping is expected",
    "model_type": "{kind} where a mapping is expected",
    "too_short": "is empty; accepted: at least {min_length}",
    "too_long": "has too many entries; accepted: at most {max_length}",
}


class Settings(BaseModel):
    """One mapping of a settings file; subclasses declare its settings.

    A setting is a field with its kind and default; the text below it is its help, which goes into
    the JSON schema (`json_schema.help_of`).
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        serialize_by_alias=True,
    )

    holds_secrets: ClassVar[bool] = False
    """Whether a misplaced text in this mapping is probably a secret, and so never shown."""

    @classmethod
    def relations(cls, written: Mapping[str, Any]) -> Iterator[Problem]:  # noqa: ARG003 - subclasses look at it
        """Find settings of this mapping, or below it, that do not go together.

        Args:
            written: The settings as they were written, without blanks. Values may be of any kind:
                what is wrong with a single value is told elsewhere.

        Yields:
            Problems with paths relative to this mapping.
        """
        yield from ()

    @classmethod
    def as_written(cls, written: Mapping[str, Any]) -> Iterator[Problem]:  # noqa: ARG003 - subclasses look at it
        """Find what is wrong in settings where a blank does not count as not written.

        Args:
            written: The settings of this mapping as they were written, blanks still there. Values
                may be of any kind.

        Yields:
            Problems with paths relative to this mapping.
        """
        yield from ()


_S = TypeVar("_S", bound=Settings)


def check(
    declaration: type[_S], tree: dict[str, Any], known: Sequence[Problem] = ()
) -> tuple[_S | None, list[Problem]]:
    """Hold settings against their declaration.

    Args:
        declaration: The model of the whole tree.
        tree: The settings, environment put in, blanks still there.
        known: What is known to be wrong with single values, of which nothing else is told then.

    Returns:
        The checked settings, or None when there are problems; and all problems in the order of the
        declaration.
    """
    written = without_blanks(tree)
    problems = [
        *_unknown(declaration, tree),
        *_unfitting(declaration, tree, lambda model: model.as_written),
        *_unfitting(declaration, written, lambda model: model.relations),
    ]
    checked = None
    try:
        checked = declaration.model_validate(written)
    except ValidationError as error:
        problems += _invalid(error, declaration, written)
    told = {problem.path for problem in known}
    problems = [*known, *(problem for problem in problems if problem.path not in told)]
    sections = list(declared(declaration))
    problems.sort(key=lambda problem: _position(problem, sections))
    return (None if problems else checked), problems


def declared(model: type[Settings]) -> dict[str, FieldInfo]:
    """Return the settings of a mapping by the names that they have in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def child(field: FieldInfo) -> type[Settings] | None:
    """Return the model of a setting that is a mapping or a list of mappings, None for a value."""
    return next((part for part in _parts(field.annotation) if _is_model(part)), None)


def _unknown(declaration: type[Settings], tree: dict[str, Any]) -> Iterator[Problem]:
    for path, model, mapping in _mappings(declaration, tree, ""):
        known = declared(model)
        for key in mapping:
            if key in known:
                continue
            meant = suggestion(key, known)
            if meant is not None:
                message = f"unknown setting {shown(key)}; did you mean {meant!r}?"
                yield Problem(joined(path, key), message)
            elif model.holds_secrets:
                yield Problem(path, f"unknown setting; accepted: {', '.join(known)}")
            else:
                message = f"unknown setting {shown(key)}; accepted: {', '.join(known)}"
                yield Problem(joined(path, key), message)


def _unfitting(
    declaration: type[Settings],
    tree: dict[str, Any],
    question: Callable[[type[Settings]], Callable[[Mapping[str, Any]], Iterator[Problem]]],
) -> Iterator[Problem]:
    for path, model, mapping in _mappings(declaration, tree, ""):
        for problem in question(model)(mapping):
            full_path = f"{path}.{problem.path}" if path and problem.path else path or problem.path
            yield Problem(full_path, problem.message)


def _invalid(
    error: ValidationError, declaration: type[Settings], written: dict[str, Any]
) -> Iterator[Problem]:
    for details in error.errors(include_url=False):
        if not _is_repetition(details):
            yield Problem(_path(details["loc"], written), _message(details, declaration))


def _mappings(
    declaration: type[Settings], value: object, path: str
) -> Iterator[tuple[str, type[Settings], dict[str, Any]]]:
    """Walk the mappings that are where the declaration has mappings."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mappings(declaration, item, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield path, declaration, value
        for name, field in declared(declaration).items():
            below = child(field)
            if below is not None and name in value:
                yield from _mappings(below, value[name], joined(path, name))


def _parts(annotation: object) -> Iterator[object]:
    """Walk an annotation: `tuple[Sink, ...] | None` holds a tuple, `Sink` and None."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from _parts(argument)


def _is_model(part: object) -> TypeGuard[type[Settings]]:
    return isinstance(part, type) and issubclass(part, Settings)


def _is_repetition(details: ErrorDetails) -> bool:
    """Tell whether an error follows from one that is told already."""
    if details["type"] == "too_short":  # pydantic does not count items that are wrong themselves
        return bool(details["input"])
    return details["type"] == "extra_forbidden"


def _path(location: tuple[int | str, ...], written: object) -> str:
    """Write pydantic's location as a path in the file."""
    path, value = "", written
    for step in location:
        if isinstance(step, str) and isinstance(value, dict):
            path, value = joined(path, step), value.get(step)
        elif isinstance(step, int) and isinstance(value, list):
            path, value = f"{path}[{step}]", value[step]
        # Other steps are none in the file: the only item of a list written without the list, and
        # pydantic's mark for a key.
    return path


def _message(details: ErrorDetails, declaration: type[Settings]) -> str:
    template = _MESSAGES.get(details["type"])
    if template is None:  # an error that no declaration causes yet is told in pydantic's words
        return details["msg"]
    given, facts = details["input"], dict(details.get("ctx", {}))
    match details["type"]:
        case "missing":
            facts["accepted"] = _accepted(_field(details["loc"], declaration))
        case "literal_error":
            facts["unchosen"] = unchosen(given, _choices(_field(details["loc"], declaration)))
    return template.format(kind=kind_of(given), **facts)


def _field(location: tuple[int | str, ...], declaration: type[Settings]) -> FieldInfo:
    *above, name = (step for step in location if isinstance(step, str))
    for step in above:
        declaration = child(declared(declaration)[step]) or declaration
    return declared(declaration)[name]


def _choices(field: FieldInfo) -> list[str]:
    """Return the words that a setting, or each entry of one, is one of."""
    parts = (part for part in _parts(field.annotation) if get_origin(part) is Literal)
    return [str(word) for part in parts for word in get_args(part)]


def _accepted(field: FieldInfo) -> str:
    """Say what a required setting accepts."""
    below = child(field)
    if below is not None:
        return f"a list of mappings with {', '.join(declared(below))}"
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    return next(kind.accepted for kind in field.metadata if isinstance(kind, Kind))


def _position(problem: Problem, sections: list[str]) -> tuple[int, int]:
    section, _, rest = problem.path.partition("[")
    index, _, _ = rest.partition("]")
    section, _, _ = section.partition(".")
    place = sections.index(section) if section in sections else -1
    return place, int(index) if index.isdecimal() else -1
