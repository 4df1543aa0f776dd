"""The databases in which Firefox and Chromium keep the authorities of one user (NSS)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ccinspect.errors import SetupError
from ccinspect.setup.authority import Authority

_PROFILES = (
    ".pki/nssdb",
    ".mozilla/firefox/*",
    ".config/mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    "snap/chromium/current/.pki/nssdb",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
)
_TIMEOUT = 30


def databases(home: Path) -> list[Path]:
    """The directories below `home` that hold such a database."""
    return [path for pattern in _PROFILES for path in sorted(home.glob(pattern)) if (path / "cert9.db").is_file()]


def trusts(database: Path, authority: Authority) -> bool:
    """Whether it has our authority, to vouch for web sites. Raises SetupError."""
    done = _certutil(database, "-L")
    return any(line.split()[:2] == [authority.short_name, "C,,"] for line in done.stdout.splitlines())


def install(database: Path, authority: Authority, certificate: Path) -> None:
    """Raises SetupError."""
    _checked(database, "-A", "-n", authority.short_name, "-t", "C,,", "-i", str(certificate))


def remove(database: Path, authority: Authority) -> None:
    """Raises SetupError."""
    _checked(database, "-D", "-n", authority.short_name)


def _checked(database: Path, *words: str) -> None:
    done = _certutil(database, *words)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise SetupError(f"certutil could not change {database}: {said[0]}", "close the browser, then try again")


def _certutil(database: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("certutil")
    if program is None:
        raise SetupError(
            "certutil is not installed: it is what changes the databases of Firefox and Chromium",
            "install it (Debian: libnss3-tools; Fedora: nss-tools; Arch: nss)",
        )
    command = [program, "-d", f"sql:{database}", *words]
    try:
        # A database with a password asks for it on the terminal; without one to ask, it fails.
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"certutil does not answer for {database}", "close the browser, then try again") from error
