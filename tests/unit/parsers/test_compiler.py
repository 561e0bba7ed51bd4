"""The compiler of rule tables, with the tables of a vendor that does not exist."""

import inspect
import traceback
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.compiler import compile_table, compile_tracer, write_source
from collector.parsers.conditions import absent, equals, not_null, present
from collector.parsers.convert import (
    Conversion,
    collected,
    conversion,
    distinct,
    fields_of,
    keyword,
    long,
)
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table, select, under


def run(rules, fields, profile="ecs", inferred=(), flat=False):
    """Compile a table and map one message."""
    table = Table("toy", tuple(rules), tuple(inferred), flat=flat)
    return compile_table(table, profile)("text", fields)


@conversion("keyword")
def shouted(value):
    """Write it in capitals."""
    return (value.upper() or None) if isinstance(value, str) else None


TOY = Table(
    "toy",
    (
        Rule("message", WHOLE_INPUT),
        Rule("host.name", "machine.name"),
        Rule("host.os.full", "machine.os"),
        Rule("process.pid", "pid", long),
        Rule("event.type", constant="info", profile="documented"),
        Rule("event.type", constant=("info",), profile="ecs"),
        *under(
            equals("kind", "login"),
            Rule("user.name", "who", shouted),
            Rule("event.category", constant=("authentication",)),
        ),
    ),
    (Rule("related.user", "user.name", distinct),),
)
SOURCE = '''\
def map_toy_ecs(text, fields):
    """Table toy, profile ecs."""
    out = {}
    fields_machine = fields.get('machine')
    if type(fields_machine) is not dict:
        fields_machine = NO_FIELDS
    event = {}
    host = {}
    user = {}
    kind = fields.get('kind')
    out['message'] = text
    if 'name' in fields_machine and (value := fields_machine['name']) is not None:
        if type(value) is not str:
            value = keyword(value)
        if value:
            host['name'] = value
    if 'os' in fields_machine and (value := fields_machine['os']) is not None:
        if type(value) is not str:
            value = keyword(value)
        if value:
            host['os'] = {'full': value}
    if 'pid' in fields and (value := fields['pid']) is not None:
        if (value := long(value)) is not None:
            out['process'] = {'pid': value}
    event['type'] = ['info']
    if kind == 'login':  # kind=login
        if 'who' in fields and (value := fields['who']) is not None:
            if (value := shouted(value)) is not None:
                user['name'] = value
        event['category'] = ['authentication']
    if (value := distinct(user.get('name'))) is not None:
        out['related'] = {'user': value}
    if user:
        out['user'] = user
    if host:
        out['host'] = host
    if event:
        out['event'] = event
    return out
'''


class TestToyVendor:
    """A whole table."""

    def test_the_function_is_what_one_would_write_by_hand(self):
        """Readable, for debugging."""
        assert write_source(TOY, "ecs") == SOURCE

    def test_a_message_is_mapped(self):
        """Nested input, nested output."""
        fields = {"machine": {"name": "h", "os": "x"}, "pid": "7", "kind": "login", "who": "ann"}
        assert compile_table(TOY, "ecs")("raw", fields) == {
            "message": "raw",
            "host": {"name": "h", "os": {"full": "x"}},
            "process": {"pid": 7},
            "user": {"name": "ANN"},
            "event": {"type": ["info"], "category": ["authentication"]},
            "related": {"user": ["ANN"]},
        }

    def test_unknown_is_absent(self):
        """Neither empty objects nor empty values."""
        fields = {"machine": {"name": "", "os": None}, "pid": "many"}
        assert compile_table(TOY, "documented")("raw", fields) == {
            "message": "raw",
            "event": {"type": "info"},
        }

    def test_events_share_nothing(self):
        """A list that is constant is made anew for each."""
        normalize = compile_table(TOY, "ecs")
        normalize("a", {})["event"]["type"].append("changed")
        assert normalize("b", {})["event"]["type"] == ["info"]


