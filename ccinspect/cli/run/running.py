"""`ccinspect run`: register the run, run the command as if directly, end the run (standard library only)."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccinspect.cli.instance import Instance
from ccinspect.cli.machine.set_up_agents import remark
from ccinspect.cli.output import DIM, say
from ccinspect.cli.run.gitinfo import git_info
from ccinspect.cli.run.run_options import RunOptions
from ccinspect.cli.text import clean, count
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError, DaemonNotRunning, RunError
from ccinspect.paths import make_private_dir
from ccinspect.setup.base_urls import BASE_URL_VARIABLES

if TYPE_CHECKING:
    from ccinspect.jail.supervisor import Hold

RUN_ID_ENV = "CCINSPECT_RUN_ID"
MCP_VARIABLES = MCP_URL, MCP_TOKEN, MCP_CONFIG = ("CCINSPECT_MCP_URL", "CCINSPECT_MCP_TOKEN", "CCINSPECT_MCP_CONFIG")
END_TIMEOUT = 5.0


def execute(instance: Instance, options: RunOptions) -> int:
    """Run `options.command`; returns its exit status as a shell gives it.

    Raises RunError and its like when it could not be run, DaemonError when there is no daemon.
    """
    try:
        cwd = os.getcwd()
    except FileNotFoundError as error:
        raise RunError(
            "the current directory no longer exists", "change to one that does, then run it again"
        ) from error
    # The run lives as long as this connection: the daemon takes the run's listener away when we die.
    with connect(instance) as client:
        if options.mode != "inspect" and options.restrictions.reach is not None:
            report("only what comes through ccinspect is held to --allow, --deny and --offline; with --inspect all is")
        if said := remark(instance.paths.data_dir / "setup", options.command, options.mode):
            report(said)
        answer = client.call(protocol.RUN_START, **describe(options, cwd, os.environ))
        status: int | None = None
        try:
            status = _run_command(options, answer, os.environ, instance.paths.data_dir / "bundles", Notices(client))
        except RunError as error:
            status = error.exit_code
            raise
        finally:
            end_run(client, str(answer["run_id"]), status, options.mode)
    return status


def connect(instance: Instance) -> ControlClient:
    """Connect to the daemon, which is started when none runs and the settings allow it.

    Raises DaemonNotRunning, or what keeps it from starting.
    """
    try:
        return ControlClient.connect(instance.paths.control_socket)
    except DaemonNotRunning as error:
        if os.environ.get(RUN_ID_ENV):
            raise DaemonNotRunning(
                f"inside of run {os.environ[RUN_ID_ENV]} the daemon cannot be reached",
                "in a jail everything is recorded already: start the command as it is",
            ) from error
        # Only now, for it costs more than the whole rest: the settings, which need pydantic.
        if not instance.config().daemon.autostart:
            raise
    from ccinspect.cli.spawning import connect_or_spawn

    say("ccinspect: starting the daemon in the background (ccinspect stop ends it)", DIM)
    return connect_or_spawn(instance)


def describe(options: RunOptions, cwd: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of `run.start`."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    # A value that the user had already set becomes the run's upstream.
    upstreams = {name: environ[name] for name in BASE_URL_VARIABLES if environ.get(name)}
    return {
        "mode": options.mode,
        "command": list(options.command),
        "cwd": cwd,
        "name": options.name,
        "project": options.project,
        "tags": dict(options.tags),
        "git": git_info(Path(cwd)),
        "user": user,
        "pid": os.getpid(),
        "upstreams": upstreams if options.mode == "base-url" else {},
        "policy": options.restrictions.reach,
        "budget": options.restrictions.budget,
        "can_ask": sys.stdin.isatty() and sys.stderr.isatty(),
        "keyless": options.keyless,
        "mcp": options.mcp,
    }


class Notices:
    """What the daemon has to say while a command runs, a line each."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def fileno(self) -> int:
        return self._client.fileno()

    def hear(self, hold: Hold) -> bool:
        """Print what has come and ask what is asked; False when nothing more will come. A daemon that goes away does
        not stop the command."""
        try:
            heard = self._client.take_events()
        except CcinspectError:
            heard = None
        for name, data in heard or ():
            if name == protocol.NOTICE and isinstance(data, dict):
                report(clean(str(data.get("text"))))
            elif name == protocol.QUESTION and isinstance(data, dict):
                self._ask(data, hold)
        return heard is not None

    def _ask(self, question: dict[str, Any], hold: Hold) -> None:
        from ccinspect.cli.run.question import ask

        with hold() as interrupted:
            yes = ask(f"ccinspect: {clean(str(question['text']))}", float(question["seconds"]), interrupted)
        # A daemon that went away meanwhile is noticed by the next look.
        with contextlib.suppress(CcinspectError):
            self._client.call(protocol.RUN_ANSWER, question=question["id"], yes=yes)


