"""A hundred jailed runs ended in four ways; afterwards nothing of them may be left on the machine."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import Instance, environment

RUNS_PER_WAY = 25
_GRACE_SECONDS = 5.0
_FIRST_MARK = 200

Ending = Callable[[Instance, subprocess.Popen[str]], None]


@dataclass
class Outcome:
    runs: int = 0
    left: list[str] = field(default_factory=list)


def measure(directory: Path) -> Outcome:
    """Run and end; returns how many runs there were and what was left behind."""
    outcome = Outcome()
    instance = Instance(directory / "endings", {})
    ways: tuple[Ending, ...] = (_exit, _interrupt, _kill_supervisor, _kill_daemon)
    mark = _mark_descendants()
    before = _look(mark, instance)
    for way in ways:
        for _ in range(RUNS_PER_WAY):
            outcome.runs += 1
            if not instance.is_running():
                instance.call("start", "--detach")
            way(instance, _start_run(instance))
    if instance.is_running():
        instance.call("stop")
    outcome.left = _settled(mark, instance, before)
    return outcome


def _settled(mark: int, instance: Instance, before: set[str]) -> list[str]:
    """What is left once the kernel has had a moment to reap; it must be nothing."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while (left := _look(mark, instance) - before) and time.monotonic() < deadline:
        time.sleep(0.1)
    return sorted(left)


def _start_run(instance: Instance) -> subprocess.Popen[str]:
    """A jailed command that is up and waits for its stdin to end."""
    run = subprocess.Popen(
        instance.argv("run", "-i", "--", "sh", "-c", "echo up; cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        # Ctrl-C goes to a whole process group.
        process_group=0,
    )
    assert run.stdout
    if run.stdout.readline() != "up\n":
        raise RuntimeError(f"the jailed command did not start (exit code {run.wait(10)})")
    return run


def _finish(run: subprocess.Popen[str]) -> None:
    run.communicate(timeout=30)


def _exit(_: Instance, run: subprocess.Popen[str]) -> None:
    _finish(run)


def _interrupt(_: Instance, run: subprocess.Popen[str]) -> None:
    os.killpg(run.pid, signal.SIGINT)
    _finish(run)


def _kill_supervisor(_: Instance, run: subprocess.Popen[str]) -> None:
    run.kill()
    _finish(run)


def _kill_daemon(instance: Instance, run: subprocess.Popen[str]) -> None:
    pid = instance.status()["pid"]
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([process], [], [], 10)
    os.close(process)
    _finish(run)


def _mark_descendants() -> int:
    """Give us and all our future descendants a mark that no change of session, parent or name takes off.

    A raised OOM score is inherited through everything and harmless.
    """
    mark = _FIRST_MARK + os.getpid() % 700
    Path("/proc/self/oom_score_adj").write_text(str(mark))
    return mark


def _look(mark: int, instance: Instance) -> set[str]:
    """What there is on the machine now: marked processes, mounts, socket files."""
    found = {f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    found |= {f"socket {path}" for path in instance.paths.runtime_dir.glob("**/*") if path.is_socket()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "oom_score_adj").read_text()) == mark:
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.add(f"process {entry.name} {words[:100]}")
            except OSError:
                continue
    return found
