"""What comes out of a pipeline does not depend on whether messages are translated in runs."""

from collections import Counter
from dataclasses import asdict, replace
from random import Random

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from collector.backpressure import Gate
from collector.events.envelope import finisher
from collector.events.translation import Translator
from collector.identity import IdSource
from collector.ledger import Ledger
from collector.metrics import IntakeStats, ListenerStats, Stats
from collector.parsers import PARSERS, cef
from collector.parsers.shapes import compiled
from collector.pipeline import Intake, Origin, Outlet, Pipeline, Rules
from collector.routing import KeySlot, Router
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName
from collector.tail import Tail, Wanted
from collector.tail import Watch as Watching
from tests.peers import require_kernel
from tests.pipelines import NOW, Spool, Watch
from tests.shapes import Fields, Members, parser, samples, vary_cef, vary_json, vary_text

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel

SEEDS = st.integers(0, 2**32 - 1)
VENDORS = ("harfanglab", "cybereason")


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


@pytest.fixture(autouse=True)
def _no_logs():
    """Most of what is fed is broken."""
    with structlog.testing.capture_logs():
        yield


class Batcher:
    """Takes documents, and accounts for them as one that never closes."""

    def __init__(self, sink, ledger):
        self.sink = sink
        self.gate = Gate()
        self.ledger = ledger
        self.taken = []

    def add(self, document, arrival, intake):
        self.ledger.in_memory += 1
        self.taken.append((arrival.identifier, intake, document))

    def extend(self, documents, identifiers, intake, _):
        self.ledger.in_memory += len(documents)
        assert len(identifiers) == 16 * len(documents)
        for at, document in enumerate(documents):
            self.taken.append((identifiers[16 * at : 16 * at + 16].hex(), intake, document))


class Room:
    """A pipeline with an intake for each vendor; the second one goes to two sinks.

    Args:
        translating: whether it has translators.
        rules: of the pipeline.
    """

    def __init__(self, *, translating, **rules):
        self.now = NOW
        self.stats = Stats(Ledger())
        self.spool = Spool(self.stats.ledger)
        self.sinks = [Batcher(name, self.stats.ledger) for name in ("one", "two")]
        self.intakes = {
            vendor: self._intake(vendor, count, translating=translating)
            for count, vendor in enumerate(VENDORS, 1)
        }
        self.slots = {f"key-{vendor}": KeySlot(intake) for vendor, intake in self.intakes.items()}
        router = Router(self.intakes.values(), keys=self.slots, bound={}, sources=[])
        self.listener = ListenerStats("l")
        self.tail = Tail()
        self.pipeline = Pipeline(
            Rules(router, KeyName(), **rules),
            IdSource(5),
            self.stats,
            self.spool,
            self.tail,
            clock=lambda: self.now,
        )
        self.origin = Origin(self.listener, "192.0.2.1", self.intakes["harfanglab"])

    def _intake(self, vendor, count, *, translating):
        parse, finish = parser(vendor, "ecs"), finisher()
        translator = Translator(PARSERS[vendor], "ecs", parse, finish)
        return Intake(
            vendor,
            parse,
            tuple(Outlet(vendor, sink) for sink in self.sinks[:count]),
            IntakeStats(vendor),
            Watch(pause=3),
            finish,
            None,
            translator=translator if translating else None,
        )

    def feed(self, *frames):
        """Feed a read; time goes on."""
        rejected = []
        self.now += 2
        self.pipeline.feed(list(frames), self.origin, rejected)
        assert self.stats.ledger.imbalance() == 0
        return rejected

    def state(self):
        """Return all that can be seen of it."""
        intakes = self.intakes.values()
        return {
            "documents": [sink.taken for sink in self.sinks],
            "letters": [asdict(letter) for letter in self.spool.letters],
            "ledger": vars_of(self.stats.ledger),
            "stats": [vars_of(intake.stats) for intake in intakes],
            "listener": vars_of(self.listener),
            "used": [slot.last_used for slot in self.slots.values()],
            "watched": [intake.watch.seen for intake in intakes],
            "dead": self.stats.dead_lettered,
        }


def vars_of(counters):
    """Return the counters of an object by name."""
    names = getattr(counters, "__slots__", None) or vars(counters)
    plain = (int, float, str, Counter, dict)
    found = {name: getattr(counters, name) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, plain)}


