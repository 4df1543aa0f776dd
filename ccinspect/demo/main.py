"""`ccinspect demo`: a fake provider, a daemon and a jailed client on this machine, and what was captured.

Everything lives in a throw-away directory and is gone at the end, whichever way it ends.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ccinspect.demo.provider import Provider
from ccinspect.errors import StartFailed
from ccinspect.paths import Paths, resolve_paths

_CLIENTS = Path(__file__).parent / "clients"
_PACE = 0.03
_CLIENT_SECONDS = 120
_KILL_ROUNDS = 100
# What would lead a client elsewhere than to its built-in address, or the daemon to other settings.
_REMOVED = ("CCINSPECT_", "ANTHROPIC_", "OPENAI_", "CLAUDE_CODE_")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

# Holds for no request but that of the last act.
_RULE = {
    "match_provider": "^anthropic$",
    "match_model": "opus",
    "action": "transform",
    "dest_provider": "openai",
    "dest_model": "gpt-5",
}
_KEY = "sk-proj-demo-not-a-real-key-0005"

_NEXT = """
That was all it takes. For real:

  ccinspect run --inspect -- claude       run an agent in the jail (any command will do)
  ccinspect flows list                    what it sent; `flows show ID` for one, `flows tail` to watch
  ccinspect report --by mcp-server        where the tokens go: also by model, project, tool, day, host
  ccinspect flows dump -o capture.har     for the developer tools of a browser
  ccinspect check URL                     what rules, credentials and policy would do to a request
  ccinspect status                        where the daemon listens, and mitmweb's address
  ccinspect namespace doctor              what the jail can do on this machine

The demonstration has cleaned up after itself: its daemon is stopped and its directory removed."""


@dataclass(frozen=True)
class _Stage:
    """Where the demonstration takes place."""

    paths: Paths
    environ: dict[str, str]

    def call(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the command line of ccinspect for this demonstration's daemon."""
        command = [sys.executable, "-P", "-m", "ccinspect", "--config", str(self.paths.config_dir), *arguments]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=capture,
            text=True,
            env=self.environ,
            timeout=_CLIENT_SECONDS,
        )


def run_demo() -> int:
    """Show it all; returns the exit status: 0 when every client was captured. Raises StartFailed."""
    with _terminated_as_interrupted(), Provider(pace=_PACE) as provider, _stage(provider) as stage:
        _say("ccinspect demo: no key, no root and no network are needed, and nothing is left behind.\n")
        _say(f"provider  127.0.0.1:{provider.https_port}, standing in for {', '.join(provider.hosts)}")
        _start_daemon(stage)
        mode = _choose_mode(stage)
        failed = [command for command in _clients() if not _run_client(stage, mode, command)]
        _say(f"\n{len(provider.requests)} requests reached the provider. What ccinspect recorded:\n")
        shown = stage.call("flows", "list").returncode == 0 and _show_calls(stage) and _show_change(stage, mode)
    if failed or not shown:
        _say("\nNot all of this went well: see above.")
        return 1
    _say(_NEXT)
    return 0


def _say(text: str) -> None:
    # Other processes write to the same stdout: what is said before they start must be out before they start.
    print(text, flush=True)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end us the way Ctrl-C does, so that all is cleaned up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stage(provider: Provider) -> Iterator[_Stage]:
    directory = Path(tempfile.mkdtemp(prefix="ccinspect-demo-"))
    stage = _Stage(resolve_paths(directory / "instance"), _environment(directory))
    try:
        _write_settings(stage.paths, provider, directory)
        yield stage
    finally:
        with _uninterrupted():
            _strike(stage, directory)


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_REMOVED) and name.lower() not in _PROXY_VARIABLES
    }
    # An agent must neither find nor leave settings in the user's own home.
    # Nobody should have to press a key.
    return kept | {"HOME": str(home), "PAGER": "cat", "ANTHROPIC_API_KEY": "sk-ant-demo-not-a-real-key-0004"}


