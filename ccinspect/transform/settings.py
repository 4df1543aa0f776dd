"""What may stand in `inspector.transforms`, and what `providers.NAME` says of where requests go."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Action = Literal["passthrough", "redirect", "transform", "deny"]
Source = Literal["reverse", "proxy", "wireguard"]

MATCHES = ("host", "path", "model", "provider", "agent", "run", "project", "source")


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


Regex = Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_regex)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TransformRule(_Block):
    """One rule; all its `match_*` must be found for it to hold."""

    match_host: Regex | None = Field(None, description="Regular expression to be found in the host asked for.")
    match_path: Regex | None = Field(None, description="In the path, with its query.")
    match_model: Regex | None = Field(
        None, description="In the model's name. Needs the body, which is then read whole."
    )
    match_provider: Regex | None = Field(None, description="In the provider's name.")
    match_agent: Regex | None = Field(None, description="In the agent's name: `claude-code`, `codex`, ...")
    match_run: Regex | None = Field(None, description="In the run's id or name.")
    match_project: Regex | None = Field(None, description="In the project.")
    match_source: Regex | None = Field(None, description="In the source: `reverse`, `proxy` or `wireguard`.")
    sources: tuple[Source, ...] = Field((), description="Only flows that came in this way; empty: all.")
    action: Action = Field(
        "transform",
        description="`passthrough`; `redirect`: another destination and its credentials, the same body; "
        "`transform`: also in another dialect; `deny`: 403.",
    )
    dest_provider: Name | None = Field(None, description="Provider to send it to: a built-in one or of `providers`.")
    dest_model: str | None = Field(None, description="Model to ask for instead.", min_length=1, max_length=500)
    dest_host: Annotated[str, Field(pattern=r"^(https?://)?[^/\s?#]+$", max_length=300)] | None = Field(
        None, description="Host to send it to: `HOST`, `HOST:PORT`, `http://HOST:PORT`."
    )
    dest_path: Annotated[str, Field(pattern=r"^/", max_length=2_000)] | None = Field(
        None, description="Path to send it to; `{model}` and `{action}` are filled in."
    )
    vertex_project: str | None = Field(None, description="Google Cloud project, for the provider `vertex`.")
    vertex_location: str | None = Field(None, description="Its location, for example `europe-west4` or `global`.")
    reason: str | None = Field(None, description="What a denied client is told.", max_length=1_000)

    @model_validator(mode="after")
    def _says_where(self) -> TransformRule:
        somewhere = self.dest_provider or self.dest_host or self.dest_path or self.dest_model
        if self.action in ("redirect", "transform") and not somewhere:
            raise ValueError(f"action `{self.action}` needs a dest_provider, dest_host, dest_path or dest_model")
        if self.action in ("passthrough", "deny") and somewhere:
            raise ValueError(f"action `{self.action}` sends nothing elsewhere: remove its dest_*, or change the action")
        return self


class FallbackSettings(_Block):
    """What to do when a provider fails."""

    on_status: tuple[int, ...] = Field((429, 500, 503, 529), description="Status codes after which to try again.")
    attempts: int = Field(3, ge=1, le=20, description="Attempts with the same provider and model, the first included.")
    max_delay: float = Field(60.0, ge=0, description="Seconds to wait at most before one attempt.")
    give_up_after: float = Field(300.0, ge=0, description="Do not wait when the provider asks for more seconds.")
    budget: float = Field(120.0, ge=0, description="Seconds for all attempts together.")
    then: tuple[str, ...] = Field(
        (), description="Where to go on: `PROVIDER`, `PROVIDER/MODEL`, or `/MODEL` of the same provider, in this order."
    )


class Upstream(_Block):
    """The part of `providers.NAME` that says where its requests go."""

    host: Annotated[str, Field(pattern=r"^[^/\s:]+$|^\[[0-9a-fA-F:.]+\]$", max_length=255)] | None = Field(
        None, description="Host that requests for this provider are sent to."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Its port; without it that of the scheme."
    )
    scheme: Literal["http", "https"] | None = Field(
        None, description="`https`, or `http`; without it `https`, and `http` for this machine."
    )
    path: Annotated[str, Field(pattern=r"^/", max_length=2_000)] | None = Field(
        None,
        description="Path of its model calls; `{model}` and `{action}` are filled in. Without it the dialect's own.",
    )
    type: str | None = Field(None, description="Dialect to speak with it.")
    models: tuple[str, ...] | dict[str, str] = Field(
        (), description="Models that `GET /v1/models` lists for it; or a map from names that clients use to its own."
    )
    headers: dict[str, str] = Field({}, description="Headers to set on each request.")
    fallbacks: FallbackSettings | None = Field(None, description="What to do when it fails.")
