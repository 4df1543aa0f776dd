"""A request on its way out, as hooks, credentials, routes, shapes and policy see and change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a flow from outside of its request's content."""

    flow_id: str
    source: str
    """`reverse`, `proxy` or `wireguard`."""
    run: str | None = None
    project: str | None = None
    session: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    agent: str | None = None
    """As `identity.agents` names it: `claude-code`, `codex`, ..."""
    provider: str | None = None
    """Of the place the client asked for, as `identity.providers` names it."""
    dialect: str | None = None
    """What the client speaks; None where this is no model call that we can read."""
    kind: str | None = None
    """`generate`, `count_tokens`, ... as in `wire.model.Request.kind`."""
    run_name: str | None = None
    sealed: str | None = None
    """Why the content encoding of the request's body could not be undone: hooks see it as on the wire then."""


class Headers:
    """Header fields in their order and spelling; names are compared without regard to case."""

    __slots__ = ("fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.fields: Fields = tuple(fields)

    def get(self, name: str) -> str | None:
        """The first value, or None."""
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[str]:
        wanted = name.lower().encode("ascii")
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == wanted]

    def set(self, name: str, value: str) -> None:
        """Put one field in the place of all of this name; a new one goes last."""
        wanted, changed, placed = name.lower().encode("ascii"), [], False
        for key, old in self.fields:
            if key.lower() != wanted:
                changed.append((key, old))
            elif not placed:
                changed.append((key, value.encode("latin-1")))
                placed = True
        if not placed:
            changed.append((name.encode("ascii"), value.encode("latin-1")))
        self.fields = tuple(changed)

    def add(self, name: str, value: str) -> None:
        self.fields = (*self.fields, (name.encode("ascii"), value.encode("latin-1")))

    def remove(self, *names: str) -> None:
        gone = {name.lower().encode("ascii") for name in names}
        self.fields = tuple(field for field in self.fields if field[0].lower() not in gone)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Names as spelled, in order."""
        return (key.decode("latin-1") for key, _ in self.fields)

    def __repr__(self) -> str:
        # Values may be secrets.
        return f"Headers({list(self)})"


@dataclass(slots=True)
class Outgoing:
    """The request: where it goes, its headers, and its body once it has been read."""

    method: str
    scheme: str
    host: str
    port: int
    path: str
    """With its query."""
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = field(default=None, repr=False)
    """Without content encoding; None as long as it has not been read (nobody asked for it)."""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}.get(self.scheme)
        return f"{self.scheme}://{host}{'' if self.port == default else f':{self.port}'}{self.path}"
