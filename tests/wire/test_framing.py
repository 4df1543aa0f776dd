"""Lines of JSON, elements of an array, AWS event streams: framing without meaning."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.wire.eventstream import EventStreamDecoder, encode_message
from ccinspect.wire.ndjson import ArrayDecoder, LineDecoder
from tests.wire.chunks import by_chunks, cut, one_by_one

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), JSON, max_size=4)
EDGES = st.lists(st.integers(0, 600), max_size=20)


@given(st.lists(OBJECTS, max_size=6), EDGES, st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_lines_are_found_at_any_chunking(items: list[object], edges: list[int], end: str) -> None:
    data = "".join(json.dumps(item) + end for item in items).encode()
    assert [json.loads(line) for line in by_chunks(LineDecoder().feed, cut(data, edges))] == items


def test_a_last_line_without_its_end_can_be_had() -> None:
    decoder = LineDecoder()
    assert decoder.feed(b'{"a":1}\n{"b":') == ['{"a":1}']
    assert decoder.feed(b"2}") == []
    assert decoder.close() == '{"b":2}'


def test_a_line_over_the_limit_is_dropped() -> None:
    decoder = LineDecoder(max_item=50)
    data = b'{"a":"' + b"x" * 500 + b'"}\n{"b":2}\n'
    assert one_by_one(decoder.feed, data) == ['{"b":2}']
    assert decoder.dropped == 1


@given(st.lists(OBJECTS, max_size=6), EDGES, st.sampled_from([None, 2]))
def test_elements_of_an_array_are_found_at_any_chunking(
    items: list[object], edges: list[int], indent: int | None
) -> None:
    data = json.dumps(items, indent=indent).encode()
    assert [json.loads(text) for text in by_chunks(ArrayDecoder().feed, cut(data, edges))] == items


def test_brackets_and_quotes_inside_strings_are_text() -> None:
    items = [{"a": '}]"\\', "b": ["[{", {"c": "\\\\"}]}, {"d": "\u2028"}]
    data = json.dumps(items, ensure_ascii=False).encode()
    assert [json.loads(text) for text in one_by_one(ArrayDecoder().feed, data)] == items


def test_a_bare_object_is_found_too() -> None:
    assert ArrayDecoder().feed(b'{"error": {"code": 429}}') == ['{"error": {"code": 429}}']


def test_an_element_over_the_limit_is_dropped() -> None:
    decoder = ArrayDecoder(max_item=50)
    assert one_by_one(decoder.feed, b'[{"a":"' + b"x" * 500 + b'"},{"b":2}]') == ['{"b":2}']
    assert decoder.dropped == 1


NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20)
HEADERS = st.dictionaries(NAMES, st.text(max_size=30), max_size=4)
MESSAGES = st.lists(st.tuples(st.binary(max_size=60), HEADERS), max_size=5)


@given(MESSAGES, EDGES)
def test_aws_messages_are_read_as_botocore_reads_them(
    messages: list[tuple[bytes, dict[str, str]]], edges: list[int]
) -> None:
    data = b"".join(encode_message(payload, headers) for payload, headers in messages)
    judge = EventStreamBuffer()
    judge.add_data(data)
    expected = [(message.payload, message.headers) for message in judge]
    decoder = EventStreamDecoder()
    found = by_chunks(decoder.feed, cut(data, edges))
    assert [(message.payload, message.headers) for message in found] == expected == messages
    assert decoder.broken is None
    assert decoder.pending == 0


def raw_message(headers: bytes, payload: bytes = b"") -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def test_all_types_of_header_are_read() -> None:
    block = (
        b"\x01a\x00"
        + b"\x01b\x01"
        + b"\x01c\x02\xff"
        + b"\x01d\x03\x00\x05"
        + b"\x01e\x04\x00\x00\x00\x05"
        + b"\x01f\x05"
        + bytes(7)
        + b"\x05"
        + b"\x01g\x06\x00\x02hi"
        + b"\x01h\x07\x00\x02hi"
        + b"\x01i\x08"
        + bytes(7)
        + b"\x01"
        + b"\x01j\x09"
        + bytes(16)
    )
    [message] = EventStreamDecoder().feed(raw_message(block, b"x"))
    assert message.headers == {
        "a": True,
        "b": False,
        "c": -1,
        "d": 5,
        "e": 5,
        "f": 5,
        "g": b"hi",
        "h": "hi",
        "i": 1,
        "j": bytes(16),
    }


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00" * 12, "checksum"),
        (raw_message(b"\x01a\x63"), "headers"),
        (raw_message(b"\xffabc"), "headers"),
        (raw_message(b"\x01a\x07\xff\xff"), "headers"),
        (raw_message(b"", b"payload")[:-1] + b"\x00", "checksum"),
        (struct.pack(">II", 2**31, 0) + struct.pack(">I", zlib.crc32(struct.pack(">II", 2**31, 0))), "length"),
        (struct.pack(">II", 16, 99) + struct.pack(">I", zlib.crc32(struct.pack(">II", 16, 99))), "length"),
    ],
)
def test_broken_framing_is_said_and_what_came_before_is_kept(data: bytes, why: str) -> None:
    decoder = EventStreamDecoder()
    good = encode_message(b"{}", {":event-type": "e"})
    found = by_chunks(decoder.feed, [good + data[:5], data[5:]])
    assert [message.payload for message in found] == [b"{}"]
    assert why in (decoder.broken or "")
    assert decoder.feed(good) == []
    assert decoder.pending == 0
