"""What the configuration wants to be changed about requests; made by the daemon, anew at each reload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ccinspect.auth.resolver import Credentials
from ccinspect.hooks.notifications import Notifications
from ccinspect.pipeline.message import Facts
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.policy.egress import Egress
from ccinspect.transform.routes import Router
from ccinspect.transform.settings import Fallbacks


@dataclass(frozen=True)
class Plan:
    """What the configuration wants to be changed."""

    router: Router
    credentials: Credentials
    pipeline: Pipeline
    egress_of: Callable[[Facts], Egress]
    """What a flow may reach."""
    notifications: Notifications
    configured_hooks: bool = False
    """There are other hooks than those that wait for notifications."""
    ports: frozenset[int] = frozenset()
    """Of our own listeners, whose pages are no strangers."""
    token: str | None = None
    """What programs that are no runs of ours must show to use a sentinel."""

    def fallbacks_of(self, provider: str | None) -> Fallbacks | None:
        known = self.router.destinations.known.get(provider or "")
        return known.settings.fallbacks if known and known.settings else None

    @property
    def has_hooks(self) -> bool:
        """Whether hooks have anything to do now."""
        return self.configured_hooks or self.notifications.pending(None)

    @property
    def is_idle(self) -> bool:
        """Only a sentinel, or a notification, could change a request."""
        falls_back = any(map(self.fallbacks_of, self.router.destinations.known))
        return not (self.router.rules or self.configured_hooks or falls_back)