class TestSource:
    """The written function."""

    def test_inspect_and_tracebacks_show_its_lines(self):
        """It has a file name of its own."""

        def broken(value):
            raise RuntimeError(value)

        table = Table("broken", (Rule("t", "s", Conversion(broken, "keyword")),))
        normalize = compile_table(table, "ecs")
        assert inspect.getsource(normalize) == write_source(table, "ecs")
        with pytest.raises(RuntimeError) as caught:
            normalize("text", {"s": "v"})
        shown = "".join(traceback.format_exception(caught.value))
        assert 'File "<mapping broken ecs>", line 5, in map_broken_ecs' in shown
        assert "if (value := broken(value)) is not None:" in shown

    def test_two_tables_of_one_name_do_not_share_their_lines(self):
        """Nor does the same table take up room twice."""
        tables = [Table("twin", (Rule(target, "s"),)) for target in ("t", "u", "t")]
        first, second, again = (compile_table(table, "ecs") for table in tables)
        assert inspect.getsource(first) == inspect.getsource(again) != inspect.getsource(second)
        assert first.__code__.co_filename == again.__code__.co_filename

    def test_conversions_of_the_same_name_are_told_apart(self):
        """They come in as globals."""
        one = Conversion(lambda value: f"one {value}", "keyword")
        other = Conversion(lambda value: f"other {value}", "keyword")
        assert run([Rule("t", "s", one), Rule("u", "s", other)], {"s": "v"}) == {
            "t": "one v",
            "u": "other v",
        }

    def test_names_that_are_taken_or_impossible_are_changed(self):
        """Fields may be called like keywords, functions and variables."""
        names = ["class", "type", "value", "out", "text", "fields", "long", "9to5", "a-b", "a_b"]
        rules = [Rule(f"{name}.{leaf}", f"{name}.{leaf}", long) for name in names for leaf in "xy"]
        fields = {name: {"x": 1, "y": 2} for name in names}
        assert run(rules, fields) == fields

    def test_a_field_cannot_be_a_value_and_an_object(self):
        """The table is refused when it is compiled."""
        with pytest.raises(ValueError, match=r"both a value and an object: a\.b"):
            run([Rule("a.b", "s"), Rule("a.b.c", "s")], {})


class TestOrder:
    """Which row wins."""

    @pytest.mark.parametrize(
        ("fields", "value"),
        [
            ({"a": "1", "b": "2"}, "2"),
            ({"a": "1", "b": ""}, "1"),
            ({"a": "1", "b": None}, "1"),
            ({"a": "1"}, "1"),
            ({"b": "2"}, "2"),
        ],
    )
    def test_a_later_row_that_yields_a_value_replaces_an_earlier_one(self, fields, value):
        """One that yields nothing changes nothing."""
        assert run([Rule("t", "a"), Rule("t", "b")], fields) == {"t": value}

    @pytest.mark.parametrize(
        ("fields", "event"),
        [
            ({"a": "1", "b": "2"}, {"t": "1"}),
            ({"a": "", "b": "2"}, {"t": "2"}),
            ({"a": {}, "b": "2"}, {"t": "2"}),
            ({}, {}),
        ],
    )
    def test_the_first_of_several_sources_that_yields_a_value_counts(self, fields, event):
        """In the order of the row."""
        assert run([Rule("t", ("a", "b"))], fields) == event

    def test_a_conversion_may_take_all_sources(self):
        """None for those that are absent."""
        rule = Rule("t", ("a", "b.c", "d"), collected)
        assert run([rule], {"d": "1", "b": {"c": "2"}}) == {"t": ["2", "1"]}

    def test_rows_with_one_condition_stand_together_where_order_allows_it(self):
        """It does not where another row with the same target is in between."""
        when, other = equals("k", "1"), equals("l", "1")
        rules = [
            Rule("t", constant="first", when=when),
            Rule("t", constant="second", when=other),
            Rule("u", constant="joins", when=when),
            Rule("t", constant="third", when=when),
        ]
        assert run(rules, {"k": "1", "l": "1"}) == {"t": "third", "u": "joins"}
        assert run(rules, {"l": "1"}) == {"t": "second"}
        source = write_source(Table("toy", tuple(rules)), "ecs")
        assert source.count("if k == '1':") == 2
        assert source.index("'joins'") < source.index("'second'") < source.index("'third'")

    @pytest.mark.parametrize(
        ("fields", "value"), [({"d": "doc", "e": "ecs"}, "doc"), ({"e": "ecs"}, "ecs")]
    )
    def test_in_profile_documented_its_rows_win_if_they_yield_a_value(self, fields, value):
        """Wherever they stand."""
        rules = [Rule("t", "d", profile="documented"), Rule("t", "e", profile="ecs")]
        for order in (rules, rules[::-1]):
            assert run(order, fields, "documented") == {"t": value}
            assert run(order, {"d": "doc", "e": "ecs"}, "ecs") == {"t": "ecs"}


