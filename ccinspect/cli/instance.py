"""The instance a command line speaks of, and what holds for every command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccinspect.paths import Paths, resolve_paths

if TYPE_CHECKING:
    from ccinspect.config import Config


@dataclass(frozen=True)
class Instance:
    """The global options. `config_option` is the value of `--config`, or None."""

    config_option: Path | None = None
    verbose: bool = False

    @property
    def paths(self) -> Paths:
        return resolve_paths(self.config_option)

    def config(self) -> Config:
        """Read the settings; imports pydantic. Raises ConfigError."""
        from ccinspect.config import load_config

        return load_config(self.paths.config_file)
