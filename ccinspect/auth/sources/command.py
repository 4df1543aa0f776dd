"""Credentials printed by a shell command: a password manager, a vault's client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Mapping

from ccinspect.auth.credential import Fetched, SourceFailed
from ccinspect.store.redaction import Redactor

MAX_BYTES = 1 << 16
# What a command leaves running (an agent that remembers the passphrase) may hold its pipes open for good.
_DRAIN_SECONDS = 0.5
_MAX_LINE = 300
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^ -~\u00a0-\uffff]")


class CommandSource:
    def __init__(self, command: str, environ: Mapping[str, str]) -> None:
        self._command = command
        self._environ = environ

    async def fetch(self, refused: str | None) -> Fetched:
        try:
            transport, running = await self._start()
        except OSError as error:
            raise SourceFailed(
                f"its command cannot be started: {error.strerror}", "see that /bin/sh is there"
            ) from error
        finished = False
        try:
            await running.ended
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await running.closed
            finished = True
        finally:
            if not finished:
                await _kill(transport, running)
            # Also takes the pipes away from what still runs.
            transport.close()
        return _outcome(transport.get_returncode(), bytes(running.output[1]), bytes(running.output[2]))

    async def _start(self) -> tuple[asyncio.SubprocessTransport, _Running]:
        loop = asyncio.get_running_loop()
        starting = loop.create_task(
            loop.subprocess_exec(
                _Running,
                "/bin/sh",
                "-c",
                self._command,
                stdin=subprocess.DEVNULL,
                env=dict(self._environ),
                # A group of its own, so that all of it can be ended; no terminal to ask on.
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # asyncio would end the shell only, and then wait for all that hold its pipes.
            transport, running = await starting
            await _kill(transport, running)
            transport.close()
            raise


class _Running(asyncio.SubprocessProtocol):
    """Collects what a command says.

    `ended` is set with its end, or fails once it has said too much; `gone` with its end only; `closed` when nobody can
    say any more.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.output = {1: bytearray(), 2: bytearray()}
        self._open = 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.output[fd]
        kept += data
        if fd == 2:
            # Only its last line is of interest.
            del kept[:-MAX_BYTES]
        elif len(kept) > MAX_BYTES:
            del kept[MAX_BYTES + 1 :]
            self._settle(self.ended, SourceFailed("its command printed more than 64 KiB", "print the credential only"))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open -= 1
        if not self._open:
            self._settle(self.closed)

    def process_exited(self) -> None:
        self._settle(self.gone)
        self._settle(self.ended)

    def _settle(self, future: asyncio.Future[None], error: Exception | None = None) -> None:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


async def _kill(transport: asyncio.SubprocessTransport, running: _Running) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    await asyncio.wait([running.gone], timeout=_DRAIN_SECONDS)


def _outcome(code: int | None, output: bytes, errors: bytes) -> Fetched:
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = _last_line(errors, output)
        raise SourceFailed(
            f"its command {how}{f': {said}' if said else ''}", "run it by hand, without a terminal, to see why"
        )
    try:
        return Fetched(output.decode().strip())
    except UnicodeDecodeError as error:
        raise SourceFailed(
            "its command printed something that is not UTF-8 text", "print the credential only"
        ) from error


def _last_line(errors: bytes, output: bytes) -> str:
    """The last thing said on stderr, without what was printed on stdout and what looks like a secret."""
    lines = errors.decode(errors="replace").strip().splitlines()
    line = lines[-1].strip() if lines else ""
    for word in sorted(set(output.decode(errors="replace").split()), key=len, reverse=True):
        if len(word) >= 4:
            line = line.replace(word, "***")
    line = _UNPRINTABLE.sub("", line)
    # Fingerprints of a key that nobody keeps: nothing can be compared with them.
    return Redactor(secrets.token_bytes(32)).text(line)[:_MAX_LINE]
