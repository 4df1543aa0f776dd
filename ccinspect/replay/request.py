"""What `flows replay` sends: the client's own request as it was captured, with what the user wants changed. Pure.

It goes through the daemon's reverse listener. Secrets are not in the store, so a credential comes from the settings
(the sentinel of a provider with `auth`), or from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ccinspect.errors import CcinspectError, CredentialsError
from ccinspect.identity.providers import ProviderMatch, Providers
from ccinspect.replay.json_path import assign, parse_assignment
from ccinspect.replay.sendable import Sendable, Template, Variable, ascii_path, sendable
from ccinspect.store.changed import UNROUTED, asked_origin, own_path
from ccinspect.store.decode import decode_body
from ccinspect.store.record import part
from ccinspect.wire.jsonedit import rewrite
from ccinspect.wire.jsontext import parse

PARENT = "x-ccinspect-parent"
UPSTREAM = "x-ccinspect-upstream"
TOKEN = "x-ccinspect-token"
_CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
# Said again, for the replay belongs where the request did.
_KEPT_OF_OURS = ("x-ccinspect-project", "x-ccinspect-tags", "x-ccinspect-hooks")
_MODEL_IN_PATH = re.compile(r"(?P<before>/models/|/model/)(?P<model>[^/:?]+)(?=[:/])")
_IN_PATH = ("gemini", "bedrock")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be different. `with_auth` names the providers of the configuration that have `auth`."""

    model: str | None = None
    provider: str | None = None
    assignments: Sequence[str] = ()
    with_auth: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Replay:
    """One request to the reverse listener. `left_out` names the headers whose secrets cannot be had."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    left_out: tuple[str, ...] = ()


def replay_of(
    record: dict[str, Any],
    message: dict[str, Any],
    body: bytes,
    wish: Wish,
    providers: Providers,
    environ: Mapping[str, str],
    token: str | None = None,
) -> Replay:
    """The request to send for `record`, whose client sent `message` with `body` (as on the wire).

    Raises CcinspectError (BadPath, CredentialsError among them) for what cannot be done.
    """
    asked = {**message, "path": own_path(message)}
    origin = _origin(record, asked)
    address = origin or {"pretty_host": "", "scheme": "https", "port": 443}
    match = providers.match(str(address["pretty_host"]), str(asked["path"]), port=address.get("port"))
    base, encoded = _edited(sendable({**asked, **address}, body, providers), wish, match)
    sentinel = _sentinel(wish, match)
    filled, left_out = _headers(base, sentinel, environ)
    headers = [
        *filled,
        *((name, value) for name, value in _said(message, _KEPT_OF_OURS)),
        *(_said(message, ("accept-encoding",))),
        (PARENT, str(record["id"])),
    ]
    if not encoded:
        headers = [header for header in headers if header[0].lower() != "content-encoding"]
    if origin is not None:
        headers.append((UPSTREAM, f"{base.scheme}://{base.authority}"))
    if token:
        headers.append((TOKEN, token))
    return Replay(
        base.method,
        ascii_path(_path(base, sentinel, environ)),
        tuple((name.encode("latin-1"), value.encode("utf-8", "surrogateescape")) for name, value in headers),
        base.body,
        left_out,
    )


def _origin(record: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any] | None:
    """Where the client wanted to go; None when only the daemon knows, by the path."""
    if record.get("source") != "reverse":
        found = asked
    elif isinstance(route := part(record, "changes").get("route"), dict) and route.get("action") not in UNROUTED:
        # What was forwarded went elsewhere than where the listener would have sent it.
        return asked_origin(record)
    else:
        found = part(record, "request")
    return {name: found.get(name) for name in ("scheme", "host", "pretty_host", "port")}


def _edited(base: Sendable, wish: Wish, match: ProviderMatch | None) -> tuple[Sendable, bool]:
    """With the wished model and values; and whether the body still has its content encoding."""
    assignments = [parse_assignment(text) for text in wish.assignments]
    path = base.path
    if wish.model is not None:
        if match is not None and match.dialect in _IN_PATH:
            path = _with_model(path, wish.model)
        else:
            assignments.insert(0, (("model",), wish.model))
    body, encoded = base.body, True
    if assignments:
        plain = _decoded(base, body)
        before, problem = parse(plain)
        if problem is not None or not isinstance(before, dict | list):
            raise CcinspectError(
                f"the body of this request is no JSON that could be changed ({problem or 'a bare value'})",
                "replay it without --set and --model",
            )
        after = before
        for place, value in assignments:
            after = assign(after, place, value)
        body, encoded = rewrite(plain, before, after), False
    return replace(base, path=path, body=body), encoded


def _decoded(base: Sendable, body: bytes) -> bytes:
    encoding = next((value for name, value in base.headers if name.lower() == "content-encoding"), ())
    decoded = decode_body(body, "".join(piece for piece in encoding if isinstance(piece, str)))
    if decoded.problem or decoded.truncated:
        raise CcinspectError(
            f"the body cannot be decoded, so nothing in it can be changed: {decoded.problem or 'too large'}",
            "replay it without --set and --model",
        )
    return decoded.data


def _with_model(path: Template, model: str) -> Template:
    first = path[0] if path else ""
    if not isinstance(first, str) or not _MODEL_IN_PATH.search(first):
        raise CcinspectError("the path of this request names no model", "replay it without --model")
    return (_MODEL_IN_PATH.sub(lambda found: found["before"] + model, first, count=1), *path[1:])


def _said(message: dict[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in message.get("headers") or () if str(name).lower() in names]


def _sentinel(wish: Wish, match: ProviderMatch | None) -> str | None:
    """What stands for the credential of a provider whose `auth` is configured."""
    provider = wish.provider or (match.provider if match is not None else None)
    if provider in wish.with_auth:
        return f"sk-ccinspect-{provider}"
    if wish.provider is not None:
        known = f"`auth` stands at {', '.join(sorted(wish.with_auth))}; or " if wish.with_auth else ""
        raise CredentialsError(
            f"the settings have no `auth` for a provider {wish.provider!r}, so no request can be sent there with a key",
            f"{known}add it to providers.{wish.provider} in ccinspect.yaml, then: ccinspect restart",
        )
    return None


def _headers(
    base: Sendable, sentinel: str | None, environ: Mapping[str, str]
) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Headers with their secrets filled in, and the names of those that had to be left out."""
    carried = [(name, value) for name, value in base.headers if name.lower() in _CREDENTIALS]
    if sentinel is not None:
        carried = [("authorization", (f"Bearer {sentinel}",))]
    elif carried:
        carried = [_from_environment(carried, environ)]
    filled: list[tuple[str, str]] = []
    left_out: list[str] = []
    for name, value in [*((name, value) for name, value in base.headers if name.lower() not in _CREDENTIALS), *carried]:
        if any(isinstance(piece, Variable) and piece.name not in environ for piece in value):
            left_out.append(name)
        else:
            filled.append((name, _fill(value, environ)))
    return filled, tuple(left_out)