def data_of(random, vendor):
    """Return structured data, mostly with the key of a vendor, and what stands behind it."""
    key = f'[SEKOIA@53288 intake_key="key-{vendor}"]'.encode()
    usual = [key + b" ", b'[a b="c"]' + key + b" "]
    odd = [
        *(b"- ", b"-", b"", b"-- ", key, key + b"  ", key + b" \xef\xbb\xbf", key + b"\t"),
        key + b" [a] ",
        *(b'[SEKOIA@53288 intake_key="unknown"] ', b'[SEKOIA@53288 intake_key=""] '),
        b"[SEKOIA@53288] ",
        *(b'[SEKOIA@53288 intake_key="key-%b" intake_key="x"] ' % vendor.encode(), b"[a b=c] "),
        b'[a b="\xff"] ',
        *(b"- " + key + b" ", key + b" <13>1 - - - - - " + key + b" ", key[:-1] + b' x="\\"\\]"] '),
        *(key + b" 7 ", key + b" <13>"),
    ]  # fmt: skip
    return random.choice(usual if random.random() < 0.7 else odd)


def header_of(random):
    """Return a header up to its structured data, mostly a right one."""
    if random.random() < 0.7:
        return b"<13>1 2026-01-02T03:04:05Z host app %d id " % random.randrange(3)
    return random.choice(
        [
            *(b"<13>1 - - - - - ", b"<191>1 - h a p m ", b"<192>1 - h a p m "),
            b"<013>1 - h a p m ",
            *(b"<13>2 - h a p m ", b"<13>1 - h a p ", b"<13>1  - h a p m ", b"<13>", b""),
            b"13 <13>1 - h a p m ",
            *(b"<13>1 - h\xff a p m ", "<13>1 - hé a p m ".encode(), b"<13>1 - h\x7f a p m "),
            b"<13>1 - h\x01 a p m ",
            *(b"<13>1 - %b a p m " % (b"x" * 1024), b"<13>1 - %b a p m " % (b"x" * 1025)),
            b"<13>1 - h  a p m ",
            *(b"<13>1 2026-01-02T03:04:05 h a p m ",),
            b"<13>1 2026-13-99T99:99:99.999999999+99:99 h a p m ",
            *(b"<13>1 2026-01-02T03:04:05.1234567890Z h a p m ",),
            b"<13>1 2026-01-02t03:04:05z h a p m ",
            *(b"<13>Jan  2 03:04:05 host tag: ", b"<13>1 2026-01-02T03:04:05.Z h a p m "),
            b"<1>1 - [a] a p m ",
        ]
    )  # fmt: skip


def text_of(random, vendor):
    """Return a message, mostly one of few shapes."""
    sample = samples(vendor)[random.randrange(2)]
    if random.random() < 0.5:
        text = sample
    elif vendor == "cybereason":
        text = vary_cef(Fields.of(sample), random, values_only=random.random() < 0.8).write()
    else:
        message = Members.of(orjson.loads(sample))
        text = vary_json(message, random, values_only=random.random() < 0.8).write()
    return vary_text(text, random) if random.random() < 0.1 else text


