"""What commands leave on a terminal's screen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tests.cli.conftest import Place
from tests.cli.many_commands import argv_of, parts_of
from tests.cli.pseudo_terminal import Terminal
from tests.support.daemon import clean_environment


def on_terminal(place: Place, *words: str, columns: int = 80, **environ: str) -> str:
    """What is left of the output of one command."""
    return _left(_finished(place.argv(*words), environ, columns))


def each_on_terminal(
    place: Place, commands: Sequence[Sequence[str]], columns: int = 80, **environ: str
) -> dict[tuple[str, ...], str]:
    """What is left of the output of each of some commands, which one process runs."""
    said = parts_of(_finished(argv_of(place.paths.config_dir, commands), environ, columns))
    return {tuple(words): _left(part) for words, part in zip(commands, said, strict=True)}


def _finished(argv: Sequence[str], environ: Mapping[str, str], columns: int) -> str:
    with Terminal(argv, clean_environment() | environ, columns) as terminal:
        status, said = terminal.finish()
    assert status == 0, said
    return said


def _left(said: str) -> str:
    # The line that says how far the analysis has come is wiped.
    *wiped, left = re.split(r"\r\x1b\[K", said)
    assert all(line.startswith("analysing flows") for line in wiped[1:])
    return ("".join(wiped[:1]) + left).replace("\r\n", "\n")
