"""What was spent on a run or a day, for budgets."""

from __future__ import annotations

import datetime
from pathlib import Path

from ccinspect.analysis.spending import total
from ccinspect.errors import StoreUnavailable
from ccinspect.policy.budgets import Scope, Spent


def read_spent(store_dir: Path, scope: Scope) -> Spent:
    """Nothing where the analysis cannot be read: traffic goes on, and `status` says what is wrong with it."""
    since = None
    if scope.day is not None:
        since = datetime.datetime.combine(scope.day, datetime.time()).astimezone().timestamp()
    try:
        found = total(store_dir, run=scope.run, project=scope.project, since=since)
    except StoreUnavailable:
        return Spent()
    return Spent(found.dollars, found.tokens, found.unpriced)
