"""What `ccinspect status` says: the shape other tools of this kind have, and our own numbers beside it."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import Any

from ccinspect import __version__
from ccinspect.config import Config
from ccinspect.paths import Paths
from ccinspect.telemetry.settings import OtelSettings


def build_status(
    *,
    config: Config,
    paths: Paths,
    ports: dict[str, int],
    listening: dict[str, bool],
    web_url: str,
    started_at: float,
    runs: list[dict[str, Any]],
    store: dict[str, Any],
    analysis: dict[str, Any],
    mcp: dict[str, Any],
    export: dict[str, Any] | None,
    hooks: list[str],
    otel: OtelSettings | None,
    upstream_proxy: str | None,
    refused: int,
    warnings: list[str],
) -> dict[str, Any]:
    """The JSON object of `status --json`; `listening` says of each listener whether it is open."""
    return {
        "proxy": listening["reverse"] and listening["proxy"],
        "url": f"http://127.0.0.1:{ports['reverse']}",
        "proxy_url": f"http://127.0.0.1:{ports['proxy']}",
        "config": str(paths.config_file),
        "data": str(paths.data_dir),
        "ca": str(paths.ca_cert),
        "hooks": hooks,
        "log": str(paths.log_file),
        "inspector": {"running": listening["web"], "ports": ports, "url": web_url},
        "upstream_proxy": upstream_proxy,
        "refused": refused,
        "mcp": mcp,
        "version": __version__,
        "pid": os.getpid(),
        "uptime": time.time() - started_at,
        "runs": runs,
        "store": {"bodies": config.store.bodies, **store},
        "analysis": analysis,
        "otel": {"enabled": otel is not None, **(_where(otel) if otel is not None else {}), **(export or {})},
        "warnings": warnings,
    }


def _where(otel: OtelSettings) -> dict[str, str]:
    return {"endpoint": otel.endpoint_in(os.environ), "protocol": otel.protocol_in(os.environ)}


def lasting_warnings(config: Config, otel: OtelSettings | None) -> list[str]:
    """Settings that weaken a promise, said for as long as they are on; `otel` as it is now, None where it is off."""
    warnings = []
    if config.store.keep_secrets:
        warnings.append("store.keep_secrets is on: credentials are written to disk in clear")
    if not ipaddress.ip_address(config.inspector.host).is_loopback:
        host = config.inspector.host
        warnings.append(f"inspector.host is {host}: other machines can use the listeners with proxy.token")
    if config.inspector.keylog:
        warnings.append("inspector.keylog is on: keys that decrypt traffic are written to tls.keylog and wg.keylog")
    if config.inspector.mitmproxy.get("ssl_insecure"):
        warnings.append("inspector.mitmproxy.ssl_insecure is on: upstream certificates are not verified")
    if otel is not None and not config.analysis.enabled:
        warnings.append("otel.enabled has no effect while analysis.enabled is false")
    if otel is not None and otel.capture_content == "full":
        warnings.append("otel.capture_content is full: prompts and answers are sent to the collector")
    if config.inspector.connect_to:
        warnings.append("inspector.connect_to redirects: " + ", ".join(sorted(config.inspector.connect_to)))
    return warnings
