"""Bodies as a person sees them."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.cli.flows.body_text import MAX_PRETTY, body_lines


def shown(content: bytes, content_type: str = "") -> list[str]:
    return list(body_lines(content, content_type))


def test_json_is_indented() -> None:
    assert shown(b'{"model":"m","n":[1,2]}', "application/json; charset=utf-8") == [
        "{", '  "model": "m",', '  "n": [', "    1,", "    2", "  ]", "}",
    ]  # fmt: skip


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/vnd.api+json"])
def test_json_is_known_by_its_looks(content_type: str) -> None:
    assert shown(b'{"a":1}', content_type) == ["{", '  "a": 1', "}"]


def test_truncated_json_is_shown_as_it_is() -> None:
    assert shown(b'{"a": [1, 2', "application/json") == ['{"a": [1, 2']


def test_events_keep_their_lines() -> None:
    stream = b'event: ping\r\ndata: {"type": "ping"}\r\n\r\nevent: stop\ndata: {}\n\n'
    lines = ["event: ping", 'data: {"type": "ping"}', "", "event: stop", "data: {}"]
    assert shown(stream, "text/event-stream; charset=utf-8") == lines


def test_form_fields() -> None:
    content = b"grant_type=refresh&a=%1b%5B2J&empty=&b=caf%e9"
    lines = ["grant_type = refresh", "a = \\e[2J", "empty = ", "b = caf\\xe9"]
    assert shown(content, "application/x-www-form-urlencoded") == lines


def test_binary_is_dumped() -> None:
    lines = shown(bytes(range(256)) * 2, "application/octet-stream")
    assert lines[0] == "00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|"
    assert lines[4] == "00000040  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  |@ABCDEFGHIJKLMNO|"
    assert lines[-1] == "... 256 more bytes"
    assert len(lines) == 17


def test_the_charset_counts() -> None:
    assert shown("é".encode("latin-1"), "text/plain; charset=iso-8859-1") == ["é"]
    assert shown("é".encode(), "text/plain; charset=no-such-thing") == ["é"]


def test_text_cut_inside_a_character_is_still_text() -> None:
    assert shown(("x" * 100 + "é").encode()[:-1], "text/plain") == ["x" * 100 + "\\xc3"]


def test_json_made_to_grow_when_indented_is_left_alone() -> None:
    depth, siblings = 900, 200_000
    bomb = b"[" * depth + b"1," * siblings + b"1" + b"]" * depth
    assert shown(bomb, "application/json") == [bomb.decode()]


@pytest.mark.parametrize(
    "content", [b"[" * 1_000_000, b"9" * 100_000, b'{"a":' * 200_000, b'"' + b"a" * 5_000_000 + b'"']
)
def test_hostile_json_ends_soon(content: bytes) -> None:
    before = time.perf_counter()
    assert sum(map(len, shown(content, "application/json"))) >= min(len(content), MAX_PRETTY)
    assert time.perf_counter() - before < 5


@given(st.binary(), st.sampled_from(["", "application/json", "text/event-stream", "application/x-www-form-urlencoded"]))
def test_no_body_can_control_the_terminal(content: bytes, content_type: str) -> None:
    for line in body_lines(content, content_type):
        assert not any(ord(character) < 32 and character != "\t" for character in line)
        assert not any(0x7F <= ord(character) < 0xA0 for character in line)
        line.encode()


def test_lines_come_before_the_whole_is_indented() -> None:
    content = b"[" + b"1," * 1_000_000 + b"1]"
    assert list(itertools.islice(body_lines(content, "application/json"), 2)) == ["[", "  1,"]
