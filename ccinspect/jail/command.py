"""The command to run: found as a shell finds it, started as a shell starts it."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from ccinspect.errors import CommandNotFound, CommandNotRunnable, RunError
from ccinspect.jail import privileges, syscalls
from ccinspect.jail.signals import Signals


@dataclass(frozen=True)
class Command:
    """A command that exists, with all that it shall find when it starts."""

    program: str
    argv: tuple[str, ...]
    environ: dict[str, str]
    directory: str
    kept: tuple[int, ...]
    """Descriptors above standard error that it inherits."""


def resolve(argv: Sequence[str], environ: dict[str, str], directory: Path | None = None) -> Command:
    """Find the program as a shell does.

    Raises CommandNotFound, CommandNotRunnable, and RunError when the directory to run in is gone.
    """
    here = _directory(directory)
    name = argv[0] if argv else ""
    kept = tuple(privileges.open_files_to_keep())
    candidates = [name] if "/" in name else [f"{part or '.'}/{name}" for part in _search_path(environ)]
    refused = ""
    for candidate in candidates if name else []:
        program = os.path.join(here, candidate)
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return Command(program if "/" not in name else candidate, tuple(argv), environ, here, kept)
        if os.path.exists(program) and ("/" in name or os.path.isfile(program)):
            refused = refused or program
    if refused:
        raise CommandNotRunnable(
            f"{name}: {_why_not(refused)}; nothing was run", "check the file's mode, or name a program"
        )
    raise CommandNotFound(f"{name or '(empty)'}: command not found; nothing was run", "check the spelling and PATH")


def _search_path(environ: dict[str, str]) -> list[str]:
    return environ.get("PATH", os.defpath).split(os.pathsep)


def _why_not(path: str) -> str:
    return "is a directory" if os.path.isdir(path) else "permission denied"


def _directory(directory: Path | None) -> str:
    try:
        here = os.getcwd() if directory is None else os.path.abspath(directory)
    except FileNotFoundError:
        here = ""
    if not here or not os.path.isdir(here):
        raise RunError(
            f"the directory to run in{f', {here},' if here else ''} does not exist (any more); nothing was run",
            "change to a directory that exists",
        )
    return here


def start(command: Command, signals: Signals, mask: set[signal.Signals], confine: Callable[[], None] | None) -> int:
    """Fork and execute the command; returns its process id once the program runs. `confine` is called just before that.

    Raises CommandNotRunnable, CommandNotFound.
    """
    status, report = os.pipe()
    parent = os.getpid()
    # A signal that comes in between must find either the parent's handler or the program's own disposition.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid == 0:
        _become(command, signals, mask, confine, parent, report)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(report)
    with os.fdopen(status, "rb") as answer:
        problem = answer.read().decode(errors="replace")
    if not problem:
        return pid
    os.waitpid(pid, 0)
    code, _, text = problem.partition(" ")
    if code == str(errno.ENOENT) and not os.path.exists(command.program):
        raise CommandNotFound(f"{command.argv[0]}: {text}; nothing was run", "it is not visible inside the jail")
    raise CommandNotRunnable(
        f"{command.argv[0]}: {text}; nothing was run", "check the file and the directory to run in"
    )


def _become(
    command: Command,
    signals: Signals,
    mask: set[signal.Signals],
    confine: Callable[[], None] | None,
    parent: int,
    report: int,
) -> Never:
    try:
        signals.reset()
        syscalls.die_with_parent(parent, signal.SIGKILL)
        # By its path: the directory inherited from outside may lie below something that is covered now.
        os.chdir(command.directory)
        if confine:
            confine()
        privileges.close_all_but([*command.kept, report])
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            os.execve(command.program, command.argv, command.environ)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without a `#!` line: every shell, and execvp(3), hands it to sh.
            os.execve("/bin/sh", ["sh", command.program, *command.argv[1:]], command.environ)
    except OSError as error:
        os.write(report, f"{error.errno} {(error.strerror or str(error)).lower()}".encode())
    except BaseException as error:
        os.write(report, f"0 {error}".encode()[:1000])
    finally:
        os._exit(127)