def _write_settings(paths: Paths, provider: Provider, directory: Path) -> None:
    inspector = {
        "reverse_port": 0,
        "proxy_port": 0,
        "web_port": 0,
        "upstream_ca": str(provider.write_ca(directory / "provider-ca.pem")),
        "connect_to": provider.connect_to(),
    }
    paths.config_dir.mkdir()
    settings = {"inspector": inspector | {"transforms": [_RULE]}, "providers": {"openai": {"auth": f"echo {_KEY}"}}}
    # JSON is YAML.
    paths.config_file.write_text(json.dumps(settings, indent=2))


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep an impatient second Ctrl-C from leaving half of it behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _strike(stage: _Stage, directory: Path) -> None:
    """End the daemon and whatever else is still there, and remove all files."""
    with suppress(OSError, subprocess.SubprocessError):
        stage.call("stop", capture=True)
    # An interrupted start may have left a daemon that does not listen yet, so that `stop` did not find it.
    for _ in range(_KILL_ROUNDS):
        if not _kill_all_that_know(directory):
            break
        time.sleep(0.05)
    shutil.rmtree(stage.paths.runtime_dir, ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def _kill_all_that_know(directory: Path) -> int:
    """Kill the processes that have our directory's name in their command line or environment; returns how many."""
    name = os.fsencode(directory)
    killed = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if name in (entry / "cmdline").read_bytes() or name in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed += 1
    return killed


def _start_daemon(stage: _Stage) -> None:
    started = stage.call("start", "--detach", capture=True)
    if started.returncode:
        message, _, hint = started.stderr.strip().partition("\n")
        reason = message.removeprefix("ccinspect: ")
        raise StartFailed(f"the demonstration's daemon did not start: {reason}", hint.strip())
    status = json.loads(stage.call("status", "--json", capture=True).stdout)
    _say(f"daemon    process {status['pid']}, mitmweb at {status['inspector']['url']}")


def _choose_mode(stage: _Stage) -> str:
    """The jail, or a proxy where this machine cannot build one."""
    tried = stage.call("run", "--inspect", "--", "true", capture=True)
    if tried.returncode == 0:
        return "--inspect"
    _say("\nThis machine cannot build the jail:")
    _say("  " + "\n  ".join(tried.stderr.strip().splitlines()))
    _say("So the clients are only told of a proxy (--proxy); one that ignores it would not be seen.")
    return "--proxy"


def _show_calls(stage: _Stage) -> bool:
    """Show the first request to a model as it left its client, what the last turn was made of, and what it all cost."""
    calls = 'map(select(.request.method == "POST" and (.request.pretty_host | startswith("api.anthropic")))) | map(.id)'
    found = json.loads(stage.call("flows", "list", "--json", "--jq", calls, capture=True).stdout or "[]")
    if not found:
        return False
    commands = [
        ("flows", "show", found[0][:8], "--request"),
        ("flows", "context", found[-1][:8]),
        ("conversations", "show", found[-1][:8]),
        ("report",),
    ]
    for command in commands:
        _say(f"\n$ ccinspect {shlex.join(command)}\n")
        if stage.call(*command).returncode:
            return False
    return True


def _show_change(stage: _Stage, mode: str) -> bool:
    """Send a client's request elsewhere without its knowing, and show what was changed."""
    _say("\nThe settings of this demonstration have a credential and a rule:\n")
    _say(f"  providers:\n    openai: {{auth: {json.dumps(f'echo {_KEY[:12]}...')}}}")
    rule = "\n        ".join(f"{key}: {value}" for key, value in _RULE.items())
    _say(f"  inspector:\n    transforms:\n      - {rule}")
    _say("\nSo a client that holds no key, only the name of one, asks Anthropic and is answered by OpenAI:")
    if not _run_client(stage, mode, [sys.executable, "-P", str(_CLIENTS / "without_key.py")]):
        return False
    _say("\n$ ccinspect flows compare\n")
    return stage.call("flows", "compare").returncode == 0


def _clients() -> Iterator[list[str]]:
    sdks = [name for name in ("anthropic", "openai") if importlib.util.find_spec(name)]
    for name in [f"{sdk}_sdk" for sdk in sdks] or ["standard_library"]:
        yield [sys.executable, "-P", str(_CLIENTS / f"{name}.py")]
    if claude := shutil.which("claude"):
        yield [claude, "-p", "hello"]


def _run_client(stage: _Stage, mode: str, command: Sequence[str]) -> bool:
    shown = [Path(word).name if os.sep in word else word for word in command if word != "-P"]
    _say(f"\n$ ccinspect run {mode} -- {shlex.join(shown)}")
    try:
        return stage.call("run", mode, "--", *command).returncode == 0
    except subprocess.TimeoutExpired:
        _say(f"  (no end after {_CLIENT_SECONDS} seconds: stopped)")
        return False
