"""The table of names against the conventions' own registry, as far as it is published for Python."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from opentelemetry import semconv

from ccinspect.identity.table import BUILT_IN
from ccinspect.telemetry import names

# In the conventions' own repository (November 2026), not in the published package yet.
NEWER = {
    "gen_ai.conversation.compacted",
    "gen_ai.request.previous_response.id",
    "gen_ai.request.reasoning.level",
    "gen_ai.token.modality",
    "gen_ai.usage.cache_write.input_tokens",
}
OURS = "ccinspect"
METRICS = {value for name, value in vars(names).items() if name.endswith("_METRIC")} | {*names.USAGE_METRICS.values()}


def published() -> set[str]:
    """All attributes that the package `opentelemetry-semantic-conventions` knows."""
    found: set[str] = set()
    for root in map(Path, semconv.__path__):
        # Not all of its folders are packages.
        for path in root.rglob("*_attributes.py"):
            name = ".".join([semconv.__name__, *path.relative_to(root).with_suffix("").parts])
            said = vars(importlib.import_module(name))
            found |= {value for key, value in said.items() if key.isupper() and isinstance(value, str)}
    return found


def emitted() -> set[str]:
    dotted = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    return {name for name in dotted if "." in name and "/" not in name} - METRICS


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_attribute_is_in_the_registry_or_plainly_ours() -> None:
    theirs = {name for name in emitted() if not name.startswith(OURS)}
    assert len(theirs) > 40
    assert theirs - published() - NEWER == set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_provider_name_is_well_known() -> None:
    from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import GenAiProviderNameValues

    known = {value.value for value in GenAiProviderNameValues} | {"moonshot_ai"}
    assert set(names.PROVIDERS.values()) <= known
    assert set(names.PROVIDERS) <= {entry.name for entry in BUILT_IN}


@pytest.mark.parametrize(
    ("kind", "dialect", "operation"),
    [
        ("generate", "anthropic", "chat"),
        ("generate", "openai_responses", "chat"),
        ("generate", "gemini", "generate_content"),
        ("generate", "openai_completions", "text_completion"),
        ("embeddings", "openai_embeddings", "embeddings"),
        ("count_tokens", "anthropic", "count_tokens"),
    ],
)
def test_operations(kind: str, dialect: str, operation: str) -> None:
    assert names.operation_name(kind, dialect) == operation
