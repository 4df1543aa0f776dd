"""Server-sent events, against the standard's own examples and against every way of cutting the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.wire.sse import SseDecoder, SseEvent, encode_event
from tests.wire.chunks import by_chunks, cut, one_by_one

CASES = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("", "YHOO\n+2\n10")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [("", "first event"), ("", "second event"), ("", " third event")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [("", ""), ("", "\n")]),
    (b"data:test\n\ndata: test\n\n", [("", "test"), ("", "test")]),
    (b"event: a\r\ndata: x\r\n\r\nevent: b\rdata: y\r\r", [("a", "x"), ("b", "y")]),
    (b"\xef\xbb\xbfdata: bom\n\n", [("", "bom")]),
    (b"data: \xef\xbb\xbfnot at the start\n\n", [("", "\ufeffnot at the start")]),
    ("data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(), [("", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg")]),
    (b"event: ping\n\n", [("ping", "")]),
    (b"event: one\nevent: two\ndata: x\n\n", [("two", "x")]),
    (b"retry: 100\nfoo: bar\ndata: x\n\n", [("", "x")]),
    (b"data: \xff\xfe bad\n\n", [("", "\ufffd\ufffd bad")]),
    (b"\n\n\ndata: x\n\n", [("", "x")]),
    (b"data: never ended", []),
]


@pytest.mark.parametrize(("data", "expected"), CASES)
def test_reads_as_the_standard_says(data: bytes, expected: list[tuple[str, str]]) -> None:
    assert SseDecoder().feed(data) == [SseEvent(*event) for event in expected]


@pytest.mark.parametrize(("data", "expected"), CASES)
def test_one_byte_at_a_time_is_the_same(data: bytes, expected: list[tuple[str, str]]) -> None:
    assert one_by_one(SseDecoder().feed, data) == expected


LINES = st.sampled_from(
    [b"data: x", b"data:", b"data", b"event: e", b":c", b"", b"id: 1", "data: \u2028é😀".encode(), b"\xff"]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=30), st.lists(st.integers(0, 400), max_size=20))
def test_any_chunking_gives_the_same(lines: list[tuple[bytes, bytes]], edges: list[int]) -> None:
    data = b"".join(line + end for line, end in lines)
    whole, parts = SseDecoder(), SseDecoder()
    assert by_chunks(parts.feed, cut(data, edges)) == whole.feed(data)
    assert parts.close() == whole.close()


@given(
    st.text(max_size=200), st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), min_size=1, max_size=20)
)
def test_what_is_written_is_read(text: str, name: str) -> None:
    written = encode_event(text.encode("utf-8", "replace").decode(), name)
    [event] = SseDecoder().feed(written)
    normal = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    assert event == (name, normal)


def test_the_event_that_the_end_cut_off_can_be_had() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: [DONE]") == []
    assert decoder.close() == ("", "[DONE]")
    assert decoder.close() is None


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_an_event_over_the_limit_is_dropped_and_the_next_one_read(step: int) -> None:
    decoder = SseDecoder(max_event=100)
    data = b"data: " + b"x" * 5000 + b"\ndata: tail\n\ndata: next\n\n"
    chunks = cut(data, range(0, len(data), step))
    assert by_chunks(decoder.feed, chunks) == [("", "next")]
    assert decoder.dropped == 1
    assert len(decoder._pieces) <= 1


def test_many_lines_of_one_event_count_together() -> None:
    decoder = SseDecoder(max_event=100)
    assert decoder.feed(b"data: 0123456789\n" * 50 + b"\ndata: next\n\n") == [("", "next")]
    assert decoder.dropped == 1
