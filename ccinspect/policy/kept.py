"""The rules of `redact` for what is kept on disk, as they travel to the recorder with each record."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ccinspect.policy.settings import RedactConfig

_MOST_PROJECTS = 256


class KeptRules:
    """Which rules hold for a flow. Each record takes its own along, so that a recorder needs no state: one that reads
    a journal anew masks what it reads by the rules that held when it was written."""

    def __init__(self, configs: Sequence[RedactConfig] = ()) -> None:
        self.use(configs)

    def use(self, configs: Sequence[RedactConfig]) -> None:
        """Other rules hold for flows that begin from now on."""
        self._configs = tuple(config for config in configs if config.where == "store")
        self._known: dict[tuple[str | None, ...], bytes | None] = {}

    def of(self, *projects: str | None) -> bytes | None:
        """The rules for flows of these projects, as `masking.masked` reads them; None where there are none.

        A flow has two where its request says another than its run: no program talks itself out of a rule."""
        if not self._configs:
            return None
        if projects not in self._known:
            if len(self._known) >= _MOST_PROJECTS:
                self._known.clear()
            self._known[projects] = self._packed(projects)
        return self._known[projects]

    def _packed(self, projects: tuple[str | None, ...]) -> bytes | None:
        held = [config for config in self._configs if any(map(config.holds_for, projects))]
        if not held:
            return None
        return json.dumps([config.model_dump(mode="json", exclude={"projects"}) for config in held]).encode()
