"""What the `namespace` commands find out, and the tunnel they open."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ccinspect.cli.changing.check_lines import check_lines, wrapped
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import RED, paint
from ccinspect.cli.run import running
from ccinspect.cli.run.run_options import RunOptions
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import JailUnavailable
from ccinspect.jail.doctor import Check, checks
from ccinspect.jail.inside import IPV6_ADDRESS
from ccinspect.jail.limits import limits
from ccinspect.jail.session import JailSettings, Tunnel
from ccinspect.outward.exceptions import Exceptions


def static_report() -> dict[str, Any]:
    """`{usable, checks, limits}` without building anything."""
    return _report(checks())


def live_report(instance: Instance, url: str) -> dict[str, Any]:
    """The same after everything was tried in a real jail, TLS with `url`. Starts the daemon when none runs."""
    found = checks()
    if not any(check.status == "fail" for check in found):
        found += _host_check(instance, url)
        found += _try_in_jail(instance, url)
    return _report(found)


def _report(found: Sequence[Check]) -> dict[str, Any]:
    usable = not any(check.status == "fail" for check in found)
    return {"usable": usable, "checks": [check.as_json() for check in found], "limits": limits()}


def _host_check(instance: Instance, url: str) -> list[Check]:
    """Without a network out here, nothing in there can work either: say which of the two it is."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    inspector = instance.config().inspector
    if f"{host}:{port}" in inspector.connect_to:
        return []
    proxy = inspector.upstream_proxy
    if proxy is not None and not Exceptions.parse(proxy.exceptions).match(host, port):
        # The proxy resolves it, not this machine.
        return []
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        detail = f"this machine itself cannot resolve {host} ({error.strerror}), so DNS and TLS below cannot work"
        return [Check("host network", "warn", detail, "connect it, or name a URL that it can reach: --url")]
    return [Check("host network", "ok", f"this machine resolves {host}")]


def _try_in_jail(instance: Instance, url: str) -> list[Check]:
    # Not at the top: it starts processes, and the other commands here start none.
    from ccinspect.jail.live import live_checks

    with _opened(instance, "doctor") as (_, answer):
        environ = dict(os.environ) | {running.RUN_ID_ENV: str(answer["run_id"])}
        tunnel, settings = Tunnel.from_json(answer["tunnel"]), JailSettings.from_json(answer["jail"])
        try:
            return live_checks(tunnel, settings, Path(answer["ca_cert"]), environ, url, running.report)
        except JailUnavailable as error:
            return [Check("jail", "fail", error.message, error.hint)]


@contextmanager
def _opened(instance: Instance, name: str) -> Iterator[tuple[ControlClient, dict[str, Any]]]:
    """A run of our own for as long as the block lasts, and the daemon's answer to it."""
    options = RunOptions("inspect", ("ccinspect", "namespace", name), name=name)
    with running.connect(instance) as client:
        answer = client.call(protocol.RUN_START, **running.describe(options, os.getcwd(), os.environ))
        try:
            yield client, answer
        finally:
            client.set_timeout(running.END_TIMEOUT)
            client.call(protocol.RUN_END, run_id=answer["run_id"], exit_code=0)


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """A report for a person; what is to be done stands below each finding."""
    yield from check_lines(report["checks"])
    yield ""
    if report["usable"]:
        yield "A jail can be built here. What it does not stop:"
        for limit in report["limits"]:
            yield from wrapped(limit, "- ", "  ")
    else:
        yield paint("Something has to be mended first, see above.", RED)


@dataclass(frozen=True)
class OpenTunnel:
    """A WireGuard listener of the daemon that is ours for a while."""

    run_id: str
    tunnel: Tunnel
    _client: ControlClient

    def as_json(self) -> dict[str, Any]:
        """`{run, endpoint, server_public_key, client_private_key, addresses, dns, allowed_ips}`; keys are base64."""
        addresses = [f"{self.tunnel.address}/32", *([f"{IPV6_ADDRESS}/128"] if self.tunnel.ipv6 else [])]
        return {
            "run": self.run_id,
            "endpoint": f"127.0.0.1:{self.tunnel.endpoint_port}",
            "server_public_key": self.tunnel.server_public_key,
            "client_private_key": self.tunnel.client_private_key,
            "addresses": addresses,
            "dns": self.tunnel.dns,
            "allowed_ips": ["0.0.0.0/0", *(["::/0"] if self.tunnel.ipv6 else [])],
        }

    def as_config(self) -> str:
        """The same in the form of wg-quick(8)."""
        values = self.as_json()
        return (
            "[Interface]\n"
            f"PrivateKey = {values['client_private_key']}\n"
            f"Address = {', '.join(values['addresses'])}\n"
            f"DNS = {values['dns']}\n"
            "\n"
            "[Peer]\n"
            f"PublicKey = {values['server_public_key']}\n"
            f"AllowedIPs = {', '.join(values['allowed_ips'])}\n"
            f"Endpoint = {values['endpoint']}"
        )

    def wait(self) -> None:
        """Until the daemon goes away."""
        select.select([self._client], [], [])


@contextmanager
def open_tunnel(instance: Instance) -> Iterator[OpenTunnel]:
    """Open a tunnel for as long as the block lasts. Starts the daemon when none runs."""
    with _opened(instance, "wireguard-config") as (client, answer):
        yield OpenTunnel(str(answer["run_id"]), Tunnel.from_json(answer["tunnel"]), client)
