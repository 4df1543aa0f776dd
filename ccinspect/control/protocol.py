"""Framing and names of the control protocol: one JSON object a line over a Unix stream socket.

The table of methods stands in `docs/architecture.md`. Both ends use this module, so a name is spelt once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ccinspect.errors as errors

STATUS: Final = "status"
RUN_START: Final = "run.start"
RUN_END: Final = "run.end"
RUN_ANSWER: Final = "run.answer"
RUN_LIST: Final = "run.list"
FLUSH: Final = "flush"
FLOWS_CLEAR: Final = "flows.clear"
VACUUM: Final = "store.vacuum"
EVENTS: Final = "events"
RELOAD: Final = "reload"
REANALYSE: Final = "reanalyse"
SHUTDOWN: Final = "shutdown"

NOTICE: Final = "notice"
"""Event on the connection that started a run: `{text}`, one line for whoever runs it."""

QUESTION: Final = "question"
"""Event on the connection that started a run with `can_ask`: `{id, text, seconds}`, answered by `run.answer`."""

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes; a longer line is a broken peer. A run's command line and environment are far below it."""

# sun_path holds 108 bytes on Linux, its end included.
_MAX_SOCKET_PATH = 107


def encode(message: dict[str, Any]) -> bytes:
    """One message as one line. Text may hold the surrogates that `os.fsdecode` makes of bytes that are no UTF-8."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message of one line. Raises ValueError when it is no JSON object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a control message is a JSON object")
    return message


def request(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "method": method, "params": params}


def result(number: int, value: Any) -> dict[str, Any]:
    return {"id": number, "result": value}


def failure(number: int, error: Exception) -> dict[str, Any]:
    return {"id": number, "error": error_to_json(error)}


def event(name: str, data: Any) -> dict[str, Any]:
    return {"event": name, "data": data}


def error_to_json(error: Exception) -> dict[str, str]:
    """`{message, hint, type}`; an exception that is none of ours becomes a ControlError without its details."""
    if isinstance(error, errors.CcinspectError):
        return {"message": error.message, "hint": error.hint, "type": type(error).__name__}
    return {
        "message": f"the daemon failed with an internal error ({type(error).__name__})",
        "hint": "its log has the details: ccinspect logs",
        "type": "ControlError",
    }


def error_from_json(value: Any) -> errors.CcinspectError:
    """The exception that `error_to_json` described; ControlError when its type is not known here."""
    if not isinstance(value, dict):
        return errors.ControlError(f"the daemon answered with an error that cannot be read: {value!r}")
    found = getattr(errors, str(value.get("type", "")), None)
    chosen: type[errors.CcinspectError] = errors.ControlError
    if isinstance(found, type) and issubclass(found, errors.CcinspectError):
        chosen = found
    return chosen(str(value.get("message", "the daemon gave no reason")), str(value.get("hint", "")))


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """A name of `path` short enough to bind or connect to, valid inside the `with` block.

    A Unix socket's address is limited to 107 bytes; a deeper path is reached through a descriptor of its directory.
    Raises OSError when the directory cannot be opened.
    """
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