class TestConditions:
    """Rows that do not always apply."""

    def test_a_condition_on_a_nested_field_is_decided(self):
        """Also where the object is none."""
        rules = under(present("a.b"), Rule("t", "a.c"))
        assert run(rules, {"a": {"b": 0, "c": "x"}}) == {"t": "x"}
        assert run(rules, {"a": {"c": "x"}}) == {}
        assert run(rules, {"a": "no object"}) == {}

    def test_objects_of_one_condition_are_fetched_under_it(self):
        """Nothing is looked up for rows that do not apply."""
        rules = under(equals("k", "1"), Rule("t.u", "a.b"), Rule("t.v", "a.c"))
        source = write_source(Table("toy", (*rules, Rule("w", "k"))), "ecs")
        assert source.index("if k == '1'") < source.index("fields_a = ") < source.index(" t = {}")
        assert run(rules, {"k": "1", "a": {"b": "x", "c": "y"}}) == {"t": {"u": "x", "v": "y"}}
        assert run(rules, {"k": "1"}) == {}

    def test_conditions_that_begin_alike_share_an_if(self):
        """What else they ask for is decided, and read, under it."""
        rules = under(
            equals("k", "1") | equals("l", "1"),
            Rule("t.u", "a"),
            Rule("t.v", "b", when=present("c.d")),
            Rule("t.w", "b", when=equals("c.d", "x") & absent("a")),
        )
        source = write_source(Table("toy", rules), "ecs")
        assert [line.strip() for line in source.splitlines() if "c" in line and "if" in line] == [
            "if type(fields_c) is not dict:",
            "if fields_c.get('d') is not None:  # c.d is present",
            "if fields_c.get('d') == 'x' and fields.get('a') is None:  # c.d=x and a is not set",
        ]
        assert source.count("if k == '1' or l == '1':") == 1
        assert source.index("if k == '1'") < source.index("fields_c = ")
        assert run(rules, {"k": "1", "a": "2"}) == {"t": {"u": "2"}}
        assert run(rules, {"l": "1", "b": "2", "c": {"d": "x"}}) == {"t": {"v": "2", "w": "2"}}
        assert run(rules, {"a": "2", "b": "2", "c": {"d": "x"}}) == {}


class TestInferred:
    """Rows that read the output."""

    def test_they_run_after_all_others_and_in_order(self):
        """Each sees what those before it have set."""
        inferred = (
            Rule("b", "a", when=absent("b")),
            Rule("c.d", "b", shouted),
            Rule("c.e", ("missing", "c.d"), distinct),
        )
        assert run([Rule("a", "x")], {"x": "v"}, inferred=inferred) == {
            "a": "v",
            "b": "v",
            "c": {"d": "V", "e": ["V"]},
        }
        assert run([Rule("a", "x"), Rule("b", "y")], {"x": "v", "y": "w"}, inferred=inferred) == {
            "a": "v",
            "b": "w",
            "c": {"d": "W", "e": ["W"]},
        }
        assert run([Rule("a", "x")], {}, inferred=inferred) == {}

    def test_a_condition_is_decided_anew_once_a_row_has_set_its_field(self):
        """The first row that finds a value fills the gap."""
        free = absent("t")
        inferred = (
            Rule("u", "a", when=free),
            Rule("t", "a", when=free),
            Rule("t", "b", when=free),
            Rule("v", "b", when=free),
        )
        rules = [Rule("a", "x"), Rule("b", "y")]
        event = run(rules, {"x": "1", "y": "2"}, inferred=inferred)
        assert event == {"a": "1", "b": "2", "u": "1", "t": "1"}
        event = run(rules, {"y": "2"}, inferred=inferred)
        assert event == {"b": "2", "t": "2"}

    def test_a_shared_condition_is_decided_anew_too(self):
        """Once a row has set its field, alone or among several."""
        for rule in (Rule("t.name", "a"), Rule("t.*", "a", parts)):
            inferred = under(
                absent("t.name"),
                Rule("v", "a"),
                replace(rule, when=present("a")),
                Rule("w", "a", when=present("a")),
            )
            event = run([Rule("a", "x")], {"x": "1/2"}, inferred=inferred)
            assert event.keys() == {"a", "v", "t"}
            event = run([Rule("a", "x")], {"x": "none"}, inferred=inferred)
            assert ("w" in event) is rule.merges

    def test_what_no_rule_can_set_is_not_asked_for(self):
        """A table without the sources does without the row."""
        inferred = (
            Rule("r.hosts", ("host.name", "source.domain"), distinct),
            Rule("r.users", ("user.name",), distinct),
            Rule("s.users", ("r.users",)),
        )
        source = write_source(Table("toy", (Rule("host.name", "h"),), inferred), "ecs")
        assert "distinct(host.get('name'))" in source
        assert "user" not in source

    def test_the_documented_list_wins_over_that_of_ecs(self):
        """If it has anything in it."""
        inferred = (
            Rule("r", ("b",), distinct, profile="documented"),
            Rule("r", ("a", "b"), distinct, profile="ecs"),
        )
        rules = [Rule("a", "x"), Rule("b", "y")]
        fields = {"x": "1", "y": "2"}
        assert run(rules, fields, "documented", inferred)["r"] == ["2"]
        assert run(rules, {"x": "1"}, "documented", inferred)["r"] == ["1"]
        assert run(rules, fields, "ecs", inferred)["r"] == ["1", "2"]


