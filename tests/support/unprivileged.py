"""Run things as a freshly made unprivileged user, for tests that start as root.

The interpreter, the virtual environment and the checkout may lie below directories that such a user cannot enter (a
home of mode 0700). No mode is changed on the machine: the command gets a mount namespace of its own in which each such
directory is covered by an empty one, with only the needed trees bound back at their places.

As a program: `python tests/support/unprivileged.py -- COMMAND...` replaces itself with the command.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

USER = "ccinspect-test"
ROOT = Path(__file__).resolve().parents[2]
_EXECUTE_OTHER = 0o001


def user() -> pwd.struct_passwd:
    """The test user; made when missing. Root only."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/sh", USER]
        subprocess.run(command, check=True, capture_output=True)
        return pwd.getpwnam(USER)


def allow_tun() -> None:
    """Give everybody the device for tunnels, as ordinary distributions do. Does nothing unless root."""
    if os.geteuid() == 0 and os.path.exists("/dev/net/tun"):
        os.chmod("/dev/net/tun", 0o666)


def private_directory(prefix: str) -> Path:
    """A directory that belongs to the test user, mode 0700. The caller removes it."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    account = user()
    os.chown(path, account.pw_uid, account.pw_gid)
    return path


def command_as_user(
    argv: Sequence[str],
    cwd: str | os.PathLike[str] | None = None,
    needs: Sequence[str | os.PathLike[str]] = (),
) -> list[str]:
    """The command line that, run by root, becomes `argv` run by the test user: same pid, same exit status."""
    trees = [argument for tree in needs for argument in ("--need", os.fspath(tree))]
    where = ["--cwd", os.fspath(cwd or "/tmp")]
    return [sys.executable, os.path.abspath(__file__), *trees, *where, "--", *argv]


def popen_as_user(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    needs: Sequence[str | os.PathLike[str]] = (),
    **options: Any,
) -> subprocess.Popen[Any]:
    """Like subprocess.Popen, as the test user. `needs` names further trees that must be reachable. Root only."""
    command = command_as_user(argv, cwd, needs)
    return subprocess.Popen(command, env=None if env is None else dict(env), **options)


def run_as_user(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    needs: Sequence[str | os.PathLike[str]] = (),
    timeout: float = 60,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Like subprocess.run with captured text, as the test user. Root only."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    with popen_as_user(argv, env, cwd, needs, **pipes) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)


def needed_trees(extra: Sequence[str]) -> list[Path]:
    """What Python itself, this checkout and the caller need."""
    interpreter = Path(os.path.realpath(sys.executable)).parents[1]
    trees = [ROOT, Path(sys.prefix), Path(sys.base_prefix), interpreter, *map(Path, extra)]
    return [tree for tree in dict.fromkeys(trees) if tree.exists()]


def _closed_ancestor(tree: Path) -> Path | None:
    """The topmost directory above `tree` that others may not enter."""
    for above in reversed(tree.parents):
        if not above.stat().st_mode & _EXECUTE_OTHER:
            return above
    return None


def open_up(trees: Sequence[Path]) -> None:
    """Make trees reachable for everybody, in a mount namespace of our own."""
    # ccinspect's own module: tests of the jail would fail first if it were wrong.
    sys.path.insert(0, str(ROOT))
    from ccinspect.jail import syscalls

    os.unshare(os.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)
    held = {tree: os.open(tree, os.O_PATH) for tree in trees if _closed_ancestor(tree)}
    for closed in {_closed_ancestor(tree) for tree in held}:
        syscalls.mount("tmpfs", str(closed), "tmpfs", 0, "mode=0755")
    for tree, fd in held.items():
        tree.mkdir(parents=True, exist_ok=True)
        syscalls.mount(f"/proc/self/fd/{fd}", str(tree), "", syscalls.MS_BIND | syscalls.MS_REC)
        os.close(fd)


def _become(argv: Sequence[str], cwd: str) -> None:
    account = user()
    os.environ.update(USER=account.pw_name, LOGNAME=account.pw_name, PYTHONDONTWRITEBYTECODE="1")
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    program = os.path.abspath(shutil.which(argv[0]) or argv[0])
    os.chdir(cwd)
    # A virtual environment is found by the name its Python was called by, and a relative name means nothing in `cwd`.
    os.execv(program, [program if "/" in argv[0] else argv[0], *argv[1:]])


def main(arguments: list[str]) -> None:
    """`[--need TREE]... [--cwd DIRECTORY] -- COMMAND...`"""
    at = arguments.index("--")
    options, argv = arguments[:at], arguments[at + 1 :]
    pairs = list(zip(options[::2], options[1::2], strict=True))
    open_up(needed_trees([value for name, value in pairs if name == "--need"]))
    _become(argv, next((value for name, value in pairs if name == "--cwd"), "/tmp"))


if __name__ == "__main__":
    main(sys.argv[1:])
