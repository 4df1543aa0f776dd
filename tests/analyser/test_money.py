from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.money import UNKNOWN, Cost, Override, Prices, Rates, cost_of, span_cost
from ccinspect.wire.model import Usage

AT = datetime(2026, 11, 1, tzinfo=UTC)
PRICES = Prices()

MODELS = [
    ("claude-sonnet-4-5-20250929", "anthropic", "anthropic"),
    ("claude-opus-4-1", "anthropic", "anthropic"),
    ("claude-haiku-4-5", "anthropic", "anthropic"),
    ("gpt-5", "openai", "openai"),
    ("gpt-5-codex", "chatgpt", "openai"),
    ("gpt-4o-mini", "openai", "openai"),
    ("gemini-2.5-pro", "gemini", "google"),
    ("gemini-2.5-flash", "vertex", "google"),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", "aws"),
    ("deepseek-chat", "deepseek", "deepseek"),
    ("grok-4", "xai", "x-ai"),
]
counts = st.integers(0, 400_000)


@pytest.mark.parametrize(("model", "provider", "theirs"), MODELS, ids=lambda value: value)
@given(new=counts, read=counts, five=counts, hour=counts, output=st.integers(0, 50_000))
def test_a_cost_is_what_genai_prices_computes(model, provider, theirs, new, read, five, hour, output):
    usage = Usage(input=new, cache_read=read, cache_write_5m=five, cache_write_1h=hour, output=output)
    cost = cost_of(usage, PRICES.rates(model, provider, AT.timestamp(), usage.total_input))
    expected = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.total_input,
            cache_read_tokens=read,
            cache_write_tokens=five + hour,
            cache_write_5m_tokens=five,
            cache_write_1h_tokens=hour,
            output_tokens=output,
        ),
        model,
        provider_id=theirs,
        genai_request_timestamp=AT,
    )
    assert cost.total == pytest.approx(expected.total_price, abs=Decimal("1e-12"))
    amounts = (cost.input, cost.cache_read, cost.cache_write, cost.output, cost.other)
    assert cost.total == sum(amount for amount in amounts if amount is not None)


def test_long_contexts_have_a_price_of_their_own():
    short = PRICES.rates("gemini-2.5-pro", "gemini", AT.timestamp(), 100_000)
    long = PRICES.rates("gemini-2.5-pro", "gemini", AT.timestamp(), 300_000)
    assert long.input == 2 * short.input


def test_an_hour_in_the_cache_costs_more_to_write_than_five_minutes():
    rates = PRICES.rates("claude-sonnet-4-5", "anthropic", AT.timestamp(), 1_000)
    assert rates.cache_write_5m == rates.input * Decimal("1.25")
    assert rates.cache_write_1h == rates.input * 2
    assert rates.cache_read == rates.input / 10


def test_batches_and_service_tiers_have_their_prices():
    plain = PRICES.rates("claude-sonnet-4-5", "anthropic", AT.timestamp(), 1_000)
    batch = PRICES.rates("claude-sonnet-4-5", "anthropic", AT.timestamp(), 1_000, batch=True)
    assert batch.input == plain.input / 2
    flex = PRICES.rates("gpt-5", "openai", AT.timestamp(), 1_000, service_tier="flex")
    assert flex.input < PRICES.rates("gpt-5", "openai", AT.timestamp(), 1_000).input


def test_web_searches_are_paid_for():
    rates = PRICES.rates("claude-sonnet-4-5", "anthropic", AT.timestamp(), 0)
    assert cost_of(Usage(input=0, web_searches=3), rates).other == Decimal("0.03")


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("my-own-model", None),
        (None, "anthropic"),
        ("llama3", "ollama"),
        ("qwen3", "local"),
        ("claude-sonnet-4-5", "groq"),
    ],
)
def test_what_has_no_price_is_unknown_and_not_nothing(model, provider):
    rates = PRICES.rates(model, provider, AT.timestamp(), 1_000)
    assert rates == Rates(UNKNOWN)
    assert cost_of(Usage(input=1_000), rates) == Cost(UNKNOWN)
    assert span_cost(0, 10, Usage(input=1_000), rates) is None


def test_a_gateway_nobody_knows_is_taken_to_charge_the_makers_price():
    own = PRICES.rates("claude-sonnet-4-5", "anthropic", AT.timestamp(), 1_000)
    assert PRICES.rates("claude-sonnet-4-5", "my-gateway", AT.timestamp(), 1_000) == own


def test_an_override_comes_first():
    prices = Prices({"claude-*": Override(Decimal(1), Decimal(2), cache_read=Decimal("0.5"))})
    rates = prices.rates("Claude-sonnet-4-5", "anthropic", AT.timestamp(), 1_000)
    usage = Usage(input=1_000_000, cache_read=1_000_000, cache_write_5m=1_000_000, output=1_000_000)
    cost = cost_of(usage, rates)
    assert (cost.source, cost.total) == ("override", Decimal("4.5"))
    assert Cost.from_json(cost.to_json()) == cost


def test_an_override_is_read_from_the_settings_of_the_configuration():
    settings = {"input": "3", "output": "15", "cache_read": "0.30"}
    assert Override.from_json(settings) == Override(Decimal(3), Decimal(15), Decimal("0.30"))


def test_an_override_may_name_the_provider():
    prices = Prices({"lab/*": Override(Decimal(0), Decimal(0))})
    assert prices.rates("gpt-5", "lab", AT.timestamp(), 1).source == "override"
    assert prices.rates("gpt-5", "openai", AT.timestamp(), 1).source != "override"


def test_reading_from_the_cache_saves_and_writing_to_it_costs():
    rates = PRICES.rates("claude-sonnet-4-5", "anthropic", AT.timestamp(), 1_000)
    assert cost_of(Usage(cache_read=1_000_000), rates).saved == Decimal("2.70")
    assert cost_of(Usage(cache_write_5m=1_000_000), rates).saved == Decimal("-0.75")


spans = st.lists(st.integers(0, 5_000), min_size=1, max_size=10)


@given(spans, st.integers(0, 20_000), st.integers(0, 20_000))
def test_the_costs_of_all_spans_sum_to_the_cost_of_the_input(lengths, read, write):
    total = sum(lengths)
    read = min(read, total)
    write = min(write, total - read)
    usage = Usage(input=total - read - write, cache_read=read, cache_write_1h=write)
    rates = PRICES.rates("claude-sonnet-4-5", "anthropic", AT.timestamp(), total)
    starts = [sum(lengths[:at]) for at in range(len(lengths))]
    costs = [span_cost(start, length, usage, rates) for start, length in zip(starts, lengths, strict=True)]
    assert sum(costs) == pytest.approx(cost_of(usage, rates).total, abs=Decimal("1e-15"))
