"""`flows export`: a captured request as a command or a program that sends it."""

from __future__ import annotations

import sys
from pathlib import Path

from ccinspect.cli import text
from ccinspect.cli.flows.export_code import WRITERS
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say
from ccinspect.cli.reading import open_store
from ccinspect.errors import CcinspectError
from ccinspect.replay.sendable import check_sendable, sendable


def export(instance: Instance, flow: str, language: str, *, client: bool, body_file: Path | None) -> None:
    """Write it to stdout; `client`: the request as the client sent it, not as forwarded.

    Raises FlowNotFound, AmbiguousFlowId, and CcinspectError when the request is not whole.
    """
    role = "client_request" if client else "request"
    with open_store(instance) as store:
        record = store.get(flow)
        message = check_sendable(record, role)
        body = b"".join(store.stream_body(record["id"], role) or ())
    request = sendable(message, body)
    code = WRITERS[language](request, str(body_file) if body_file and body else None)
    if body_file is not None and body:
        _write_body(body_file, body)
    # Bytes: in a here-document each of them counts, whatever the terminal's encoding.
    sys.stdout.buffer.write(code.encode())
    if names := request.variables():
        set_first = "this variable" if len(names) == 1 else "these variables"
        say(f"ccinspect: secrets are not in the store; set {set_first} first: {', '.join(map(text.clean, names))}")


def _write_body(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise CcinspectError(
            f"the body cannot be written to {path}: {error.strerror}", "name another file with --body-file"
        ) from error
