"""A daemon that serves: its parts, from the first listener to the last flow."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from ccinspect.addons.keylog import KeyLog
from ccinspect.addons.sources import Listener
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.config import load_config
from ccinspect.control.ready import ReadyPipe
from ccinspect.daemon import readiness, roots, signals
from ccinspect.daemon.analyst import AnalystProcess
from ccinspect.daemon.chain import Chain, extend_mitmproxy
from ccinspect.daemon.control_server import ControlServer
from ccinspect.daemon.events import Events
from ccinspect.daemon.groundwork import Groundwork
from ccinspect.daemon.keyless import describe_key
from ccinspect.daemon.listeners import Listeners
from ccinspect.daemon.master import build_master
from ccinspect.daemon.ports import release_ports
from ccinspect.daemon.runs import Runs
from ccinspect.daemon.service_manager import ServiceManager
from ccinspect.daemon.status import build_status, lasting_warnings
from ccinspect.errors import PortBusy
from ccinspect.store.recorder import Recorder

logger = logging.getLogger("ccinspect.daemon")

# How long a start waits for the recorder of a daemon that was killed to write what it had been given.
_STORE_SECONDS = 5.0


class Serving:
    """Belongs to one event loop; made within it, nothing is open before `serve`."""

    def __init__(self, base: Groundwork, recorder: Recorder) -> None:
        self._base = base
        self._recorder = recorder
        self._latest = base.config
        """As `reload` has read it last."""
        config, paths = base.config, base.paths
        borrowed = extend_mitmproxy(base)
        self._master = build_master(
            config.inspector, paths.ca_dir, base.roots, base.ports["web"], base.password, base.token
        )
        self._events = Events(recorder, paths.store_dir)
        self._analyst = AnalystProcess(
            paths.store_dir,
            AnalysisOptions.from_config(config),
            recorder,
            enabled=config.analysis.enabled,
            idle=config.analysis.idle,
            otel=config.otel.if_on(),
        )
        self._chain = Chain(base, recorder, self._publish, self._settle, self._tell, self._ask)
        self._chain.insert_into(self._master, borrowed)
        self._listeners = Listeners(
            self._master.proxyserver,
            base.sources,
            paths.runtime_dir,
            KeyLog(paths.wg_keylog) if config.inspector.keylog else None,
        )
        self._runs = Runs(
            config,
            paths,
            base.sources,
            self._listeners,
            recorder,
            base.closed_to_jails(),
            roots.system_bundle(),
            self._chain.recording.take_count,
            self._chain.guard,
            self._chain.ledger,
            self._describe_key,
            base.kept,
            base.mcp.admit,
        )
        self._stop = self._master.should_exit
        self._control = ControlServer(
            paths.control_socket,
            self._runs,
            self._events,
            recorder,
            self._analyst,
            self._status,
            self._reload,
            self._stop.set,
        )

    async def serve(self, pipe: ReadyPipe, manager: ServiceManager) -> None:
        """Open, say ready, serve until told to stop, drain. Raises PortBusy."""
        ports = self._base.ports
        said = f"base URL http://127.0.0.1:{ports['reverse']}, proxy http://127.0.0.1:{ports['proxy']}"
        tasks = signals.obey(self._stop.set, lambda: manager.reload(self._reload, said))
        try:
            await self._open()
            # Everyone who started us may go on; what follows is not needed to serve.
            if not pipe.detached and not manager.supervised:
                print(f"mitmweb: {self._master.web_url}", file=sys.stderr)
            pipe.ready()
            manager.ready(said)
            tasks.start(manager.keep_watchdog())
            self._announce()
            probe = readiness.probe_later(self._base.config.inspector.readiness.url, self._base.roots, self._base.proxy)
            await self._stop.wait()
            probe.cancel()
        finally:
            tasks.cancel()
            manager.stopping()
            await self._close()

    async def _open(self) -> None:
        base = self._base
        if not await self._recorder.ready(_STORE_SECONDS):
            logger.warning("an earlier recorder is still writing; its flows appear when it has finished")
        await self._listeners.open_http(base.ports["reverse"], Listener("reverse"), base.hosts)
        await self._listeners.open_http(base.ports["proxy"], Listener("proxy"), base.hosts)
        for port, origin in base.target_ports:
            await self._listeners.open_http(port, Listener("reverse", target=origin), base.hosts)
        try:
            await self._master.running()
        except OSError as error:
            raise PortBusy(
                f"mitmweb cannot listen on 127.0.0.1:{base.ports['web']}: {error.strerror}",
                "set inspector.web_port to another port",
            ) from error
        release_ports()
        base.mcp.start()
        await self._control.start()

    async def _close(self) -> None:
        """Who asks us goes first, then what captures; the analyst last, for until then there is more for it to read."""
        await self._control.stop()
        await self._base.mcp.close()
        await self._runs.end_all()
        await self._listeners.close_all()
        await self._master.done()
        await self._analyst.close()
        if self._base.proxy is not None:
            await self._base.proxy.close()

    def _announce(self) -> None:
        base = self._base
        logger.info("ready, pid %d, data in %s", os.getpid(), base.paths.data_dir)
        logger.info("reverse listener  http://127.0.0.1:%d", base.ports["reverse"])
        logger.info("forward proxy     http://127.0.0.1:%d", base.ports["proxy"])
        # The URL carries the token, which has no business in a log file.
        logger.info("mitmweb           %s", self._master.web_url.partition("?")[0])
        for warning in lasting_warnings(base.config, base.config.otel.if_on()):
            logger.warning(warning)

    def _publish(self, record: dict[str, Any]) -> None:
        self._events.publish(record)
        self._analyst.publish(record)

    async def _settle(self, seconds: float) -> None:
        await self._recorder.flush(seconds)
        await self._analyst.flush(seconds)

    def _tell(self, run: str | None, text: str) -> None:
        self._runs.notify(run, text)

    async def _ask(self, run: str | None, text: str) -> bool | None:
        return await self._runs.ask(run, text)

    async def _describe_key(self, provider: str) -> dict[str, Any]:
        return await describe_key(provider, self._latest, self._chain.changes.plan, self._base.paths.config_file)

    async def _reload(self) -> dict[str, Any]:
        """Read the settings anew; the answer of `reload`. Raises what is wrong with them; then the old ones stay."""
        changed = await asyncio.to_thread(load_config, self._base.paths.config_file)
        self._chain.use(changed)
        self._latest = changed
        self._analyst.reload(AnalysisOptions.from_config(changed), changed.otel.if_on())
        return {"providers": len(changed.providers), "prices": len(changed.prices)}

    async def _status(self) -> dict[str, Any]:
        base, analyst = self._base, self._analyst
        open_ports = {port for _, port in self._listeners.ports}
        return build_status(
            config=base.config,
            paths=base.paths,
            ports=base.ports,
            listening={name: name == "web" or port in open_ports for name, port in base.ports.items()},
            web_url=self._master.web_url,
            started_at=base.started_at,
            runs=[run.record for run in self._runs.live.values()],
            store=self._recorder.stats(),
            analysis=analyst.status(),
            mcp=base.mcp.status(),
            export=analyst.export_status(),
            hooks=self._chain.hook_names(),
            otel=analyst.otel,
            refused=self._chain.door.refused.total(),
            upstream_proxy=base.proxy.label if base.proxy is not None else None,
            warnings=lasting_warnings(base.config, analyst.otel),
        )
