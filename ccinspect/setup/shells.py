"""Shells: functions by which typing an agent's name starts it in a run, the line that loads them, and assignments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ccinspect.paths import home_dir, named_dir

type Shell = Literal["bash", "zsh", "fish"]

SHELLS: tuple[Shell, ...] = ("bash", "zsh", "fish")
AGENTS = ("aider", "claude", "codex", "copilot", "cursor-agent", "gemini", "opencode", "qwen")
"""Commands that get a function."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")

_POSIX = """\
# ccinspect: agents that are typed here are started in a run. `command claude` starts claude without one.
case $- in *i*)
  __ccinspect_run() {{
    if [ -z "${{CCINSPECT_RUN_ID:-}}" ] && {exists} && command -v {program} >/dev/null 2>&1; then
      {command} -- "$@"
    else
      command "$@"
    fi
  }}
{functions}
;; esac
"""
# The shell's own question whether a program of this name is on PATH, functions left aside.
_EXISTS = {"bash": 'type -P -- "$1" >/dev/null', "zsh": 'whence -p -- "$1" >/dev/null'}

_FISH = """\
# ccinspect: agents that are typed here are started in a run. `command claude` starts claude without one.
if status is-interactive
  function __ccinspect_run
    if test -z "$CCINSPECT_RUN_ID"; and command -q $argv[1]; and command -q {program}
      {command} -- $argv
    else
      command $argv
    end
  end
{functions}
end
"""


def init_text(shell: Shell, run: Sequence[str], agents: Sequence[str]) -> str:
    """What a shell reads at its start. `run` is the command line of `ccinspect run` with its options.

    The shell stays usable without us: a function starts the plain program where ccinspect or the program is missing,
    and inside of a run. An alias of the user's with the same name comes first, as ever.
    Raises ValueError for an agent whose name is none.
    """
    for agent in agents:
        if not _NAME.fullmatch(agent):
            raise ValueError(f"{agent!r} is no name of a command")
    quoted = " ".join(quote(shell, word) for word in run)
    if shell == "fish":
        functions = [
            f"  function {agent} --wraps {agent}\n    __ccinspect_run {agent} $argv\n  end" for agent in agents
        ]
        return _FISH.format(program=quote(shell, run[0]), command=quoted, functions="\n".join(functions))
    # `function NAME` keeps an alias of that name from being expanded right here.
    functions = [f'  function {agent} {{ __ccinspect_run {agent} "$@"; }}' for agent in agents]
    return _POSIX.format(
        exists=_EXISTS[shell], program=quote(shell, run[0]), command=quoted, functions="\n".join(functions)
    )


def start_file(shell: Shell, environ: Mapping[str, str]) -> Path:
    """The file that an interactive shell of this user reads at its start."""
    home = home_dir(environ)
    if shell == "bash":
        return home / ".bashrc"
    if shell == "zsh":
        return Path(environ.get("ZDOTDIR") or home) / ".zshrc"
    return named_dir(environ, "XDG_CONFIG_HOME", home / ".config") / "fish" / "conf.d" / "ccinspect.fish"


def load_line(shell: Shell, file: Path) -> str:
    """The line that reads `file` at a shell's start, and says nothing when it is gone."""
    name = quote(shell, str(file))
    if shell == "fish":
        return f"test -r {name}; and source {name}"
    return f"if [ -r {name} ]; then . {name}; fi"


def assignments(shell: Shell | None, variables: Mapping[str, str]) -> list[str]:
    """Lines that set variables for a shell (None: any POSIX shell) and all that it starts."""
    if shell == "fish":
        return [f"set -gx {name} {quote(shell, value)}" for name, value in variables.items()]
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def quote(shell: Shell, word: str) -> str:
    """`word` as one word of a shell's command line."""
    if shell == "fish" and shlex.quote(word) != word:
        return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return shlex.quote(word)
