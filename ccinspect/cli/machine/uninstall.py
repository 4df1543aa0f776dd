"""`ccinspect uninstall`: find what lies outside our own directories, with `--purge` those too, and take it away."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ccinspect.cli import starting
from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import service, shell_line
from ccinspect.cli.machine.setup_view import notes_of
from ccinspect.cli.output import RED, confirm, say, write
from ccinspect.cli.text import clean
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError, DaemonNotRunning, SetupError
from ccinspect.paths import Paths
from ccinspect.setup import applying, authority, nss
from ccinspect.setup.agents import FileNeed
from ccinspect.setup.system_store import SystemStore


@dataclass(frozen=True)
class Step:
    """One thing to take away; `said` is what is done, for a person. `act` raises CcinspectError or OSError."""

    said: str
    act: Callable[[], Any]


def uninstall(instance: Instance, *, purge: bool, yes: bool, dry_run: bool) -> int:
    """Show what there is, ask, and take it away; returns the exit status.

    What fails is told, and the rest is done all the same; but our own directories, where it is noted what was changed
    elsewhere, only go when all of that was undone.
    """
    outside = list(_outside(instance))
    own = list(_own(instance.paths)) if purge else []
    if not outside and not own:
        say("ccinspect: there is nothing of ours here" + ("" if purge else "; what was captured stays (--purge)"))
        return 0
    for step in [*outside, *own]:
        write(clean(step.said))
    if dry_run:
        return 0
    if not yes and not (sys.stdin.isatty() and confirm("Do all of this?")):
        say("ccinspect: nothing was done" + ("" if sys.stdin.isatty() else "; --yes does it without a question"))
        return 1
    failed = sum(not _done(step) for step in outside)
    if failed:
        say(f"ccinspect: {failed} could not be done; {'nothing was purged; ' if own else ''}mend it and try again")
        return 1
    failed = sum(not _done(step) for step in own)
    kept = "" if purge else f"; what was captured is kept in {instance.paths.data_dir}"
    say(f"ccinspect: done{kept}. The program itself: {_remove_program()}")
    return 1 if failed else 0


def _done(step: Step) -> bool:
    try:
        step.act()
    except CcinspectError as error:
        say(f"{step.said}: {error.message}\n  {error.hint}", RED)
        return False
    except OSError as error:
        say(f"{step.said}: {error.strerror}", RED)
        return False
    return True


def _outside(instance: Instance) -> Iterator[Step]:
    """What is not in our own directories, in the order in which it has to go."""
    if service.serves(instance):
        yield Step(f"stop the service and remove {service.unit_file()}", service.uninstall)
    yield from _daemon(instance)
    yield from _changed_files(instance)
    yield from _trust(instance)


def _daemon(instance: Instance) -> Iterator[Step]:
    try:
        with ControlClient.connect(instance.paths.control_socket) as client:
            runs = len(client.call(protocol.RUN_LIST))
    except DaemonNotRunning:
        return
    live = f", and with it {runs} live run(s)" if runs else ""
    yield Step(f"stop the daemon{live}", lambda: starting.stop(instance))


def _changed_files(instance: Instance) -> Iterator[Step]:
    """Whatever `setup`, `env`, `install` and `mcp install` wrote, by the notes that they keep of it."""
    notes = notes_of(instance)
    for note in notes.all():
        for member in note.members:
            need = FileNeed(Path(note.path), note.form, {})
            yield Step(
                f"take what was written for {member} out of {note.path}",
                partial(applying.undo, member, [need], notes),
            )
    if (instance.paths.data_dir / "shell").exists():
        yield Step("remove the functions for shells", lambda: shell_line.uninstall(instance))


def _trust(instance: Instance) -> Iterator[Step]:
    try:
        ours = authority.load(instance.paths.ca_cert)
    except SetupError:
        return
    with contextlib.suppress(SetupError):
        store = SystemStore.find()
        if (file := store.file(ours)).exists():
            yield Step(
                f"take our authority out of this machine's trust store: {file}", lambda: _leave_system(store, file)
            )
    with contextlib.suppress(SetupError):
        for database in nss.databases(Path.home()):
            if nss.trusts(database, ours):
                yield Step(
                    f"take our authority out of the browser's {database}",
                    partial(nss.remove, database, ours),
                )


def _leave_system(store: SystemStore, file: Path) -> None:
    if not store.writable():
        commands = " && ".join(f"sudo {command}" for command in store.remove_commands([file]))
        raise SetupError("only root may change this machine's trust store", f"do this, then try again: {commands}")
    store.remove([file])


def _own(paths: Paths) -> Iterator[Step]:
    """Our own directories. One that was named by hand may hold other things: only what is ours goes there."""
    named_by_hand = paths.data_dir.parent == paths.config_dir
    if paths.data_dir.exists():
        yield Step(f"remove {paths.data_dir}: all that was captured, our certificates", lambda: _remove(paths.data_dir))
    if named_by_hand:
        for name in (paths.config_file.name, "environment"):
            file = paths.config_dir / name
            if file.exists():
                yield Step(f"remove {file}", file.unlink)
    elif paths.config_dir.exists():
        yield Step(f"remove {paths.config_dir}: settings, hooks, shapes", lambda: _remove(paths.config_dir))
    if paths.runtime_dir.exists():
        yield Step(f"remove {paths.runtime_dir}", lambda: _remove_runtime(paths))


def _remove(directory: Path) -> None:
    """With all in it, also where it is a link to some other place."""
    target = directory.resolve()
    shutil.rmtree(target)
    if directory.is_symlink():
        directory.unlink()


def _remove_runtime(paths: Paths) -> None:
    shutil.rmtree(paths.runtime_dir, ignore_errors=True)
    with contextlib.suppress(OSError):
        # Other instances may have theirs in it.
        paths.runtime_root.rmdir()


def _remove_program() -> str:
    """The command that removes the program, by where it lies."""
    prefix = os.path.normpath(sys.prefix)
    parts = Path(prefix).parts
    if "uv" in parts and "tools" in parts:
        return "uv tool uninstall ccinspect"
    if "pipx" in parts:
        return "pipx uninstall ccinspect"
    if prefix.startswith("/nix/store"):
        return "take it out of your Nix configuration"
    return shlex.join([sys.executable, "-m", "pip", "uninstall", "ccinspect"])