@fields_of({"name": "keyword", "os.name": "keyword"})
def parts(value):
    """Take `name/os` apart."""
    if not isinstance(value, str) or "/" not in value:
        return None
    name, _, os = value.partition("/")
    return {"name": name, "os": {"name": os}}


@fields_of({"*": "keyword"})
def whole(value):
    """Take the texts of an object, by their names."""
    if not isinstance(value, dict):
        return None
    return {name: text for name, text in value.items() if isinstance(text, str) and text} or None


@fields_of({"first": "keyword", "last": "keyword"}, joint=True)
def ends(*values):
    """Take the first and the last of several texts."""
    texts = [value for value in values if isinstance(value, str) and value]
    return {"first": texts[0], "last": texts[-1]} if texts else None


class TestSeveralFields:
    """Rows that yield more than one field."""

    def test_they_may_come_from_several_sources(self):
        """Which the conversion takes at once; of two such rows, both count."""
        assert run([Rule("a.*", ("s", "t.u"), ends)], {"s": "1", "t": {"u": "2"}}) == {
            "a": {"first": "1", "last": "2"}
        }
        rules = [Rule("a.*", ("s", "t"), ends), Rule("a.*", ("v",), ends)]
        assert run(rules, {"s": "1"}) == {"a": {"first": "1", "last": "1"}}
        assert run(rules, {"s": "1", "v": "3"}) == {"a": {"first": "3", "last": "3"}}
        inferred = (Rule("a.*", ("s", "t"), ends),)
        rules = [Rule("s", "s"), Rule("t", "t"), Rule("a.last", "l")]
        event = run(rules, {"s": "1", "t": "2", "l": "3"}, inferred=inferred)
        assert event["a"] == {"first": "1", "last": "3"}

    def test_two_such_rows_do_not_stand_in_for_each_other(self):
        """The later one changes only the fields that it yields."""
        given = fields_of({"*": "keyword"}, joint=True)(lambda value: value or None)
        rules = [Rule("a.*", "s", given), Rule("a.*", "t", given)]
        assert run(rules, {"s": {"x": "1", "y": "1"}, "t": {"y": "2"}}) == {
            "a": {"x": "1", "y": "2"}
        }

    def test_an_object_of_which_nothing_else_is_known_is_one_branch(self):
        """What holds it is written around it."""
        table = Table("toy", (Rule("a.b.*", "s", parts), Rule("c", "s")))
        source = write_source(table, "ecs")
        assert "    a = {}" not in source
        assert "    if a_b:\n        out['a'] = {'b': a_b}\n" in source

    def test_they_become_fields_of_the_target(self):
        """Wherever it stands, and only if there are any."""
        assert run([Rule("a.*", "s", parts)], {"s": "x/y"}) == {
            "a": {"name": "x", "os": {"name": "y"}}
        }
        assert run([Rule("a.b.*", "s", parts)], {"s": "x/y"})["a"]["b"]["name"] == "x"
        assert run([Rule("a.*", "s", parts)], {"s": "none"}) == {}

    def test_the_last_row_counts_for_each_field(self):
        """Those it does not yield stay."""
        rules = [Rule("a.name", "n"), Rule("a.x", "n"), Rule("a.*", "s", whole)]
        fields = {"n": "1", "s": {"name": "2", "y": "3"}}
        assert run(rules, fields) == {"a": {"name": "2", "x": "1", "y": "3"}}
        assert run(rules[::-1], fields) == {"a": {"name": "1", "x": "1", "y": "3"}}

    def test_the_order_of_rows_stays_where_conditions_bring_rows_together(self):
        """One target may be within the other."""
        when = present("k")
        rules = [
            Rule("a.name", constant="first"),
            Rule("a.*", "s", whole, when=when),
            Rule("a.name", constant="last"),
            Rule("a.*", "t", whole, when=when),
        ]
        fields = {"k": 1, "s": {"name": "s", "x": "s"}, "t": {"x": "t"}}
        assert run(rules, fields) == {"a": {"name": "last", "x": "t"}}

    def test_inferred_ones_fill_what_is_absent(self):
        """And change nothing that a rule has set."""
        inferred = (Rule("a.*", "s", parts, when=None),)
        rules = [Rule("s", "s"), Rule("a.name", "n")]
        assert run(rules, {"s": "x/y", "n": "1"}, inferred=inferred)["a"] == {
            "name": "1",
            "os": {"name": "y"},
        }
        assert run(rules, {"s": "x/y"}, inferred=inferred)["a"]["name"] == "x"
        assert "a" not in run(rules, {"s": "none"}, inferred=inferred)

    def test_inferred_rows_may_read_what_the_input_named(self):
        """A field that `*` stands for is known."""
        inferred = (Rule("t", "a.anything"), Rule("u", "b.anything"))
        event = run([Rule("a.*", "s", whole)], {"s": {"anything": "1"}}, inferred=inferred)
        assert event == {"a": {"anything": "1"}, "t": "1"}

    def test_the_target_says_what_the_conversion_does(self):
        """One without the other is a mistake."""
        with pytest.raises(ValueError, match="belong together"):
            Rule("a", "s", parts)
        with pytest.raises(ValueError, match="belong together"):
            Rule("a.*", "s")

    def test_every_field_is_known_with_its_type(self):
        """Also those whose names the input decides."""
        assert Rule("a.*", "s", parts).fields == {"a.name": "keyword", "a.os.name": "keyword"}
        assert Rule("a.*", "s", whole).fields == {"a.*": "keyword"}
        assert Rule("a", "s", long).fields == {"a": "long"}
        with pytest.raises(ValueError, match=r"both a value and an object: a"):
            run([Rule("a.*", "s", parts), Rule("a", "s")], {})


