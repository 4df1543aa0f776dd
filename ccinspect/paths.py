"""Where files live: configuration, data and the control socket, by the XDG base directory rules.

A configuration directory named by hand (`--config DIR` or `CCINSPECT_CONFIG_DIR`) makes a self-contained
instance: its data lies below it and its socket has a name of its own, so that two instances never meet.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccinspect.errors import ConfigError


@dataclass(frozen=True)
class Paths:
    """All directories and well-known files of one instance. Nothing is created by asking for a path."""

    config_dir: Path
    data_dir: Path
    runtime_dir: Path
    runtime_root: Path
    """The directory of all of this user's instances; the jail hides the whole of it."""

    @property
    def config_file(self) -> Path:
        return self.config_dir / "ccinspect.yaml"

    @property
    def control_socket(self) -> Path:
        return self.runtime_dir / "control.sock"

    @property
    def lock_file(self) -> Path:
        """Held (flock) by the daemon for its whole life; holds its pid as text."""
        return self.data_dir / "daemon.lock"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "logs" / "ccinspect.log"

    @property
    def store_dir(self) -> Path:
        return self.data_dir / "store"

    @property
    def ca_dir(self) -> Path:
        """Our own certificate authority (mitmproxy's confdir); never `~/.mitmproxy`."""
        return self.data_dir / "ca"

    @property
    def ca_cert(self) -> Path:
        return self.ca_dir / "mitmproxy-ca-cert.pem"

    @property
    def web_token(self) -> Path:
        return self.data_dir / "web.token"

    @property
    def tls_keylog(self) -> Path:
        return self.data_dir / "tls.keylog"

    @property
    def wg_keylog(self) -> Path:
        return self.data_dir / "wg.keylog"

    @property
    def mcp_token(self) -> Path:
        return self.data_dir / "mcp.token"


def resolve_paths(config_option: Path | None = None, environ: Mapping[str, str] | None = None) -> Paths:
    """Find this instance's directories.

    `config_option` is the value of `--config`; it beats `CCINSPECT_CONFIG_DIR`, which beats
    `$XDG_CONFIG_HOME/ccinspect`. Raises ConfigError where it is a file.
    """
    env = os.environ if environ is None else environ
    home = home_dir(env)
    base = _runtime_base(env)
    runtime_root = base / "ccinspect" if base else Path(f"/tmp/ccinspect-{os.getuid()}")
    chosen = config_option or (Path(env["CCINSPECT_CONFIG_DIR"]) if env.get("CCINSPECT_CONFIG_DIR") else None)
    if chosen is None:
        config_dir = named_dir(env, "XDG_CONFIG_HOME", home / ".config") / "ccinspect"
        data_dir = named_dir(env, "XDG_DATA_HOME", home / ".local" / "share") / "ccinspect"
    else:
        config_dir = Path(os.path.realpath(chosen.expanduser()))
        if config_dir.is_file():
            told = "--config" if config_option else "CCINSPECT_CONFIG_DIR"
            raise ConfigError(f"{told} names a directory, and {config_dir} is a file", f"name {config_dir.parent}")
        data_dir = config_dir / "data"
    # The default instance is found by its data directory too: HOME may change while XDG_RUNTIME_DIR stays.
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Paths(config_dir, data_dir, runtime_root / name, runtime_root)


def home_dir(env: Mapping[str, str]) -> Path:
    """The user's own directory; where HOME is unset or empty, as with some services, the one of the account."""
    if said := env.get("HOME"):
        return Path(said)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("/")


def named_dir(env: Mapping[str, str], name: str, default: Path) -> Path:
    """The directory that a variable names; the default where it is unset or not absolute, as XDG wants it."""
    value = env.get(name, "")
    return Path(value) if os.path.isabs(value) else default


def _runtime_base(env: Mapping[str, str]) -> Path | None:
    for candidate in (env.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}"):
        if os.path.isabs(candidate) and os.path.isdir(candidate) and os.access(candidate, os.W_OK):
            return Path(candidate)
    return None


def make_private_dir(path: Path) -> Path:
    """Create a directory with mode 0700, or insist that an existing one is ours and closed to others.

    Raises ConfigError when it cannot be made, belongs to someone else (a squatter in /tmp), or its name is no UTF-8:
    the TLS library finds no file in such a one.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"the name of {path} is no UTF-8 text", "name another directory with --config DIR") from error
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"cannot create the directory {path}: {error.strerror}",
            "make it writable for you, or name another with --config DIR",
        ) from error
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise ConfigError(
            f"{path} is not a directory of yours: refusing to keep secrets there",
            "remove it; `sudo chown` makes it yours where sudo made it; or name another: --config DIR, XDG_RUNTIME_DIR",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write to the directory {path}", "make it writable for you, or use --config DIR")
    if info.st_mode & 0o077:
        path.chmod(0o700)
    return path
