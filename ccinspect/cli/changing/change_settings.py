"""What the settings say about changing requests, put together for commands that look at it without a daemon."""

from __future__ import annotations

from collections.abc import Sequence

from ccinspect.config import Config
from ccinspect.hooks import BUILT_IN
from ccinspect.hooks.defaults import with_defaults
from ccinspect.paths import Paths
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.settings import HooksConfig
from ccinspect.policy.egress import Egress
from ccinspect.transform.destinations import Destinations
from ccinspect.transform.settings import TransformRule

HOOKS_DIRECTORY = "hooks"
"""Of the configuration directory: a person's own hooks."""


def hooks_of(config: Config) -> HooksConfig:
    """All hooks that the daemon runs, those that nobody configured too."""
    return with_defaults(config.hooks, config.redact)


def library_of(paths: Paths) -> Library:
    return Library(BUILT_IN, paths.config_dir / HOOKS_DIRECTORY)


def rules_of(config: Config) -> Sequence[TransformRule]:
    return config.inspector.transforms


def destinations_of(config: Config) -> Destinations:
    """All providers, those of the settings over the built-in ones."""
    entries = config.providers
    hosts = {name: entry.hosts[0] for name, entry in entries.items() if entry.hosts and _is_plain(entry.hosts[0])}
    return Destinations(entries, hosts)


def _is_plain(host: str) -> bool:
    return not any(letter in host for letter in "*?:/")


def egress_of(config: Config) -> Egress:
    """The egress rules of the settings. Raises ConfigError."""
    return Egress.of(config.policy)
