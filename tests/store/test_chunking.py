from __future__ import annotations

import base64
import hashlib
import io
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.store import chunking
from ccinspect.store.chunking import FINE, MEDIUM, WHOLE, Profile

PROFILES = [FINE, MEDIUM, WHOLE]


def cut(data: bytes, profile: Profile = FINE) -> list[bytes]:
    return list(chunking.pieces(io.BytesIO(data).read, profile))


def words(size: int, seed: int = 1) -> bytes:
    rng = random.Random(seed)
    lexicon = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(3000)]
    return json.dumps([" ".join(rng.choices(lexicon, k=40)) for _ in range(size // 250)]).encode()


KINDS = {
    "text": words(400_000),
    "noise": random.Random(2).randbytes(400_000),
    "base64": base64.b64encode(random.Random(3).randbytes(300_000)),
    "one letter": b"a" * 400_000,
    "zeros": bytes(400_000),
}


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_the_body_and_within_bounds(kind: str, profile: Profile) -> None:
    found = cut(KINDS[kind], profile)
    assert b"".join(found) == KINDS[kind]
    assert all(profile.least <= len(piece) <= profile.most for piece in found[:-1])


@given(st.binary(max_size=20_000), st.sampled_from(PROFILES))
@settings(max_examples=200, deadline=None)
def test_any_bytes_come_together_again(data: bytes, profile: Profile) -> None:
    assert b"".join(cut(data, profile)) == data


@given(st.lists(st.integers(1, 700_000), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_cuts_do_not_depend_on_how_the_body_is_read(sizes: list[int]) -> None:
    data = KINDS["text"] * 8
    stream = io.BytesIO(data)
    turns = iter(sizes)
    found = list(chunking.pieces(lambda size: stream.read(min(size, next(turns, size))), FINE))
    assert found == cut(data)


@pytest.mark.parametrize("kind", ["text", "noise", "base64"])
@pytest.mark.parametrize("profile", [FINE, MEDIUM], ids=str)
def test_a_change_touches_few_pieces(kind: str, profile: Profile) -> None:
    data = KINDS[kind] * 3
    middle = len(data) // 2
    before = {hashlib.sha256(piece).digest() for piece in cut(data, profile)}
    for changed in (
        data[:middle] + b"something new" + data[middle:],
        data[:middle] + data[middle + 1 :],
        b"x" + data,
        data + b"appended at the end",
    ):
        new = [piece for piece in cut(changed, profile) if hashlib.sha256(piece).digest() not in before]
        assert sum(map(len, new)) <= 4 * profile.most


def test_an_empty_body_has_no_pieces() -> None:
    assert cut(b"") == []
