"""A real systemd user instance for a test, in namespaces of its own. Root only.

As a program: `python -m tests.support.user_systemd TREE... -- SCRIPT...` makes what Python and the trees need reachable
for every user, then becomes the script.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import needs, unprivileged

_SCRIPT = Path(__file__).with_name("user_systemd.sh")


def require() -> None:
    """Fails the test, or skips it with the reason, where none can be had (tests/support/needs.py)."""
    needs.root("mount a cgroup tree of its own")
    needs.program("systemctl")
    needs.file_system("cgroup2")


def run_under_systemd(
    command: Sequence[str | os.PathLike[str]],
    home: Path,
    environment: Mapping[str, str],
    *,
    user: str = "0:0",
    needs: Sequence[str | os.PathLike[str]] = (),
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run `command` as `user` (UID:GID) with a systemd of its own, which ends with it.

    `home` becomes HOME; the command gets no variables but PATH, HOME, USER, XDG_RUNTIME_DIR and `environment`. Where
    `user` is not root, `needs` names trees that must be reachable, beside those of Python and this checkout.
    """
    group = f"ccinspect-test-{secrets.token_hex(4)}"
    given = [f"{name}={value}" for name, value in environment.items()]
    opened = [sys.executable, "-m", "tests.support.user_systemd", *needs]
    try:
        return subprocess.run(
            [*opened, "--", _SCRIPT, user, home, "env", *given, *command],
            env={"PATH": os.environ["PATH"], "CGROUP": group, "PYTHONPATH": str(unprivileged.ROOT)},
            capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    finally:
        _remove_cgroup(group)


def _remove_cgroup(name: str) -> None:
    """The tree is mounted anew for it: where the machine has it mounted is its own matter."""
    script = (
        'mount -t tmpfs tmpfs /mnt && mkdir /mnt/cgroup && mount -t cgroup2 cgroup2 /mnt/cgroup && cd "/mnt/cgroup/$1" '
        '&& find . -depth -type d ! -name . -exec rmdir {} + ; cd / && rmdir "/mnt/cgroup/$1"'
    )
    subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", name], check=False, capture_output=True)


def _main(arguments: list[str]) -> None:
    at = arguments.index("--")
    unprivileged.open_up(unprivileged.needed_trees(arguments[:at]))
    os.environ.pop("PYTHONPATH", None)
    os.execv(arguments[at + 1], arguments[at + 1 :])


if __name__ == "__main__":
    _main(sys.argv[1:])
