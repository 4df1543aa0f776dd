"""mitmproxy's server instances that come and go while the daemon runs.

They are started directly instead of through the `mode` option: an option change reconfigures every addon, and changes
of several runs at once would have to wait for each other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mitmproxy_rs
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.mode_servers import AsyncioServerInstance, ServerInstance

from ccinspect.addons.keylog import KeyLog, log_tunnel_keys
from ccinspect.addons.sources import Listener, Sources
from ccinspect.daemon.ports import claim_port, free_udp_port, release_ports
from ccinspect.errors import ControlError

_ATTEMPTS = 5


class Listeners:
    """Starts and stops listeners on 127.0.0.1, and keeps the table of sources true."""

    def __init__(self, proxyserver: Proxyserver, sources: Sources, key_dir: Path, keylog: KeyLog | None = None) -> None:
        """`key_dir` holds the keys of a tunnel while it is opened; `keylog` keeps them, where somebody wants that."""
        self._keylog = keylog
        self._proxyserver = proxyserver
        self._sources = sources
        self._key_dir = key_dir
        self._running: dict[tuple[str, int], list[ServerInstance[Any]]] = {}

    @property
    def ports(self) -> list[tuple[str, int]]:
        """Mode and port of every listener that is open."""
        return list(self._running)

    async def open_http(self, port: int, listener: Listener, hosts: Sequence[str] = ("127.0.0.1",)) -> int:
        """Listen for HTTP on `port` (0: any) of these addresses and return the port. Raises ControlError."""
        if port:
            for host in hosts:
                await self._start(f"regular@{host}:{port}", ("regular", port), listener)
            return port
        try:
            return await self.open_http(claim_port(0, ""), listener, hosts)
        finally:
            release_ports()

    async def open_tunnel(self, name: str, listener: Listener) -> Tunnel:
        """Listen for one WireGuard peer with keys made for it alone."""
        server_key, client_key = mitmproxy_rs.wireguard.genkey(), mitmproxy_rs.wireguard.genkey()
        key_file = self._key_dir / f"{name}.key"
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"server_key": server_key, "client_key": client_key}, file)
        try:
            for attempt in range(_ATTEMPTS):
                port = free_udp_port()
                try:
                    await self._start(f"wireguard:{key_file}@127.0.0.1:{port}", ("wireguard", port), listener)
                    break
                except ControlError:
                    # Another process may take the port between our look and the listener's.
                    if attempt == _ATTEMPTS - 1:
                        raise
        finally:
            # mitmproxy reads the keys when it starts; they need not lie around for the length of the run.
            key_file.unlink()
        log_tunnel_keys(self._keylog, server_key, client_key)
        return Tunnel(port, mitmproxy_rs.wireguard.pubkey(server_key), client_key)

    async def close(self, kind: str, port: int) -> None:
        """Stop one listener; unknown ones are ignored."""
        self._sources.listeners.pop((kind, port), None)
        for instance in self._running.pop((kind, port), []):
            servers = list(instance._servers) if isinstance(instance, AsyncioServerInstance) else []
            await instance.stop()
            for server in servers:
                if isinstance(server, mitmproxy_rs.wireguard.WireGuardServer):
                    await server.wait_closed()

    async def close_all(self) -> None:
        for kind, port in list(self._running):
            await self.close(kind, port)

    async def _start(self, mode: str, key: tuple[str, int], listener: Listener) -> None:
        instance: ServerInstance[Any] = ServerInstance.make(mode, self._proxyserver)
        self._sources.listeners[key] = listener
        try:
            await instance.start()
        except (OSError, ValueError) as error:
            if key not in self._running:
                del self._sources.listeners[key]
            place = mode.rpartition("@")[2]
            raise ControlError(f"cannot listen on {place}: {error}", "see `ccinspect status`") from error
        self._running.setdefault(key, []).append(instance)


class Tunnel:
    """The client's half of a tunnel, as the jail needs it."""

    def __init__(self, endpoint_port: int, server_public_key: str, client_private_key: str) -> None:
        self.endpoint_port = endpoint_port
        self.server_public_key = server_public_key
        self.client_private_key = client_private_key
