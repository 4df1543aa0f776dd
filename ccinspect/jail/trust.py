"""Making programs trust the daemon's certificate authority without touching the machine's trust store.

Two ways together reach nearly everything: environment variables, and (in the jail) files mounted over the well-known
bundles. A variable that replaces a program's roots points to a bundle of all there is to trust: the host's roots, what
the user's own variables pointed to, and our authority. A variable that adds to them points to our authority alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccinspect.jail import syscalls
from ccinspect.jail.certificates import java_keystore, pem_blocks, pem_to_der, subject_hash
from ccinspect.jail.helpers import find_program

REPLACING_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CODEX_CA_CERTIFICATE",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
    "BUNDLE_SSL_CA_CERT",
    "COMPOSER_CAFILE",
    "PERL_LWP_SSL_CA_FILE",
    "HTTPS_CA_FILE",
    "NIX_SSL_CERT_FILE",
    "HEX_CACERTS_PATH",
    "CONDA_SSL_VERIFY",
    "HTTPLIB2_CA_CERTS",
)
ADDING_VARIABLES = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
SWITCHES = {"NODE_USE_SYSTEM_CA": "1", "DENO_TLS_CA_STORE": "system,mozilla"}

BUNDLE_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/usr/lib/ssl/cert.pem",
)
HASHED_DIRECTORY = "/etc/ssl/certs"
_JAVA_STORES = ("/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts", "/etc/pki/java/cacerts")


def trust_environment(
    ca_cert: Path, bundle: Path, environ: Mapping[str, str], hashed_directory: Path | None = None
) -> dict[str, str]:
    """The variables that make a program started with `environ` trust `ca_cert`.

    `bundle` is a file made by `build_bundle` from the same `environ`; `hashed_directory` one made by
    `TrustStore.write`.
    """
    result = dict.fromkeys((*REPLACING_VARIABLES, *_openssl().file_variables), str(bundle))
    # Somebody who had added an authority of their own keeps it: the bundle holds it too.
    result |= {name: str(bundle if environ.get(name) else ca_cert) for name in ADDING_VARIABLES}
    result |= SWITCHES
    if hashed_directory:
        result |= dict.fromkeys(("SSL_CERT_DIR", *_openssl().directory_variables), str(hashed_directory))
    return result


def build_bundle(ca_cert: Path, environ: Mapping[str, str], host_bundle: Path | None = None) -> bytes:
    """PEM text with the host's roots, the user's own authorities, and `ca_cert`. Raises OSError for `ca_cert` only."""
    authority = ca_cert.read_bytes()
    roots = b""
    with contextlib.suppress(OSError):
        roots = (host_bundle or find_host_bundle() or Path(os.devnull)).read_bytes()
    additions: dict[bytes, None] = {}
    for source in _user_bundles(environ):
        with contextlib.suppress(OSError):
            additions |= dict.fromkeys(block for block in pem_blocks(source.read_bytes()) if block not in roots)
    return b"\n".join([roots, *additions, authority, b""])


def write_bundle(directory: Path, ca_cert: Path, environ: Mapping[str, str], host_bundle: Path | None = None) -> Path:
    """Write the bundle for `environ` into `directory`, under a name made from its content. For use without a jail.

    Equal environments share a file, so that runs leave no trail of files behind. Raises OSError.
    """
    content = build_bundle(ca_cert, environ, host_bundle)
    path = directory / f"bundle-{hashlib.sha256(content).hexdigest()[:16]}.pem"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.rename(path)
    return path


def find_host_bundle() -> Path | None:
    """The host's own bundle of roots, or None when the machine has none where it should be."""
    return next((Path(path) for path in BUNDLE_FILES if os.path.isfile(path)), None)


def _user_bundles(environ: Mapping[str, str]) -> list[Path]:
    """Files of authorities that the user's variables point to, without the host's own."""
    values = [environ.get(name, "") for name in (*REPLACING_VARIABLES, *ADDING_VARIABLES)]
    known = {os.path.realpath(path) for path in BUNDLE_FILES}
    files = [value for value in dict.fromkeys(values) if os.path.isfile(value) and os.path.realpath(value) not in known]
    for directory in _user_directories(environ):
        files += [entry.path for entry in os.scandir(directory) if entry.is_file()]
    return [Path(path) for path in dict.fromkeys(map(os.path.realpath, files))]


def _user_directories(environ: Mapping[str, str]) -> list[str]:
    """Directories of authorities that the user has named, without the host's own."""
    own = os.path.realpath(HASHED_DIRECTORY)
    parts = environ.get("SSL_CERT_DIR", "").split(":")
    return [part for part in parts if os.path.isdir(part) and os.path.realpath(part) != own]


@dataclass(frozen=True)
class _OpenSSL:
    """What the machine's OpenSSL was built with: some builds rename the variables and move the files."""

    file_variables: tuple[str, ...] = ()
    directory_variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def _openssl() -> _OpenSSL:
    for name in ("libcrypto.so.3", "libcrypto.so.1.1"):
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(name)
            values = []
            for function in ("default_cert_file_env", "default_cert_dir_env", "default_cert_file"):
                call = getattr(library, f"X509_get_{function}")
                call.restype = ctypes.c_char_p
                values.append(os.fsdecode(call()))
            return _OpenSSL((values[0],), (values[1],), (values[2],))
    return _OpenSSL()


