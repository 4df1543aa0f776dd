from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from itertools import islice

import pytest

from ccinspect.store import journal
from ccinspect.store.journal import SEGMENT_BYTES, URGENT, WAKE, JournalReader, JournalWriter


class Line:
    """A writer and a reader, joined as the proxy and the recorder are, without their processes."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.writer, self.reader = JournalWriter(), JournalReader()
        self.writer.connect(self.ours)

    def packets(self) -> list[bytes]:
        """What the writer has sent; segments are handed to the reader."""
        found = []
        while True:
            try:
                packet, fds, _, _ = socket.recv_fds(self.theirs, 64, 1)
            except BlockingIOError:
                return found
            if packet[:1] == journal.SEGMENT:
                self.reader.accept(packet, list(fds))
            found.append(packet[:1])

    def read(self) -> list[bytes]:
        self.packets()
        return list(self.reader.frames())

    def replace_reader(self) -> None:
        """The reader dies; another takes its place."""
        self.reader.close()
        self.ours.close()
        self.theirs.close()
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.reader = JournalReader()
        self.writer.connect(self.ours)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_frames_come_out_as_they_went_in_over_many_segments(line: Line) -> None:
    sizes = [0, 1, 3, 4096, SEGMENT_BYTES // 2, SEGMENT_BYTES + 17, 5, 0, journal.READ_BYTES, 1]
    frames = [os.urandom(size) for size in sizes * 3]
    for frame in frames:
        line.writer.append(frame)
    assert line.read() == frames
    assert line.reader.position == line.writer.position


def test_frames_arrive_while_others_are_being_written(line: Line) -> None:
    written, read = [], []
    for number in range(3000):
        written.append(b"%d" % number * (number % 300))
        line.writer.append(written[-1])
        if number % 7 == 0:
            read += line.read()
    assert read + line.read() == written


def test_a_reader_that_stops_in_the_middle_goes_on_from_there(line: Line) -> None:
    frames = [b"%d" % number for number in range(100)]
    for frame in frames:
        line.writer.append(frame)
    line.packets()
    first = list(islice(line.reader.frames(), 40))
    assert [*first, *line.reader.frames()] == frames


def test_a_new_reader_gets_all_that_was_not_committed_and_nothing_else(line: Line) -> None:
    frames = [bytes([number]) * (SEGMENT_BYTES // 3) for number in range(12)]
    for frame in frames:
        line.writer.append(frame)
    line.packets()
    seen = line.reader.frames()
    taken = [next(seen) for _ in range(5)]
    line.writer.commit(line.reader.position)
    line.replace_reader()
    assert taken + line.read() == frames


def test_what_is_committed_is_let_go_of(line: Line) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        line.writer.append(bytes(SEGMENT_BYTES))
    line.read()
    assert line.writer.pending > 0
    line.writer.commit(line.reader.position)
    assert line.writer.pending == 0
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_the_reader_is_woken_once_until_it_answers(line: Line) -> None:
    for _ in range(1000):
        line.writer.append(b"x")
        line.writer.wake()
    assert line.packets().count(WAKE) == 1
    line.writer.commit(0)
    assert line.packets() == [WAKE], "there is more: the reader is woken again"
    list(line.reader.frames())
    line.writer.commit(line.reader.position)
    assert line.packets() == []


def test_a_reader_that_has_nothing_to_answer_is_not_woken(line: Line) -> None:
    line.writer.wake()
    assert line.packets() == []
    line.writer.append(b"x")
    line.writer.wake()
    assert line.packets()[-1] == WAKE


def test_an_urgent_sign_is_never_held_back(line: Line) -> None:
    line.writer.append(b"x")
    line.writer.wake()
    line.writer.wake(urgent=True)
    assert line.packets()[-1] == URGENT


def test_segments_that_did_not_fit_the_socket_follow_later(line: Line) -> None:
    while True:
        try:
            line.ours.send(b"filler")
        except BlockingIOError:
            break
    frames = [bytes([number]) * SEGMENT_BYTES for number in range(3)]
    for frame in frames:
        line.writer.append(frame)
        line.writer.wake()
    line.packets()
    line.writer.wake()
    assert line.read() == frames


def test_a_frame_for_which_there_is_no_memory_is_refused_whole(line: Line) -> None:
    line.writer.append(b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"no memory|large"):
            line.writer.append(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    line.writer.append(b"after")
    assert line.read() == [b"before", b"after"]
