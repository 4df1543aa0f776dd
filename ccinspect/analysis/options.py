"""What the analyst needs to know of the settings; crosses to its process as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccinspect.config import Config


@dataclass(frozen=True)
class AnalysisOptions:
    """The blocks `providers` and `prices` of the configuration as plain JSON, already validated."""

    providers: dict[str, Any] = field(default_factory=dict)
    prices: dict[str, dict[str, str]] = field(default_factory=dict)
    """Overrides by pattern; amounts are decimals as text."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> AnalysisOptions:
        return cls(**json.loads(text))

    @classmethod
    def from_config(cls, config: Config) -> AnalysisOptions:
        return cls(
            {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in config.identities.items()},
            {name: one.model_dump(mode="json", exclude_none=True) for name, one in config.prices.items()},
        )
