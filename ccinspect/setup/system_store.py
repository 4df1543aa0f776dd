"""The machine's trust store: where a distribution wants further authorities, and how it is told of them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccinspect.errors import SetupError
from ccinspect.jail.certificates import pem_blocks, pem_to_der
from ccinspect.setup.authority import ALIAS, Authority

_TIMEOUT = 120
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layout:
    """One family of distributions."""

    family: str
    directory: str
    """Where an administrator's authorities go."""
    update: tuple[str, ...]
    """The command that gathers them."""
    bundle: str
    """What it gathers them into; programs read this."""


# Told apart by the directory: SUSE has Debian's command, Arch has Fedora's.
LAYOUTS = (
    Layout(
        "Debian, Ubuntu, Alpine",
        "/usr/local/share/ca-certificates",
        ("update-ca-certificates",),
        "/etc/ssl/certs/ca-certificates.crt",
    ),
    Layout(
        "Fedora, RHEL",
        "/etc/pki/ca-trust/source/anchors",
        ("update-ca-trust", "extract"),
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ),
    Layout(
        "Arch",
        "/etc/ca-certificates/trust-source/anchors",
        ("update-ca-trust",),
        "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
    ),
    Layout("SUSE", "/etc/pki/trust/anchors", ("update-ca-certificates",), "/etc/ssl/ca-bundle.pem"),
)


@dataclass(frozen=True)
class SystemStore:
    """This machine's store. `root` is `/`, but in tests."""

    layout: Layout
    root: Path = Path("/")

    @classmethod
    def find(cls, root: Path = Path("/")) -> SystemStore:
        """Raises SetupError on a machine whose store is of no kind we know."""
        for layout in LAYOUTS:
            if (root / layout.directory.lstrip("/")).is_dir() and _program(layout.update[0], root):
                return cls(layout, root)
        raise SetupError(
            "this machine's trust store is of no kind we know: neither update-ca-certificates nor update-ca-trust",
            "export the certificate and add it as your system wants it: ccinspect ca export -o ccinspect.pem",
        )

    def file(self, authority: Authority) -> Path:
        """The file that holds our authority there, once it is installed."""
        return self._below(self.layout.directory) / f"{authority.short_name}.crt"

    def files(self) -> list[Path]:
        """All that this or another instance of ours has put there."""
        return sorted(self._below(self.layout.directory).glob(f"{ALIAS}-????????.crt"))

    def trusts(self, authority: Authority) -> bool:
        """Whether the bundle that programs read holds our authority."""
        try:
            text = self._below(self.layout.bundle).read_bytes()
        except OSError:
            return False
        return any(pem_to_der(block) == authority.der for block in pem_blocks(text))

    def writable(self) -> bool:
        return os.access(self._below(self.layout.directory), os.W_OK)

    def install_commands(self, authority: Authority, source: Path) -> list[str]:
        """What `install` does, as root would type it."""
        target = shlex.quote(str(self.file(authority)))
        return [f"install -m 0644 {shlex.quote(str(source))} {target}", shlex.join(self.layout.update)]

    def remove_commands(self, files: Sequence[Path]) -> list[str]:
        """What `remove` does, as root would type it."""
        return [shlex.join(["rm", *map(str, files)]), shlex.join(self.layout.update)]

    def install(self, authority: Authority) -> None:
        """Raises SetupError; then nothing of ours is left there."""
        file = self.file(authority)
        try:
            file.write_bytes(authority.pem)
            file.chmod(0o644)
        except OSError as error:
            raise SetupError(f"{file} cannot be written: {error.strerror}", "run it as root") from error
        try:
            self._update()
            if not self.trusts(authority):
                raise SetupError(
                    f"{self.layout.update[0]} ran, but did not add our authority; it was taken out again",
                    "export the certificate and add it by hand: ccinspect ca export -o ccinspect.pem",
                )
        except SetupError:
            file.unlink()
            raise

    def remove(self, files: Sequence[Path]) -> None:
        """Raises SetupError."""
        try:
            for file in files:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise SetupError(f"{file} cannot be removed: {error.strerror}", "run it as root") from error
        self._update()

    def _below(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _update(self) -> None:
        name, *words = self.layout.update
        program = _program(name, self.root)
        command = [program or name, *words]
        environ = dict(os.environ, PATH=_SYSTEM_PATH)
        try:
            done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SetupError(f"{name} could not be run: {error}", f"run it yourself: sudo {name}") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
            raise SetupError(f"{name} failed ({done.returncode}): {said[0]}", f"run it yourself: sudo {name}")


def _program(name: str, root: Path) -> str | None:
    path = os.pathsep.join(str(root / directory.lstrip("/")) for directory in _SYSTEM_PATH.split(":"))
    return shutil.which(name, path=path)
