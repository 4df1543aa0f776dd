"""The analyst's process. Analysis is heavy: in a process of its own it stalls no traffic, and gives its memory back.

Started by the daemon; argument: a JSON object {fd, store, options, idle, careful}. It and the daemon speak JSON, a
message a packet:

    to the analyst      poke (a number): look what there is to do; reload (options); reanalyse (since); sweep;
                        spend (a run): what did it cost so far?; any other is for the observer
    from the analyst    done (the number of the newest poke it has seen to); progress and flows (of a reanalysis);
                        run and spent (docs/architecture.md, `run.end`);
                        failed {message, hint}: it cannot work at all

It ends when the daemon does, and by itself when nothing has come for `idle` seconds.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path
from select import select
from typing import Any

from ccinspect.analysis import schema
from ccinspect.analysis.analyst import Analyst
from ccinspect.analysis.observer import Observer
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.results import Spend
from ccinspect.errors import CcinspectError, StoreUnavailable

MEMORY = 6 << 30
"""Bytes of address space."""
_SWEEP_SECONDS = 300.0
_LOCKED_SECONDS = 0.1
_COMMANDS = {"reload", "sweep", "reanalyse", "spend"}
_PROGRESS_SECONDS = 0.1


class Worker:
    """The loop between the socket and the analyst."""

    def __init__(
        self,
        channel: socket.socket,
        store_dir: Path,
        options: AnalysisOptions,
        idle: float,
        observer: Observer | None = None,
    ) -> None:
        """With an observer it stays when nothing comes for `idle` seconds, and tells the observer so."""
        self._channel = channel
        self._dir = store_dir
        self._options = options
        self._idle = idle
        self._observer = observer
        self._at_end = False
        self._poked = 0
        self._commands: list[dict[str, Any]] = []
        self._told_at = 0.0

    def run(self, careful: bool) -> None:
        """Work until the daemon hangs up or nothing comes for a while. Raises StoreUnavailable."""
        mended = False
        while not self._at_end:
            try:
                with Analyst.open(self._dir, self._options, careful=careful, observer=self._observer) as analyst:
                    if analyst is not None and self._serve(analyst):
                        return
            except StoreUnavailable:
                # A damaged file was removed: once is worth another try.
                if mended or schema.exists(self._dir):
                    raise
                mended = True
                continue
            if analyst is None:
                # A command line is bringing the analysis up to date.
                self._receive(_LOCKED_SECONDS)

    def _serve(self, analyst: Analyst) -> bool:
        """Work until there is nothing more to do: True; or until the files are others than those opened: False."""
        swept = time.monotonic()
        while not self._at_end:
            if not analyst.is_current():
                return False
            poked, commands = self._poked, self._commands
            self._commands = []
            for command in commands:
                self._carry_out(analyst, command)
            analyst.catch_up(stop=self._has_more)
            through = not self._at_end and not self._commands
            if through and self._observer is not None and self._observer.settled(analyst.find_run):
                continue
            if poked and not self._at_end and not self._commands:
                self._say({"done": poked})
            if time.monotonic() - swept > _SWEEP_SECONDS:
                analyst.remove_gone()
                swept = time.monotonic()
            at_rest = self._poked == poked and not self._commands and not self._receive(self._idle)
            if at_rest and self._observer is None:
                return True
        return True

    def _carry_out(self, analyst: Analyst, command: dict[str, Any]) -> None:
        if "reload" in command:
            self._options = AnalysisOptions.from_json(command["reload"])
            analyst.reload(self._options)
        elif "sweep" in command:
            analyst.remove_gone()
        elif "reanalyse" in command:
            flows = analyst.reanalyse(command["reanalyse"], self._progress, self._has_ended)
            self._say({"flows": flows})
        elif "spend" in command:
            self._say({"run": command["spend"], "spent": _told(analyst.spend(command["spend"]))})

    def _progress(self, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._told_at > _PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self._say({"progress": {"done": done, "total": total}})

    def _has_ended(self) -> bool:
        self._receive(0)
        return self._at_end

    def _has_more(self) -> bool:
        """Whether to break off for a command; what else there is to analyse comes in its turn."""
        self._receive(0)
        return self._at_end or bool(self._commands)

    def _receive(self, seconds: float) -> bool:
        """Take in what the daemon says; False when it says nothing for so long."""
        if not select([self._channel], [], [], seconds)[0]:
            return False
        while True:
            try:
                packet = self._channel.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                packet = b""
            if not packet:
                self._at_end = True
                return True
            message = json.loads(packet)
            if "poke" in message:
                self._poked = message["poke"]
            elif not message.keys().isdisjoint(_COMMANDS):
                self._commands.append(message)
            elif self._observer is not None:
                # At once: as commands these would break off what is being analysed.
                self._observer.heard(message)

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps(message).encode())
        except OSError:
            self._at_end = True


def _told(spend: Spend) -> dict[str, Any]:
    return {
        "calls": spend.calls,
        "tokens": spend.counts.total,
        "basis": spend.counts.basis,
        "dollars": None if spend.dollars is None else str(spend.dollars),
        "unpriced": spend.unpriced,
    }


def limit_itself() -> None:
    """Go behind the proxy and the recorder, and take no more than there is."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # A request taken apart is tens of thousands of objects without cycles: looking for them took a third of the time.
    gc.set_threshold(100_000, 50, 50)
    os.umask(0o077)
    os.chdir("/")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with contextlib.suppress(OSError):
        os.nice(10)  # the proxy goes first, the recorder second


def main(arguments: list[str]) -> int:
    """Run the analyst that `arguments` describe."""
    limit_itself()
    setup = json.loads(arguments[0])
    with socket.socket(fileno=setup["fd"]) as channel:
        return work(channel, setup)


def work(channel: socket.socket, setup: dict[str, Any], observer: Observer | None = None) -> int:
    """Work until the daemon hangs up or there is nothing to do; the result is the process's exit code."""
    options = AnalysisOptions.from_json(setup["options"])
    try:
        Worker(channel, Path(setup["store"]), options, setup["idle"], observer).run(setup["careful"])
    except (CcinspectError, sqlite3.Error) as error:
        message = error.message if isinstance(error, CcinspectError) else f"the analysis cannot be written: {error}"
        with contextlib.suppress(OSError):
            channel.send(json.dumps({"failed": message}).encode())
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
