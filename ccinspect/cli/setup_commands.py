"""setup, env, shell-init, install: programs that are seen without `run`, and a shell that says `run` by itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


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


def register(app: typer.Typer) -> None:
    app.command()(setup)


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
    from ccinspect.cli import setup_view
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
