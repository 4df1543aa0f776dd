"""The daemon's life: lock, listen, say ready, serve, drain, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from mitmproxy import http
from mitmproxy.utils import asyncio_utils

from ccinspect import __version__
from ccinspect.addons import content_views, fidelity, gate, resending, upstream_proxy
from ccinspect.addons.borrowed_addresses import BorrowedAddresses
from ccinspect.addons.bounded_view import BoundedView
from ccinspect.addons.changes import Changes
from ccinspect.addons.commands import Commands
from ccinspect.addons.connect_to import ConnectTo, Target, is_own_address, parse_connect_to
from ccinspect.addons.egress import EgressGuard
from ccinspect.addons.inspector import Inspector
from ccinspect.addons.keylog import KeyLog, forget_foreign_logs, log_tls_keys
from ccinspect.addons.loops import LoopGuard
from ccinspect.addons.mcp_endpoint import McpEndpoint
from ccinspect.addons.outgoing import FactFinder
from ccinspect.addons.own_endpoints import OwnEndpoints
from ccinspect.addons.plain_http2 import PlainHttp2
from ccinspect.addons.reverse_routing import ReverseRouting
from ccinspect.addons.sources import Listener, Origin, Sources
from ccinspect.addons.spending import Spending
from ccinspect.addons.upstream_proxy import ThroughProxy
from ccinspect.addons.who import Who
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.auth.plain_secret import resolve_secret
from ccinspect.config import Config, load_config
from ccinspect.control.ready import ReadyPipe
from ccinspect.daemon import logs, readiness, roots, signals
from ccinspect.daemon.analyst import AnalystProcess
from ccinspect.daemon.control_server import ControlServer
from ccinspect.daemon.events import Events
from ccinspect.daemon.exposure import is_exposed, listening_hosts
from ccinspect.daemon.keyless import describe_key
from ccinspect.daemon.listeners import Listeners
from ccinspect.daemon.master import build_master
from ccinspect.daemon.mcp_process import McpProcess
from ccinspect.daemon.plan import Surroundings, build_plan
from ccinspect.daemon.ports import claim_port, release_ports
from ccinspect.daemon.runs import Runs
from ccinspect.daemon.secrets_at_start import keep_token
from ccinspect.daemon.service_manager import ServiceManager
from ccinspect.daemon.spent import read_spent
from ccinspect.daemon.status import build_status, lasting_warnings
from ccinspect.daemon.store_upgrade import bring_store_up_to_date
from ccinspect.errors import ConfigError, DaemonRunning, PortBusy
from ccinspect.hooks.notifications import Notifications
from ccinspect.identity.providers import Providers
from ccinspect.outward.exceptions import is_loopback
from ccinspect.outward.proxy import UpstreamProxy
from ccinspect.paths import Paths, make_private_dir
from ccinspect.pipeline.message import Headers
from ccinspect.policy.budgets import Ledger
from ccinspect.policy.egress import Egress
from ccinspect.policy.kept import KeptRules
from ccinspect.store.options import StoreOptions
from ccinspect.store.recorder import Recorder
from ccinspect.transform.models import asker, listing, offers

logger = logging.getLogger("ccinspect.daemon")

# How long a start waits for the recorder of a daemon that was killed to write what it had been given.
_STORE_SECONDS = 5.0
# Of Python's 5 ms, each of the proxy's system calls would cost it as much while a thread translates a large body.
_SWITCH_SECONDS = 0.0005


def serve(paths: Paths, config: Config) -> None:
    """Run the daemon until it is told to stop (SIGTERM, SIGINT, or `shutdown` on the control socket).

    Raises DaemonRunning, PortBusy, ConfigError or StoreUnavailable when it cannot start; then nothing is left running.
    """
    # Whatever mitmproxy or SQLite write is for this user only.
    os.umask(0o077)
    sys.setswitchinterval(_SWITCH_SECONDS)
    forget_foreign_logs()
    for directory in (paths.data_dir, paths.ca_dir, paths.runtime_root, paths.runtime_dir):
        make_private_dir(directory)
    with _only_daemon(paths):
        pipe, manager = ReadyPipe.from_environment(), ServiceManager.from_environment()
        try:
            logs.set_up_logging(config.daemon, paths.log_file, foreground=not pipe.detached)
            daemon = Daemon(paths, config)
            bring_store_up_to_date(paths.store_dir, pipe, manager)
            asyncio.run(daemon.run(pipe, manager))
        except Exception as error:
            pipe.failed(error)
            raise


@contextlib.contextmanager
def _only_daemon(paths: Paths) -> Iterator[None]:
    """Hold the lock of the data directory. The kernel lets go of it however we end."""
    descriptor = os.open(paths.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise DaemonRunning(
                f"a daemon (pid {pid}) already serves {paths.data_dir}; it was left as it is",
                "use it, or stop it first: ccinspect stop",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


class Daemon:
    """Everything that lives as long as the process."""

    def __init__(self, paths: Paths, config: Config) -> None:
        self.paths = paths
        self.config = config
        self.started_at = time.time()
        # Says what is wrong with the block `providers`.
        self.providers = Providers(config.identities)
        self.targets = _connect_targets(config)
        inspector = config.inspector
        # All ports are looked at before anything is started, so that a busy one leaves nothing half up.
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
        self.egress = self._egress(config)
        self.plan = build_plan(config, self.surroundings, self.egress)
        self.hosts = listening_hosts(config, self.plan.token)
        self.kept = KeptRules(config.redact)

    async def run(self, pipe: ReadyPipe, manager: ServiceManager) -> None:
        """Start, serve, stop."""
        store = self.config.store
        recorder = Recorder.start(
            self.paths.store_dir,
            StoreOptions(
                bodies=store.bodies,
                max_age=store.max_age,
                max_bytes=store.max_bytes,
                keep_secrets=store.keep_secrets,
                control_socket=str(self.paths.control_socket),
            ),
            worker="ccinspect.policy.masking_worker",
        )
        try:
            with asyncio_utils.set_eager_task_factory():
                await self._serve(recorder, pipe, manager)
        finally:
            await recorder.close()
            logger.info("stopped")

    async def _serve(self, recorder: Recorder, pipe: ReadyPipe, manager: ServiceManager) -> None:
        fidelity.install()
        resending.install()
        gate.install()
        keylog = self.config.inspector.keylog
        log_tls_keys(KeyLog(self.paths.tls_keylog) if keylog else None)
        borrowed = BorrowedAddresses()
        if self.proxy is not None:
            upstream_proxy.install(self.proxy, borrowed)
        inspector = self.config.inspector
        master = build_master(inspector, self.paths.ca_dir, self.roots, self.ports["web"], self.password, self.token)
        events = Events(recorder, self.paths.store_dir)
        analyst = AnalystProcess(
            self.paths.store_dir,
            AnalysisOptions.from_config(self.config),
            recorder,
            enabled=self.config.analysis.enabled,
            idle=self.config.analysis.idle,
            otel=self.config.otel.if_on(),
        )

        def publish(record: dict[str, Any]) -> None:
            events.publish(record)
            analyst.publish(record)

        who = Who(self.sources)
        recording = Inspector(recorder, self.sources, who, publish, self.kept)
        facts = FactFinder(self.sources, self.providers)
        changes = Changes(facts, self.plan)
        guard = EgressGuard(self.sources, facts, self.egress)
        ledger = Ledger(tuple(entry.budget() for entry in self.config.budgets))

        async def settle(seconds: float) -> None:
            await recorder.flush(seconds)
            await analyst.flush(seconds)

        spending = Spending(
            facts,
            ledger,
            settle,
            partial(read_spent, self.paths.store_dir),
            # Made below; nothing is spent before.
            lambda run, text: runs.notify(run, text),
            lambda run, text: runs.ask(run, text),
        )
        own = OwnEndpoints(self.sources, self._health, partial(_models, changes), self.notifications.add)
        door = gate.Gate(self.sources, lambda: changes.plan.token, demands=is_exposed(self.hosts))
        master.insert_addons(
            door,
            PlainHttp2(),
            LoopGuard(),
            McpEndpoint(self.sources, self.mcp.port if self.mcp.enabled else None),
            own,
            ReverseRouting(self.sources),
            guard,
            spending,
            changes,
            ConnectTo(self.sources, self.targets, borrowed, self._is_resolved_elsewhere),
            *([ThroughProxy(self.proxy, facts)] if self.proxy is not None else []),
            who,
            recording,
        )
        content_views.register(self.paths.store_dir)
        master.addons.add(Commands(self.paths.store_dir, self.paths.config_dir))
        master.addons.add(BoundedView(master.view, inspector.view.max_flows, inspector.view.max_bytes))
        latest = self.config
        listeners = Listeners(
            master.proxyserver,
            self.sources,
            self.paths.runtime_dir,
            KeyLog(self.paths.wg_keylog) if keylog else None,
        )
        runs = Runs(
            self.config,
            self.paths,
            self.sources,
            listeners,
            recorder,
            self._closed_to_jails(),
            roots.system_bundle(),
            recording.take_count,
            guard,
            ledger,
            lambda name: describe_key(name, latest, changes.plan),
            self.kept,
            self.mcp.admit,
        )

        async def status() -> dict[str, Any]:
            hooks = [step.name for plan in changes.plan.pipeline.plans.values() for step in plan.steps]
            return self._status(listeners, runs, recorder, analyst, master.web_url, hooks, door.refused.total())

        async def reload() -> dict[str, Any]:
            nonlocal latest
            changed = await asyncio.to_thread(load_config, self.paths.config_file)
            providers, egress = Providers(changed.identities), self._egress(changed)
            plan = build_plan(changed, self.surroundings, egress)
            facts.providers, guard.general = providers, egress
            ledger.budgets = tuple(entry.budget() for entry in changed.budgets)
            changes.use(plan)
            self.kept.use(changed.redact)
            latest = changed
            analyst.reload(AnalysisOptions.from_config(changed), changed.otel.if_on())
            return {"providers": len(changed.providers), "prices": len(changed.prices)}

        control = ControlServer(
            self.paths.control_socket, runs, events, recorder, analyst, status, reload, master.should_exit.set
        )
        said = f"base URL http://127.0.0.1:{self.ports['reverse']}, proxy http://127.0.0.1:{self.ports['proxy']}"
        tasks = signals.obey(master.should_exit.set, lambda: manager.reload(reload, said))
        try:
            if not await recorder.ready(_STORE_SECONDS):
                logger.warning("an earlier recorder is still writing; its flows appear when it has finished")
            await self._open_listeners(listeners)
            try:
                await master.running()
            except OSError as error:
                raise PortBusy(
                    f"mitmweb cannot listen on 127.0.0.1:{self.ports['web']}: {error.strerror}",
                    "set inspector.web_port to another port",
                ) from error
            release_ports()
            self.mcp.start()
            await control.start()
            # Everyone who started us may go on; what follows is not needed to serve.
            if not pipe.detached and not manager.supervised:
                print(f"mitmweb: {master.web_url}", file=sys.stderr)
            pipe.ready()
            manager.ready(said)
            tasks.start(manager.keep_watchdog())
            self._announce(master.web_url)
            probe = readiness.probe_later(inspector.readiness.url, self.roots, self.proxy)
            await master.should_exit.wait()
            probe.cancel()
        finally:
            tasks.cancel()
            manager.stopping()
            await control.stop()
            await self.mcp.close()
            await runs.end_all()
            await listeners.close_all()
            await master.done()
            await analyst.close()
            if self.proxy is not None:
                await self.proxy.close()

    def _health(self) -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "uptime": round(time.time() - self.started_at, 1)}

    def _is_resolved_elsewhere(self, name: str) -> bool:
        return self.proxy is not None and self.proxy.covers(name, None)

    def _closed_to_jails(self) -> dict[str, int]:
        """Our ports, by name; and that of a proxy on this machine, which would lead past us."""
        closed = {**self.ports, "mcp": self.mcp.port}
        if self.proxy is not None and (is_loopback(self.proxy.host) or is_own_address(self.proxy.host)):
            closed["upstream_proxy"] = self.proxy.port
        return closed

    def _egress(self, config: Config) -> Egress:
        """What the configuration lets leave; offline, our own listeners and local models can still be reached."""
        targets = [port for port, _ in self.target_ports]
        return Egress.of(config.policy, [*self.ports.values(), *targets, *config.jail.model_ports])

    def _status(
        self,
        listeners: Listeners,
        runs: Runs,
        recorder: Recorder,
        analyst: AnalystProcess,
        web_url: str,
        hooks: list[str],
        refused: int,
    ) -> dict[str, Any]:
        open_ports = {port for _, port in listeners.ports}
        return build_status(
            config=self.config,
            paths=self.paths,
            ports=self.ports,
            listening={name: name == "web" or port in open_ports for name, port in self.ports.items()},
            web_url=web_url,
            started_at=self.started_at,
            runs=[run.record for run in runs.live.values()],
            store=recorder.stats(),
            analysis=analyst.status(),
            mcp=self.mcp.status(),
            export=analyst.export_status(),
            hooks=hooks,
            otel=analyst.otel,
            refused=refused,
            upstream_proxy=self.proxy.label if self.proxy is not None else None,
            warnings=lasting_warnings(self.config, analyst.otel),
        )

    async def _open_listeners(self, listeners: Listeners) -> None:
        await listeners.open_http(self.ports["reverse"], Listener("reverse"), self.hosts)
        await listeners.open_http(self.ports["proxy"], Listener("proxy"), self.hosts)
        for port, origin in self.target_ports:
            await listeners.open_http(port, Listener("reverse", target=origin), self.hosts)

    def _announce(self, web_url: str) -> None:
        logger.info("ready, pid %d, data in %s", os.getpid(), self.paths.data_dir)
        logger.info("reverse listener  http://127.0.0.1:%d", self.ports["reverse"])
        logger.info("forward proxy     http://127.0.0.1:%d", self.ports["proxy"])
        # The URL carries the token, which has no business in a log file.
        logger.info("mitmweb           %s", web_url.partition("?")[0])
        for warning in lasting_warnings(self.config, self.config.otel.if_on()):
            logger.warning(warning)


def _models(changes: Changes, request: http.Request) -> dict[str, Any] | None:
    """The models of all providers that list some; None when the question goes to the provider it was meant for."""
    destinations = changes.plan.router.destinations
    offered = offers(destinations)
    headers = Headers(request.headers.fields)
    dialect = asker(request.path, headers) if offered else None
    return listing(offered, dialect) if dialect is not None else None


def _connect_targets(config: Config) -> list[Target]:
    try:
        return parse_connect_to(config.inspector.connect_to)
    except ValueError as error:
        raise ConfigError(f"inspector.{error}", "write it as `api.example.com:443: 127.0.0.1:8443`") from error
