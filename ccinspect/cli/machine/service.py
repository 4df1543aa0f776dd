"""The daemon as a service of systemd's user instance."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccinspect.cli import starting
from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import service_unit
from ccinspect.cli.machine.service_unit import NAME, quoted_argument, unit_text
from ccinspect.cli.output import say
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError, DaemonNotRunning, ServiceError
from ccinspect.paths import home_dir, named_dir

_SECONDS = 150
# What decides where the instance lies, and which programs its commands find.
_KEPT = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "PATH")


def unit_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where the user's own units stand."""
    env = os.environ if environ is None else environ
    return named_dir(env, "XDG_CONFIG_HOME", home_dir(env) / ".config") / "systemd" / "user" / NAME


def make_unit(instance: Instance) -> str:
    """The unit for this installation and this instance."""
    command = [quoted_argument(word) for word in _program()]
    if instance.config_option is not None or os.environ.get("CCINSPECT_CONFIG_DIR"):
        command += ["--config", quoted_argument(str(instance.paths.config_dir))]
    environment = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    return unit_text(command, str(instance.paths.config_dir / "environment").replace("%", "%%"), environment)


def _program() -> list[str]:
    """What starts this ccinspect: its own program beside this Python, else whatever PATH names, else the module."""
    beside = Path(sys.executable).with_name("ccinspect")
    if os.access(beside, os.X_OK):
        return [str(beside)]
    found = shutil.which("ccinspect")
    return [found] if found else [sys.executable, "-P", "-m", "ccinspect"]


def install(instance: Instance) -> bool:
    """Write the unit and let systemd read it; False when it was there as it should be. Raises ServiceError."""
    require_systemd()
    path, text = unit_file(), make_unit(instance)
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{NAME}.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"{path} cannot be written: {error}", "make it writable for you") from error
    _systemctl("daemon-reload")
    return True


def enable(instance: Instance) -> None:
    """Start the service now and with each login. A daemon that was started by hand makes room for it."""
    _require_unit()
    _make_room(instance)
    _systemctl("enable", "--now", NAME)


def disable() -> None:
    """Stop the service, and start it no more by itself."""
    _require_unit()
    _systemctl("disable", "--now", NAME)


def restart(instance: Instance) -> None:
    """Stop and start the service; its settings are read first. Raises ConfigError, ServiceError."""
    _require_unit()
    # A mistake in the settings must not cost the user the daemon that works.
    instance.config()
    if not state().active:
        _make_room(instance)
    _systemctl("restart", NAME)


def uninstall() -> bool:
    """Stop the service and take the unit away; False when there was none. Raises ServiceError."""
    path = unit_file()
    if not path.exists():
        return False
    if systemd_problem() is None:
        _systemctl("disable", "--now", NAME)
    else:
        # Nobody runs it; what `enable` made are links.
        for link in path.parent.glob(f"*.wants/{NAME}"):
            link.unlink()
    path.unlink()
    for directory in (path.parent / "default.target.wants", path.parent, path.parent.parent):
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
    if systemd_problem() is None:
        _systemctl("daemon-reload")
        subprocess.run(["systemctl", "--user", "reset-failed", NAME], capture_output=True, check=False)
    return True


@dataclass(frozen=True)
class State:
    """What systemd says of the service."""

    installed: bool
    enabled: bool
    active: bool
    state: str
    pid: int | None
    restarts: int
    status: str
    result: str

    def as_json(self) -> dict[str, Any]:
        return {
            "unit": str(unit_file()), "installed": self.installed, "enabled": self.enabled, "active": self.active,
            "state": self.state, "pid": self.pid, "restarts": self.restarts, "status": self.status,
            "result": self.result,
        }  # fmt: skip


