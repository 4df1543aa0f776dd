"""The process in which jq runs: jq can loop or grow without end, and inside of ours nothing could stop it.

Started by `jqfilter`. First line on stdin: {"filters": [...], "seconds": N, "memory": BYTES, "confined": BOOL}.
Then, for each request, a line with a number of bytes and so many bytes of JSON. Each is answered, and so are the
filters themselves, by one line {"ok": N} with N bytes of JSON behind it, or {"problem": "syntax" | "shape" | "failure",
"filter": I, "detail": TEXT}.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
import time
from typing import Any, BinaryIO

import jq

_MEMORY_PER_BYTE = 16
_MARK = "ccinspect:"

# Each filter is asked for two results at most, so that one that yields for ever is found out at once.
_PRELUDE = f"""
def _ccinspect_fail($problem; $filter; $detail):
  error("{_MARK}" + ({{$problem, $filter, detail: ($detail | if type == "string" then . else tojson end)}} | tojson));
def _ccinspect_one($filter):
  if length == 1 and (.[0] | type) == "array" then .[0]
  elif length == 0 then _ccinspect_fail("shape"; $filter; "nothing")
  elif length == 1 then _ccinspect_fail("shape"; $filter; .[0] | type)
  else _ccinspect_fail("shape"; $filter; "more than one result") end;
"""


def compile_all(filters: list[str]) -> Any:
    """One program of all filters; ValueError carries the answer to be given when one of them does not compile."""
    steps = []
    for number, text in enumerate(filters):
        try:
            jq.compile(text)
        except ValueError as error:
            raise ValueError(json.dumps({"problem": "syntax", "filter": number, "detail": str(error)})) from error
        # The line feed ends a comment, should the filter end with one.
        attempt = f'try ({text}\n) catch _ccinspect_fail("failure"; {number}; .)'
        steps.append(f"[limit(2; {attempt})] | _ccinspect_one({number})")
    return jq.compile(_PRELUDE + (" | ".join(steps) or "."))


def run(program: Any, text: str) -> tuple[dict[str, Any], bytes]:
    """Apply the filters; the answer's head and its bytes."""
    try:
        result = next(iter(program.input_text(text).text().splitlines()), "")
    except ValueError as error:
        _, mark, detail = str(error).partition(_MARK)
        if mark:
            told: dict[str, Any] = json.loads(detail)
            return told, b""
        return {"problem": "failure", "filter": -1, "detail": str(error)}, b""
    if not result:  # `halt`
        return {"problem": "shape", "filter": -1, "detail": "nothing"}, b""
    data = result.encode()
    return {"ok": len(data)}, data


def _bound(setup: dict[str, Any], size: int) -> None:
    """Limits for the next request: processor time, and memory by the size of its input."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + setup["seconds"]) + 1, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (max(setup["memory"], _MEMORY_PER_BYTE * size), resource.RLIM_INFINITY))


def _answer(out: BinaryIO, head: dict[str, Any], data: bytes = b"") -> None:
    out.write(json.dumps(head).encode() + b"\n" + data)
    out.flush()


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, out = sys.stdin.buffer, sys.stdout.buffer
    setup = json.loads(source.readline())
    _bound(setup, 0)
    if setup["confined"]:
        # The time zone is read while files still can be.
        time.localtime()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    try:
        program = compile_all(setup["filters"])
    except ValueError as error:
        _answer(out, json.loads(str(error)))
        return 0
    _answer(out, {"ok": 0})
    while line := source.readline():
        size = int(line)
        _bound(setup, size)
        _answer(out, *run(program, source.read(size).decode()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
