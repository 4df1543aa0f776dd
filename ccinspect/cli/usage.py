"""A command line that cannot be understood."""

from __future__ import annotations

import typer

from ccinspect.errors import CcinspectError


class UsageMistake(CcinspectError):
    """The command line itself is wrong."""

    exit_code = 2

    @classmethod
    def of(cls, context: typer.Context, message: str) -> UsageMistake:
        return cls(message, f"see: {context.command_path} --help")