class TestLists:
    """Sources within the first entry of a list."""

    def test_the_first_entry_is_read(self):
        """If there is one, and it is an object."""
        rules = [Rule("t", "l[0].a"), Rule("u", "l[0].b.c")]
        assert run(rules, {"l": [{"a": "1", "b": {"c": "2"}}, {"a": "3"}]}) == {"t": "1", "u": "2"}
        for other in ([], ["x"], [None, {"a": "1"}], {"a": "1"}, "x", None):
            assert run(rules, {"l": other}) == {}


class TestDetections:
    """Rows that only one profile has."""

    TABLE = Table(
        "toy",
        (Rule("a", "x"),),
        (Rule("b", "a"),),
        (Rule("c", "b"), Rule("a", constant="none", when=absent("a"))),
    )

    def test_they_run_last_in_profile_ecs(self):
        """And read what the others have set."""
        assert compile_table(self.TABLE, "ecs")("", {"x": "1"}) == {"a": "1", "b": "1", "c": "1"}
        assert compile_table(self.TABLE, "ecs")("", {}) == {"a": "none"}

    def test_profile_documented_is_without(self):
        """It is the shape of the documentation."""
        assert compile_table(self.TABLE, "documented")("", {"x": "1"}) == {"a": "1", "b": "1"}


