"""Where agents keep their settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Directories of one user; `our_settings` is the instance's `ccinspect.yaml`."""

    home: Path
    cwd: Path
    claude: Path
    codex: Path
    gemini: Path
    opencode: Path
    copilot: Path
    cursor: Path
    our_settings: Path

    @classmethod
    def find(cls, environ: Mapping[str, str], cwd: Path, our_settings: Path) -> Places:
        """Follow the variables that the agents themselves follow."""
        home = Path(environ.get("HOME") or os.path.expanduser("~"))

        def named(variable: str, default: Path) -> Path:
            value = environ.get(variable, "")
            return Path(value) if os.path.isabs(value) else default

        config = named("XDG_CONFIG_HOME", home / ".config")
        return cls(
            home=home,
            cwd=cwd,
            claude=named("CLAUDE_CONFIG_DIR", home / ".claude"),
            codex=named("CODEX_HOME", home / ".codex"),
            gemini=home / ".gemini",
            opencode=config / "opencode",
            copilot=named("COPILOT_HOME", home / ".copilot"),
            cursor=config / "Cursor" / "User",
            our_settings=our_settings,
        )
