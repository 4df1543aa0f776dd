"""`install`, `uninstall`, `shell-init` and `env`: what a shell gets from us."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ccinspect.cli.instance import Instance
from ccinspect.cli.machine.listeners import find_listeners, token_to_show
from ccinspect.cli.machine.setup_view import notes_of
from ccinspect.cli.output import say, write, write_json
from ccinspect.errors import SetupError
from ccinspect.paths import make_private_dir
from ccinspect.setup import applying, files, shells, variables
from ccinspect.setup.agents import FileNeed
from ccinspect.setup.shells import SHELLS, Shell

MODE_OPTIONS: Mapping[str, tuple[str, ...]] = {"inspect": ("--inspect",), "proxy": ("--proxy",), "base-url": ()}


def init_text(instance: Instance, shell: Shell, mode: str, agents: Sequence[str]) -> str:
    """The functions for a shell. Raises SetupError for an agent whose name is none."""
    config = [] if instance.config_option is None else ["--config", str(instance.config_option.resolve())]
    try:
        return shells.init_text(shell, [_program(), *config, "run", *MODE_OPTIONS[mode]], agents or shells.AGENTS)
    except ValueError as error:
        raise SetupError(str(error), "name commands as they are typed: --agent claude --agent codex") from error


def install(instance: Instance, shell: Shell | None, mode: str, agents: Sequence[str]) -> None:
    """Let a shell load the functions at its start. Raises SetupError."""
    chosen = shell or users_shell()
    file = _init_file(instance, chosen)
    text = init_text(instance, chosen, mode, agents)
    start = shells.start_file(chosen, os.environ)
    _back_up(instance, start)
    make_private_dir(file.parent)
    files.replace(file, text)
    need = FileNeed(start, "shell", {("line",): shells.load_line(chosen, file)})
    (step,) = applying.write(f"{chosen} shell", [need], notes_of(instance), undo_hint="ccinspect shell-init")
    if step.changes:
        say(f"ccinspect: {start} reads {file} from now on; open a new shell, or: . {start}")
    else:
        say(f"ccinspect: {start} is as it should be")


def uninstall(instance: Instance, shell: Shell | None = None) -> list[Path]:
    """Take our line out of a shell's start file, or of all of them; returns what changed. Raises SetupError."""
    changed = []
    for each in SHELLS if shell is None else (shell,):
        start = shells.start_file(each, os.environ)
        steps = applying.undo(f"{each} shell", [FileNeed(start, "shell", {})], notes_of(instance))
        changed += [step.path for step in steps if step.changes]
        _init_file(instance, each).unlink(missing_ok=True)
    return changed


def users_shell() -> Shell:
    """The shell of this user. Raises SetupError when it is none that we know."""
    name = os.path.basename(os.environ.get("SHELL", ""))
    for shell in SHELLS:
        if name == shell:
            return shell
    raise SetupError(f"your shell is {name or 'not known'}", f"name one: --shell {', '.join(SHELLS)}")


def show_environment(instance: Instance, mode: variables.Mode, shell: Shell | None, json: bool) -> None:
    """Print assignments for a shell to evaluate, or JSON."""
    values, kept = _environment(instance, mode, os.environ)
    if json:
        write_json({"variables": values, "kept": kept})
        return
    for line in shells.assignments(shell, values):
        write(line)
    for name in kept:
        say(f"ccinspect: {name} leads somewhere else already and stays so; `ccinspect run` would keep that in between")


def write_environment(instance: Instance, mode: variables.Mode, path: Path, json: bool) -> None:
    """Put the variables into a .env file, beside what stands there. Raises SetupError."""
    values, _ = _environment(instance, mode, {})
    need = FileNeed(path, "dotenv", {(name,): value for name, value in values.items()})
    secret = token_to_show(instance) is not None
    (step,) = applying.write(_member(path), [need], notes_of(instance), undo_hint="ccinspect env", secret=secret)
    if json:
        write_json({"file": str(path), "changed": step.changes, "variables": values})
    else:
        say(f"ccinspect: {path} {'written' if step.changes else 'is as it should be'}")


def undo_environment(instance: Instance, path: Path, json: bool) -> None:
    """Take the variables out of a .env file. Raises SetupError."""
    steps = applying.undo(_member(path), [FileNeed(path, "dotenv", {})], notes_of(instance))
    changed = any(step.changes for step in steps)
    if json:
        write_json({"file": str(path), "changed": changed})
    else:
        say(f"ccinspect: {path} {'is without us again' if changed else 'has nothing of ours'}")


def _member(path: Path) -> str:
    return f"env {path}"


def _environment(
    instance: Instance, mode: variables.Mode, environ: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The variables to set, and the names of those that the user has led elsewhere."""
    listeners = find_listeners(instance, trust=mode == "proxy")
    if mode == "proxy":
        return variables.proxy_variables(listeners) | variables.trust_variables(listeners), []
    values = variables.base_url_variables(listeners)
    kept = [
        name
        for name in values
        if environ.get(name, values[name]) != values[name] and not variables.is_usual(name, environ[name])
    ]
    return {name: value for name, value in values.items() if name not in kept}, kept


def _program() -> str:
    """How a shell calls us: by name where that is found."""
    if shutil.which("ccinspect"):
        return "ccinspect"
    return str(Path(sys.executable).with_name("ccinspect"))


def _init_file(instance: Instance, shell: Shell) -> Path:
    return instance.paths.data_dir / "shell" / f"init.{shell}"


def _back_up(instance: Instance, start: Path) -> None:
    """Keep a start file as it was before we first touched it."""
    text = files.read(start)
    if text is None or notes_of(instance).of(start) is not None:
        return
    directory = make_private_dir(instance.paths.data_dir / "setup" / "backups")
    copy = directory / start.name.lstrip(".")
    files.replace(copy, text)
    say(f"ccinspect: a copy of {start} as it was is {copy}")
