"""A headless Chromium without a network, driven over the pipe of its DevTools protocol."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

# Two cores shared with other tests: it takes two seconds alone.
SECONDS = 60
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


class Chromium:
    """One browser with one page; a context manager."""

    def __init__(self, directory: Path) -> None:
        """`directory` becomes its home and its profile."""
        program = shutil.which("chromium")
        assert program, "chromium is missing: scripts/setup.sh long installs it"
        command_read, self._commands = os.pipe()
        self._answers, answer_write = os.pipe()
        # It reads commands from descriptor 3 and answers on 4; `sh` can name no descriptor above 9.
        script = f'exec "$0" "$@" 3</proc/self/fd/{command_read} 4>/proc/self/fd/{answer_write}'
        self._process = subprocess.Popen(
            ["sh", "-c", script, program, *_OPTIONS, f"--user-data-dir={directory / 'profile'}", "about:blank"],
            pass_fds=(command_read, answer_write),
            env={"HOME": str(directory), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_read)
        os.close(answer_write)
        self._last_id = 0
        self._received = b""
        self._session = ""

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self.call("Browser.close")
                self._process.wait(SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._commands)
            os.close(self._answers)

    def open(self, url: str) -> None:
        """Open a page and wait until it is loaded; `run` and `call` are for it then."""
        self._session = ""
        target = self.call("Target.createTarget", url=url)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.run("new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise. AssertionError when it throws."""
        answer = self.call(
            "Runtime.evaluate", expression=f"(async () => ({script}))()", awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A method of the protocol: https://chromedevtools.github.io/devtools-protocol/."""
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if self._session and not method.startswith("Browser."):
            message["sessionId"] = self._session
        _write_all(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._answers], [], [], SECONDS)[0], "Chromium does not answer"
            data = os.read(self._answers, 1 << 20)
            assert data, f"Chromium has ended: {self._process.wait()}"
            self._received += data
        first, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
