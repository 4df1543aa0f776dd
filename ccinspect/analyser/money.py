"""Money: what a request cost, at list prices, offline.

Prices come from the `genai-prices` package's own data, with the overrides of the configuration before them. All
amounts are US dollars as exact decimals. A model without a price costs None, which means unknown and not nothing.
A subscription's requests are priced alike: what they would have cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ccinspect.analyser.records import Record
from ccinspect.wire.model import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

UNKNOWN = "unknown"
OVERRIDE = "override"
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Override(Record):
    """A price of the configuration, in dollars for a million tokens. What is not said costs as much as `input`."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    web_search: Decimal = Decimal(0)
    """For one search."""


@dataclass(frozen=True, slots=True)
class Rates(Record):
    """Dollars for one token of each sort, in the price tier of one request."""

    source: str
    """`genai-prices VERSION`, `override` or `unknown`; every rate of an unknown price is None."""
    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_write_other: Decimal | None = None
    output: Decimal | None = None
    web_search: Decimal | None = None

    @property
    def known(self) -> bool:
        return self.source != UNKNOWN


@dataclass(frozen=True, slots=True)
class Cost(Record):
    """What one request cost. `total` is the sum of the other amounts; all are None when the price is unknown."""

    source: str
    total: Decimal | None = None
    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    output: Decimal | None = None
    other: Decimal | None = None
    """Web searches, and a fixed price for a request."""
    saved: Decimal | None = None
    """What reading from the cache saved against sending all of it as new input, less what writing to it cost."""


def cost_of(usage: Usage, rates: Rates) -> Cost:
    """Price a usage. Counts that the provider did not tell count as none of them."""
    if not rates.known:
        return Cost(UNKNOWN)
    zero = Decimal(0)
    new = (usage.input or 0) * (rates.input or zero)
    read = (usage.cache_read or 0) * (rates.cache_read or zero)
    write = (
        (usage.cache_write_5m or 0) * (rates.cache_write_5m or zero)
        + (usage.cache_write_1h or 0) * (rates.cache_write_1h or zero)
        + (usage.cache_write_other or 0) * (rates.cache_write_other or zero)
    )
    output = (usage.output or 0) * (rates.output or zero)
    other = (usage.web_searches or 0) * (rates.web_search or zero)
    uncached = ((usage.cache_read or 0) + usage.cache_write) * (rates.input or zero)
    return Cost(
        rates.source, new + read + write + output + other, new, read, write, output, other, uncached - read - write
    )


@dataclass(slots=True)
class Prices:
    """Finds prices. `overrides` are tried first, in their order, by shell-like patterns on the model's name
    (`claude-*`, `my-model`); a pattern with a slash is matched against `provider/model`."""

    overrides: Mapping[str, Override] = field(default_factory=dict)
    _found: dict[tuple[str, str], tuple[Provider, ModelInfo] | None] = field(default_factory=dict)

    def rates(
        self,
        model: str | None,
        provider: str | None,
        at: float,
        total_input: int,
        *,
        service_tier: str | None = None,
        batch: bool = False,
    ) -> Rates:
        """The rates for a request of `total_input` tokens, made at `at` (seconds since the epoch).

        `provider` is a name as in the providers table (`anthropic`, `openai`, `bedrock`, ...), or None. Prices of
        long contexts hold for all tokens of a request, which is why its size matters.
        """
        if not model:
            return Rates(UNKNOWN)
        override = self._override(model, provider)
        if override is not None:
            return _from_override(override)
        found = self._find(model.lower(), provider)
        if found is None:
            return Rates(UNKNOWN)
        context = {"service_tier": service_tier} if service_tier else {}
        if batch:
            context["processing"] = "batch"
        return _from_package(found[1], at, total_input, context)

    def _override(self, model: str, provider: str | None) -> Override | None:
        for pattern, override in self.overrides.items():
            name = f"{provider or ''}/{model}" if "/" in pattern and "/" not in model else model
            if fnmatchcase(name.lower(), pattern.lower()):
                return override
        return None

    def _find(self, model: str, provider: str | None) -> tuple[Provider, ModelInfo] | None:
        key = (model, provider or "")
        if key not in self._found:
            if len(self._found) > _MAX_MODELS:
                self._found.clear()
            self._found[key] = _look_up(model, provider)
        return self._found[key]


