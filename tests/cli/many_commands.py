"""Command lines that are run one after the other in one process: to start Python takes longer than most of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ccinspect.cli.main import dispatch

# ASCII calls it the record separator. It is no part of anything that we print.
_END = "\x1e"


def argv_of(config: Path, commands: Sequence[Sequence[str]]) -> list[str]:
    """A program that runs them for one configuration directory; it fails with the first that does."""
    return [sys.executable, "-P", __file__, str(config), json.dumps(commands)]


def parts_of(said: str) -> list[str]:
    """What each of them printed, of all that such a program printed."""
    *parts, rest = said.split(_END)
    assert not rest, rest
    return parts


def main(config: str, commands: Sequence[Sequence[str]]) -> int:
    for words in commands:
        if status := dispatch(["--config", config, *words]):
            return status
        sys.stdout.write(_END)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
