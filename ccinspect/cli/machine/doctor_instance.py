"""What `doctor` looks at in one instance: its settings, ports, certificate authority, store and credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ccinspect.auth.resolver import Credentials
from ccinspect.cli import text
from ccinspect.cli.changing import check
from ccinspect.cli.instance import Instance
from ccinspect.cli.machine.doctor_machine import is_private
from ccinspect.config import Config
from ccinspect.daemon.ports import claim_port
from ccinspect.errors import ConfigError, CredentialsError, PortBusy, SetupError, StoreUnavailable
from ccinspect.jail.doctor import Check
from ccinspect.paths import Paths
from ccinspect.setup import authority
from ccinspect.store import schema, upgrade
from ccinspect.store.statistics import store_statistics

_SOON = timedelta(days=30)


def checks(instance: Instance, status: dict[str, Any], *, credentials: bool) -> Iterator[Check]:
    """`status` is the daemon's, or that of one that does not run."""
    paths = instance.paths
    try:
        config = instance.config()
    except ConfigError as error:
        yield Check("settings", "fail", error.message, error.hint)
        config = None
    else:
        there = "" if paths.config_file.exists() else " (no file: all defaults)"
        yield Check("settings", "ok", f"{paths.config_file}{there}")
    if config is not None:
        yield from _rules(instance, config)
    yield from _private(paths)
    if config is not None and status["pid"] is None:
        yield from _ports(config)
    yield _authority(paths)
    yield _store(paths)
    if config is not None:
        yield from _credentials(config, ask=credentials)


def _rules(instance: Instance, config: Config) -> Iterator[Check]:
    found = check.all_problems(instance, config)
    for problem in found:
        yield Check("rules", "fail" if problem.severity == "error" else "warn", problem.message, problem.hint)
    if not found:
        yield Check("rules", "ok", "rules and hooks can do what they say")


def _private(paths: Paths) -> Iterator[Check]:
    open_ones = [path for path in (paths.data_dir, paths.store_dir) if path.exists() and not is_private(path)]
    if open_ones:
        names = " ".join(map(str, open_ones))
        yield Check("privacy", "fail", f"others may look into {names}", f"`chmod 700 {names}`, if they are yours")
    else:
        yield Check("privacy", "ok", f"nobody else can look into {paths.data_dir}")


def _ports(config: Config) -> Iterator[Check]:
    named = {
        f"inspector.{name}": getattr(config.inspector, name) for name in ("reverse_port", "proxy_port", "web_port")
    }
    if config.mcp.enabled:
        named["mcp.port"] = config.mcp.port
    named |= {f"inspector.reverse_targets ({target.port})": target.port for target in config.inspector.reverse_targets}
    busy = False
    for setting, port in named.items():
        if port == 0:
            continue
        try:
            claim_port(port, setting)
        except PortBusy as error:
            busy = True
            yield Check("ports", "fail", error.message, error.hint)
    if not busy:
        yield Check("ports", "ok", ", ".join(f"{port or 'any'}" for port in named.values()) + " are free")


def _authority(paths: Paths) -> Check:
    if not paths.ca_cert.exists():
        return Check("authority", "absent", "made when the daemon first starts")
    fix = f"`ccinspect stop`, move {paths.ca_dir} away, and start again: another is made"
    try:
        expires = authority.load(paths.ca_cert).expires
    except (SetupError, ValueError) as error:
        return Check("authority", "fail", f"{paths.ca_cert} cannot be read: {error}", fix)
    key = paths.ca_dir / "mitmproxy-ca.pem"
    if key.exists() and not is_private(key):
        return Check("authority", "fail", f"others can read its key {key}", f"`chmod 600 {key}`; if in doubt, {fix}")
    left = expires - datetime.now(UTC)
    if left < _SOON:
        return Check("authority", "fail" if left < timedelta() else "warn", f"expires on {expires:%Y-%m-%d}", fix)
    return Check("authority", "ok", f"valid until {expires:%Y-%m-%d}, {paths.ca_cert}")


def _store(paths: Paths) -> Check:
    try:
        version = upgrade.version_of(paths.store_dir)
        if version is None:
            return Check("store", "absent", "nothing was captured yet")
        if upgrade.is_older(paths.store_dir):
            detail = f"of an older ccinspect (schema {version} of {len(schema.MIGRATIONS)})"
            return Check("store", "warn", detail, "`ccinspect db upgrade`, or start the daemon")
        found = store_statistics(paths.store_dir)
    except StoreUnavailable as error:
        return Check("store", "fail", error.message, error.hint)
    size = text.size(found["file_bytes"] + found["log_bytes"])
    return Check("store", "ok", f"{text.count(found['flows'], 'flow')} in {size}, schema {version}")


def _credentials(config: Config, *, ask: bool) -> Iterator[Check]:
    sources = {name: one.auth for name, one in config.providers.items() if one.auth is not None}
    if not sources:
        yield Check("credentials", "absent", "no provider has one in the settings")
    elif not ask:
        yield Check("credentials", "absent", f"not asked for: {', '.join(sorted(sources))} (--credentials asks)")
    else:
        yield from asyncio.run(_asked(Credentials(sources)))


async def _asked(credentials: Credentials) -> list[Check]:
    """Whether each can be had; of itself nothing is shown."""
    found = []
    try:
        for name in credentials.names():
            try:
                await credentials.resolve(name)
                found.append(Check(f"credential {name}", "ok", "can be had"))
            except CredentialsError as error:
                found.append(Check(f"credential {name}", "fail", error.message, error.hint))
    finally:
        await credentials.close()
    return found
