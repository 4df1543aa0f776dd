"""jq filters over arrays of flows. Each takes an array and has to yield one array.

They run in a process of their own (`jq_worker`): a filter that never ends, or eats all memory, is killed, and Ctrl-C
works.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from select import select
from typing import IO, Any, NoReturn, Self

from ccinspect.errors import FilterError

SECONDS = 60.0
MEMORY = 2 << 30

_ARRAYS = "each filter gets the whole array of flows and must yield one array"
_WRAP = f"{_ARRAYS}: write `map(...)` or `[.[] | ...]`; the newest flow is `.[-1:]`"
_NEWEST = f"{_ARRAYS}: the newest flow is `.[-1:]`, not `map(.[-1])`"
_EACH = f"{_ARRAYS}: reach into each flow with `map(...)`, as in `map(select(.response.status_code == 200))`"


class Filters:
    """A chain of jq filters, ready to be applied any number of times; use as a context manager.

    Raises FilterError when one does not compile.
    """

    def __init__(
        self, filters: Sequence[str], seconds: float = SECONDS, memory: int = MEMORY, *, confined: bool = False
    ) -> None:
        """`seconds`: how long one application may take; `memory`: bytes that it may need, more for large input.

        `confined`: the filters are not the user's own. They see no environment (`$ENV`) and can open no file
        (`import ... {search: "/"}`).
        """
        self._filters = list(filters)
        self._seconds = seconds
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ccinspect.store.jq_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={} if confined else None,
        )
        try:
            setup = {"filters": self._filters, "seconds": seconds, "memory": memory, "confined": confined}
            self._ask(json.dumps(setup).encode() + b"\n")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self._process.wait()

    def apply(self, texts: Iterable[str]) -> list[Any]:
        """Apply the filters to an array whose elements are given as JSON texts. Raises FilterError."""
        data = ("[" + ",".join(texts) + "]").encode()
        result: list[Any] = json.loads(self._ask(str(len(data)).encode() + b"\n" + data))
        return result

    def _ask(self, request: bytes) -> bytes:
        asked, given = self._process.stdin, self._process.stdout
        assert asked is not None
        assert given is not None
        try:
            asked.write(request)
            asked.flush()
        except BrokenPipeError:
            self._died()
        reader = _Reader(given, time.monotonic() + self._seconds)
        try:
            head = json.loads(reader.line())
            if "ok" in head:
                return reader.exactly(head["ok"])
        except TimeoutError:
            raise FilterError(
                f"the jq filters did not finish within {self._seconds:g} s and were stopped{self._named()}",
                "look for a loop (`repeat`, `range`, `recurse`), or select fewer flows (--since, --limit)",
            ) from None
        except EOFError:
            self._died()
        raise self._explain(head)

    def _died(self) -> NoReturn:
        raise FilterError(
            f"the jq filters need too much memory or time and were stopped{self._named()}",
            "select fewer flows (--since, --limit), or make the filters yield less",
        )

    def _named(self) -> str:
        return f": {' | '.join(self._filters)}"

    def _explain(self, head: dict[str, Any]) -> FilterError:
        detail = str(head["detail"])
        text = self._filters[head["filter"]] if head["filter"] >= 0 else " | ".join(self._filters)
        if head["problem"] == "syntax":
            return FilterError(f"the jq filter `{text}` does not compile: {_first_line(detail)}", _WRAP)
        if head["problem"] == "shape":
            what = {"nothing": "yields nothing", "more than one result": "yields more than one result"}
            return FilterError(
                f"the jq filter `{text}` {what.get(detail, f'yields {_article(detail)} {detail}')}, not one array",
                _WRAP,
            )
        hint = _WRAP
        if "Cannot index object with number" in detail:
            hint = _NEWEST
        elif "Cannot index array with" in detail:
            hint = _EACH
        return FilterError(f"the jq filter `{text}` failed: {detail}", hint)


def apply(
    filters: Sequence[str], texts: Iterable[str], seconds: float = SECONDS, *, confined: bool = False
) -> list[Any]:
    """Apply filters once to an array whose elements are given as JSON texts; see `Filters`. Raises FilterError."""
    if not filters:
        return [json.loads(text) for text in texts]
    with Filters(filters, seconds, confined=confined) as chain:
        return chain.apply(texts)


class _Reader:
    """Reads a pipe until a deadline. TimeoutError when it passes, EOFError when the other side is gone."""

    def __init__(self, pipe: IO[bytes], deadline: float) -> None:
        self._fd = pipe.fileno()
        self._deadline = deadline
        self._buffer = bytearray()

    def line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._more()
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        return bytes(line)

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        return bytes(self._buffer)

    def _more(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0 or not select([self._fd], [], [], left)[0]:
            raise TimeoutError
        data = os.read(self._fd, 1 << 20)
        if not data:
            raise EOFError
        self._buffer += data


def _first_line(detail: str) -> str:
    """jq names the place in its first line; the rest draws it."""
    return detail.split("\n")[0].removeprefix("jq: error: ").strip(" :")


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"
