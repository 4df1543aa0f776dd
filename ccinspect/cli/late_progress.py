"""Progress of something that hardly ever takes long: what draws it is imported when it does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ccinspect.cli.progress import Progress


class LateProgress(ExitStack):
    """Call it with (what, done, all); leaves no line behind."""

    _what = ""
    _progress: Progress | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __call__(self, what: str, done: int, everything: int) -> None:
        from ccinspect.cli.progress import Progress

        if self._progress is None or what != self._what:
            self._what = what
            self._progress = self.enter_context(Progress(what))
        self._progress(done, everything)
