"""Our addons, in the order in which they see a flow (docs/architecture.md), and what they have in common."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from mitmproxy import http

from ccinspect import __version__
from ccinspect.addons import (
    content_views,
    fidelity,
    from_quic,
    gate,
    http2_endings,
    newer_headers,
    request_lines,
    resending,
    unanswered,
    upstream_proxy,
)
from ccinspect.addons.borrowed_addresses import BorrowedAddresses
from ccinspect.addons.bounded_view import BoundedView
from ccinspect.addons.changes import Changes
from ccinspect.addons.commands import Commands
from ccinspect.addons.connect_to import ConnectTo
from ccinspect.addons.egress import EgressGuard
from ccinspect.addons.from_quic import FromQuic
from ccinspect.addons.inspector import Inspector
from ccinspect.addons.keylog import KeyLog, log_tls_keys
from ccinspect.addons.loops import LoopGuard
from ccinspect.addons.mcp_endpoint import McpEndpoint
from ccinspect.addons.outgoing import FactFinder
from ccinspect.addons.own_endpoints import OwnEndpoints
from ccinspect.addons.plain_http2 import PlainHttp2
from ccinspect.addons.reverse_routing import ReverseRouting
from ccinspect.addons.spending import Spending
from ccinspect.addons.unanswered import Unanswered
from ccinspect.addons.upstream_proxy import ThroughProxy
from ccinspect.addons.who import Who
from ccinspect.config import Config
from ccinspect.daemon.exposure import is_exposed
from ccinspect.daemon.groundwork import Groundwork
from ccinspect.daemon.master import ProxyMaster
from ccinspect.daemon.plan import build_plan
from ccinspect.daemon.spent import read_spent
from ccinspect.identity.providers import Providers
from ccinspect.pipeline.message import Headers
from ccinspect.policy.budgets import Budget, Ledger
from ccinspect.store.recorder import Recorder
from ccinspect.transform.models import asker, listing, offers


def extend_mitmproxy(base: Groundwork) -> BorrowedAddresses:
    """Do to mitmproxy's own classes what no addon can; to be called before a master is made of them.

    What is returned are the addresses lent to names that are resolved elsewhere.
    """
    request_lines.install()
    fidelity.install()
    newer_headers.install()
    http2_endings.install()
    unanswered.install()
    resending.install()
    from_quic.install()
    gate.install()
    log_tls_keys(KeyLog(base.paths.tls_keylog) if base.config.inspector.keylog else None)
    borrowed = BorrowedAddresses()
    if base.proxy is not None:
        upstream_proxy.install(base.proxy, borrowed)
    return borrowed


class Chain:
    """The addons that others in the daemon talk to; the rest is made where it is inserted."""

    def __init__(
        self,
        base: Groundwork,
        recorder: Recorder,
        publish: Callable[[dict[str, Any]], None],
        settle: Callable[[float], Awaitable[object]],
        tell: Callable[[str | None, str], None],
        ask: Callable[[str | None, str], Awaitable[bool | None]],
    ) -> None:
        """`publish` is given each finished record; `settle`, `tell` and `ask` are as in `Spending`."""
        self._base = base
        self._who = Who(base.sources)
        self.recording = Inspector(recorder, base.sources, self._who, publish, base.kept)
        self._facts = FactFinder(base.sources, base.providers)
        self.changes = Changes(self._facts, base.plan)
        self.guard = EgressGuard(base.sources, self._facts, base.egress)
        self.ledger = Ledger(_budgets(base.config))
        self._spending = Spending(
            self._facts, self.ledger, settle, partial(read_spent, base.paths.store_dir), tell, ask
        )
        self.door = gate.Gate(base.sources, lambda: self.changes.plan.token, demands=is_exposed(base.hosts))

    def insert_into(self, master: ProxyMaster, borrowed: BorrowedAddresses) -> None:
        """Ours in front of mitmproxy's own; behind them what only mitmweb shows."""
        base = self._base
        master.insert_addons(
            self.door,
            PlainHttp2(),
            FromQuic(),
            LoopGuard(),
            McpEndpoint(base.sources, base.mcp.port if base.mcp.enabled else None),
            OwnEndpoints(
                base.sources,
                partial(_health, base.started_at),
                partial(_models, self.changes),
                base.notifications.add,
            ),
            ReverseRouting(base.sources),
            self.guard,
            self._spending,
            self.changes,
            ConnectTo(base.sources, base.targets, borrowed, base.is_resolved_elsewhere),
            *([ThroughProxy(base.proxy)] if base.proxy is not None else []),
            Unanswered(self._facts),
            self._who,
            self.recording,
        )
        content_views.register(base.paths.store_dir)
        master.addons.add(Commands(base.paths.store_dir, base.paths.config_dir))
        view = base.config.inspector.view
        master.addons.add(BoundedView(master.view, view.max_flows, view.max_bytes))

    def use(self, config: Config) -> None:
        """Go by another configuration from now on; requests that have begun go on with theirs.

        Raises ConfigError or HookError; then nothing has changed.
        """
        providers, egress = Providers(config.identities), self._base.egress_of(config)
        plan = build_plan(config, self._base.surroundings, egress)
        self._facts.providers, self.guard.general = providers, egress
        self.ledger.budgets = _budgets(config)
        self.changes.use(plan)
        self._base.kept.use(config.redact)

    def hook_names(self) -> list[str]:
        """The hooks that are in force, by stage and in the order of their running."""
        return [step.name for plan in self.changes.plan.pipeline.plans.values() for step in plan.steps]


def _budgets(config: Config) -> tuple[Budget, ...]:
    return tuple(entry.budget() for entry in config.budgets)


def _health(started_at: float) -> dict[str, Any]:
    return {"status": "ok", "version": __version__, "uptime": round(time.time() - started_at, 1)}


def _models(changes: Changes, request: http.Request) -> dict[str, Any] | None:
    """The models of all providers that list some; None when the question goes to the provider it was meant for."""
    destinations = changes.plan.router.destinations
    offered = offers(destinations)
    headers = Headers(request.headers.fields)
    dialect = asker(request.path, headers) if offered else None
    return listing(offered, dialect) if dialect is not None else None
