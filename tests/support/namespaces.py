"""Programs in namespaces of their own: what they mount, listen on and change is seen by nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.unprivileged import ROOT


def unshared(kinds: Sequence[str], command: Sequence[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    """A command line that runs `command` as root of new namespaces; `kinds` as unshare calls them (`--mount`)."""
    # Root needs no user namespace for that, which not every machine allows.
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, *kinds, *command]


def on_a_disk_of(size: str, directory: Path, function: str) -> str:
    """What `function` (MODULE:NAME) prints that is called with `directory`, a file system of `size` (tmpfs(5))."""
    module, name = function.split(":")
    program = f"import pathlib, sys\nfrom {module} import {name}\n{name}(pathlib.Path(sys.argv[1]))"
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    inside = ["sh", "-c", script, "sh", size, directory, sys.executable, "-c", program, directory]
    done = subprocess.run(unshared(["--mount"], inside), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
