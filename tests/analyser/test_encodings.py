from __future__ import annotations

import gzip
import random
import time
from hashlib import sha256
from importlib.resources import files

import pytest
import tiktoken_ext.openai_public
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser import encodings
from ccinspect.analyser.encodings import PIECE, count, encoding_name, load, pieces


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_vocabulary_and_pattern_are_those_that_tiktoken_would_download(name, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        tiktoken_ext.openai_public,
        "load_tiktoken_bpe",
        lambda url, expected_hash: asked.update(hash=expected_hash) or {},
    )
    theirs = getattr(tiktoken_ext.openai_public, name)()
    shipped = files("ccinspect.analyser").joinpath("vocabularies", f"{name}.tiktoken.gz").read_bytes()
    assert sha256(gzip.decompress(shipped)).hexdigest() == asked["hash"]
    assert encodings.PATTERNS[name] == theirs["pat_str"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("ft:gpt-3.5-turbo:x", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("openai/gpt-4-turbo", "cl100k_base"),
        ("gpt-4o", "o200k_base"),
        ("gpt-4.1-mini", "o200k_base"),
        ("gpt-5-codex", "o200k_base"),
        ("claude-opus-4-7", "o200k_base"),
        (None, "o200k_base"),
    ],
)
def test_encoding_is_chosen_by_model(model, name):
    assert encoding_name(model) == name


def test_special_tokens_in_a_text_are_text():
    assert count("<|endoftext|>") > 1


@given(st.text(max_size=300))
def test_short_texts_are_counted_as_tiktoken_counts_them(text):
    assert count(text) == len(load("o200k_base").encode_ordinary(text))


def test_lone_surrogates_count():
    assert count("a\ud83db") > 0


@given(
    st.lists(st.sampled_from(["word ", "\n", "   ", "x" * 700, "汉字", "f(a, b);\n", "\t"]), min_size=1, max_size=400)
)
def test_pieces_are_the_text_and_none_is_too_long(words):
    text = "".join(words) * 30
    cut = list(pieces(text))
    assert "".join(cut) == text
    assert all(0 < len(piece) <= PIECE for piece in cut)


def test_cutting_at_lines_changes_no_count():
    source = "\n".join(f"def function_{at}(value: int) -> int:\n    return value * {at}\n" for at in range(4_000))
    assert len(source) > 3 * PIECE
    assert count(source) == len(load("o200k_base").encode_ordinary(source))


def test_texts_too_long_for_any_model_are_counted_by_samples():
    words = "some words, and a number like 12345 in a line\n" * 120_000
    assert len(words) > encodings.EXACT_CHARACTERS
    exact = sum(len(load("o200k_base").encode_ordinary(piece)) for piece in pieces(words))
    assert abs(count(words) - exact) / exact < 0.01


HOSTILE = {
    "20,000 letters": "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=20_000)),
    "a million spaces": " " * 1_000_000 + "x",
    "a million line ends": "\n" * 1_000_000 + "x",
    "a million accents": "\u0301" * 1_000_000,
    "a million signs": "!" * 1_000_000,
    "one long word": "a" * 1_000_000,
    "100 MB": "x y" * 33_400_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_take_bounded_time(name):
    load("o200k_base")
    start = time.process_time()
    assert count(HOSTILE[name]) > 0
    assert time.process_time() - start < 3
