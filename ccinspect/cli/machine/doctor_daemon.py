"""What `doctor` reads from the daemon's status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ccinspect import __version__
from ccinspect.cli import text
from ccinspect.jail.doctor import Check


def checks(status: dict[str, Any]) -> Iterator[Check]:
    """`status` as `ccinspect status --json` shows it."""
    if status["pid"] is None:
        if status["warnings"]:
            yield Check(
                "daemon", "fail", status["warnings"][0], "`ccinspect restart`; `ccinspect logs` says what it did"
            )
        else:
            yield Check("daemon", "absent", "does not run; `ccinspect run` starts it, or `ccinspect start --detach`")
        return
    yield _daemon(status)
    yield _recorder(status["store"])
    yield _analyst(status["analysis"])
    yield _mcp(status["mcp"])
    yield _otel(status["otel"])
    for warning in status["warnings"]:
        yield Check("warning", "warn", warning)


def _daemon(status: dict[str, Any]) -> Check:
    if status["version"] != __version__:
        detail = f"is version {status['version']}, this command {__version__}"
        return Check("daemon", "fail", detail, "make them one: `ccinspect restart`")
    if not (status["proxy"] and status["inspector"]["running"]):
        return Check(
            "daemon", "fail", "runs, but not all of it listens", "see why: `ccinspect logs`; `ccinspect restart`"
        )
    return Check("daemon", "ok", f"process {status['pid']}, up {text.duration(status['uptime'])}, {status['url']}")


def _recorder(store: dict[str, Any]) -> Check:
    lost = store["lost_records"] + store["lost_bodies"]
    if not store["alive"] or store["failing"]:
        return Check("recorder", "fail", f"nothing is being stored: {store['last_error']}", "`ccinspect restart`")
    if lost:
        detail = f"{lost} flows or bodies could not be stored: {store['last_error']}"
        return Check("recorder", "warn", detail, "see `ccinspect logs`")
    return Check("recorder", "ok", f"stores what comes, {text.size(store['queued_bytes'])} waiting")


def _analyst(analysis: dict[str, Any]) -> Check:
    if not analysis.get("enabled", True):
        return Check("analyst", "absent", "off (analysis.enabled); commands analyse when they are called")
    if analysis["last_error"]:
        return Check("analyst", "warn", analysis["last_error"], "`ccinspect reanalyse` makes the analysis anew")
    return Check("analyst", "ok", "up to date, or working on it")


def _mcp(mcp: dict[str, Any]) -> Check:
    if not mcp["enabled"]:
        return Check("mcp", "absent", "off (mcp.enabled); `ccinspect mcp` serves it over stdio without")
    if not mcp["running"]:
        return Check("mcp", "fail", f"does not answer on port {mcp['port']}", "see why: `ccinspect logs`")
    return Check("mcp", "ok", str(mcp["url"]))


def _otel(otel: dict[str, Any]) -> Check:
    if not otel["enabled"]:
        return Check("otel", "absent", "off (otel.enabled)")
    if otel.get("failing"):
        detail = f"{otel['endpoint']} takes nothing: {otel['last_error']}"
        return Check("otel", "warn", detail, "start the collector, or change otel.endpoint; traffic goes on")
    if otel.get("dropped"):
        return Check("otel", "warn", f"{otel['dropped']} spans were dropped", "the collector was away or is too slow")
    return Check("otel", "ok", f"{otel['endpoint']}, {otel.get('exported', 0)} spans exported")
