"""jq in a process that can be killed: the only way to give an expression a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CPU_SECONDS = 2.0
"""CPU time of one call of `run`."""
MEMORY = 1 << 30
"""Bytes of address space of the process."""
MAX_DOCUMENT = 32_000_000
"""Characters of one document."""

_WORKER = Path(__file__).with_name("jq_worker.py")
_PIECE = 1 << 16


class Result(NamedTuple):
    """JSON text of a program's first result, or why there is none."""

    text: str | None
    problem: str | None


class JqProcess:
    """Evaluates jq programs on JSON texts. The process starts at the first call and is replaced when it had to die.

    Thread-safe; calls wait for each other. Close it, or use it in a `with`.
    """

    def __init__(self, cpu_seconds: float = CPU_SECONDS, memory: int = MEMORY) -> None:
        self.cpu_seconds = cpu_seconds
        self.memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._known: dict[str, int] = {}
        """Programs that the process has, by their source."""

    def run(self, jobs: Sequence[tuple[str, str]]) -> list[Result]:
        """Evaluate (program, document) pairs, in order. Never raises; all of them together have `cpu_seconds`.

        When that is not enough, or the memory is not, all results of this call are the same problem.
        """
        too_large = Result(None, f"the document is larger than {MAX_DOCUMENT} characters")
        with self._lock:
            wanted = [(source, document) for source, document in jobs if len(document) <= MAX_DOCUMENT]
            answers = iter(self._run(wanted))
            return [next(answers) if len(document) <= MAX_DOCUMENT else too_large for _, document in jobs]

    def close(self) -> None:
        with self._lock:
            self._end()

    def __enter__(self) -> JqProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, jobs: list[tuple[str, str]]) -> list[Result]:
        if not jobs:
            return []
        try:
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._process = self._start()
            new = [source for source in dict.fromkeys(source for source, _ in jobs) if source not in self._known]
            self._known |= {source: len(self._known) + offset for offset, source in enumerate(new)}
            work = {"programs": new, "jobs": [(self._known[source], document) for source, document in jobs]}
            answer = json.loads(self._exchange(self._process, json.dumps(work).encode()))
            return [Result(*result) for result in answer]
        except (OSError, EOFError) as error:
            return [Result(None, self._why_dead(error))] * len(jobs)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            # -P: the script's own directory must not come before the standard library.
            [sys.executable, "-P", str(_WORKER), str(self.cpu_seconds), str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
            bufsize=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        return process

    def _exchange(self, process: subprocess.Popen[bytes], message: bytes) -> bytes:
        """Send one message and receive one. Raises EOFError when the process ends, TimeoutError when it hangs."""
        assert process.stdin is not None
        assert process.stdout is not None
        # CPU time is what is limited; this only catches a process that was stopped or cannot get on.
        deadline = time.monotonic() + 10 * self.cpu_seconds + 10
        unsent = memoryview(struct.pack("!I", len(message)) + message)
        received = bytearray()
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            ready.register(process.stdin, selectors.EVENT_WRITE)
            while True:
                events = ready.select(max(0.0, deadline - time.monotonic()))
                if not events:
                    raise TimeoutError
                for key, _ in events:
                    if key.fileobj is process.stdin:
                        unsent = unsent[os.write(key.fd, unsent[:_PIECE]) :]
                        if not unsent:
                            ready.unregister(process.stdin)
                        continue
                    piece = os.read(key.fd, _PIECE)
                    if not piece:
                        raise EOFError
                    received += piece
                    if len(received) >= 4 and len(received) - 4 >= struct.unpack_from("!I", received)[0]:
                        return bytes(received[4:])

    def _why_dead(self, error: Exception) -> str:
        process = self._process
        if process is None:
            return f"jq cannot be started: {error}"
        if not isinstance(error, TimeoutError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        code = process.returncode
        self._end()
        if code == -signal.SIGPROF or isinstance(error, TimeoutError):
            return f"takes more than {self.cpu_seconds:g} s"
        # Out of memory shows as an abort, a crash or a MemoryError, whichever allocation it was that failed.
        return f"jq ended with {signal.Signals(-code).name if code and code < 0 else code}: out of memory, most likely"

    def _end(self) -> None:
        process, self._process = self._process, None
        self._known = {}
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
