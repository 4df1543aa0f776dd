"""What may be configured: `providers.NAME.auth`, where the real credential comes from and in which header it goes.

Imports nothing but pydantic and the standard library: `config.py` reads it at every start.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

KINDS = ("command", "file", "env", "keyring", "oauth2", "gcp", "aws")
DEFAULT_TTL = 300.0
"""Seconds a value is kept that does not say itself how long it is good for."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _one_line(text: str) -> str:
    # A header's value with a line end in it would be two headers.
    if not all(" " <= character <= "~" for character in text):
        raise ValueError("can only hold printable ASCII characters")
    return text


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise ValueError("not the name of an environment variable")
    return text


def _as_keys(value: object) -> object:
    return tuple(value.split(".")) if isinstance(value, str) else value


def _without_eavesdroppers(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.username is not None:
        raise ValueError("not a URL: expected https://HOST/PATH, without a user in it")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ValueError("has to be https: tokens are sent there (http only to this machine)")
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
HeaderText = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Text = Annotated[str, Field(min_length=1, max_length=8_000)]
Variable = Annotated[str, AfterValidator(_variable)]
Seconds = Annotated[float, Field(ge=0, le=2_592_000, allow_inf_nan=False)]
Timeout = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
Keys = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, max_length=20), BeforeValidator(_as_keys)
]
"""Where a value stands in a JSON file: keys with dots between them, or a list of keys."""
TokenUrl = Annotated[str, Field(max_length=2_000), AfterValidator(_without_eavesdroppers)]


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    header: HeaderName | None = Field(
        None,
        description="Header that carries the credential, as it is. Default: `Authorization`, after `Bearer `; for the "
        "built-in names `anthropic`, `gemini` and `azure-openai` what these expect.",
    )
    prefix: HeaderText | None = Field(None, description="Put before the credential, for example `Token `.")
    timeout: Timeout = Field(10.0, description="Seconds the source may take.")
    ttl: Seconds | None = Field(
        None,
        description="Seconds a credential is kept before the source is asked again. Default: until it expires where "
        "that is known, else 300.",
    )

    def files(self) -> tuple[Path, ...]:
        """Files that hold the credential, or lead to it: not for the eyes of a keyless run."""
        return ()

    def variables(self) -> tuple[str, ...]:
        """Environment variables that hold it."""
        return ()


class CommandAuth(_Source):
    type: Literal["command"]
    command: Text = Field(description="Shell command that prints the credential.")


class FileAuth(_Source):
    type: Literal["file"]
    file: Path = Field(description="File that holds the credential.")
    field: Keys | None = Field(
        None, description="Where in the file, when that is JSON: keys with dots between them, or a list of keys."
    )

    def files(self) -> tuple[Path, ...]:
        return (self.file.expanduser(),)


class EnvAuth(_Source):
    type: Literal["env"]
    env: Variable = Field(description="Variable of the daemon's own environment that holds the credential.")

    def variables(self) -> tuple[str, ...]:
        return (self.env,)


class KeyringAuth(_Source):
    type: Literal["keyring"]
    service: Text = Field(description="Service under which the system's keyring keeps it.")
    user: Text = Field(description="User name under which it is kept there.")