def frame_of(random):
    """Return any frame."""
    vendor = random.choice(VENDORS)
    text = text_of(random, vendor).encode("utf-8", "surrogatepass")
    if random.random() < 0.05:
        text = text[: len(text) // 2] + b"\xff" + text[len(text) // 2 :]
    frame = header_of(random) + data_of(random, vendor) + text
    return CutFrame(frame) if random.random() < 0.05 else frame


@pytest.mark.parametrize("rules", [{}, {"keep_unknown": False}, {"identify_by_content": True}])
@given(SEEDS)
def test_what_comes_out_is_the_same(rules, seed):
    """The same documents and ids, dead letters, counters, accounts and looks at messages."""
    random = Random(seed)
    rooms = [Room(translating=translating, **rules) for translating in (True, False)]
    frames = [frame_of(random) for _ in range(12)]
    for _ in range(8):
        read = [random.choice(frames) for _ in range(random.randrange(9))]
        repeated = [frame for frame in read for _ in range(random.choice((1, 1, 2, 5)))]
        assert len({tuple(room.feed(*repeated)) for room in rooms}) == 1
    states = [room.state() for room in rooms]
    for what in states[0]:
        assert states[0][what] == states[1][what]


def frame(vendor, text):
    return f'<13>1 - - - - - [SEKOIA@53288 intake_key="key-{vendor}"] {text}'.encode()


def test_messages_of_a_known_shape_come_in_runs():
    """Which is what makes them quick."""
    room = Room(translating=True)
    runs = []
    room.sinks[0].extend = lambda documents, *_: runs.append(len(documents))
    known = frame("harfanglab", samples("harfanglab")[0])
    room.now += 100
    room.pipeline.feed([known] * 10, room.origin)
    room.pipeline.feed([known] * 10, room.origin)
    assert sum(runs) >= 17


@pytest.mark.parametrize("translating", [True, False])
async def test_who_watches_is_shown_messages_of_a_run(translating):
    """Each beside its own event, as if it had come alone."""
    room = Room(translating=translating)
    known = [frame("harfanglab", text) for text in samples("harfanglab")[:2]] * 4
    room.feed(*known)
    watching = Watching(Wanted(intake="harfanglab"))
    room.tail.watches = (watching,)
    before = len(room.sinks[0].taken)
    room.feed(*known)
    held, skipped = await watching.take()
    assert [dealt.frame for dealt in held] == known
    assert [dealt.event for dealt in held] == [
        document for *_, document in room.sinks[0].taken[before:]
    ]
    assert {dealt.outcome for dealt in held} == {"ok"}
    assert skipped == 0


class Broken:
    """A translator that fails.

    Args:
        translator: does what this one does not.
        messages: at which of them it fails; None for all.
    """

    def __init__(self, translator, messages=None):
        self._translator = translator
        self._messages = messages
        self.takes_runs = translator.takes_runs
        self.tail_of = translator.tail_of
        self.fits = translator.fits

    def translate(self, message, arrival):
        if self._messages is None or message in self._messages:
            raise KeyError("a mistake")
        return self._translator.translate(message, arrival)

    def translate_run(self, *_):
        raise KeyError("a mistake")


@pytest.mark.parametrize("some", [True, False])
def test_a_translator_that_fails_costs_no_message(some):
    """All come as if there were none, and the mistake is reported."""
    texts = [text for text in samples("harfanglab") for _ in range(3)]
    frames = [frame("harfanglab", text) for text in texts]
    rooms = [Room(translating=translating) for translating in (True, False)]
    intake = rooms[0].intakes["harfanglab"]
    broken = Broken(intake.translator, {texts[4].encode()} if some else None)
    _replace(rooms[0], "harfanglab", translator=broken)
    for room in rooms:
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                room.feed(*frames)
        errors = {entry["event"] for entry in logs if entry["log_level"] == "error"}
        assert errors == ({"translator failed, please report it"} if room is rooms[0] else set())
    assert rooms[0].state() == rooms[1].state()


def test_a_kernel_that_fails_costs_no_message():
    """Nor a conversion within it: the message is read the general way, those around it are not."""

    def load(octets):
        if b"\\u0041" in octets:
            raise ZeroDivisionError
        return orjson.loads(octets)

    room, plain = (Room(translating=translating) for translating in (True, False))
    tree = room.intakes["harfanglab"].translator._tree = kernel.Tree(load, cef.unescape)
    known, failing = (
        frame("harfanglab", f'{{"log_type":"process","commandline":"{text}"}}')
        for text in ("x", "\\u0041")
    )
    with structlog.testing.capture_logs() as logs:
        for each in (room, plain):
            each.feed(*[known] * 5)
            each.feed(*[known, failing, failing, known, known] * 5)
    assert {entry["event"] for entry in logs} == {"translator failed, please report it"}
    assert room.state() == plain.state()
    assert room.intakes["harfanglab"].translator._tree is tree


def _replace(room, vendor, **changes):
    """Change an intake of a room, for those that come with its key too."""
    intake = replace(room.intakes[vendor], **changes)
    room.intakes[vendor] = intake
    room.slots[f"key-{vendor}"].intake = intake
    room.origin = Origin(room.listener, "192.0.2.1", intake)
