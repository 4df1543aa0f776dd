"""Which program a shell command line is really about.

`cd /src && FOO=1 sudo git status | head` is about `git`. This is no shell: a reader that knows quotes, and the words
that only prepare or wrap another command. It never fails and looks at the beginning of the line only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_LIMIT = 4_000
_COMMANDS = 50
_NESTING = 3


@dataclass(frozen=True, slots=True)
class Command:
    """`program` without its directory, and the words after it."""

    program: str
    words: tuple[str, ...] = ()


_TOKEN = re.compile(
    r"""
    (?P<space>[ \t]+|\\\n)
  | (?P<break>\|\|?|&&|;;?|\n|&(?!>)|\(|\)|\{(?=\s)|\}(?=\s|$))
  | (?P<redirect>\d?>>?&?\d?[ \t]{0,20}|&>>?[ \t]{0,20}|<<?<?-?[ \t]{0,20})
  | (?P<comment>\#[^\n]*)
  | (?P<word>(?:'[^']*(?:'|\Z)|"(?:[^"\\]|\\.)*+(?:"|\Z)|\\.|[^\s|&;()<>'"\\])+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_PREPARING = (
    "cd export set unset source . pushd popd true : echo printf sleep alias shopt ulimit umask wait trap read local "
    "declare if then else elif fi for while until do done case esac function test [ [[ eval return exit"
)
_PREPARE = frozenset(_PREPARING.split())
# Wrappers, and how many words of their own come before the command when those are no options.
_WRAPPERS = {
    "sudo": 0, "env": 0, "nohup": 0, "time": 0, "command": 0, "exec": 0, "builtin": 0, "nice": 0, "ionice": 0,
    "doas": 0, "stdbuf": 0, "setsid": 0, "xargs": 0, "timeout": 1, "chroot": 1, "then": 0, "do": 0, "else": 0, "!": 0,
    "npx": 0, "bunx": 0, "uvx": 0, "strace": 0,
}  # fmt: skip
_OPTION_WITH_VALUE = frozenset(("-u", "-n", "-g", "-s", "-k", "-I", "-C", "--signal", "--kill-after", "--user"))
_RUN_BY = {
    ("uv", "run"),
    ("poetry", "run"),
    ("pipenv", "run"),
    ("pdm", "run"),
    ("bundle", "exec"),
    ("pnpm", "exec"),
    ("conda", "run"),
}
_SHELLS = frozenset(("bash", "sh", "zsh", "dash", "fish", "ash", "ksh"))
_NAME = re.compile(r"[A-Za-z0-9_][\w.+@-]{0,39}|\[")


def main_command(line: str | list[str]) -> Command | None:
    """The command that a line, or a list of words, is about: the first that does not only prepare. None without any."""
    return _line(line[:_LIMIT]) if isinstance(line, str) else _main(line[:_LIMIT], 0)


@lru_cache(maxsize=2_000)
def _line(line: str) -> Command | None:
    # A conversation's commands come again with each of its turns.
    return _main(line, 0)


def _main(line: str | list[str], depth: int) -> Command | None:
    commands = [line] if isinstance(line, list) else list(_commands(line[:_LIMIT]))
    first: Command | None = None
    for words in commands[:_COMMANDS]:
        command = _unwrap(words, depth)
        if command is None:
            continue
        if command.program not in _PREPARE:
            return command
        first = first or command
    return first


def _commands(line: str) -> Iterator[list[str]]:
    """The simple commands of a line, as lists of words without quotes; targets of redirections are left out."""
    words: list[str] = []
    parts = ""
    skip = False
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup
        if kind == "word":
            parts += match[0]
            continue
        if parts:
            if not skip:
                words.append(_unquote(parts))
            skip, parts = False, ""
        if kind == "redirect":
            # `2>&1` names its target by itself.
            skip = not match[0].rstrip()[-1:].isdigit()
        elif kind == "break":
            if words:
                yield words
            words, skip = [], False
    if parts and not skip:
        words.append(_unquote(parts))
    if words:
        yield words


_QUOTES = re.compile(r"'([^']*)'?|\"((?:[^\"\\]|\\.)*+)\"?|\\(.)", re.DOTALL)


def _unquote(word: str) -> str:
    return _QUOTES.sub(lambda match: match[1] or match[2] or match[3] or "", word)


def _unwrap(words: list[str], depth: int) -> Command | None:
    """Peel off assignments, wrappers and `bash -c`."""
    at = 0
    while at < len(words):
        if _ASSIGNMENT.match(words[at]):
            at += 1
            continue
        name = words[at].rpartition("/")[2]
        if name in _WRAPPERS:
            at = _after_wrapper(words, at + 1, _WRAPPERS[name])
            continue
        if tuple(words[at : at + 2]) in _RUN_BY:
            at = _after_wrapper(words, at + 2, 0)
            continue
        if name in _SHELLS and depth < _NESTING:
            script = _script(words[at + 1 :])
            inner = _main(script, depth + 1) if script else None
            if inner:
                return inner
        return Command(name, tuple(words[at + 1 :])) if _NAME.fullmatch(name) else Command("unknown")
    return None


def _after_wrapper(words: list[str], at: int, own: int) -> int:
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _OPTION_WITH_VALUE else 1
    return at + own


def _script(words: list[str]) -> str | None:
    for at, word in enumerate(words[:-1]):
        if word.startswith("-") and word.endswith("c") and not word.startswith("--"):
            return words[at + 1]
        if not word.startswith("-"):
            break
    return None
