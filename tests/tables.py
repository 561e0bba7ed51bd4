"""Rule tables of tests, worked out for a shape."""

import orjson

from collector.parsers.convert import conversion, fields_of
from collector.parsers.mapping import Table
from collector.parsers.paths import steps
from collector.parsers.shapes.evaluation import evaluate
from collector.parsers.shapes.json_outline import outline_of


def table_of(*rules, inferred=()):
    return Table("tried", rules, inferred)


def outlined(table, message):
    read = frozenset(tuple(steps(path)) for path in table.read_paths())
    return outline_of(orjson.dumps(message), read)


def evaluated(*rules, inferred=(), families=(), **message):
    table = table_of(*rules, inferred=inferred)
    return evaluate(table, "ecs", outlined(table, message), families)


def fields_by_name(found):
    return {".".join(path): field for path, field in found.fields.items()}


@conversion("keyword")
def first_word(value):
    return value.split()[0] if isinstance(value, str) and value.split() else None


@conversion("keyword", joint=True)
def both(one, other):
    return f"{one}/{other}" if one or other else None


@fields_of({"*": "keyword"})
def counted(value):
    if not isinstance(value, str):
        return None
    return {f"n{number}": word for number, word in enumerate(value.split())} or None
