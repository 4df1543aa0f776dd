from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from ccinspect.store.decode import MAX_DECODED, decode_body

PLAIN = random.Random(1).randbytes(150_000) + b"hello world, " * 20_000


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "two gzip members": ("gzip", lambda data: gzip.compress(data[:99_999]) + gzip.compress(data[99_999:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without a head": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "two zstd frames": ("zstd", lambda data: zstandard.compress(data[:500]) + zstandard.compress(data[500:])),
    "two encodings": ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    "identity": ("identity", lambda data: data),
    "none": ("", lambda data: data),
}


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 30])
@pytest.mark.parametrize("kind", ENCODERS)
def test_bodies_are_decoded_however_they_come(kind: str, step: int) -> None:
    name, encode = ENCODERS[kind]
    body = encode(PLAIN)
    decoded = decode_body((body[start : start + step] for start in range(0, len(body), step)), name)
    assert decoded.data == PLAIN
    assert (decoded.problem, decoded.truncated) == ("", False)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "br", "zstd", "two gzip members", "two encodings"])
def test_a_truncated_stream_yields_what_there_is(kind: str) -> None:
    name, encode = ENCODERS[kind]
    body = encode(PLAIN)
    decoded = decode_body(body[: len(body) * 95 // 100], name)
    assert PLAIN.startswith(decoded.data)
    assert len(decoded.data) >= 100_000
    assert "ends early" in decoded.problem


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_what_is_no_such_stream_is_told(name: str) -> None:
    decoded = decode_body(b"this is plain text and nothing else", name)
    assert decoded.data == b""
    assert f"no valid {name}" in decoded.problem


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_no_problem(name: str) -> None:
    decoded = decode_body(b"", name)
    assert (decoded.data, decoded.problem) == (b"", "")


def test_damage_in_the_middle_keeps_the_beginning() -> None:
    body = bytearray(gzip.compress(PLAIN))
    body[len(body) // 2] ^= 0xFF
    decoded = decode_body(bytes(body), "gzip")
    assert decoded.problem


def test_bytes_behind_the_end_are_told() -> None:
    decoded = decode_body(gzip.compress(PLAIN) + b"junk", "gzip")
    assert decoded.data == PLAIN
    assert "behind the end" in decoded.problem


def test_an_unknown_encoding_leaves_the_body_as_it_is() -> None:
    decoded = decode_body(gzip.compress(b"x"), "gzip, aws-chunked")
    assert decoded.data == gzip.compress(b"x")
    assert "'aws-chunked' is not known" in decoded.problem
    assert decoded.encodings == []
    inner = decode_body(gzip.compress(b"x"), "aws-chunked, gzip")
    assert (inner.data, inner.encodings) == (b"x", ["gzip"])


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_a_bomb_is_cut_at_the_limit(name: str) -> None:
    zeros = bytes(100 << 20)
    bombs = {
        "gzip": lambda: gzip.compress(zeros, 1),
        "br": lambda: brotli.compress(zeros, quality=1),
        "zstd": lambda: zstandard.compress(zeros),
    }
    bomb = bombs[name]()
    tracemalloc.start()
    decoded = decode_body(bomb, name, limit=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(decoded.data), decoded.truncated) == (1 << 20, True)
    assert peak < 24 << 20
    assert MAX_DECODED <= 64 << 20


def test_layers_without_end_are_not_undone() -> None:
    body = b"x"
    for _ in range(8):
        body = gzip.compress(body)
    decoded = decode_body(body, ", ".join(["gzip"] * 8))
    assert "too many" in decoded.problem
    assert len(decoded.encodings) < 8
