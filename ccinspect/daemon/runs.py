"""Runs: from `ccinspect run` saying hello until its connection closes."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from ccinspect.addons.egress import EgressGuard
from ccinspect.addons.sources import BaseUrlRun, Listener, Origin, Sources
from ccinspect.auth.permission import is_loopback
from ccinspect.config import Config
from ccinspect.daemon.base_urls import base_url_environment
from ccinspect.daemon.listeners import Listeners
from ccinspect.errors import ControlError
from ccinspect.jail.session import CAPTURING
from ccinspect.paths import Paths
from ccinspect.policy.budgets import Ledger
from ccinspect.policy.kept import KeptRules
from ccinspect.store.recorder import RULES, Recorder

logger = logging.getLogger("ccinspect.runs")

FLUSH_SECONDS = 10.0
QUESTION_SECONDS = 60.0
_MODES = ("inspect", "base-url", "proxy")
_RECORDED = ("name", "project", "tags", "command", "cwd", "git", "user", "pid")


@dataclass
class Run:
    """A live run and the listeners that are its own."""

    record: dict[str, Any]
    listeners: list[tuple[str, int]] = field(default_factory=list)
    notify: Callable[[str], None] | None = None
    """Tells whoever started it something."""
    ask: Callable[[int, str, float], None] | None = None
    """Asks whoever started it: a number for the question, what, and how many seconds the answer may take."""

    @property
    def id(self) -> str:
        return str(self.record["id"])


class Runs:
    """The table of live runs."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        sources: Sources,
        listeners: Listeners,
        recorder: Recorder,
        own_ports: dict[str, int],
        system_bundle: Path,
        take_count: Callable[[str], int],
        guard: EgressGuard,
        ledger: Ledger,
        keyless: Callable[[str], Awaitable[dict[str, Any]]],
        kept: KeptRules,
        admit_to_mcp: Callable[[str], dict[str, Any]],
    ) -> None:
        self._admit_to_mcp = admit_to_mcp
        self._kept = kept
        self._config = config
        self._paths = paths
        self._sources = sources
        self._listeners = listeners
        self._recorder = recorder
        self._own_ports = own_ports
        self._system_bundle = system_bundle
        self._take_count = take_count
        self._guard = guard
        self._ledger = ledger
        self._keyless = keyless
        self.live: dict[str, Run] = {}
        self._questions: dict[int, tuple[str, asyncio.Future[bool | None]]] = {}
        self._question_number = itertools.count(1)

    async def start(self, params: dict[str, Any]) -> dict[str, Any]:
        """Register a run and open what its mode needs; the answer of `run.start`."""
        mode = params.get("mode")
        if mode not in _MODES:
            raise ControlError(f"unknown run mode {mode!r}", f"one of {', '.join(_MODES)}")
        run_id = secrets.token_hex(5)
        record = {
            "id": run_id,
            "mode": mode,
            **{key: params.get(key) for key in _RECORDED},
            "started_at": time.time(),
            "ended_at": None,
            "exit_code": None,
            "host": socket.gethostname(),
        }
        run = Run(record)
        answer: dict[str, Any] = {
            "run_id": run_id,
            "ca_cert": str(self._paths.ca_cert),
            "host_bundle": str(self._system_bundle),
            "own_ports": sorted(self._own_ports.values()),
        }
        keyless = params.get("keyless")
        if keyless is not None:
            answer["keyless"] = await self._keyless(str(keyless))
        self._limit(run_id, params)
        try:
            if params.get("mcp"):
                answer["mcp"] = self._admit_to_mcp(run_id)
            if mode == "inspect":
                answer |= await self._open_jail(run)
                if "mcp" in answer:
                    answer["jail"]["granted_ports"] = [answer["mcp"]["port"]]
                if keyless is not None:
                    answer["jail"]["hide_files"] = answer["keyless"].pop("files")
            elif mode == "base-url":
                answer["env"] = self._open_base_urls(run_id, params.get("upstreams") or {})
            else:
                answer["env"] = self._open_proxy(run_id)
        except Exception:
            await self._close(run)
            raise
        self.live[run_id] = run
        self._sources.run_records[run_id] = record
        if isinstance(record["pid"], int):
            self._sources.supervisors[run_id] = record["pid"]
        message: dict[str, Any] = {"kind": "run_started", "run": record}
        if masks := self._kept.of(record["project"]):
            message[RULES] = masks
        self._recorder.put(message)
        logger.info("run %s started (%s)", run_id, mode)
        return answer

    def _limit(self, run_id: str, params: dict[str, Any]) -> None:
        """Give the run the policy and the budget it was started with. Raises ConfigError."""
        policy, budget = params.get("policy") or {}, params.get("budget") or {}
        if policy:
            self._sources.run_egress[run_id] = self._guard.general.for_run(
                policy.get("allow") or (), policy.get("deny") or (), bool(policy.get("offline")), params.get("name")
            )
        cost, tokens = budget.get("max_cost"), budget.get("max_tokens")
        ask = budget.get("on_exceed") == "ask"
        self._ledger.start_run(run_id, None if cost is None else Decimal(str(cost)), tokens, "ask" if ask else "deny")

    async def end(self, run_id: str, exit_code: int | None) -> dict[str, Any]:
        """Close a run; the answer of `run.end`. Ending one that is not live is harmless."""
        run = self.live.pop(run_id, None)
        if run is not None:
            self._unasked(run_id)
            await self._close(run)
            self._recorder.put({"kind": "run_ended", "id": run_id, "ended_at": time.time(), "exit_code": exit_code})
            logger.info("run %s ended (%s)", run_id, "killed" if exit_code is None else f"exit code {exit_code}")
        await self._recorder.flush(FLUSH_SECONDS)
        return {"flows": self._take_count(run_id)}

    def notify(self, run_id: str | None, text: str) -> None:
        """Say one line on the terminal of a live run."""
        run = self.live.get(run_id or "")
        if run is not None and run.notify is not None:
            run.notify(text)

    async def ask(self, run_id: str | None, text: str) -> bool | None:
        """What whoever started a run says to a question; None when nobody can be asked, or nobody answers."""
        run = self.live.get(run_id or "")
        if run is None or run.ask is None:
            return None
        number, answer = next(self._question_number), asyncio.get_running_loop().create_future()
        self._questions[number] = (run.id, answer)
        run.ask(number, text, QUESTION_SECONDS)
        try:
            # A little more than they have, so that the last moment's answer is heard.
            return await asyncio.wait_for(answer, 2 * QUESTION_SECONDS)
        except TimeoutError:
            return None
        finally:
            del self._questions[number]

    def answer(self, number: object, yes: object) -> None:
        """What was said to a question; one that nobody waits for any more is not heard."""
        _, answer = self._questions.get(number, ("", None)) if isinstance(number, int) else ("", None)
        if answer is not None and not answer.done():
            answer.set_result(yes if isinstance(yes, bool) else None)

    def _unasked(self, run_id: str) -> None:
        for asked, answer in self._questions.values():
            if asked == run_id and not answer.done():
                answer.set_result(None)

    async def end_all(self) -> None:
        for run_id in list(self.live):
            await self.end(run_id, None)

    async def _open_jail(self, run: Run) -> dict[str, Any]:
        listener = Listener("wireguard", run.id)
        tunnel = await self._listeners.open_tunnel(run.id, listener)
        run.listeners.append(("wireguard", tunnel.endpoint_port))
        jail = self._config.jail
        captured_ports = await self._open_captured_ports(run)
        return {
            "tunnel": {
                "endpoint_port": tunnel.endpoint_port,
                "server_public_key": tunnel.server_public_key,
                "client_private_key": tunnel.client_private_key,
                "address": "10.0.0.1",
                "dns": "10.0.0.53",
                "ipv6": _has_ipv6_route(),
            },
            "jail": {
                "uplink": jail.uplink,
                "wireguard": jail.wireguard,
                "host_ports": jail.host_ports,
                "mask_sockets": jail.mask_sockets,
                "captured_ports": captured_ports,
                "blocked_ports": sorted({*self._own_ports.values(), self._config.mcp.port}),
                "hide": [str(self._paths.runtime_root), str(self._paths.data_dir)],
                "host_bundle": str(self._system_bundle),
            },
        }

    async def _open_captured_ports(self, run: Run) -> dict[str, int]:
        """Open a listener of the run's own for each port of the host that its command reaches through us: those of
        model servers, and our reverse listeners, which agents are set up to use. {port inside: the listener's}."""
        local = self._config.jail.host_ports != "none"
        wanted: dict[int, Listener] = {}
        if local:
            for port in self._config.jail.model_ports:
                wanted[port] = Listener("reverse", run.id, Origin("http", "127.0.0.1", port), keep_host=True)
        for (_, port), shared in self._sources.listeners.items():
            if shared.kind != "reverse" or shared.run is not None:
                continue
            if local or shared.target is None or not is_loopback(shared.target.host):
                wanted[port] = replace(shared, run=run.id)
        opened: dict[str, int] = {}
        for port, listener in wanted.items():
            opened[str(port)] = await self._listeners.open_http(0, listener, (CAPTURING,))
            run.listeners.append(("regular", opened[str(port)]))
        return opened

    def _open_base_urls(self, run_id: str, already_set: dict[str, str]) -> dict[str, str]:
        environment, upstreams = base_url_environment(run_id, self._own_ports["reverse"], already_set)
        self._sources.base_url_runs[run_id] = BaseUrlRun(upstreams)
        return environment

    def _open_proxy(self, run_id: str) -> dict[str, str]:
        password = secrets.token_urlsafe(18)
        self._sources.proxy_runs[run_id] = password
        url = f"http://{run_id}:{password}@127.0.0.1:{self._own_ports['proxy']}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        environment = {name: url for upper in names for name in (upper, upper.lower())}
        # Node's own fetch looks at the variables only when told to.
        environment["NODE_USE_ENV_PROXY"] = "1"
        return environment

    async def _close(self, run: Run) -> None:
        self._sources.run_records.pop(run.id, None)
        self._sources.run_egress.pop(run.id, None)
        self._ledger.end_run(run.id)
        self._sources.supervisors.pop(run.id, None)
        self._sources.base_url_runs.pop(run.id, None)
        self._sources.proxy_runs.pop(run.id, None)
        for kind, port in run.listeners:
            await self._listeners.close(kind, port)


def _has_ipv6_route() -> bool:
    """Whether this host has a default route for IPv6 (proc(5), /proc/net/ipv6_route)."""
    try:
        lines = Path("/proc/net/ipv6_route").read_text().splitlines()
    except OSError:
        return False
    return any(
        fields[0] == "0" * 32 and fields[1] == "00" and fields[-1] != "lo" for line in lines if (fields := line.split())
    )
