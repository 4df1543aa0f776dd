"""What a daemon stands on: its ports, secrets, authorities and plan, judged before anything is started."""

from __future__ import annotations

import time

from ccinspect.addons.connect_to import Target, is_own_address, parse_connect_to
from ccinspect.addons.sources import Origin, Sources
from ccinspect.auth.plain_secret import resolve_secret
from ccinspect.config import Config
from ccinspect.daemon import roots
from ccinspect.daemon.exposure import listening_hosts
from ccinspect.daemon.mcp_process import McpProcess
from ccinspect.daemon.plan import Surroundings, build_plan
from ccinspect.daemon.ports import claim_port
from ccinspect.daemon.secrets_at_start import keep_token
from ccinspect.errors import ConfigError
from ccinspect.hooks.notifications import Notifications
from ccinspect.identity.providers import Providers
from ccinspect.outward.exceptions import is_loopback
from ccinspect.outward.proxy import UpstreamProxy
from ccinspect.paths import Paths
from ccinspect.policy.egress import Egress
from ccinspect.policy.kept import KeptRules


class Groundwork:
    """Lives as long as the process; all that may be wrong with the configuration is found when it is made."""

    def __init__(self, paths: Paths, config: Config) -> None:
        """Raises ConfigError, HookError or PortBusy; then nothing is left half up."""
        self.paths = paths
        self.config = config
        """As it was at the start; `Serving` knows what `reload` read."""
        self.started_at = time.time()
        # Says what is wrong with the block `providers`.
        self.providers = Providers(config.identities)
        self.targets = _connect_targets(config)
        inspector = config.inspector
        self.ports = {
            "reverse": claim_port(inspector.reverse_port, "inspector.reverse_port"),
            "proxy": claim_port(inspector.proxy_port, "inspector.proxy_port"),
            "web": claim_port(inspector.web_port, "inspector.web_port"),
        }
        mcp = config.mcp
        port = claim_port(mcp.port if mcp.enabled else 0, "mcp.port")
        self.mcp = McpProcess(paths, port, enabled=mcp.enabled, acting=mcp.acting)
        self.target_ports = [
            (claim_port(target.port, "inspector.reverse_targets"), Origin.parse(target.upstream))
            for target in inspector.reverse_targets
        ]
        self.password = resolve_secret(inspector.web_password, "inspector.web_password")
        self.token = keep_token(paths.web_token)
        self.roots = roots.write_upstream_roots(paths.data_dir / "upstream-roots.pem", inspector.upstream_ca)
        found = inspector.upstream_proxy
        self.proxy = UpstreamProxy(found, self.roots) if found is not None else None
        self.sources = Sources()
        self.notifications = Notifications()
        self.surroundings = Surroundings(
            paths.config_dir,
            self.roots,
            frozenset(self.ports.values()),
            self.notifications,
            self.sources.run_egress,
            self.proxy.way if self.proxy is not None else None,
        )
        self.egress = self.egress_of(config)
        self.plan = build_plan(config, self.surroundings, self.egress)
        self.hosts = listening_hosts(config, self.plan.token)
        self.kept = KeptRules(config.redact)

    def egress_of(self, config: Config) -> Egress:
        """What a configuration lets leave; offline, our own listeners and local models can still be reached."""
        targets = [port for port, _ in self.target_ports]
        return Egress.of(config.policy, [*self.ports.values(), *targets, *config.jail.model_ports])

    def closed_to_jails(self) -> dict[str, int]:
        """Our ports, by name; and that of a proxy on this machine, which would lead past us."""
        closed = {**self.ports, "mcp": self.mcp.port}
        if self.proxy is not None and (is_loopback(self.proxy.host) or is_own_address(self.proxy.host)):
            closed["upstream_proxy"] = self.proxy.port
        return closed

    def is_resolved_elsewhere(self, name: str) -> bool:
        """Whether a name of a host is for the upstream proxy to resolve."""
        return self.proxy is not None and self.proxy.covers(name, None)


def _connect_targets(config: Config) -> list[Target]:
    try:
        return parse_connect_to(config.inspector.connect_to)
    except ValueError as error:
        raise ConfigError(f"inspector.{error}", "write it as `api.example.com:443: 127.0.0.1:8443`") from error