def state() -> State:
    """Raises ServiceError where systemd cannot be asked."""
    require_systemd()
    names = ("LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "NRestarts", "StatusText", "Result")
    said = _systemctl("show", NAME, "--property", ",".join(names))
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return State(
        installed=found.get("LoadState") == "loaded",
        enabled=found.get("UnitFileState") == "enabled",
        active=found.get("ActiveState") in ("active", "reloading"),
        state=f"{found.get('ActiveState', 'unknown')} ({found.get('SubState', 'unknown')})",
        pid=int(found.get("MainPID") or 0) or None,
        restarts=int(found.get("NRestarts") or 0),
        status=found.get("StatusText", ""),
        result=found.get("Result", ""),
    )


def show_journal(follow: bool, lines: int) -> int:
    """What the service wrote to the journal; the exit status is journalctl's."""
    require_systemd()
    if shutil.which("journalctl") is None:
        raise ServiceError("there is no journalctl here", "the daemon's own log has the same lines: ccinspect logs")
    command = ["journalctl", "--user", "--unit", NAME, "--lines", str(lines), *(["--follow"] if follow else [])]
    return subprocess.run(command, check=False).returncode


def started_program() -> Path | None:
    """The program that the installed unit starts; None where there is no unit, or none that we wrote."""
    try:
        first = next(iter(shlex.split(_start_line().removeprefix("ExecStart="))), "")
    except ValueError:
        return None
    return Path(first.replace("%%", "%").replace("$$", "$")) if first.startswith("/") else None


def serves(instance: Instance) -> bool:
    """Whether the unit that is installed is for this instance."""
    starts = _start_line()
    if not starts:
        return False
    if instance.config_option is None and not os.environ.get("CCINSPECT_CONFIG_DIR"):
        return "--config" not in starts
    return f"--config {quoted_argument(str(instance.paths.config_dir))} " in starts


def _start_line() -> str:
    try:
        text = unit_file().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line for line in text.splitlines() if line.startswith("ExecStart=")), "")


def runs_as_service(instance: Instance) -> bool:
    """Whether the daemon of this instance is the service; False where there is no systemd."""
    if not unit_file().exists() or systemd_problem() is not None:
        return False
    try:
        with ControlClient.connect(instance.paths.control_socket) as client:
            pid = int(client.call(protocol.STATUS)["pid"])
    except CcinspectError:
        return False
    return state().pid == pid


def require_systemd() -> None:
    problem = systemd_problem()
    if problem is not None:
        raise ServiceError(*problem)


def systemd_problem() -> tuple[str, str] | None:
    """Why systemd cannot be asked here, and the way out; None where it can."""
    without = "without it: `ccinspect start --detach`, or just `ccinspect run`, which starts the daemon by itself"
    if shutil.which("systemctl") is None:
        return "this system has no systemd (there is no systemctl)", without
    if not os.path.isdir("/run/systemd/system"):
        if "microsoft" in _read("/proc/sys/kernel/osrelease").lower():
            return (
                "systemd does not run in this WSL distribution",
                f"write `[boot]` and `systemd=true` to /etc/wsl.conf and run `wsl --shutdown` in Windows; {without}",
            )
        return "systemd does not run here (as in most containers)", without
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    if not os.path.exists(os.path.join(runtime, "systemd", "private")):
        return (
            f"systemd has no instance for this user (there is none in {runtime})",
            "log in directly (not by su or sudo), or let it start without a login: "
            f"`sudo loginctl enable-linger {_user()}`; {without}",
        )
    return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


def _require_unit() -> None:
    require_systemd()
    if not unit_file().exists():
        raise ServiceError("the service is not installed", "install it first: ccinspect service install")


def _make_room(instance: Instance) -> None:
    """Stop a daemon that was started by hand, unless something runs through it. Raises ServiceError."""
    try:
        with ControlClient.connect(instance.paths.control_socket) as client:
            runs = client.call(protocol.RUN_LIST)
    except DaemonNotRunning:
        return
    if runs_as_service(instance):
        return
    if runs:
        raise ServiceError(
            f"a daemon that was started by hand has {len(runs)} live run(s), which would be cut off",
            "let them end first: ccinspect runs list",
        )
    if starting.stop(instance):
        say("ccinspect: the daemon that was started by hand was stopped; the service takes its place")


def _systemctl(*words: str) -> str:
    environ = os.environ | {"XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"}
    try:
        done = subprocess.run(
            ["systemctl", "--user", "--no-pager", *words],
            capture_output=True, text=True, timeout=_SECONDS, env=environ, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"systemctl {words[0]} took over {_SECONDS} s", "see: ccinspect service logs") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ServiceError(
            f"systemctl --user {' '.join(words)}: {said[0]}", "see why: ccinspect logs, or journalctl --user"
        )
    return done.stdout


GENERIC_UNIT = unit_text(service_unit.GENERIC_COMMAND)
