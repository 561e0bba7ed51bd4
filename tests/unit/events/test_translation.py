"""Events straight from messages: octet for octet those of the general way, or none."""

import time
import tracemalloc
from dataclasses import replace
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.events.envelope import finisher
from collector.events.translation import (
    FIRST_SHAPES,
    MAX_LITERALS,
    MAX_NODES,
    MAX_OCTETS,
    MAX_SHAPES,
    MAX_TAIL,
    MISSES_PER_SHAPE,
    Translator,
    translator,
)
from collector.parsers import PARSERS, PROFILES, build, cef
from collector.parsers.shapes import compiled
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName, envelope
from tests.peers import require_kernel
from tests.shapes import (
    ARRIVAL,
    RECEIPT,
    TEXTS,
    Fields,
    Members,
    Pair,
    read_message,
    samples,
    vary_cef,
    vary_json,
    vary_text,
    vectors,
)

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel

SEEDS = st.integers(0, 2**32 - 1)
FIELDS = {
    "tags": ["mine"],
    "event": {"kind": "mine", "id": "mine"},
    "destination": {"ip": {"a": "b"}},
    "labels": {"n": 1, "l": [1, "é"], "s": 'a"b\\'},
}
SETTINGS = [
    {},
    {"parts": ("received", "source", "syslog")},
    {"parts": ()},
    {"timestamp_fallback": False},
    {"fields": FIELDS, "parts": ("source",)},
    {"fields": {"host": "mine", "user": {"name": RECEIPT.peer}, "@timestamp": RECEIPT.created}},
]
ATTEMPTS = 5
EXAMPLES = settings().max_examples


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


settings_of_finishers = pytest.mark.parametrize("finish", SETTINGS, ids=",".join)
profiles = pytest.mark.parametrize("profile", PROFILES)


def messages_of(vendor):
    """Return the documented messages of a vendor, and those of the specification if it is there."""
    texts = [*samples(vendor), *vectors(vendor)]
    if vendor == "cybereason":
        return [Fields.of(text) for text in texts]
    return [Members.of(orjson.loads(text)) for text in texts]


def vary(message, random, **how):
    return (vary_cef if isinstance(message, Fields) else vary_json)(message, random, **how)


