"""docs/providers.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from ccinspect.identity.providers import Providers
from ccinspect.identity.settings import ProviderName, ProviderSettings
from ccinspect.identity.table import BUILT_IN, DIALECTS

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()


def test_every_example_is_a_valid_configuration() -> None:
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert len(examples) == 3
    for example in examples:
        Providers(TypeAdapter(dict[ProviderName, ProviderSettings]).validate_python(example["providers"]))


def test_every_provider_and_dialect_is_named() -> None:
    missing = [name for name in (*(entry.name for entry in BUILT_IN), *DIALECTS) if f"`{name}`" not in PAGE]
    assert missing == []
