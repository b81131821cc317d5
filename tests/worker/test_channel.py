"""The channel between two processes: whole messages, in order, until an end is closed."""

from __future__ import annotations

import multiprocessing
import os
import select
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.worker.channel import Channel
from tests.sites import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")

SIZES = (0, 1, 3, 4, 5, 255, 65_535, 65_536, 256 * 1024 - 4, 256 * 1024, 256 * 1024 + 1, 5_000_000)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def message(size: int) -> bytes:
    """Return bytes that differ at each place, so that none can be moved unseen."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


def in_thread(function: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def read(channel: Channel, count: int) -> list[bytes]:
    """Return the next ``count`` messages of a channel that blocks."""
    messages: list[bytes] = []
    while len(messages) < count:
        assert channel.can_read(PATIENCE), f"only {len(messages)} of {count} messages came"
        messages += channel.read()
    return messages


def raw(channel: Channel) -> bytes:
    """Return what stands on the wire behind this end."""
    return os.read(channel.fileno(), 1_000_000)


def test_messages_of_every_size_come_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    messages = [message(size) for size in SIZES]
    thread = in_thread(lambda: ours.send(*messages))
    assert read(theirs, len(SIZES)) == messages
    thread.join()


@given(sizes=st.lists(st.integers(0, 40), max_size=8), data=st.data())
def test_bytes_may_come_in_any_pieces(sizes: list[int], data: st.DataObject) -> None:
    ours, theirs = Channel.pair()
    wire_in, wire_out = Channel.pair()
    messages = [message(size) for size in sizes]
    try:
        ours.send(*messages)
        stream = raw(theirs) if sizes else b""
        came: list[bytes] = []
        while stream:
            size = data.draw(st.integers(1, len(stream)))
            os.write(wire_in.fileno(), stream[:size])
            stream = stream[size:]
            came += wire_out.read()
        assert came == messages
    finally:
        for end in (ours, theirs, wire_in, wire_out):
            end.close()


def test_a_closed_end_is_the_end_behind_what_was_sent(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.send(b"last")
    ours.close()
    assert theirs.read() == [b"last"]
    with pytest.raises(EOFError):
        theirs.read()


def test_half_a_message_is_none(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.send(b"whole")
    os.write(ours.fileno(), (100).to_bytes(4, "little") + b"half")
    ours.close()
    assert theirs.read() == [b"whole"]
    with pytest.raises(EOFError):
        theirs.read()


def test_writing_to_a_closed_end_neither_raises_nor_piles_up(
    ends: tuple[Channel, Channel],
) -> None:
    ours, theirs = ends
    ours.set_blocking(False)
    ours.write(message(3_000_000))
    assert ours.unsent
    theirs.close()
    assert ours.flush()
    for _ in range(10):
        ours.write(message(1_000_000))
    assert ours.unsent == 0
    with pytest.raises(EOFError):
        ours.read()


def test_sending_to_a_closed_end_is_an_error(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(OSError):  # noqa: PT011 (a broken pipe, or a reset connection)
        ours.send(b"x")


def test_one_message_is_received_without_those_behind_it(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.send(b"first", b"", b"third")
    assert theirs.receive() == b"first"
    assert theirs.receive() == b""
    assert theirs.read() == [b"third"]
    ours.close()
    with pytest.raises(EOFError):
        theirs.receive()


def test_nothing_to_read_does_not_block(ends: tuple[Channel, Channel]) -> None:
    ours, _ = ends
    ours.set_blocking(False)
    assert ours.read() == []
    assert not ours.can_read()


def test_what_is_not_read_waits_in_order(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.set_blocking(False)
    messages = [message(700_000), b"", b"short", message(900_000), b"end"]
    for each in messages:
        ours.write(each)
    assert ours.unsent > 0
    came: list[bytes] = []
    while len(came) < len(messages):
        came += theirs.read() if theirs.can_read() else []
        ours.flush()
    assert came == messages
    assert ours.unsent == 0


def pump(channel: Channel, messages: list[bytes], count: int) -> list[bytes]:
    """Write ``messages`` and read ``count`` of the other end's, as an event loop does."""
    channel.set_blocking(False)
    came: list[bytes] = []
    for each in messages:
        channel.write(each)
    poll = select.poll()
    poll.register(channel.fileno())
    while channel.unsent or len(came) < count:
        poll.modify(channel.fileno(), select.POLLIN | (select.POLLOUT if channel.unsent else 0))
        assert poll.poll(PATIENCE * 1000), "neither end goes on"
        channel.flush()
        came += channel.read()
    return came


def test_two_loops_that_write_much_at_once_do_not_wait_for_each_other(
    ends: tuple[Channel, Channel],
) -> None:
    ours, theirs = ends
    here, there = [message(3_000_000)] * 3, [message(2_000_000)] * 4
    came: list[bytes] = []
    thread = in_thread(lambda: came.extend(pump(theirs, there, len(here))))
    assert pump(ours, here, len(there)) == there
    thread.join()
    assert came == here


def test_a_loop_and_a_blocking_end_that_write_much_at_once_do_not_wait_for_each_other(
    ends: tuple[Channel, Channel],
) -> None:
    """As the fetching process and a worker do."""
    ours, theirs = ends
    here, there = [message(3_000_000)] * 3, [message(2_000_000)] * 4
    came: list[bytes] = []

    def worker() -> None:
        for each in there:
            theirs.send(each)
        came.extend(read(theirs, len(here)))

    thread = in_thread(worker)
    assert pump(ours, here, len(there)) == there
    thread.join()
    assert came == here


def test_an_end_goes_to_another_process(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    process = multiprocessing.get_context("spawn").Process(
        target=Channel.send, args=(theirs, b"hello", message(100_000))
    )
    process.start()
    theirs.close()
    assert read(ours, 2) == [b"hello", message(100_000)]
    with pytest.raises(EOFError):  # the process has ended, and no copy of its end is left
        ours.read()
    process.join(PATIENCE)
    process.close()
