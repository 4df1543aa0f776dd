"""Bringing the store of an older ccinspect up to date before anything is served, and telling those who wait."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from ccinspect.control.ready import ReadyPipe
from ccinspect.daemon.service_manager import ServiceManager
from ccinspect.errors import StoreUnavailable
from ccinspect.store import restoring, upgrade

logger = logging.getLogger("ccinspect.daemon")

_WHAT = "bringing the store up to date, MB copied"
# A migration says nothing while it works.
_SECONDS = 600.0


def bring_store_up_to_date(store_dir: Path, pipe: ReadyPipe, manager: ServiceManager) -> None:
    """Nothing where it is up to date. Raises StoreUnavailable when it is a newer one, or cannot be migrated."""
    if not upgrade.is_older(store_dir):
        return
    logger.info("the store was written by an older ccinspect: it is copied, then brought up to date")

    def tell(done: int, everything: int) -> None:
        pipe.progress(_WHAT, done, everything)
        manager.busy(f"{_WHAT}: {done} of {everything}", _SECONDS)

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(restoring.sole_writer(store_dir))
        except StoreUnavailable:
            # The recorder of a daemon that was killed: the next recorder waits for it, and does the same.
            return
        tell(0, 0)
        kept = upgrade.bring_up_to_date(store_dir, tell)
    logger.info("the store was brought up to date; what it was is kept in %s", kept)