_MAX_MODELS = 2_000
# Our names of providers, where genai-prices has another; a name that it does not know falls back to the model's.
_PROVIDERS = {
    "gemini": "google",
    "code-assist": "google",
    "vertex": "google",
    "bedrock": "aws",
    "chatgpt": "openai",
    "xai": "x-ai",
    "moonshot": "moonshotai",
    "z.ai": "zai",
}
# Served on the person's own machine: a price of the model elsewhere does not hold.
_LOCAL = frozenset(("local", "ollama", "llama.cpp", "vllm", "lmstudio", "lm-studio"))


def _look_up(model: str, provider: str | None) -> tuple[Provider, ModelInfo] | None:
    if provider in _LOCAL:
        return None
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    snapshot = get_snapshot()
    provider_id = _PROVIDERS.get(provider or "", provider)
    # The price list of a gateway it does not know is taken to be that of the model's maker; one that it does know
    # and that lacks the model has no price.
    if provider_id and not find_provider_by_id(snapshot.providers, provider_id):
        provider_id = None
    for name in _candidates(model):
        try:
            return snapshot.find_provider_model(name, None, provider_id, None)
        except LookupError:
            continue
    return None


def _candidates(model: str) -> Iterable[str]:
    """A model's name as it is, and without a gateway's prefix (`models/`, `us.anthropic.`) or suffix (`:free`)."""
    yield model
    bare = model.rpartition("/")[2].partition("@")[0]
    yield bare
    yield bare.partition(":")[0]
    for maker in ("anthropic.", "openai.", "meta.", "mistral.", "amazon."):
        if maker in bare:
            yield bare.partition(maker)[2]


def _from_override(override: Override) -> Rates:
    def each(price: Decimal | None) -> Decimal:
        return (override.input if price is None else price) / _MILLION

    return Rates(
        OVERRIDE,
        each(override.input),
        each(override.cache_read),
        each(override.cache_write_5m),
        each(override.cache_write_1h),
        each(override.cache_write_5m),
        each(override.output),
        override.web_search,
    )


_TOKEN_PRICES = frozenset(("input_mtok", "output_mtok", "input_text_mtok", "output_text_mtok"))


def _from_package(model: ModelInfo, at: float, total_input: int, context: dict[str, str]) -> Rates:
    """Ask the package for the price of `total_input` tokens of each sort: so tiers are its business."""
    import genai_prices

    try:
        when = datetime.fromtimestamp(at, UTC)
        price = model.get_prices(when, context or None)
        size = max(1, total_input)

        def each(**parts: int) -> Decimal:
            usage = genai_prices.Usage(input_tokens=size, **{name: size for name in parts})
            return price.calc_price(usage)["input_price"] / size

        plain = each()
        priced = {name for name, value in price.__dict__.items() if value is not None}
        if not priced & _TOKEN_PRICES:
            return Rates(UNKNOWN)
        with_output = price.calc_price(genai_prices.Usage(input_tokens=size, output_tokens=_MILLION))
        searches = genai_prices.Usage(input_tokens=0, output_tokens=0, web_searches=1)
        write = each(cache_write_tokens=1)
        return Rates(
            f"genai-prices {genai_prices.__version__}",
            plain,
            each(cache_read_tokens=1),
            each(cache_write_tokens=1, cache_write_5m_tokens=1),
            each(cache_write_tokens=1, cache_write_1h_tokens=1),
            write,
            with_output["output_price"] / _MILLION,
            price.calc_price(searches)["total_price"] if "web_searches_kcount" in priced else Decimal(0),
        )
    except (ValueError, LookupError, TypeError, OverflowError, OSError, InvalidOperation):
        return Rates(UNKNOWN)


def span_cost(start: int, tokens: int, usage: Usage, rates: Rates) -> Decimal | None:
    """What `tokens` tokens cost that stand `start` tokens into the context.

    The cache holds the beginning of a context: first come the tokens read from it, then those written to it,
    then the new ones.
    """
    if not rates.known:
        return None
    read, end = usage.cache_read or 0, start + tokens
    written = read + usage.cache_write
    from_cache = max(0, min(end, read) - start)
    to_cache = max(0, min(end, written) - max(start, read))
    write_cost = cost_of(usage, rates).cache_write or Decimal(0)
    write_rate = write_cost / usage.cache_write if usage.cache_write else Decimal(0)
    new = tokens - from_cache - to_cache
    return from_cache * (rates.cache_read or 0) + to_cache * write_rate + new * (rates.input or Decimal(0))