def can_be_sent(text):
    """Say whether a text is one that octets can be read as."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("vendor", ["cybereason", "harfanglab"])
@profiles
@settings_of_finishers
def test_every_documented_message_is_translated(vendor, profile, finish):
    """Once one like it was seen."""
    pair = Pair(vendor, profile, **finish)
    for message in samples(vendor):
        assert not pair.translates(message)
        assert pair.translates(message)


def test_the_messages_of_the_specification_are_translated():
    """All of them."""
    if not vectors("harfanglab"):
        pytest.skip("the examples are not there")
    for vendor in ("cybereason", "harfanglab"):
        pair = Pair(vendor)
        texts = vectors(vendor)
        pair.learn(texts)
        assert [text for text in texts if not pair.translates(text)] == []


@pytest.mark.parametrize("vendor", ["cybereason", "harfanglab"])
@profiles
@settings_of_finishers
@given(SEEDS)
@settings(max_examples=EXAMPLES // 8)
def test_varied_messages_come_out_as_the_general_way_has_them(vendor, profile, finish, seed):
    """Learned from documented and from varied ones, and told apart from damaged ones."""
    random = Random(seed)
    pair = Pair(vendor, profile, **finish)
    known = [random.choice(messages_of(vendor))]
    texts = [known[0].write()]
    for _ in range(25):
        known.append(vary(random.choice(known), random, values_only=random.random() < 0.6))
        texts.append(known[-1].write())
        if random.random() < 0.2:
            texts.append(vary_text(texts[-1], random))
    pair.learn(filter(can_be_sent, texts + texts[::3]))


@profiles
@given(SEEDS)
@settings(max_examples=EXAMPLES // 2)
def test_messages_of_any_fields_come_out_as_the_general_way_has_them(profile, seed):
    """Of all families, with fields there or not."""
    random = Random(seed)
    pair = Pair("harfanglab", profile, **random.choice(SETTINGS))
    known = [read_message(random)]
    for _ in range(20):
        known.append(vary(random.choice(known), random, values_only=random.random() < 0.7))
        pair.learn([known[-1].write()])


@pytest.mark.parametrize("text", [text for text in TEXTS if text not in ("", "None", "-")])
def test_any_text_can_take_the_place_of_another(text):
    """Of those that a rule reads, and of all others."""
    pair = Pair("harfanglab")
    message = {
        "log_type": "process",
        "pid": 1,
        "commandline": "x",
        "zone": "x",
        "user_name": "D\\u",
    }
    pair.learn([orjson.dumps(message).decode()])
    for name in ("commandline", "zone"):
        assert pair.translates(orjson.dumps(message | {name: text}).decode())
    pair.learn([orjson.dumps(message | {"user_name": text}).decode()])


@given(st.lists(st.one_of(st.sampled_from(TEXTS), st.text(max_size=30)), min_size=1, max_size=9))
def test_any_text_is_one_of_no_vendor(texts):
    """All of them are of one shape, but for empty ones."""
    pair = Pair("raw")
    pair.learn(["", "text", *texts])
    assert all(pair.translates(text) for text in texts if text)


def test_shapes_that_differ_in_what_a_conversion_yields_live_side_by_side():
    """A user with a domain and one without."""
    pair = Pair("harfanglab")
    texts = [
        orjson.dumps({"log_type": "process", "username": user}).decode() for user in ("D\\u", "u")
    ]
    pair.learn(texts)
    assert [pair.translates(text) for text in texts] == [True, True]


def test_a_field_that_the_operator_replaces_is_there_all_the_same():
    """Its place in the event is that of the field it replaces."""
    pair = Pair("cybereason", fields={"destination": {"ip": {"a": "b"}}})
    message = "CEF:0|V|P|1|3|N|5|dst={} destinationTranslatedAddress=192.0.2.1"
    pair.learn(
        [message.format("10.0.0.1"), message.format("10.0.0.01"), message.format("10.0.0.2")]
    )


def test_an_integer_too_large_to_read_is_repaired_as_ever():
    """The general way says so in a tag."""
    pair = Pair("harfanglab")
    pair.learn(['{"log_type":"process","zone":1.5}', '{"log_type":"process","zone":2.5}'])
    assert not pair.translates(f'{{"log_type":"process","zone":{"9" * 400}.5}}')


def test_there_is_none_where_messages_have_no_shapes():
    """No outline can be made of them."""
    vendor, parse = PARSERS["cybereason"], build("cybereason", "ecs")
    assert translator(replace(vendor, outline=None), "ecs", parse, finisher()) is None
    assert translator(vendor, "ecs", parse, finisher()) is not None


# Headers.


def tail_of(frame):
    return Translator.tail_of(frame, envelope(frame, KeyName())[1])


def run(pair, frames, tail=b"- "):
    return pair.translator.translate_run(frames, 0, tail, 7, RECEIPT)


MESSAGE = '{"log_type":"process","pid":1,"x":"é"}'
FRAME = f"<13>1 - host - - - - {MESSAGE}".encode()


@pytest.fixture
def learned():
    pair = Pair("harfanglab")
    pair.learn([MESSAGE])
    return pair


def test_a_run_ends_before_the_first_frame_that_has_to_be_read(learned):
    """Its header is another one, or its message."""
    for other in (b"text", FRAME + b" ", FRAME.replace(b" - {", b" [a] {"), FRAME[:-1]):
        assert len(run(learned, [FRAME, FRAME, other, FRAME])) == 2


def test_ids_count_up(learned):
    """From that of the first."""
    events = [orjson.loads(event) for event in run(learned, [FRAME] * 300)]
    assert [int(event["event"]["id"], 16) for event in events] == [*range(7, 307)]


@pytest.mark.parametrize(
    "frame",
    [FRAME.replace(b"host", b"h\xff"), FRAME.replace("é".encode(), b"\xc3"), FRAME[:-1] + b"\xff}"],
)
def test_octets_that_are_not_utf8_are_for_the_general_way(learned, frame):
    """Wherever they stand: it says in a tag that they were replaced."""
    assert run(learned, [frame]) == []


def test_a_failure_costs_no_frame_before_it(learned):
    """It comes again where the frame is the first one, so that no other is tried once more."""

    def load(octets):
        if b"\\u0041" in octets:
            raise KeyError
        return orjson.loads(octets)

    message = MESSAGE.replace('"x"', '"commandline"')
    learned.translator._tree = kernel.Tree(load, cef.unescape)
    learned.learn([message])
    frame = FRAME.replace(b'"x"', b'"commandline"')
    failing = frame.replace("é".encode(), b"\\u0041")
    assert len(run(learned, [frame, frame, failing, frame])) == 2
    with pytest.raises(KeyError):
        run(learned, [failing, frame])


def test_long_structured_data_is_read_each_time():
    """Behind a longer header, it would reach beyond what is read of one."""
    short, long = (b'[a b="%b"] ' % (b"x" * size) for size in (10, MAX_TAIL))
    assert tail_of(b"<13>1 - - - - - " + short + b"{}") == short
    assert tail_of(b"<13>1 - - - - - " + long + b"{}") == b""


@pytest.mark.parametrize(
    "frame",
    [
        *(
            b"text",
            b"",
            b"<13>text",
            b"<13>1 - - - - - -",
            b"<13>1 - - - - - - ",
            b"<13>1 - - - - - [a]x",
        ),
        *(
            b"<13>1 - - - - - -x",
            b"<13>1 - - - - - \xef\xbb\xbfx",
            b"<13>1 - - - - -",
            b"<13>1 - - - - - x",
        ),
        b"<13>1 - - - - - - \xef\xbb\xbfx",
    ],
)
def test_some_headers_have_no_end_that_can_be_compared(frame):
    """Nothing ends them, or a byte order mark does."""
    assert tail_of(frame) == b""


def test_a_frame_that_was_cut_fits_no_header():
    """It has to be tagged."""
    assert Translator.fits(FRAME, b"- ")
    assert not Translator.fits(CutFrame(FRAME), b"- ")


# Bounds.


def shape(number):
    """Return a message of a shape of its own."""
    return f'{{"log_type":"process","n{number}":1,"pid":{number}}}'


def test_shapes_are_learned_now_and_then():
    """The first ones at once, then one of so many that could not be translated."""
    pair = Pair("harfanglab")
    pair.learn(shape(number) for number in range(FIRST_SHAPES + 10 * MISSES_PER_SHAPE))
    assert FIRST_SHAPES <= pair.translator.shapes <= FIRST_SHAPES + 11


def test_what_is_known_is_bounded():
    """When there is too much, it is learned again."""
    pair = Pair("harfanglab")
    most = 0
    for number in range(MAX_SHAPES + 40):
        pair.translator._credit = MISSES_PER_SHAPE
        pair.learn([shape(number)])
        most = max(most, pair.translator.shapes)
    assert most == MAX_SHAPES
    assert pair.translator.shapes == 40
    assert pair.translates(shape(MAX_SHAPES + 39))


def hostile(number):
    """Return a message that costs as much memory as one can: names, events' texts, results."""
    names = "".join(f'"a{number}_{at}\\u0001{chr(92) * 2}":"v{at}",' for at in range(300))
    return f'{{"log_type":"eventlog","event_data":{{{names}"z":"1"}},"long{"x" * 40_000}":1}}'


