"""The official JavaScript SDKs as clients of the daemon, in one process of Node.js that does as it is told."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.transform.clients import CLIENTS, Client, Said

SOURCE = Path(__file__).parent / "js"
_INSTALL_SECONDS = 600
_END_SECONDS = 10


def installed() -> Path:
    """A directory with the SDKs (of the versions that `js/package.json` names) and our programs beside them.

    Fetched from the package registry the first time. The programs are copies: Node.js looks for packages beside the
    file that wants them, and nothing is installed among the sources.
    """
    home = Path(__file__).resolve().parents[2] / ".tools" / "js-sdks"
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, stamp = (SOURCE / "package.json").read_text(), home / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            (home / "package.json").write_text(wanted)
            _npm_install(home)
            stamp.write_text(wanted)
        for program in SOURCE.glob("*.mjs"):
            shutil.copy(program, home)
    return home


def _npm_install(home: Path) -> None:
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    done = subprocess.run(
        [*command, "--loglevel=error"], cwd=home, capture_output=True, text=True, timeout=_INSTALL_SECONDS
    )
    assert done.returncode == 0, f"npm could not install the SDKs:\n{done.stderr}"


class JavaScript:
    """The process; while it is entered, `clients` make conversations in it, one at a time."""

    def __init__(self) -> None:
        home = installed()
        self._process = subprocess.Popen(
            ["node", "drive.mjs"], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.clients: dict[str, Callable[[str, str, bool], Client]] = {
            dialect: partial(_JsClient, self._call, dialect) for dialect in CLIENTS
        }

    def __enter__(self) -> JavaScript:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=_END_SECONDS)
        self._process.kill()
        self._process.wait()

    def _call(self, order: dict[str, Any]) -> Any:
        """Have something done and return what came of it. Raises AssertionError with the SDK's own words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"node has ended with {self._process.wait(_END_SECONDS)}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["said"]


class _JsClient:
    """One conversation."""

    def __init__(self, call: Callable[[dict[str, Any]], Any], dialect: str, url: str, key: str, stream: bool) -> None:
        self._call = call
        self._call({"open": {"client": dialect, "url": url, "key": key, "stream": stream}})

    def ask(self, text: str, *, image: bool = False, tools: bool = False, thinking: bool = False) -> Said:
        return _said(self._call({"ask": {"text": text, "image": image, "tools": tools, "thinking": thinking}}))

    def bring(self, results: Iterable[tuple[str, str, str]]) -> Said:
        told = [{"id": call, "name": name, "text": text} for call, name, text in results]
        return _said(self._call({"bring": told}))

    def close(self) -> None:
        """Nothing is left to be closed: connections end with the process."""


def _said(answer: dict[str, Any]) -> Said:
    calls = [(call["id"], call["name"], call["arguments"]) for call in answer["calls"]]
    return Said(answer["text"], answer["thinking"], calls, (answer["input"], answer["output"]))
