"""From the configuration to what is changed about requests."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from ccinspect.addons.changes import Plan
from ccinspect.auth.resolver import Credentials
from ccinspect.config import Config
from ccinspect.daemon.secrets_at_start import resolve_secret
from ccinspect.errors import ConfigError
from ccinspect.hooks import BUILT_IN
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.transform.destinations import Destinations
from ccinspect.transform.problems import problems
from ccinspect.transform.routes import Router

logger = logging.getLogger("ccinspect.daemon")


def build_plan(config: Config, hooks: Path, roots: Path | None = None, ports: Iterable[int] = ()) -> Plan:
    """`hooks` is the directory of the user's own. Raises ConfigError for a rule or a fallback that cannot be carried
    out, and HookError; doubts are logged."""
    hosts = {name: one.hosts[0] for name, one in config.providers.items() if one.hosts and "*" not in one.hosts[0]}
    destinations = Destinations(config.providers, hosts)
    rules = config.inspector.transforms
    for problem in problems(rules, destinations):
        where = "providers" if problem.rule is None else f"inspector.transforms, rule {problem.rule}"
        if problem.severity == "error":
            raise ConfigError(f"{where}: {problem.message}", problem.hint)
        logger.warning("%s: %s (%s)", where, problem.message, problem.hint)
    sources = {name: one.auth for name, one in config.providers.items() if one.auth is not None}
    return Plan(
        Router(rules, destinations),
        Credentials(sources, ca_file=roots),
        Pipeline.load(config.hooks, Library(BUILT_IN, hooks)),
        frozenset(ports),
        resolve_secret(config.proxy.token, "proxy.token"),
    )
