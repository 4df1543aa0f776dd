"""Where agents keep their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccinspect.paths import home_dir, named_dir


@dataclass(frozen=True)
class Places:
    """Directories of one user; `our_settings` is the instance's `ccinspect.yaml`."""

    home: Path
    cwd: Path
    claude: Path
    claude_state: Path
    """The file in which Claude Code keeps its MCP servers, among much else."""
    codex: Path
    gemini: Path
    opencode: Path
    copilot: Path
    cursor: Path
    our_settings: Path

    @classmethod
    def find(cls, environ: Mapping[str, str], cwd: Path, our_settings: Path) -> Places:
        """Follow the variables that the agents themselves follow."""
        home = home_dir(environ)
        config = named_dir(environ, "XDG_CONFIG_HOME", home / ".config")
        return cls(
            home=home,
            cwd=cwd,
            claude=named_dir(environ, "CLAUDE_CONFIG_DIR", home / ".claude"),
            claude_state=named_dir(environ, "CLAUDE_CONFIG_DIR", home) / ".claude.json",
            codex=named_dir(environ, "CODEX_HOME", home / ".codex"),
            gemini=home / ".gemini",
            opencode=config / "opencode",
            copilot=named_dir(environ, "COPILOT_HOME", home / ".copilot"),
            cursor=config / "Cursor" / "User",
            our_settings=our_settings,
        )
