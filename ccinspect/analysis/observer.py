"""Whoever wants to be told of each flow as it is analysed, in the analyst's process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ccinspect.analyser.analyse import Analysis
from ccinspect.analysis.parties import HeaderList
from ccinspect.analysis.reading import Spoken
from ccinspect.analysis.rows import Sender
from ccinspect.store.record import Record

FindRun = Callable[[str], Record | None]
"""The stored record of a run by its id, as it is now."""


@dataclass(frozen=True, slots=True)
class SeenFlow:
    """A flow, and for a model call what was found out about it."""

    record: Record
    sender: Sender
    request_headers: HeaderList
    run: Record | None


@dataclass(frozen=True, slots=True)
class SeenCall:
    """One model call of a flow."""

    ident: str
    flow: SeenFlow
    spoken: Spoken
    analysis: Analysis | None
    """None when only metadata is known."""


class Observer(Protocol):
    """Told in the analyst's thread, between flows; must be quick, and must not raise."""

    def call(self, seen: SeenCall) -> None: ...

    def other(self, seen: SeenFlow) -> None:
        """An HTTP flow that is no model call."""

    def settled(self, find_run: FindRun) -> bool:
        """All that had ended was told; also called now and then when nothing comes. The result is whether to look at
        once for what has ended meanwhile, and to call this again."""

    def heard(self, message: dict[str, Any]) -> None:
        """The daemon sent a message that is none of the analyst's."""


class Witness:
    """Keeps what was seen of a flow until its rows are written, and then tells the observer, if there is one."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer
        self._seen: list[SeenCall | SeenFlow] = []

    def saw(self, seen: SeenCall | SeenFlow) -> None:
        if self._observer is not None:
            self._seen.append(seen)

    def forget(self) -> None:
        """The rows were not written after all."""
        self._seen.clear()

    def tell(self) -> None:
        seen, self._seen = self._seen, []
        for one in seen:
            if self._observer is None:
                return
            if isinstance(one, SeenCall):
                self._observer.call(one)
            else:
                self._observer.other(one)

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """In the block nothing is told: flows are analysed anew that were told of when they were new."""
        observer, self._observer = self._observer, None
        try:
            yield
        finally:
            self._observer = observer
