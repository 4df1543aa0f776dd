"""Where the tools read: the store and its analysis, whether the daemon runs or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccinspect.analysis.glance import Glance, glance
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError
from ccinspect.paths import Paths
from ccinspect.store.query import StoreReader

if TYPE_CHECKING:
    from ccinspect.analysis.query import Analysis
    from ccinspect.config import Config

_FLUSH_SECONDS = 6.0


@dataclass(frozen=True)
class Captured:
    """One instance. Everything that is opened is read-only, and closed at the end of the call that opened it."""

    paths: Paths
    run: str | None = None
    """Full id of the only run that can be seen, for a server that answers to that run."""

    @contextmanager
    def store(self) -> Iterator[StoreReader]:
        """With everything in it that was complete before the call. Raises StoreUnavailable."""
        self._flush()
        with StoreReader(self.paths.store_dir, self.run) as store:
            yield store

    @contextmanager
    def analysis(self) -> Iterator[Analysis]:
        """The same of the analysis, which is brought up to date first. Raises StoreUnavailable, ConfigError."""
        from ccinspect.analysis.glance import behind
        from ccinspect.analysis.options import AnalysisOptions
        from ccinspect.analysis.query import Analysis, open_analysis

        self._flush()
        options, store_dir = AnalysisOptions.from_config(self.config()), self.paths.store_dir
        if behind(store_dir):
            # Loads the analyser; a daemon's analyst has usually been there before us.
            open_analysis(store_dir, options).close()
        with Analysis(store_dir, options, self.run) as analysis:
            yield analysis

    def glance(self, flows: Sequence[str]) -> dict[str, Glance]:
        """See `analysis.glance`."""
        return glance(self.paths.store_dir, flows, self.run)

    def config(self) -> Config:
        """The settings as they are in the file now. Raises ConfigError."""
        from ccinspect.config import load_config

        return load_config(self.paths.config_file)

    def _flush(self) -> None:
        # What is in the store can be read without a daemon, or with one that is too busy to answer.
        with suppress(CcinspectError), ControlClient.connect(self.paths.control_socket, _FLUSH_SECONDS) as client:
            client.call(protocol.FLUSH)