def _from_environment(carried: Sequence[tuple[str, Template]], environ: Mapping[str, str]) -> tuple[str, Template]:
    """The first credential that the environment has a value for."""
    for name, value in carried:
        wanted = [piece.name for piece in value if isinstance(piece, Variable)]
        if all(environ.get(variable) for variable in wanted):
            return name, value
        # A login's token cannot be had, but a key does as well.
        if wanted == ["ANTHROPIC_AUTH_TOKEN"] and environ.get("ANTHROPIC_API_KEY"):
            return "x-api-key", (Variable("ANTHROPIC_API_KEY"),)
    names = [piece.name for _, value in carried for piece in value if isinstance(piece, Variable)]
    if "ANTHROPIC_AUTH_TOKEN" in names:
        names.append("ANTHROPIC_API_KEY")
    raise _missing(names)


def _path(base: Sendable, sentinel: str | None, environ: Mapping[str, str]) -> str:
    wanted = [piece.name for piece in base.path if isinstance(piece, Variable)]
    if sentinel is not None:
        return _fill(base.path, dict.fromkeys(wanted, sentinel))
    if missing := [name for name in wanted if not environ.get(name)]:
        raise _missing(missing)
    return _fill(base.path, environ)


def _missing(names: Sequence[str]) -> CredentialsError:
    return CredentialsError(
        "the credential of this request is not in the store, and the environment has none either",
        f"set {' or '.join(dict.fromkeys(names))}, or give the provider `auth` in ccinspect.yaml",
    )


def _fill(value: Template, environ: Mapping[str, str]) -> str:
    return "".join(piece if isinstance(piece, str) else _of_environment(piece.name, environ) for piece in value)


def _of_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ[name]
    if not all("!" <= letter <= "~" for letter in value):
        # Said here: whoever would stumble over it later might quote the secret.
        raise CredentialsError(
            f"the value of {name} holds a space, a line end or another character that no credential has",
            f"set {name} to the credential alone",
        )
    return value