def _run_command(
    options: RunOptions, answer: dict[str, Any], environ: Mapping[str, str], bundles: Path, notices: Notices
) -> int:
    from ccinspect.jail.supervisor import run_jailed, run_plain

    command = list(options.command)
    environ = _without_ours(environ, answer["own_ports"])
    inner = {name: value for name, value in environ.items() if name not in MCP_VARIABLES}
    inner |= {RUN_ID_ENV: str(answer["run_id"]), **_mcp_environment(answer.get("mcp"))}
    if options.mode == "inspect":
        from ccinspect.jail.session import JailSettings, Tunnel

        if options.keyless is not None:
            inner = _without_keys(options.keyless, answer["keyless"], inner)
        tunnel, settings = Tunnel.from_json(answer["tunnel"]), JailSettings.from_json(answer["jail"])
        ca_cert = Path(answer["ca_cert"])
        return run_jailed(command, tunnel, settings, ca_cert, inner, report=report, watched=notices)
    if options.mode == "proxy":
        inner |= _trust(Path(answer["ca_cert"]), Path(answer["host_bundle"]), bundles, environ)
    return run_plain(command, inner | answer["env"], report, watched=notices)


def _mcp_environment(told: dict[str, Any] | None) -> dict[str, str]:
    """What the command finds the MCP server of its run by; nothing where it gets none."""
    if told is None:
        return {}
    # Whoever expands the variable keeps the token out of command lines, which other users can read.
    server = {"type": "http", "url": told["url"], "headers": {"Authorization": f"Bearer ${{{MCP_TOKEN}}}"}}
    config = json.dumps({"mcpServers": {"ccinspect": server}})
    return {MCP_URL: told["url"], MCP_TOKEN: told["token"], MCP_CONFIG: config}


def _without_ours(environ: Mapping[str, str], ports: Sequence[int]) -> dict[str, str]:
    """The environment without base URLs that lead to the daemon (`ccinspect env`): the run has a way of its own."""
    ours = re.compile(rf"http://(?:127\.0\.0\.1|localhost):(?:{'|'.join(map(str, ports))})(?:/|$)")
    return {name: value for name, value in environ.items() if name not in BASE_URL_VARIABLES or not ours.match(value)}


def _without_keys(provider: str, told: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with a sentinel in the place of the provider's key; `told` is what the daemon says of the key."""
    from ccinspect.auth.keyless import Fingerprint, keyless_environment

    prints = [
        Fingerprint(each["length"], bytes.fromhex(each["salt"]), bytes.fromhex(each["digest"]))
        for each in told["fingerprints"]
    ]
    return keyless_environment(
        provider,
        environ,
        lambda text: any(each.is_in(text) for each in prints),
        dialects=told["dialects"],
        source_variables=told["variables"],
    ).over(environ)


def _trust(ca_cert: Path, host_bundle: Path, bundles: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that make a program outside a jail trust our certificate authority."""
    from ccinspect.jail.trust import trust_environment, write_bundle

    try:
        bundle = write_bundle(make_private_dir(bundles), ca_cert, environ, host_bundle)
    except OSError as error:
        raise RunError(
            f"the bundle of trusted certificates cannot be written: {error}",
            "make room or make the data directory writable",
        ) from error
    return trust_environment(ca_cert, bundle, environ)


def report(text: str) -> None:
    """What a jail has to say while it runs."""
    say(f"ccinspect: {text}")


def end_run(client: ControlClient, run_id: str, status: int | None, mode: str) -> None:
    """Tell the daemon how it ended. That it cannot be told must not change the command's exit status."""
    # The prompt must come back even if the daemon is busy storing: what was handed over is not lost by not waiting.
    client.set_timeout(END_TIMEOUT)
    try:
        ended = client.call(protocol.RUN_END, run_id=run_id, exit_code=status)
    except CcinspectError as error:
        say(f"ccinspect: the end of this run could not be recorded: {error.message}")
        return
    if not sys.stderr.isatty():
        return
    if not ended["flows"] and mode != "inspect":
        what = "proxy variables" if mode == "proxy" else "base URLs"
        say(f"ccinspect: 0 flows recorded: if it sent any, it does not read {what}; --inspect misses none", DIM)
    else:
        recorded = f"{count(ended['flows'], 'flow')} recorded{_spent(ended.get('spent'))}"
        say(f"ccinspect: {recorded}: ccinspect flows list --run {run_id[:8]}", DIM)


def _spent(spent: dict[str, Any] | None) -> str:
    """What the model calls of a run came to; nothing where there were none."""
    if spent is None:
        return ""
    from decimal import Decimal

    from ccinspect.cli.understanding import amounts

    dollars = None if spent["dollars"] is None else Decimal(spent["dollars"])
    price = amounts.money(dollars, spent["unpriced"], spent["basis"])
    cost = "at an unknown price" if dollars is None else f"for {price}"
    return f", {count(spent['calls'], 'model call')} of {amounts.short(spent['tokens'], spent['basis'])} tokens {cost}"
