"""What may stand in the block `hooks` of the configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class HookEntry(BaseModel):
    """One hook of a stage. A bare string is its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hook: str = Field(
        min_length=1,
        max_length=200,
        description="A built-in hook's name, `package.module.function`, or a file of the directory `hooks`: "
        "`file`, or `file.function`.",
    )
    params: dict[str, Any] = Field({}, description="The hook's own parameters; see its page.")
    timeout: float | None = Field(None, gt=0, le=600, description="Seconds this hook may take.")


def _entry(value: object) -> object:
    return {"hook": value} if isinstance(value, str) else value


Entry = Annotated[HookEntry, BeforeValidator(_entry)]


class HooksConfig(BaseModel):
    """Which hooks see requests on their way out, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inbound: list[Entry] = Field(
        [], description="Hooks that see the request as the client sent it, before it is decided where it goes."
    )
    outbound: list[Entry] = Field(
        [], description="Hooks that see the request as it will be sent: in the dialect of the place it goes to."
    )
    timeout: float = Field(
        5.0, gt=0, le=600, description="Seconds that one hook may take; then the request goes on without its changes."
    )
    threads: int = Field(
        16,
        ge=1,
        le=256,
        description="Most threads for hooks that block. When all of them hang, further ones are skipped.",
    )
