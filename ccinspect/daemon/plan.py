"""From the configuration to what is changed about requests."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccinspect.addons.plan import Plan
from ccinspect.auth.permission import TOKEN_HEADER, refusal
from ccinspect.auth.plain_secret import resolve_secret
from ccinspect.auth.resolver import Credentials
from ccinspect.auth.way import FindWay
from ccinspect.config import Config
from ccinspect.errors import ConfigError
from ccinspect.hooks import BUILT_IN
from ccinspect.hooks.defaults import with_defaults
from ccinspect.hooks.inject_auth import CredentialAccess
from ccinspect.hooks.notifications import Notifications
from ccinspect.hooks.policy import EgressRules
from ccinspect.identity.providers import Providers
from ccinspect.pipeline.loading import Library
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.services import Services
from ccinspect.policy.egress import Egress
from ccinspect.policy.secrets import Redactor
from ccinspect.shapes.library import Library as Shapes
from ccinspect.transform.destinations import Destinations
from ccinspect.transform.problems import problems
from ccinspect.transform.routes import Router

logger = logging.getLogger("ccinspect.daemon")


@dataclass(frozen=True)
class Surroundings:
    """What plans are made in; the same for all that `reload` makes."""

    config_dir: Path
    roots: Path
    """Authorities to trust when tokens are asked for."""
    ports: frozenset[int]
    """Of our own listeners."""
    notifications: Notifications
    run_egress: Mapping[str, Egress]
    """Rules of live runs."""
    way: FindWay | None = None
    """How requests for credentials leave."""


def build_plan(config: Config, around: Surroundings, general: Egress) -> Plan:
    """`general` are the configuration's rules of egress.

    Raises ConfigError for a rule or a fallback that cannot be carried out, and HookError; doubts are logged."""
    hosts = {name: one.hosts[0] for name, one in config.providers.items() if one.hosts and "*" not in one.hosts[0]}
    destinations = Destinations(config.providers, hosts)
    rules = config.inspector.transforms
    for problem in problems(rules, destinations):
        where = "providers" if problem.rule is None else f"inspector.transforms, rule {problem.rule}"
        if problem.severity == "error":
            raise ConfigError(f"{where}: {problem.message}", problem.hint)
        logger.warning("%s: %s (%s)", where, problem.message, problem.hint)
    token = resolve_secret(config.proxy.token, "proxy.token")
    sources = {name: one.auth for name, one in config.providers.items() if one.auth is not None}
    credentials = Credentials(sources, ca_file=around.roots, way=around.way)
    redactor = Redactor(config.redact)

    def egress_of(facts: Facts) -> Egress:
        return around.run_egress.get(facts.run or "", general)

    services = Services(
        _access(credentials, config, around, token),
        EgressRules(egress_of),
        redactor,
        around.notifications,
        Shapes(around.config_dir / "shapes"),
    )
    hooks = with_defaults(config.hooks, config.redact)
    return Plan(
        Router(rules, destinations),
        credentials,
        Pipeline.load(hooks, Library(BUILT_IN, around.config_dir / "hooks"), services),
        egress_of,
        around.notifications,
        configured_hooks=bool(config.hooks.inbound or config.hooks.outbound) or redactor.wants("upstream"),
        ports=around.ports,
        token=token,
    )


def _access(credentials: Credentials, config: Config, around: Surroundings, token: str | None) -> CredentialAccess:
    providers = Providers(config.identities)
    hosts = {name: one.host for name, one in config.providers.items() if one.host}

    def refused(facts: Facts, headers: Headers) -> str | None:
        given = headers.get(TOKEN_HEADER)
        return refusal(facts, headers, listener_ports=around.ports, token_required=token, token_given=given)

    def belongs(name: str, outgoing: Outgoing) -> bool:
        match = providers.match(outgoing.host, outgoing.path, port=outgoing.port, method=outgoing.method)
        return (match is not None and match.provider == name) or hosts.get(name, "").strip("[]") == outgoing.host

    return CredentialAccess(credentials, refused, belongs)
