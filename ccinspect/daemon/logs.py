"""Logging: one rotated file, the terminal when in the foreground, and the journal when asked for."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import socket
import sys
import time
from pathlib import Path

from ccinspect.config import DaemonConfig

_JOURNAL = "/run/systemd/journal/socket"
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def set_up_logging(config: DaemonConfig, log_file: Path, foreground: bool) -> None:
    """Install the handlers on the root logger.

    mitmproxy logs several lines a flow at INFO, and a tunnel's private key: only its warnings and errors pass.
    """
    level = getattr(logging, config.log_level.upper())
    formatter = _Json() if config.log_format == "json" else _Human()
    log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = _PrivateRotatingFile(log_file, maxBytes=config.log_max_bytes, backupCount=3, encoding="utf-8")
    handlers: list[logging.Handler] = [file]
    if foreground:
        handlers.append(logging.StreamHandler(sys.stderr))
    if config.journald:
        handlers.append(_Journal())
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    logging.getLogger("ccinspect").setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("mitmproxy").setLevel(logging.WARNING)
    # These two speak of single connections, which have flows of their own to tell of it.
    logging.getLogger("mitmproxy.proxy.server").setLevel(logging.ERROR)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)


class _PrivateRotatingFile(logging.handlers.RotatingFileHandler):
    def _open(self):  # type: ignore[no-untyped-def]
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding)


class _Human(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Journal(logging.Handler):
    """Writes to the systemd journal's native socket (systemd.io, JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record).encode()
        fields = [
            b"PRIORITY=%d" % _PRIORITY.get(record.levelno, 6),
            b"SYSLOG_IDENTIFIER=ccinspect",
            b"LOGGER=" + record.name.encode(),
        ]
        # A value with line feeds is sent with its length, as 64-bit little-endian.
        body = b"MESSAGE\n" + len(message).to_bytes(8, "little") + message
        try:
            self._socket.sendto(b"\n".join([*fields, body]) + b"\n", _JOURNAL)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """No journal here, or it is full: the log file has the line."""

    def close(self) -> None:
        self._socket.close()
        super().close()
