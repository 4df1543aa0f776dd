"""The hook `inject_auth`: put a real credential in the place of a sentinel key.

A credential only goes to hosts of its own provider. An agent can be talked into sending its key elsewhere; with a
sentinel that gains nobody anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ccinspect.auth.resolver import Credentials
from ccinspect.auth.sentinel import NAME, apply, find_sentinel
from ccinspect.errors import CredentialsError
from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook
from ccinspect.pipeline.message import Facts, Headers, Outgoing


@dataclass(frozen=True, slots=True)
class CredentialAccess:
    """The credentials, and who may use them for what."""

    credentials: Credentials
    refusal: Callable[[Facts, Headers], str | None]
    """Why a request may not use a sentinel; None when it may."""
    belongs: Callable[[str, Outgoing], bool]
    """Whether a request goes to a host of the provider of this name."""


class InjectAuthParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Annotated[str, Field(pattern=f"^{NAME.pattern}$")] | None = Field(
        None,
        description="Give every request to a host of this provider its credential, with a sentinel or without. "
        "Without it: requests with a sentinel get the credential of the provider that it names.",
    )


def _is_signed(head: Head) -> bool:
    """Some credentials sign all of a request, its body too."""
    found = find_sentinel(head.headers, head.path)
    name = found.name if found else head.params.provider
    access = head.services.find(CredentialAccess)
    return name is not None and access is not None and access.credentials.signs(name)


@hook(
    reads=("headers", "url", "method", "body"),
    writes=("headers", "url.path"),
    params=InjectAuthParams,
    stage="outbound",
    needs_body=_is_signed,
    inline=True,
    fail_closed=True,
    # Each source has a timeout of its own, and says better why it failed.
    timeout=120,
)
async def inject_auth(ctx: Context, params: InjectAuthParams) -> None:
    """Put a real credential in the place of a sentinel key."""
    found = find_sentinel(ctx.headers, ctx.request.path)
    access = ctx.services.get(CredentialAccess) if found or params.provider else None
    if access is None:
        return
    if found is None:
        name = params.provider or ""
        # Nobody asked for it, so whoever may not have it goes on without.
        if not access.belongs(name, ctx.request) or access.refusal(ctx.facts, ctx.headers):
            return
    else:
        name = found.name
        if reason := access.refusal(ctx.facts, ctx.headers):
            raise CredentialsError(f"{reason}; the request was not sent", "see docs/credentials.md")
        if name in access.credentials and not access.belongs(name, ctx.request):
            raise CredentialsError(
                f"the sentinel key names `{name}`, and {ctx.request.host} is no host of that provider; "
                "the request was not sent",
                f"send it to a host of {name}, or add the host to providers.{name}",
            )
    apply(ctx.request, await access.credentials.resolve(name))
    ctx.notes["inject_auth"] = name