class TestTracer:
    """The function that says what it does."""

    def test_each_assignment_is_noted(self):
        """By rule and source, in the order in which they happen."""
        rules = [
            Rule("message", WHOLE_INPUT),
            Rule("t", ("a", "b")),
            Rule("t", "c"),
            Rule("k", constant="x", when=present("c")),
            Rule("j", ("a", "c"), collected),
        ]
        noted = []
        table = Table("toy", tuple(rules), (Rule("i", "t"),))
        compile_tracer(table, "ecs")(
            "text",
            {"b": "1", "a": "2", "c": "3"},
            lambda row, read, _: noted.append((row.rule.target, "; ".join(read))),
        )
        assert noted == [
            ("message", WHOLE_INPUT),
            ("t", "b"),
            ("t", "a"),
            ("t", "c"),
            ("j", "a; c"),
            ("k", ""),
            ("i", "t"),
        ]

    def test_what_a_row_reads_and_yields_is_told(self):
        """Before it is set: a row may read what it replaces."""
        rules = [
            Rule("n", ("x", "l[0].x"), long),
            Rule("k", constant=("a", "b")),
            Rule("o.*", "s", parts),
            Rule("t", "x"),
        ]
        inferred = (Rule("t", ("t", "k"), distinct), Rule("u", "o.name"))
        noted = []
        compile_tracer(Table("toy", tuple(rules), inferred), "ecs")(
            "text",
            {"x": "one", "l": [{"x": "1"}], "s": "a/b"},
            lambda row, *told: noted.append((row.rule.target, row.inferred, *told)),
        )
        assert noted == [
            ("n", False, {"l[0].x": "1"}, 1),
            ("k", False, {}, ["a", "b"]),
            ("o.*", False, {"s": "a/b"}, {"name": "a", "os": {"name": "b"}}),
            ("t", False, {"x": "one"}, "one"),
            ("t", True, {"t": "one", "k": ["a", "b"]}, ["a", "b", "one"]),
            ("u", True, {"o.name": "a"}, "a"),
        ]


class TestFlat:
    """Input that is one dict of texts."""

    def test_keys_may_end_like_the_first_entry_of_a_list(self):
        """There are no lists."""
        rules = [Rule("t", ("l[0]", "b"), collected, when=present("l[0]"))]
        assert run(rules, {"l[0]": "1", "b": "2"}, flat=True) == {"t": ["1", "2"]}
        assert run(rules, {"l": "1", "b": "2"}, flat=True) == {}

    def test_keys_may_hold_dots(self):
        """They are no paths."""
        rules = [Rule("t", "a.b"), Rule("n", "c", long), Rule("u", "x", when=equals("a.b", "1"))]
        fields = {"a.b": "1", "c": "2", "x": "3"}
        assert run(rules, fields, flat=True) == {"t": "1", "n": 2, "u": "3"}
        assert run(rules, {"c": "no number"}, flat=True) == {}


class TestWholeInput:
    """The text of the message."""

    def test_it_is_the_text_and_no_field_of_that_name(self):
        """Whatever the message holds."""
        assert run([Rule("message", WHOLE_INPUT)], {WHOLE_INPUT: "spoofed"}) == {"message": "text"}


def read(source, path, absent=None):
    """Follow a path as far as there are objects."""
    *parents, last = path.split(".")
    for key in parents:
        source = source.get(key) if isinstance(source, dict) else None
    return source.get(last, absent) if isinstance(source, dict) else absent


def put(out, path, value):
    """Set a field, making the objects on the way to it."""
    *parents, key = path.split(".")
    for parent in parents:
        out = out.setdefault(parent, {})
    out[key] = value


def merge(out, path, found, keeping):
    """Set several fields, or those of them that are not there."""
    for key, value in found.items():
        if not keeping or read(out, f"{path}.{key}") is None:
            put(out, f"{path}.{key}", value)


def yielded(rule, source):
    """Return what a row makes of its sources, None for nothing."""
    if rule.constant is not None:
        return [*rule.constant] if isinstance(rule.constant, tuple) else rule.constant
    values = [read(source, path) for path in rule.sources]
    if rule.convert.joint:
        return rule.convert(*values)
    return next((found for value in values if (found := rule.convert(value)) is not None), None)


def applies(rule, source):
    """Decide the condition of a row."""
    if rule.when is None:
        return True
    expression = rule.when.write(lambda path, absent="None": f"read(source, {path!r}, {absent})")
    return eval(expression, {"read": read, "source": source})


def interpreted(table, profile, fields):
    """Map a message row by row, as the rules of tables are written down."""
    out = {}
    for rows, source in ((table.rules, fields), (table.inferred, out)):
        for rule in select(rows, profile):
            if applies(rule, source) and (value := yielded(rule, source)) is not None:
                if rule.merges:
                    merge(out, rule.target.removesuffix(".*"), value, keeping=source is out)
                else:
                    put(out, rule.target, value)
    return out


