"""From the configuration to what is changed about requests."""

from __future__ import annotations

import logging

from ccinspect.addons.changes import Plan
from ccinspect.auth.resolver import Credentials
from ccinspect.config import Config
from ccinspect.daemon.secrets_at_start import resolve_secret
from ccinspect.errors import ConfigError
from ccinspect.transform.destinations import build_destinations
from ccinspect.transform.fallbacks import unknown_providers
from ccinspect.transform.routes import Router, problems

logger = logging.getLogger("ccinspect.daemon")


def build_plan(config: Config) -> Plan:
    """Raises ConfigError for a rule or fallback that names a provider that does not exist."""
    destinations = build_destinations(config.providers)
    rules = config.inspector.transforms
    for number, rule in enumerate(rules):
        if rule.dest_provider is not None and rule.dest_provider not in destinations:
            raise ConfigError(
                f"inspector.transforms, rule {number}: there is no provider {rule.dest_provider!r} to send to",
                f"known: {', '.join(sorted(destinations))}",
            )
    for name, destination in destinations.items():
        if destination.fallbacks and (missing := unknown_providers(destination.fallbacks, list(destinations))):
            raise ConfigError(
                f"providers.{name}.fallbacks.then: there is no provider {missing[0]!r}",
                f"known: {', '.join(sorted(destinations))}",
            )
    for problem in problems(rules, destinations):
        logger.warning("inspector.transforms, rule %d: %s (%s)", problem.rule, problem.message, problem.hint)
    sources = {name: one.auth for name, one in config.providers.items() if one.auth is not None}
    return Plan(Router(rules, destinations), Credentials(sources), resolve_secret(config.proxy.token, "proxy.token"))
