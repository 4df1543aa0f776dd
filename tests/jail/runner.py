"""A supervisor as a program, for tests: `run_jailed` as JSON in the first argument says, without the CLI."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ccinspect.errors import CcinspectError
from ccinspect.jail.session import JailSettings, Tunnel
from ccinspect.jail.supervisor import run_jailed, run_plain


def report(text: str) -> None:
    os.write(2, f"report: {text}\n".encode())


def main() -> int:
    request = json.loads(sys.argv[1])
    command = sys.argv[2:]
    try:
        if "tunnel" not in request:
            return run_plain(command, dict(os.environ), report)
        tunnel, settings = Tunnel.from_json(request["tunnel"]), JailSettings.from_json(request["jail"])
        return run_jailed(command, tunnel, settings, Path(request["ca_cert"]), dict(os.environ), report=report)
    except CcinspectError as error:
        os.write(2, f"{type(error).__name__}: {error.message}\nhint: {error.hint}\n".encode())
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
