"""What may stand in `providers.NAME.auth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    header: Annotated[str, Field(pattern=HEADER_NAME, max_length=100)] | None = Field(
        None, description="Header that takes the bare credential. Without it: `Authorization: Bearer ...`."
    )
    timeout: float = Field(10.0, gt=0, le=600, description="Seconds that getting it may take.")
    ttl: float = Field(300.0, ge=0, description="Seconds that it is kept before it is asked for again.")


class CommandSource(_Source):
    type: Literal["command"] = "command"
    command: str = Field(min_length=1, description="Shell command whose output, stripped, is the credential.")


class FileSource(_Source):
    type: Literal["file"] = "file"
    file: Path = Field(description="File whose content, stripped, is the credential; `~` is the home directory.")
    ttl: float = Field(5.0, ge=0, description="Seconds that it is kept before the file is read again.")


class EnvSource(_Source):
    type: Literal["env"] = "env"
    env: str = Field(min_length=1, description="Environment variable of the daemon that holds it.")


class KeyringSource(_Source):
    type: Literal["keyring"] = "keyring"
    keyring: str = Field(pattern=r"^[^/]+/.+$", description="`SERVICE/USER` in the system's keyring.")


class OAuth2Source(_Source):
    """RFC 6749, section 6: a refresh token in a file buys access tokens."""

    type: Literal["oauth2"] = "oauth2"
    file: Path = Field(description="JSON file with the tokens; new ones are written back to it.")
    token_url: str = Field(pattern=r"^https?://", description="Where tokens are refreshed.")
    client_id: str | None = Field(None, description="Sent with the refresh.")
    client_secret: str | None = Field(None, description="Sent with the refresh.")
    scope: str | None = Field(None, description="Sent with the refresh.")
    access_field: str = Field("access_token", description="Where the access token stands, with dots: `a.b`.")
    refresh_field: str = Field("refresh_token", description="Where the refresh token stands.")
    expires_field: str = Field(
        "expires_at", description="Where its expiry stands: seconds, or milliseconds, since 1970."
    )


class GcpSource(_Source):
    type: Literal["gcp"] = "gcp"
    gcp: Literal["default"] | Path = Field("default", description="`default` credentials, or a service account's file.")


Source = CommandSource | FileSource | EnvSource | KeyringSource | OAuth2Source | GcpSource
_TYPES = ("command", "env", "keyring", "gcp")


def _read(value: Any) -> Any:
    """A bare string is a command; the kind of a mapping is seen by what it has."""
    if isinstance(value, str):
        return {"type": "command", "command": value}
    if not isinstance(value, dict) or "type" in value:
        return value
    if "token_url" in value:
        return {"type": "oauth2", **value}
    named = [kind for kind in (*_TYPES, "file") if kind in value]
    if len(named) != 1:
        raise ValueError("say one of `command`, `file`, `env`, `keyring`, `gcp`, or `token_url` with a `file`")
    return {"type": named[0], **value}


AuthSource = Annotated[Annotated[Source, Field(discriminator="type")], BeforeValidator(_read)]
"""A credential source; a bare string is a shell command."""
