"""Reading the Common Event Format."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers import ParseError, cef, repairs

HEADER = "CEF:0|V|P|1.0|100|Name|5|"


def extensions(text):
    """Read an extension behind a plain header."""
    return cef.parse(HEADER + text).extensions


class TestHeader:
    """The seven fields in front."""

    def test_all_fields_are_taken(self):
        """In their order, the extension last."""
        assert cef.parse("CEF:0|Vendor|Product|1.0|100|A name|High|a=1 b=2") == cef.Cef(
            version="0",
            device_vendor="Vendor",
            device_product="Product",
            device_version="1.0",
            device_event_class_id="100",
            name="A name",
            severity="High",
            extensions={"a": "1", "b": "2"},
        )

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("CEF:0|V|P|1|2|n|5|", "0"),
            ("CEF: 0|V|P|1|2|n|5|", "0"),
            ("  \tCEF:  1 |V|P|1|2|n|5|", "1"),
            ("CEF:|V|P|1|2|n|5|", ""),
            ("0|V|P|1|2|n|5|", "0"),
            (" 0|V|P|1|2|n|5|", "0"),
            ("1.2|V|P|1|2|n|5|", "1.2"),
        ],
    )
    def test_the_version_stands_after_the_prefix_or_alone(self, text, version):
        """A relay may have taken `CEF:` for the syslog tag."""
        assert cef.parse(text).version == version

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "CEF:0",
            "CEF:0|V|P|1|2|n",
            r"CEF:0|V|P|1|2|n\|5",
            r"CEF:0|V\|P|1|2|n|5",
            "no cef at all",
            "LEEF:1.0|V|P|1|2|n|5|",
            "cef:0|V|P|1|2|n|5|",
            "x0|V|P|1|2|n|5|",
            "٣|V|P|1|2|n|5|",
            "|V|P|1|2|n|5|",
        ],
    )
    def test_fewer_fields_or_another_beginning_is_not_cef(self, text):
        """The error says which, and quotes nothing."""
        with pytest.raises(ParseError) as caught:
            cef.parse(text)
        assert caught.value.reason == "not_cef"
        assert caught.value.detail.startswith("not CEF: ")

    def test_the_error_counts_the_fields(self):
        """An operator sees how far off it is."""
        with pytest.raises(ParseError, match="7 header fields expected, 3 found"):
            cef.parse("CEF:0|V|P")

    @pytest.mark.parametrize(
        ("raw", "name"),
        [
            (r"a\|b", "a|b"),
            (r"a\\b", r"a\b"),
            (r"a\\\|b", r"a\|b"),
            (r"a\nb\=c", r"a\nb\=c"),
            ("  a b\t", "a b"),
            ("", ""),
        ],
    )
    def test_fields_are_unescaped_and_trimmed(self, raw, name):
        r"""Only `\|` and `\\` are escapes in a header."""
        found = cef.parse(f"CEF:0|V|P|1|2|{raw}|5|k=v")
        assert (found.name, found.severity, found.extensions) == (name, "5", {"k": "v"})

    def test_an_escaped_backslash_does_not_escape_the_pipe_behind_it(self):
        """Escapes pair up from the left."""
        found = cef.parse("CEF:0|V\\\\|P|1|2|n|5|k=v")
        assert (found.device_vendor, found.device_product) == ("V\\", "P")

    @pytest.mark.parametrize("header", ["CEF:0|V|P|1|2|n|5", r"CEF:0|V\|W|P|1|2|n|5"])
    def test_the_last_pipe_may_be_missing(self, header):
        """Then there is no extension."""
        found = cef.parse(header)
        assert (found.severity, found.extensions) == ("5", {})

    def test_pipes_in_the_extension_are_text(self):
        """The header has ended."""
        assert extensions(r"a=1|2 b=\|3|") == {"a": "1|2", "b": "|3|"}


class TestExtension:
    """Pairs of keys and values."""

    @pytest.mark.parametrize(
        ("text", "pairs"),
        [
            ("", {}),
            ("   ", {}),
            ("no pair", {}),
            ("a=1", {"a": "1"}),
            (" a=1", {"a": "1"}),
            ("a=", {"a": ""}),
            ("a= b=2", {"a": "", "b": "2"}),
            ("a=  b=2", {"a": "", "b": "2"}),
            ("a=one two, three b=2", {"a": "one two, three", "b": "2"}),
            ("a=1  \t b=2 ", {"a": "1", "b": "2"}),
            ("a=1 b=2 ", {"a": "1", "b": "2"}),
            ("a=  1 b=2", {"a": "  1", "b": "2"}),
            ("a=1\tb=2", {"a": "1", "b": "2"}),
            ("a=1 \tb=2", {"a": "1", "b": "2"}),
            ("a=1\nb=2", {"a": "1\nb=2"}),
            ("junk in front a=1", {"a": "1"}),
            ("=1 a=2", {"a": "2"}),
            ("a=1 a=2", {"a": "2"}),
            ("a=1 b=2 a=", {"a": "", "b": "2"}),
        ],
    )
    def test_a_value_runs_to_the_blank_before_the_next_key(self, text, pairs):
        """Trailing blanks are trimmed, leading ones are not; the last of equal keys counts."""
        assert extensions(text) == pairs

    @pytest.mark.parametrize(
        "key",
        ["a", "A9", "9a", "a_b", "a.b", "a-b", "ad.list[0]", "a[12].b", "a[1][2]", "_", "0"],
    )
    def test_keys_are_words_with_dots_dashes_and_indexes(self, key):
        """At the start and after a blank."""
        assert extensions(f"{key}=1") == {key: "1"}
        assert extensions(f"x=1 {key}=2") == {"x": "1", key: "2"}

    @pytest.mark.parametrize(
        "text",
        [
            "é=1",
            "a[x]=1",
            "a[]=1",
            "[0]=1",
            "a]=1",
            "a\\=1",
            "a/b=1",
            "a =1",
            "a:=1",
            "=1",
            "==",
            "²=1",
        ],
    )
    def test_an_equals_sign_behind_anything_else_is_text(self, text):
        """The value goes on."""
        assert extensions(f"x=0 {text} y=2") == {"x": f"0 {cef.unescape(text)}", "y": "2"}

    @pytest.mark.parametrize(
        ("text", "pairs"),
        [
            (
                "request=https://a.example/?q=1&r=2 dst=192.0.2.1",
                {"request": "https://a.example/?q=1&r=2", "dst": "192.0.2.1"},
            ),
            ("cs1=QUJDRA== cs1Label=Blob", {"cs1": "QUJDRA==", "cs1Label": "Blob"}),
            ("a=b=c=d e=f", {"a": "b=c=d", "e": "f"}),
            ("cmd=x.exe /o:a=b (c==d) dst=1", {"cmd": "x.exe /o:a=b (c==d)", "dst": "1"}),
        ],
    )
    def test_unescaped_equals_signs_in_values_cost_nothing(self, text, pairs):
        """Query strings, base64, command lines."""
        assert extensions(text) == pairs

    def test_a_key_may_stand_in_a_value_only_by_an_escape(self):
        r"""`\=` never ends a key."""
        assert extensions(r"msg=set a\=1 and b\=2 dst=1") == {"msg": "set a=1 and b=2", "dst": "1"}

    def test_keys_beyond_the_bound_stay_in_the_last_value(self):
        """No text is lost."""
        text = " ".join(f"k{number}=v" for number in range(cef.MAX_KEYS + 2))
        found = extensions(text)
        assert len(found) == cef.MAX_KEYS
        last = cef.MAX_KEYS - 1
        assert found[f"k{last}"] == f"v k{last + 1}=v k{last + 2}=v"

    def test_equals_signs_do_not_count_towards_the_bound(self):
        """A value full of them hides nothing behind it."""
        found = extensions(f"a={'=' * 100_000} dst=192.0.2.1")
        assert found == {"a": "=" * 100_000, "dst": "192.0.2.1"}


class TestEscapes:
    """Values and their backslashes."""

    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            ("plain", "plain"),
            (r"a\=b", "a=b"),
            (r"a\\b", "a\\b"),
            (r"a\|b", "a|b"),
            (r"a\nb\rc", "a\nb\rc"),
            (r"C:\\new\\report", r"C:\new\report"),
            (r"\\\\host\\share", r"\\host\share"),
            (r"\\\n", "\\\n"),
            (r"\\\=", "\\="),
            (r"\x\"", r"\x\""),
            ("end\\", "end\\"),
            ("end\\\\", "end\\"),
            ("\\" * 5, "\\" * 3),
        ],
    )
    def test_known_escapes_are_undone_and_others_stay(self, raw, value):
        """From the left, each once."""
        assert cef.unescape(raw) == value
        assert extensions(f"k={raw}") == {"k": value}

    def test_split_leaves_values_as_they_are_on_the_wire(self):
        """For parsers that want them so; the header is unescaped all the same."""
        found = cef.split(r"CEF:0|V\|W|P|1|2|n|5|k=C:\\x\=y k=2")
        assert found.header.fields == ("0", "V|W", "P", "1", "2", "n", "5")
        assert ([*found.keys], [*found.values]) == (["k", "k"], [r"C:\\x\=y", "2"])

    @given(st.text(alphabet="\\=nr|x "))
    def test_unescaping_reads_left_to_right(self, raw):
        """As one pass over the text would."""
        escapes = {"\\": "\\", "=": "=", "|": "|", "n": "\n", "r": "\r"}
        expected = re.sub(r"\\([\\=|nr])", lambda match: escapes[match[1]], raw)
        assert cef.unescape(raw) == expected


class TestRepairs:
    """What was done to a message on its way, and is undone and named."""

    @pytest.mark.parametrize(
        ("text", "tags"),
        [
            (HEADER + "k=v", ()),
            (HEADER + "k=v\r\n", ()),
            (HEADER + r"k=v\=w\\ l=2", ()),
            ("CEF: 0|V|P|1.0|100|Name|5|k=v", (repairs.CEF_PREFIX,)),
            ("0|V|P|1.0|100|Name|5|k=v", (repairs.CEF_PREFIX,)),
            ("\ufeff" + HEADER + "k=v", (repairs.BOM,)),
            ("\ufeff0|V|P|1.0|100|Name|5|k=v", (repairs.BOM, repairs.CEF_PREFIX)),
            ("\n" + HEADER + "k=v", ()),
            (HEADER + "k=v\0", (repairs.NUL,)),
            ("\0" + HEADER + "k=v", (repairs.NUL,)),
            (HEADER + "\0k=v\0 l=2\n\0", (repairs.NUL,)),
            (HEADER + "k=v?a==&b l=2", (repairs.UNESCAPED_EQUALS,)),
            (HEADER + r"k=v\\= l=2", (repairs.UNESCAPED_EQUALS,)),
            ("123 " + HEADER + "k=v", (repairs.OCTET_COUNT,)),
            ("<13>1 - - - - - - " + HEADER + "k=v", (repairs.NESTED_HEADER,)),
            (
                "99 <13>Nov 11 10:00:00 h \ufeff" + HEADER + "k=a b?=c",
                (
                    repairs.OCTET_COUNT,
                    repairs.NESTED_HEADER,
                    repairs.BOM,
                    repairs.UNESCAPED_EQUALS,
                ),
            ),
        ],
    )
    def test_each_is_named(self, text, tags):
        """And the message is read as if it had not happened."""
        found = cef.split(text)
        assert sorted((*found.tags, *found.header.tags)) == sorted(tags)
        assert found.header.fields == ("0", "V", "P", "1.0", "100", "Name", "5")
        assert found.keys[0] == "k"
        assert "\0" not in "".join(found.values)

    def test_a_long_header_is_read_and_not_remembered(self):
        """What is kept is bounded."""
        before = cef._read_cached_header.cache_info().currsize
        assert cef.parse(f"CEF:0|V|P|1|2|{'n' * 1000}|5|a=1").name == "n" * 1000
        assert cef._read_cached_header.cache_info().currsize == before


REFERENCE = re.compile(r"(?:^|[ \t])([A-Za-z0-9_.-]+(?:\[[0-9]+\][A-Za-z0-9_.-]*)*)=")


def by_reference(text):
    """Read an extension with one regular expression: slow, and plainly what the rules say."""
    keys = list(REFERENCE.finditer(text))
    ends = [*(key.start() for key in keys), len(text)][1:]
    return {
        key[1]: text[key.end() : end].rstrip(" \t") for key, end in zip(keys, ends, strict=False)
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0", "\n\0\n"])
def test_what_ends_a_line_is_no_part_of_the_last_value(end):
    """Some senders count it into the frame."""
    found = cef.parse(HEADER + "cs1=x cs1Label=MalopId" + end)
    assert found.extensions == {"cs1": "x", "cs1Label": "MalopId"}


def test_a_byte_order_mark_before_it_is_passed_over():
    """It says nothing in UTF-8."""
    assert cef.parse("\ufeff" + HEADER + "a=1").extensions == {"a": "1"}


class TestProperties:
    """Any text."""

    @given(st.text(alphabet="ab1=\\ \t[0].-é|\n") | st.text())
    def test_the_extension_is_what_the_rules_say(self, text):
        """However odd it is."""
        found = cef.split(HEADER + text)
        expected = by_reference(text.replace("\0", "").rstrip("\r\n"))
        assert dict(zip(found.keys, found.values, strict=True)) == expected

    @given(
        st.dictionaries(
            st.from_regex(r"[A-Za-z0-9_.-]{1,8}(\[[0-9]\])?", fullmatch=True),
            st.text().map(lambda value: value.replace("\0", "").strip(" \t")),
        )
    )
    def test_what_is_escaped_by_the_book_comes_back(self, pairs):
        """Whatever the values hold."""

        def escaped(value):
            for plain, escape in (("\\", r"\\"), ("=", r"\="), ("\n", r"\n"), ("\r", r"\r")):
                value = value.replace(plain, escape)
            return value

        text = " ".join(f"{key}={escaped(value)}" for key, value in pairs.items())
        assert extensions(text) == pairs

    @given(st.text(alphabet="CEF:0|\\ =a") | st.text())
    def test_nothing_but_a_parse_error_is_raised(self, text):
        """And what is read holds texts only."""
        try:
            *header, extensions = cef.parse(text)
        except ParseError as error:
            reason = error.reason
        else:
            assert all(isinstance(text, str) for text in (*header, *extensions.values()))
            reason = "not_cef"
        assert reason == "not_cef"

    @pytest.mark.parametrize(
        ("text", "pairs"),
        [
            ("=" * 100_000, {}),
            ("a=" * 100_000, {"a": "a=" * 99_999}),
            (" " * 1_000_000, {}),
            ("a=" + " " * 1_000_000, {"a": ""}),
            ("a=" + "\t " * 500_000 + "b=1", {"a": "", "b": "1"}),
            ("\\" * 100_000, {}),
            ("a=" + "\\" * 100_000, {"a": "\\" * 50_000}),
            ("a=" + "\\=" * 100_000, {"a": "=" * 100_000}),
            ("x" * 1_000_000, {}),
            ("a=" + "b " * 300_000 + "c=1", {"a": "b " * 299_999 + "b", "c": "1"}),
            ("a=" + "b.[" * 300_000, {"a": "b.[" * 300_000}),
            ("a=" + "[0]" * 300_000 + "=", {"a": "[0]" * 300_000 + "="}),
        ],
        ids=lambda value: value[:10] if isinstance(value, str) else "",
    )
    def test_large_and_hostile_extensions_are_read_in_linear_time(self, text, pairs):
        """None of them takes longer than it is long."""
        assert extensions(text) == pairs

    def test_large_and_hostile_headers_are_read_in_linear_time(self):
        """Escaped pipes and backslashes without end."""
        name = r"\|" * 100_000 + r"\\" * 100_000
        assert cef.parse(f"CEF:0|V|P|1|2|{name}|5|a=1").name == "|" * 100_000 + "\\" * 100_000
        with pytest.raises(ParseError):
            cef.parse(r"CEF:0|" + r"\|" * 100_000)