@pytest.mark.slow
def test_hostile_shapes_take_little_memory(in_full):
    """However large they are."""
    pair = Pair("harfanglab")
    pair.learn([hostile(0)])
    tracemalloc.start()
    for number in range(60 if in_full else 20):
        pair.translator._credit = MISSES_PER_SHAPE
        pair.translator.translate(hostile(number).encode(), ARRIVAL)
        tree = pair.translator._tree
        assert tree.nodes < MAX_NODES + 1000
        assert tree.octets < MAX_LITERALS + 8 * MAX_OCTETS
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * 1024 * 1024


def test_large_messages_have_no_shape_worked_out():
    """But one that has a shape is translated, however large it is."""
    pair = Pair("harfanglab")
    message = {"log_type": "process", "x": "y" * MAX_OCTETS}
    pair.learn([orjson.dumps(message).decode()])
    assert pair.translator.shapes == 0
    pair.learn([orjson.dumps(message | {"x": "y"}).decode()])
    for size in (MAX_OCTETS, 16 * 1024 * 1024):
        assert pair.translates(orjson.dumps(message | {"x": '"' * size}).decode())


def test_new_shapes_for_ever_add_little_to_their_cost():
    """Once the first ones are learned."""
    pair = Pair("harfanglab")
    texts = [shape(number) for number in range(FIRST_SHAPES + 8 * MISSES_PER_SHAPE)]
    first, then = texts[:FIRST_SHAPES], texts[FIRST_SHAPES:]
    pair.learn(first)
    ratios = []
    for _ in range(ATTEMPTS):
        began = time.thread_time()
        for text in then:
            pair.general(text)
        general = time.thread_time() - began
        began = time.thread_time()
        for text in then:
            pair.translator.translate(text.encode(), ARRIVAL)
        ratios.append((time.thread_time() - began) / general)
        if ratios[-1] < 1:
            return
    pytest.fail(f"misses take {ratios} times as long as messages do")
