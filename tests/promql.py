"""What PromQL expressions look at: that the series and labels they name are there.

The labels of a result are followed from the selectors to the outside, so that a label which an
aggregation has taken away, and two sides that can never match, are found too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import promql_parser as promql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Labels = frozenset[str]

TARGET: Final = frozenset({"cluster", "namespace", "job", "instance"})
"""Labels that Prometheus, or whoever configures it, gives to every series of a target."""

SET_OPERATORS: Final = frozenset({"and", "or", "unless"})


def parse(expression: str) -> promql.Expr:
    """Return an expression as a tree; raises ValueError if it is none."""
    return promql.parse(expression)


def names(expression: str) -> set[str]:
    """Return the names of the series that an expression looks at."""
    found: set[str] = set()

    def note(node: promql.Expr) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.add(node.name)
        return True

    promql.walk(parse(expression), pre_visit=note)
    return found


def result_labels(expression: str, known: Mapping[str, Labels]) -> Labels:
    """Return the labels that the result of an expression can have.

    Args:
        expression: PromQL.
        known: the labels of each series there is, by name; those of targets aside.

    Raises:
        AssertionError: it names a series or a label that is not there, or two sides of an operator
            have labels by which they never match.
    """
    return _labels(parse(expression), known) or frozenset()


def _labels(node: promql.Expr, known: Mapping[str, Labels]) -> Labels | None:
    """Return the labels of a node's result; None for a scalar, which has none to match by."""
    match node:
        case promql.VectorSelector():
            return _selected(node, known)
        case (
            promql.MatrixSelector(vector_selector=inner)
            | promql.ParenExpr(expr=inner)
            | promql.SubqueryExpr(expr=inner)
            | promql.UnaryExpr(expr=inner)
        ):
            return _labels(inner, known)
        case promql.AggregateExpr():
            return _aggregated(node, known)
        case promql.BinaryExpr():
            return _combined(node, known)
        case promql.Call():
            return _called(node, known)
    assert isinstance(node, promql.NumberLiteral | promql.StringLiteral), f"not understood: {node}"
    return None


def _selected(node: promql.VectorSelector, known: Mapping[str, Labels]) -> Labels:
    assert node.name in known, f"there is no series {node.name}"
    labels = known[node.name] | TARGET
    _assert_there((matcher.name for matcher in node.matchers.matchers), labels, node)
    return labels


def _aggregated(node: promql.AggregateExpr, known: Mapping[str, Labels]) -> Labels:
    inner = _labels(node.expr, known) or frozenset()
    if node.modifier is None:
        return frozenset()
    named = frozenset(node.modifier.labels)
    _assert_there(named, inner, node)
    return named if node.modifier.type == promql.AggModifierType.By else inner - named


def _combined(node: promql.BinaryExpr, known: Mapping[str, Labels]) -> Labels | None:
    left, right = _labels(node.lhs, known), _labels(node.rhs, known)
    if left is None or right is None:
        return right if left is None else left
    operator = str(node.op)
    if operator == "or":
        return left | right
    sides = [_matched(side, left | right, node) for side in (left, right)]
    assert sides[0] == sides[1], f"{sorted(left)} never matches {sorted(right)}: {node}"
    return left if operator in SET_OPERATORS else sides[0]


def _matched(side: Labels, both: Labels, node: promql.BinaryExpr) -> Labels:
    """Return the labels of one side by which an operator matches it with the other.

    What is ignored has to be there on one side, what is matched on, on both.
    """
    matching = node.modifier and node.modifier.matching
    if not matching:
        return side
    named = frozenset(matching.labels)
    if matching.type == promql.LabelModifierType.Include:
        _assert_there(named, side, node)
        return named
    _assert_there(named, both, node)
    return side - named


def _called(node: promql.Call, known: Mapping[str, Labels]) -> Labels | None:
    if node.func.return_type == promql.ValueType.Scalar:
        return None
    if node.func.name == "absent":
        _labels(node.args[0], known)
        return frozenset(matcher.name for matcher in node.args[0].matchers.matchers)
    inner = frozenset[str]().union(*filter(None, (_labels(item, known) for item in node.args)))
    if node.func.name == "histogram_quantile":
        _assert_there(["le"], inner, node)
        return inner - {"le"}
    return inner


def _assert_there(named: Iterable[str], labels: Labels, node: promql.Expr) -> None:
    missing = frozenset(named) - labels
    assert not missing, f"no label {sorted(missing)} beside {sorted(labels)}: {node}"
