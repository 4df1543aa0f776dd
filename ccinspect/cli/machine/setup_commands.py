"""setup, env, shell-init, install: programs that are seen without `run`, and a shell that says `run` by itself."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ccinspect.setup import shells, variables


class Program(StrEnum):
    CLAUDE = "claude"
    CODEX = "codex"
    GEMINI = "gemini"
    OPENCODE = "opencode"
    COPILOT = "copilot"
    CURSOR = "cursor"
    AIDER = "aider"
    PYTHON = "python"
    NODE = "node"
    LLAMA_SERVER = "llama-server"
    OLLAMA = "ollama"
    VLLM = "vllm"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


class RunMode(StrEnum):
    INSPECT = "inspect"
    BASE_URL = "base-url"
    PROXY = "proxy"


_ByProxy = Annotated[bool, typer.Option("--proxy", help="The proxy, and what makes programs trust our authority.")]
_Mode = Annotated[RunMode, typer.Option("--mode", help="How agents are run: inspect (the jail), base-url or proxy.")]
_Agents = Annotated[
    list[str] | None,
    typer.Option("--agent", metavar="COMMAND", help="A command to run so, in the place of the usual. May be repeated."),
]


def register(app: typer.Typer) -> None:
    for function in (setup, env, shell_init, install):
        app.command()(function)


def setup(
    context: typer.Context,
    program: Annotated[Program, typer.Argument(metavar="PROGRAM", help=", ".join(Program) + ".", show_default=False)],
    base_url: Annotated[bool, typer.Option("--base-url", help="By a base URL: only model calls are seen.")] = False,
    proxy: Annotated[
        bool, typer.Option("--proxy", help="By a proxy: all that honours it is seen, and must trust our authority.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Change the program's files; without it, show what to add.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take out again what --write put there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a program needs to be seen when it is started without `ccinspect run`, or write it into its files.

    Without --base-url or --proxy both are shown, and --write takes the first that the program can do. What else
    stands in a file stays as it is, and --undo gives it back byte for byte.
    """
    from ccinspect.cli.machine import setup_view
    from ccinspect.cli.usage import UsageMistake
    from ccinspect.setup.variables import MODES

    if write and undo:
        raise UsageMistake.of(context, "--write and --undo do not go together")
    if base_url and proxy:
        raise UsageMistake.of(context, "--base-url and --proxy do not go together")
    chosen = tuple(mode for mode, wanted in zip(MODES, (base_url, proxy), strict=True) if wanted)
    if undo:
        setup_view.undo(context.obj, program.value, json)
    elif write:
        setup_view.write(context.obj, program.value, chosen or MODES, json)
    else:
        setup_view.show(context.obj, program.value, chosen or MODES, json)


def env(
    context: typer.Context,
    proxy: _ByProxy = False,
    shell: Annotated[Shell | None, typer.Option("--shell", help="Write it for this shell: bash, zsh or fish.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Put it into this .env file, beside the rest.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="With --output: take it out again.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the variables by which programs reach the daemon without `run`: eval "$(ccinspect env)".

    By base URL without --proxy. A base URL that already leads to some place of yours stays as it is.
    """
    from ccinspect.cli.machine import shell_line
    from ccinspect.cli.usage import UsageMistake

    if undo and output is None:
        raise UsageMistake.of(context, "--undo needs --output FILE")
    mode: variables.Mode = "proxy" if proxy else "base-url"
    if output is None:
        shell_line.show_environment(context.obj, mode, None if shell is None else shell.value, json)
    elif undo:
        shell_line.undo_environment(context.obj, output.absolute(), json)
    else:
        shell_line.write_environment(context.obj, mode, output.absolute(), json)


def shell_init(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
    mode: _Mode = RunMode.INSPECT,
    agent: _Agents = None,
) -> None:
    """Print functions for a shell, so that typing an agent's name starts it in a run."""
    import sys

    from ccinspect.cli.machine import shell_line

    sys.stdout.write(shell_line.init_text(context.obj, shell.value, mode.value, agent or []))


def install(
    context: typer.Context,
    shell: Annotated[
        Shell | None, typer.Option("--shell", help="bash, zsh or fish; without it, your own.", show_default=False)
    ] = None,
    mode: _Mode = RunMode.INSPECT,
    agent: _Agents = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take it out again; without --shell, of all three shells' files.")
    ] = False,
) -> None:
    """Let your shell load what `shell-init` prints: one line in its start file, between markers."""
    from ccinspect.cli.machine import shell_line
    from ccinspect.cli.output import say

    chosen: shells.Shell | None = None if shell is None else shell.value
    if not undo:
        shell_line.install(context.obj, chosen, mode.value, agent or [])
        return
    changed = shell_line.uninstall(context.obj, chosen)
    for path in changed:
        say(f"ccinspect: {path} is without us again")
    if not changed:
        say("ccinspect: no start file of a shell has a line of ours")
