"""Environments for programs whose packages want other versions than ours: made once, below .tools."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 600

_INSTALL = """
set -e
. "$1/scripts/find.sh"
uv=$(find_uv) || exit 1
"$uv" venv --quiet --allow-existing --python "$4" "$2"
"$uv" pip install --quiet --compile-bytecode --python "$2/bin/python" -r "$3"
"""


def python_with(name: str, requirements: Path) -> Path:
    """The Python of the environment `name`, with the packages that `requirements` lists."""
    home = CHECKOUT / ".tools" / name
    home.mkdir(parents=True, exist_ok=True)
    # Not within: uv locks environments by a `.lock` of its own.
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, stamp = requirements.read_text(), home / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            command = ["sh", "-c", _INSTALL, "sh", CHECKOUT, home, requirements, sys.executable]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            assert done.returncode == 0, done.stderr
            stamp.write_text(wanted)
    return home / "bin" / "python"
