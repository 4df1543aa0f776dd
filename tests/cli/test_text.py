"""Words for people, and nothing that a terminal obeys."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.cli import text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]0;owned\x07", "\\e]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("plain ✓ 漢字", "plain ✓ 漢字"),
    ],
)
def test_clean(hostile: str, shown: str) -> None:
    assert text.clean(hostile) == shown


@given(st.text())
def test_nothing_cleaned_can_control_a_terminal(hostile: str) -> None:
    for cleaned in (text.clean(hostile), text.clean_lines(hostile).replace("\n", "").replace("\t", "")):
        assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned)
        cleaned.encode()


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_cleaned_json_means_the_same(value: object) -> None:
    cleaned = text.clean_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(cleaned) == value
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned)


def test_lines_keep_their_ends_and_lose_crlf() -> None:
    assert text.clean_lines("a\r\nb\tc\rd\n") == "a\nb\tc\\rd\n"


@given(st.text(), st.integers(0, 40))
def test_shortened_text_fits(value: str, columns: int) -> None:
    cleaned = text.clean(value)
    shortened = text.shorten(cleaned, columns)
    assert text.width(shortened) <= columns
    assert shortened == cleaned or columns == 0 or shortened.endswith("…")


def test_wide_characters_take_two_columns() -> None:
    assert text.width("漢字") == 4
    assert text.width("e\u0301") == 1
    assert text.shorten("漢字漢字", 4) == "漢…"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "-"), (0, "0"), (999, "999"), (1000, "1.0k"), (9949, "9.9k"), (9950, "10k"), (999_499, "999k"),
        (999_500, "1.0M"), (10_000_000_000, "10G"), (5 * 10**15, "5000T"),
    ],
)  # fmt: skip
def test_size(count: int | None, shown: str) -> None:
    assert text.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"), (-1, "0ms"), (0.0004, "0ms"), (0.9994, "999ms"), (0.9996, "1.0s"), (59.94, "59.9s"),
        (59.96, "1m00s"), (3599.4, "59m59s"), (3600, "1h00m"), (90_000, "1d01h"),
    ],
)  # fmt: skip
def test_duration(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_moments_say_only_what_is_needed() -> None:
    now = time.mktime((2025, 11, 21, 14, 3, 22, 0, 0, -1))
    assert text.moment(now, now) == "14:03:22"
    assert text.moment(now - 86400, now) == "Nov 20 14:03"
    assert text.moment(now - 400 * 86400, now) == "2024-10-17"
    assert text.moment(None) == "-"


def test_counts_agree_with_their_noun() -> None:
    assert [text.count(n, "flow") for n in (0, 1, 2000)] == ["0 flows", "1 flow", "2,000 flows"]