PATHS = ["a", "b", "c.a", "c.b", "d.e.a"]
CONDITIONS = [
    None,
    equals("a", "1"),
    equals("c.a", "1") | present("b"),
    absent("d.e.a"),
    not_null("c.b"),
    not_null("a") & equals("b", "2"),
    not_null("a") & present("d.e.a"),
]
rules = (
    st.builds(
        lambda target, source, convert, when, profile: Rule(
            target, source, convert, when=when, profile=profile
        ),
        st.sampled_from(["t", "u.v", "u.w", "x.y.z", "x.y.t"]),
        st.lists(st.sampled_from(PATHS), min_size=1, max_size=3).map(tuple),
        st.sampled_from([keyword, long, shouted, collected]),
        st.sampled_from(CONDITIONS),
        st.sampled_from(["both", "documented", "ecs"]),
    )
    | st.builds(
        lambda target, constant, when: Rule(target, constant=constant, when=when),
        st.sampled_from(["t", "u.v"]),
        st.sampled_from(["x", ("x", "y")]),
        st.sampled_from(CONDITIONS),
    )
    | st.builds(
        lambda target, source, when: Rule(target, source, whole, when=when),
        st.sampled_from(["u.*", "x.y.*"]),
        st.sampled_from(["a", "c", "d.e"]),
        st.sampled_from(CONDITIONS),
    )
    | st.builds(
        lambda target, sources, when: Rule(target, tuple(sources), ends, when=when),
        st.sampled_from(["u.*", "x.y.*"]),
        st.lists(st.sampled_from(PATHS), min_size=1, max_size=2),
        st.sampled_from(CONDITIONS),
    )
)
inferred_rules = st.builds(
    lambda target, source, free: Rule(
        target, source, distinct, when=absent(target) if free else None
    ),
    st.sampled_from(["t", "r.s", "u.v"]),
    st.sampled_from([("t",), ("u.v", "u.w"), ("r.s",), ("x.y.z", "nothing.at.all")]),
    st.booleans(),
)
inferred_rules |= st.builds(
    lambda target, source, when, free: Rule(
        target, source, distinct, when=when & absent(target) if free else when
    ),
    st.sampled_from(["t", "r.s", "u.v"]),
    st.sampled_from(["t", "u.v", "x.y.z"]),
    st.sampled_from([absent("t"), present("u.v")]),
    st.booleans(),
)
leaves = st.sampled_from(["1", "2", "", None, 0, False, 5, [], {}, ["1"]])
objects = st.dictionaries(st.sampled_from("abe"), leaves, max_size=3)
inputs = st.dictionaries(
    st.sampled_from("abcd"),
    leaves | objects | st.dictionaries(st.just("e"), leaves | objects),
)


@given(
    st.lists(rules, min_size=1, max_size=8),
    st.lists(inferred_rules, max_size=4),
    st.sampled_from(["documented", "ecs"]),
    inputs,
)
def test_the_function_does_what_its_table_says(rows, inferred, profile, fields):
    """Whatever the table, and whatever stands in the input."""
    table = Table("toy", tuple(rows), tuple(inferred))
    event = compile_table(table, profile)("text", fields)
    assert event == interpreted(table, profile, fields)
    assert orjson.loads(orjson.dumps(event)) == event

    noted = []
    traced = compile_tracer(table, profile)("text", fields, lambda *note: noted.append(note))
    assert traced == event
    assert {row.rule.target for row, *_ in noted if not row.rule.merges} >= {
        rule.target for rule in rows if not rule.merges and rule.constant and rule.when is None
    }
    for (rule, _), read_by_it, value in noted:
        assert value
        assert read_by_it == {} if rule.constant else {*read_by_it} <= {*rule.sources}


def test_what_a_conversion_needs_is_loaded_when_its_table_is_compiled():
    """If a row of the profile has it; no message waits for it."""
    loaded = []
    convert = fields_of({"a": "keyword"}, prepare=lambda: loaded.append("all"))(lambda _: None)
    table = Table("toy", (Rule("host.name", "h"),), (Rule("r.*", "user.name", convert),))
    compile_table(table, "ecs")
    assert loaded == []
    table = Table("toy", (Rule("user.name", "u"),), (Rule("r.*", "user.name", convert),))
    write_source(table, "ecs")
    assert loaded == []
    compile_table(table, "ecs")("text", {})
    assert loaded == ["all"]
