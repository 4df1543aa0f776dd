"""The process that evaluates jq expressions: started by `jq_process.py` as a script of its own, killed at will.

libjq cannot be interrupted and a jq expression may run for ever, so limits are the kernel's: SIGPROF ends the process
when one piece of work has used its CPU time, RLIMIT_AS when it wants too much memory. It has no environment to leak.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO

import jq

MAX_RESULT = 16_000_000
"""Characters of one document's result."""


def main() -> None:
    """Answer pieces of work from standard input until it ends. Arguments: CPU seconds per piece, bytes of memory."""
    cpu_seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    os.environ.clear()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    programs: list[Any] = []
    while (work := _receive(sys.stdin.buffer)) is not None:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        programs += [jq.compile(source) for source in work["programs"]]
        results = [_evaluate(programs[index], document) for index, document in work["jobs"]]
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(sys.stdout.buffer, results)


def _evaluate(program: Any, document: str) -> list[str | None]:
    """[the first result as JSON text, None] or [None, why there is none]."""
    try:
        result = _first_result(program, document)
    except (ValueError, RecursionError) as error:
        return [None, str(error)[:500]]
    if len(result) > MAX_RESULT:
        return [None, f"finds more than {MAX_RESULT} characters"]
    return [result, None] if result else [None, "no result"]


def _first_result(program: Any, document: str) -> str:
    try:
        text: str = program.input_text(_storable(document)).text()
    except ValueError as error:
        if "surrogate" not in str(error):
            raise
        # jq refuses half a pair next to another escape; Python's reader lets it be replaced.
        text = program.input_text(_storable(json.dumps(json.loads(document), ensure_ascii=False))).text()
    return text.partition("\n")[0]


def _storable(text: str) -> str:
    """JSON can say lone surrogates, jq's UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _receive(stream: BinaryIO) -> Any:
    head = stream.read(4)
    if len(head) < 4:
        return None
    return json.loads(stream.read(struct.unpack("!I", head)[0]))


def _send(stream: BinaryIO, message: Any) -> None:
    data = json.dumps(message).encode()
    stream.write(struct.pack("!I", len(data)) + data)
    stream.flush()


if __name__ == "__main__":
    main()