class OAuth2Auth(_Source):
    """Tokens in a JSON file, refreshed as RFC 6749, section 6, says."""

    type: Literal["oauth2"]
    token_file: Path = Field(description="JSON file with the tokens. New ones are written back to it, mode 0600.")
    token_url: TokenUrl = Field(description="Where new tokens are asked for.")
    client_id: Text | None = Field(None, description="Id of the client the tokens were given to.")
    client_secret: SecretStr | None = Field(None, description="Its secret, where it has one.")
    scope: Text | None = Field(None, description="Scope to ask for; without it the old one stays.")
    access_token_field: Keys = Field(
        ("access_token",), description="Where in the file: keys with dots between them, or a list of keys."
    )
    refresh_token_field: Keys = Field(("refresh_token",), description="The same for the refresh token.")
    expires_field: Keys = Field(
        ("expires_at",),
        description="The same for the end of the access token: seconds or milliseconds since 1970, or ISO 8601.",
    )
    client_id_field: Keys | None = Field(None, description="The same for the client's id, when the file holds it.")
    client_secret_field: Keys | None = Field(None, description="The same for the client's secret.")
    client_auth: Literal["body", "basic"] = Field(
        "body", description="How the client shows its secret: in the body, or as HTTP Basic."
    )
    encoding: Literal["form", "json"] = Field(
        "form", description="How the body is written; the standard says `form`, some servers want `json`."
    )
    parameters: Mapping[str, str] = Field({}, description="Further parameters of the request, `audience` for example.")
    refresh_before: Seconds = Field(60.0, description="Seconds before its end that a token is replaced.")

    def files(self) -> tuple[Path, ...]:
        return (self.token_file.expanduser(),)


class GcpAuth(_Source):
    """Access tokens of Google Cloud, by Google's own library."""

    type: Literal["gcp"]
    file: Path | None = Field(
        None, description="Credentials file (service account, ...). Default: the machine's own default credentials."
    )
    scopes: tuple[Text, ...] = Field(
        ("https://www.googleapis.com/auth/cloud-platform",), description="Scopes to ask for."
    )
    quota_project: HeaderText | None = Field(None, description="Project that pays; sent as `x-goog-user-project`.")

    def files(self) -> tuple[Path, ...]:
        return (self.file.expanduser(),) if self.file else ()

    def variables(self) -> tuple[str, ...]:
        return ("GOOGLE_APPLICATION_CREDENTIALS",)


class AwsAuth(_Source):
    """Requests signed with Signature Version 4, with the credentials that Amazon's own library finds."""

    type: Literal["aws"]
    profile: Text | None = Field(
        None, description="Profile of the AWS configuration. Default: as the AWS tools choose."
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,50}$")] | None = Field(
        None, description="Region to sign for. Default: the one in the host's name, else the AWS configuration's."
    )
    service: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,50}$")] | None = Field(
        None, description="Service to sign for. Default: by the host's name, `bedrock` for Bedrock."
    )

    @model_validator(mode="after")
    def _signature_has_its_own_header(self) -> AwsAuth:
        if self.header is not None or self.prefix is not None:
            raise ValueError("a signature goes in `Authorization` as it is: remove `header` and `prefix`")
        return self

    def variables(self) -> tuple[str, ...]:
        return ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _told_shortly(value: Any) -> Any:
    """`pass show work` and `{file: x}` as the whole forms that they stand for."""
    if isinstance(value, str):
        return {"type": "command", "command": value}
    if not isinstance(value, Mapping) or "type" in value:
        return value
    found = [kind for kind in KINDS if kind in value]
    if len(found) != 1:
        raise ValueError(f"has to name one source: {', '.join(KINDS)}")
    kind, inner = found[0], value[found[0]]
    rest = {key: given for key, given in value.items() if key != kind}
    if kind == "keyring" and isinstance(inner, str):
        service, slash, user = inner.rpartition("/")
        if not slash:
            raise ValueError("`keyring` is SERVICE/USER")
        return {"type": kind, "service": service, "user": user, **rest}
    if isinstance(inner, Mapping):
        if twice := set(inner) & set(rest):
            raise ValueError(f"`{min(map(str, twice))}` is given twice")
        return {"type": kind, **rest, **inner}
    if inner in (None, True, "default") and kind in ("gcp", "aws"):
        return {"type": kind, **rest}
    return {"type": kind, **value}


AuthSettings = Annotated[
    Annotated[
        CommandAuth | FileAuth | EnvAuth | KeyringAuth | OAuth2Auth | GcpAuth | AwsAuth, Field(discriminator="type")
    ],
    BeforeValidator(_told_shortly),
]
"""The type of `providers.NAME.auth`: a shell command as a text, `{file: PATH}`, or any of the blocks above."""
