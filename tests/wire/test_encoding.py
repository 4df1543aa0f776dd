"""Content encodings: whole and in pieces, cut, broken, and bombs."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.wire.encoding import StreamDecompressor, decode_body
from tests.wire.chunks import cut


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.binary(max_size=3000), edges=st.lists(st.integers(0, 3000), max_size=10))
def test_any_chunking_gives_the_data_back(name: str, data: bytes, edges: list[int]) -> None:
    decompressor = StreamDecompressor(name)
    out = b"".join(decompressor.feed(chunk) for chunk in cut(ENCODERS[name](data), edges))
    decompressor.close()
    assert (out, decompressor.problem) == (data, None)


@pytest.mark.parametrize("name", ENCODERS)
def test_one_byte_at_a_time(name: str) -> None:
    data = b"event: ping\n\n" * 500
    packed = ENCODERS[name](data)
    decompressor = StreamDecompressor(name)
    out = b"".join(decompressor.feed(packed[index : index + 1]) for index in range(len(packed)))
    decompressor.close()
    assert (out, decompressor.problem) == (data, None)


def test_deflate_without_its_wrapper_is_read_too() -> None:
    assert decode_body(raw_deflate(b"hello" * 99), "deflate").data == b"hello" * 99


@pytest.mark.parametrize(("name", "join"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)])
def test_members_one_after_another_are_one_body(name: str, join: object) -> None:
    packed = ENCODERS[name](b"one ") + ENCODERS[name](b"two")
    assert decode_body(packed, name).data == b"one two"


def test_several_encodings_are_undone_from_the_last() -> None:
    packed = zstandard.ZstdCompressor().compress(gzip.compress(b"both"))
    assert decode_body(packed, "gzip, ZSTD").data == b"both"


@pytest.mark.parametrize("name", ["", "identity", " Identity "])
def test_identity_is_the_body_itself(name: str) -> None:
    assert decode_body(b"as it is", name).data == b"as it is"


@pytest.mark.parametrize("name", ENCODERS)
def test_a_cut_body_gives_what_came_and_says_so(name: str) -> None:
    data = bytes(range(256)) * 400
    decoded = decode_body(ENCODERS[name](data)[:-20], name)
    assert decoded.problem == "cut before its end"
    assert data.startswith(decoded.data)


@pytest.mark.parametrize("name", ENCODERS)
def test_broken_data_is_said_and_does_not_raise(name: str) -> None:
    import random

    noise = random.Random(1).randbytes(60_000)
    packed = bytearray(ENCODERS[name](noise))
    packed[50_000:50_020] = b"\xff" * 20
    decoded = decode_body(bytes(packed), name)
    assert decoded.problem is not None or decoded.data != noise


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@given(data=st.binary(max_size=300))
def test_noise_never_raises(name: str, data: bytes) -> None:
    decoded = decode_body(data, name, limit=100_000)
    assert decoded.problem is not None or len(decoded.data) <= 100_000


def test_unknown_encodings_and_towers_of_them_are_refused() -> None:
    assert "unknown" in (decode_body(b"x", "compress").problem or "")
    assert "more than" in (decode_body(b"x", ",".join(["gzip"] * 9)).problem or "")


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_stops_at_the_limit(name: str) -> None:
    bomb = bytes(300_000_000)
    packed = brotli.compress(bomb, quality=1) if name == "br" else ENCODERS[name](bomb)
    limit = 2_000_000
    tracemalloc.start()
    decoded = decode_body(packed, name, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(decoded.data) == limit
    assert "more than" in (decoded.problem or "")
    assert peak < 60_000_000


@settings(max_examples=20)
@given(st.integers(0, 10))
def test_the_limit_itself_is_not_too_much(short: int) -> None:
    data = bytes(1000 - short)
    assert decode_body(gzip.compress(data), "gzip", limit=1000) == decode_body(data, "", limit=1000)
