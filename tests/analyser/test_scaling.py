from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.scaling import RATIOS, SLACK, attributable, scale

counts = st.lists(st.integers(0, 10**6), min_size=1, max_size=60)


@given(counts, st.integers(0, 10**7))
def test_scaled_values_sum_to_the_total_exactly(values, total):
    assert sum(scale(values, total)) == total


@given(counts, st.integers(0, 10**7))
def test_no_scaled_value_is_negative_or_further_than_one_from_its_share(values, total):
    whole = sum(values)
    for value, share in zip(values, scale(values, total), strict=True):
        assert share >= 0
        if whole:
            assert abs(share - value * total / whole) < 1 + 1e-6


@given(counts)
def test_scaling_to_their_own_sum_changes_nothing(values):
    assert scale(values, sum(values)) == values


def test_nothing_to_scale_stays_nothing():
    assert scale([], 100) == []


def test_without_proportions_the_first_takes_all():
    assert scale([0, 0], 7) == [7, 0]


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**7),
    st.sampled_from(list(RATIOS)),
    st.booleans(),
)
def test_never_more_is_attributed_than_the_provider_counted(visible, provider, tokenizer, sealed):
    assert 0 <= attributable(visible, provider, tokenizer, sealed=sealed) <= provider


def test_what_tokenizers_can_differ_by_is_attributed_and_more_is_not():
    assert attributable(10_000, 14_000, "claude-3", sealed=False) == 14_000
    assert attributable(10_000, 14_000, "openai", sealed=False) == 10_000
    assert attributable(10, 10 + SLACK, "openai", sealed=False) == 10 + SLACK


def test_what_cannot_be_seen_is_not_spread_over_what_can():
    assert attributable(10_000, 14_000, "claude-3", sealed=True) == 12_000
