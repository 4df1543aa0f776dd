"""What the recorder needs to know of the settings, without importing pydantic into its process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class StoreOptions:
    """The block `store` of the configuration, and what else is the recorder's task.

    Sizes are bytes, ages seconds; None means no limit.
    """

    bodies: str = "full"
    max_age: float | None = None
    max_bytes: int | None = None
    keep_secrets: bool = False
    control_socket: str | None = None
    """Path of the daemon's socket. The recorder outlives a daemon that was killed, so it takes the dead socket away."""

    @property
    def keeps_bodies(self) -> bool:
        return self.bodies != "none"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StoreOptions:
        return cls(**json.loads(text))
