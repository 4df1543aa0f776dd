"""Making estimates sum to a given total, exactly."""

from __future__ import annotations

from collections.abc import Sequence


def scale(values: Sequence[int], total: int) -> list[int]:
    """Whole numbers in the proportions of `values` that sum to `total`, by largest remainders.

    None is negative, and none is further than one from its exact share. When all values are 0 there are
    no proportions: the first takes all. An empty `values` stays empty.
    """
    whole = sum(values)
    if not values or whole == total:
        return list(values)
    if whole == 0:
        return [total, *values[1:]]
    shares = [divmod(value * total, whole) for value in values]
    floors = [share for share, _ in shares]
    missing = total - sum(floors)
    # Stable, so that equal remainders go to the earlier part.
    for index in sorted(range(len(values)), key=lambda at: -shares[at][1])[:missing]:
        floors[index] += 1
    return floors


# A provider's count of a text, over ours: (usually, at most). The usual ones are measured: see docs/analysis.md.
RATIOS = {
    "openai": (1.0, 1.25),
    "claude-3": (1.2, 1.8),
    "claude-4.7": (1.45, 2.2),
    "gemini": (1.15, 1.6),
    "other": (1.1, 1.8),
}
SLACK = 400
"""Tokens more than that ratio allows in a small request, where framing weighs most."""


def attributable(visible: int, provider: int, tokenizer: str, *, sealed: bool) -> int:
    """How many of the tokens that the provider counted are those of the visible parts. `tokenizer` is one of RATIOS.

    All of them, when the difference can be one of tokenizers. When part of the context cannot be seen (`sealed`), or
    the provider counted more than tokenizers differ, the visible parts get what they usually take.
    """
    usual, most = RATIOS[tokenizer]
    if sealed or provider > visible * most + SLACK:
        return min(provider, round(visible * usual))
    return provider