class TrustStore:
    """Everything the jail shows in place of the host's trust stores, gathered before anything is covered."""

    def __init__(self, ca_cert: Path, environ: Mapping[str, str], host_bundle: Path | None = None) -> None:
        self._name = ca_cert.name
        self._authority = ca_cert.read_bytes()
        self._environ = environ
        self._bundle = build_bundle(ca_cert, environ, host_bundle)
        self._bundle_targets = _existing((*BUNDLE_FILES, *_openssl().files))
        self._java_targets = _existing(_java_stores(environ))
        self._hashed = os.path.realpath(HASHED_DIRECTORY) if os.path.isdir(HASHED_DIRECTORY) else None

    def write(self, directory: Path) -> dict[str, str]:
        """Write the store into `directory`; returns what to mount over what: {target: source}. Raises OSError."""
        bundle, hashed = directory / "bundle.pem", directory / "certs"
        (directory / self._name).write_bytes(self._authority)
        bundle.write_bytes(self._bundle)
        replaced = dict.fromkeys(self._bundle_targets, bundle)
        if self._java_targets:
            java = directory / "java-cacerts"
            java.write_bytes(java_keystore(pem_to_der(block) for block in pem_blocks(self._bundle)))
            replaced |= dict.fromkeys(self._java_targets, java)
        self._write_hashed(hashed, replaced)
        inside = f"{self._hashed}/"
        mounts = {target: str(source) for target, source in replaced.items() if not target.startswith(inside)}
        return mounts | ({self._hashed: str(hashed)} if self._hashed else {})

    def _write_hashed(self, directory: Path, replaced: Mapping[str, Path]) -> None:
        """Make the directory in which OpenSSL looks certificates up: the host's, with ours and the user's beside."""
        own = directory.with_name("own-certs")
        own.mkdir()
        directory.mkdir()
        for extra in _user_directories(self._environ):
            for entry in os.scandir(extra):
                with contextlib.suppress(OSError):
                    (own / entry.name).symlink_to(os.path.realpath(entry.path))
        _add_hashed(own, self._hashed, self._authority)
        if self._hashed is None:
            directory.rmdir()
            own.rename(directory)
            return
        for target, source in replaced.items():
            if target.startswith(f"{self._hashed}/"):
                copy = own / os.path.relpath(target, self._hashed)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.unlink(missing_ok=True)
                os.link(source, copy)
        # One mount instead of hundreds of links, where the kernel lets a user namespace do it (since 5.11).
        layers = f"lowerdir={own}:{self._hashed}"
        try:
            syscalls.mount("overlay", str(directory), "overlay", syscalls.MS_NOSUID | syscalls.MS_NODEV, layers)
        except OSError:
            _merge(str(own), str(directory))
            _merge(self._hashed, str(directory))

    def environment(self, directory: Path) -> dict[str, str]:
        """The variables to set, once the store lies in `directory`."""
        return trust_environment(directory / self._name, directory / "bundle.pem", self._environ, directory / "certs")


def _existing(paths: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.isfile(path)))


def _java_stores(environ: Mapping[str, str]) -> tuple[str, ...]:
    homes = [environ["JAVA_HOME"]] if environ.get("JAVA_HOME") else []
    java = find_program("java", environ.get("PATH"))
    if java:
        homes.append(os.path.dirname(os.path.dirname(os.path.realpath(java))))
    below = [f"{home}/{part}" for home in homes for part in ("lib/security/cacerts", "jre/lib/security/cacerts")]
    return (*_JAVA_STORES, *below) if below else ()


def _merge(source: str, target: str) -> None:
    """Copy what `target` does not have yet from a directory of certificates.

    Symbolic links stay links. A relative one that leaves its directory is made absolute, for the copy lies elsewhere.
    """
    for entry in os.scandir(source):
        copy = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            os.makedirs(copy, exist_ok=True)
            _merge(entry.path, copy)
        elif os.path.lexists(copy):
            continue
        elif entry.is_symlink():
            link = os.readlink(entry.path)
            os.symlink(os.path.join(source, link) if "/" in link else link, copy)
        else:
            with contextlib.suppress(OSError):
                Path(copy).write_bytes(Path(entry.path).read_bytes())


def _add_hashed(directory: Path, beside: str | None, authority: bytes) -> None:
    """Do what c_rehash does for our authority: `HASH.N` with the first N that is free here and in `beside`."""
    for block in pem_blocks(authority):
        digest = subject_hash(pem_to_der(block))
        names = (f"{digest}.{number}" for number in range(1000))
        name = next(
            name
            for name in names
            if not any(os.path.lexists(f"{where}/{name}") for where in (directory, beside or directory))
        )
        (directory / name).write_bytes(block + b"\n")
