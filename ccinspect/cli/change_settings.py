"""What the settings say about changing requests, put together for commands that look at it without a daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ccinspect.config import Config
from ccinspect.hooks import BUILT_IN
from ccinspect.paths import Paths
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.settings import HooksConfig
from ccinspect.policy.egress import Egress
from ccinspect.policy.settings import PolicyConfig
from ccinspect.transform.destinations import Destinations
from ccinspect.transform.settings import TransformRule, Upstream

HOOKS_DIRECTORY = "hooks"
"""Of the configuration directory: a person's own hooks."""


def hooks_of(config: Config) -> HooksConfig:
    found: HooksConfig = getattr(config, "hooks", None) or HooksConfig()
    return found


def library_of(paths: Paths) -> Library:
    return Library(BUILT_IN, paths.config_dir / HOOKS_DIRECTORY)


def rules_of(config: Config) -> Sequence[TransformRule]:
    found: Sequence[TransformRule] = getattr(config.inspector, "transforms", ())
    return found


def destinations_of(config: Config) -> Destinations:
    """All providers, those of the settings over the built-in ones."""
    entries: Mapping[str, Any] = config.providers
    upstreams = {name: entry for name, entry in entries.items() if isinstance(entry, Upstream)}
    hosts = {name: entry.hosts[0] for name, entry in entries.items() if entry.hosts and _is_plain(entry.hosts[0])}
    return Destinations(upstreams, hosts)


def _is_plain(host: str) -> bool:
    return not any(letter in host for letter in "*?:/")


def egress_of(config: Config) -> Egress:
    """The egress rules of the settings. Raises ConfigError."""
    return Egress.of(getattr(config, "policy", None) or PolicyConfig())
