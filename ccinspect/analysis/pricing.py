"""Which prices hold: overrides of the configuration first, then each provider's own list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from ccinspect.analyser.money import Override, Prices
from ccinspect.identity.settings import ProviderSettings
from ccinspect.identity.table import BUILT_IN

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


@dataclass(slots=True)
class ListedPrices(Prices):
    """Prices that go by the price list named for a provider, where one is; overrides go by the provider's own name."""

    lists: Mapping[str, str] = field(default_factory=dict)

    def _find(self, model: str, provider: str | None) -> tuple[Provider, ModelInfo] | None:
        return Prices._find(self, model, self.lists.get(provider or "", provider))


def make_prices(overrides: Mapping[str, Mapping[str, str]], declared: Mapping[str, ProviderSettings]) -> ListedPrices:
    """Prices by the blocks `prices` (amounts as text) and `providers` of the configuration."""
    lists = {entry.name: entry.prices for entry in BUILT_IN if entry.prices}
    lists |= {name: one.prices for name, one in declared.items() if one.prices}
    return ListedPrices({pattern: _override(one) for pattern, one in overrides.items()}, lists=lists)


def _override(prices: Mapping[str, str]) -> Override:
    return Override(**{name: Decimal(amount) for name, amount in prices.items()})
