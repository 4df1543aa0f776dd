"""Key logs for Wireshark: what decrypts a capture of our connections. Off unless somebody asks for them.

`tls.keylog` is in the format that NSS began (`SSLKEYLOGFILE`), `wg.keylog` in that of Wireshark's `wg.keylog_file`.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path

from mitmproxy.net import tls

logger = logging.getLogger("ccinspect")

MAX_BYTES = 8_000_000
_FOREIGN = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")


class KeyLog:
    """A file of lines, for this user only. At its bound it becomes `NAME.1`, in place of the one before."""

    # mitmproxy hands an object to OpenSSL where a function is expected, which has a name.
    __name__ = "KeyLog"

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        # Handshakes of QUIC and TLS may come from several threads.
        self._lock = threading.Lock()
        self._failed = False

    def __call__(self, connection: object, line: bytes) -> None:
        """Take a line of OpenSSL's. Never raises: a disk that is full must not stop a handshake."""
        self.write(line)

    def write(self, *lines: bytes) -> None:
        text = b"".join(line + b"\n" for line in lines)
        with self._lock:
            try:
                self._append(text)
            except OSError as error:
                if not self._failed:
                    logger.warning("%s cannot be written, its keys are lost: %s", self.path, error.strerror)
                self._failed = True
            else:
                self._failed = False

    def _append(self, text: bytes) -> None:
        descriptor = os.open(
            self.path,
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC,
            stat.S_IRUSR | stat.S_IWUSR,
        )
        try:
            # It may be older than we are.
            os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
            os.write(descriptor, text)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size >= self._max_bytes:
            os.replace(self.path, self.path.with_name(self.path.name + ".1"))


def forget_foreign_logs() -> None:
    """Write no keys where the environment says: a variable in somebody's shell is no consent. At the daemon's start."""
    for name in _FOREIGN:
        os.environ.pop(name, None)


def log_tls_keys(log: KeyLog | None) -> None:
    """Let mitmproxy write the keys of its connections to `log`; None: nowhere. Before the first connection."""
    # It read the environment when it was imported.
    tls.log_master_secret = log  # type: ignore[assignment]


def log_tunnel_keys(log: KeyLog | None, server_key: str, client_key: str) -> None:
    """Note the static keys of a tunnel (base64)."""
    if log is not None:
        log.write(*(b"LOCAL_STATIC_PRIVATE_KEY = %s" % key.encode() for key in (server_key, client_key)))
