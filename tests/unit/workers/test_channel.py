"""What the supervisor and a worker tell each other."""

import asyncio
import errno
import os
import resource
import socket
import struct
from contextlib import contextmanager

import pytest

from collector.workers import channel
from collector.workers.channel import MAX_QUEUED, Channel
from tests.unit.listeners.conftest import until


class End:
    """One end, and what it has received."""

    def __init__(self, connected):
        self.received = []
        self.descriptors = []
        self.has_ended = False
        self.was_relieved = False
        self.channel = Channel(connected, self._receive, self._end, self._relieve)

    def _receive(self, message, descriptor):
        self.received.append(message)
        if descriptor >= 0:
            self.descriptors.append(descriptor)

    def _end(self):
        self.has_ended = True

    def _relieve(self):
        self.was_relieved = True


@pytest.fixture
async def ends():
    """Return both ends of a channel."""
    made = [End(one) for one in socket.socketpair()]
    yield made
    for end in made:
        end.channel.close()
        for descriptor in end.descriptors:
            os.close(descriptor)


def new_file(content):
    descriptor = os.memfd_create("test")
    os.write(descriptor, content)
    return descriptor


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@contextmanager
def no_descriptors_free():
    """Let this process have no descriptor more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_messages_arrive_in_order_in_both_directions(ends):
    """Whatever JSON can hold."""
    one, other = ends
    for number in range(100):
        one.channel.send({"kind": "a", "number": number, "text": "é\n"})
    other.channel.send({"kind": "b", "list": [None, 1.5, {}]})
    await until(lambda: len(other.received) == 100 and one.received)
    assert [message["number"] for message in other.received] == [*range(100)]
    assert one.received == [{"kind": "b", "list": [None, 1.5, {}]}]


async def test_a_descriptor_arrives_with_its_message(ends):
    """It is another one for the same file, which is not inherited; the sender's is closed."""
    one, other = ends
    files = [new_file(b"%d" % number) for number in range(20)]
    for number, file in enumerate(files):
        one.channel.send({"number": number})
        one.channel.send({"number": number, "with": "file"}, file)
    await until(lambda: len(other.descriptors) == 20)
    assert [os.pread(descriptor, 9, 0) for descriptor in other.descriptors] == [
        b"%d" % number for number in range(20)
    ]
    assert not any(map(os.get_inheritable, other.descriptors))


async def test_a_descriptor_for_which_there_is_no_room_is_lost_and_no_more(ends):
    """Its message arrives without it, and those after it with theirs."""
    one, other = ends
    loop = asyncio.get_running_loop()
    loop.remove_reader(other.channel._socket)
    for number in range(2):
        one.channel.send({"number": number}, new_file(b"%d" % number))
        if number == 0:
            with no_descriptors_free():
                other.channel._read()
            assert other.received == [{"number": 0}]
            assert other.descriptors == []
    loop.add_reader(other.channel._socket, other.channel._read)
    await until(lambda: other.descriptors)
    assert [os.pread(descriptor, 9, 0) for descriptor in other.descriptors] == [b"1"]
    assert not other.has_ended


async def test_a_mistake_of_the_receiver_costs_one_message(ends):
    """It is not taken for one of the other side, and no message is taken twice."""
    one, other = ends
    asyncio.get_running_loop().remove_reader(other.channel._socket)
    receive = other.channel._receive

    def mistaken(message, descriptor):
        receive(message, descriptor)
        if message["number"] == 0:
            raise ValueError

    other.channel._receive = mistaken
    for number in range(3):
        one.channel.send({"number": number})
    with pytest.raises(ValueError, match=r"^$"):
        other.channel._read()
    other.channel._take_messages()
    assert [message["number"] for message in other.received] == [0, 1, 2]
    assert other.channel.is_open


async def test_large_messages_arrive_whole(ends):
    """Larger than what the kernel takes at once; a descriptor comes along with one of them."""
    one, other = ends
    text = "x" * 3_000_000
    one.channel.send({"text": text})
    one.channel.send({"text": text}, new_file(b"f"))
    one.channel.send({"text": "last"})
    await until(lambda: len(other.received) == 3)
    assert [len(message["text"]) for message in other.received] == [3_000_000, 3_000_000, 4]
    assert os.pread(other.descriptors[0], 9, 0) == b"f"


async def test_who_does_not_read_holds_nobody_up(ends):
    """The sender sees it and is told when it is over."""
    one, other = ends
    loop = asyncio.get_running_loop()
    loop.remove_reader(other.channel._socket)
    while not one.channel.is_congested:
        one.channel.send({"text": "x" * 1000})
    sent = len(one.channel._outgoing)
    assert sent == MAX_QUEUED + 1
    assert not one.was_relieved
    loop.add_reader(other.channel._socket, other.channel._read)
    await until(lambda: one.was_relieved)
    assert not one.channel.is_congested


async def test_the_end_of_one_side_is_told_to_the_other_once(ends):
    """What was sent before arrives; what is sent later goes nowhere, its descriptor is closed."""
    one, other = ends
    one.channel.send({"kind": "last"})
    one.channel.close()
    one.channel.close()
    await until(lambda: other.has_ended)
    assert other.received == [{"kind": "last"}]
    assert not one.has_ended
    assert other.channel.is_congested
    file = new_file(b"")
    other.channel.send({}, file)
    assert not is_open(file)


async def test_what_was_said_last_is_taken_when_one_side_is_gone(ends):
    """Though nobody has had time to look."""
    one, other = ends
    other.channel.send({"kind": "last"})
    other.channel.close()
    one.channel.finish()
    one.channel.finish()
    assert one.received == [{"kind": "last"}]
    assert one.channel.is_congested


async def test_where_too_many_descriptors_are_on_the_way_sending_waits(ends, monkeypatch):
    """The channel stays, nothing is sent twice, and nobody turns in circles meanwhile."""

    class Refusing(socket.socket):
        attempts = 0

        def sendmsg(self, *arguments):
            self.attempts += 1
            if self.attempts < 3:
                raise OSError(errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))
            return super().sendmsg(*arguments)

    monkeypatch.setattr(channel, "AGAIN_SECONDS", 0.1)
    one, other = ends
    asyncio.get_running_loop().remove_reader(one.channel._socket)
    refusing = one.channel._socket = Refusing(fileno=one.channel._socket.detach())
    one.channel.send({"number": 1}, new_file(b"one"))
    one.channel.send({"number": 2}, new_file(b"two"))
    await until(lambda: len(other.received) == 2)
    assert [message["number"] for message in other.received] == [1, 2]
    assert [os.pread(item, 9, 0) for item in other.descriptors] == [b"one", b"two"]
    assert refusing.attempts == 4
    assert not one.has_ended


async def test_descriptors_that_were_not_sent_are_closed(ends):
    one, other = ends
    asyncio.get_running_loop().remove_reader(other.channel._socket)
    files = []
    while not one.channel.is_congested:
        files.append(new_file(b""))
        one.channel.send({"text": "x" * 5000}, files[-1])
    one.channel.close()
    assert not any(map(is_open, files))


@pytest.mark.parametrize(
    "octets",
    [
        struct.pack("=I?", channel.MAX_OCTETS + 1, False),
        struct.pack("=I?", 2, True) + b"{}",
        struct.pack("=I?", 3, False) + b"{x}",
    ],
)
async def test_what_is_against_the_rules_ends_it(octets):
    """Too long, without its descriptor, or no JSON."""
    mine, theirs = socket.socketpair()
    with mine:
        end = End(theirs)
        mine.sendall(octets)
        await until(lambda: end.has_ended)
        assert end.received == []
