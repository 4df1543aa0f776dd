"""Keys in texts that leave for another program: masked whole, in pieces, and wherever they stand in JSON."""

from __future__ import annotations

import pytest

from ccinspect.policy.unreadable import MASK, masked, masked_json, masked_piece

KEY = "sk-ant-api03-" + "Zm9vYmFy" * 6
PEM = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkq" * 1_000 + "\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("nothing to hide here", "nothing to hide here"),
        (f"it is {KEY}.", f"it is {MASK * len(KEY)}."),
        (f"{KEY} {KEY}", f"{MASK * len(KEY)} {MASK * len(KEY)}"),
        (f"a{PEM}, b", f"a{MASK * len(PEM)}, b"),
    ],
    ids=["empty", "none", "one", "two", "private key"],
)
def test_a_text_keeps_its_length_and_loses_its_keys(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize("secret", [KEY, PEM], ids=["key", "private key"])
def test_a_piece_is_masked_by_what_stands_around_it(secret: str) -> None:
    text = f"{'before ' * 5_000}{secret}{' after' * 5_000}"
    expected = masked(text)
    begin = text.index(secret)
    for start in (0, begin - 7, begin + 1, begin + len(secret) // 2, begin + len(secret) - 1):
        assert masked_piece(text, start, start + 12) == expected[start : start + 12]
    assert masked_piece(text, 0, len(text)) == expected
    assert masked_piece(text, len(text) - 5, len(text) + 50) == "after"


def test_in_json_names_and_values_are_masked_at_every_depth() -> None:
    hidden = MASK * len(KEY)
    value = {KEY: [1, None, True, f"x {KEY}", {"deep": (KEY, 2.5)}], "kept": "text"}
    assert masked_json(value) == {hidden: [1, None, True, f"x {hidden}", {"deep": [hidden, 2.5]}], "kept": "text"}
