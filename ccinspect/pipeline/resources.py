"""The parts of a request that hooks read and write, by name.

| name | what it is |
|---|---|
| `method` | the HTTP method |
| `url`, `url.scheme`, `url.host`, `url.port`, `url.path` | where it goes; `path` with its query |
| `headers`, `headers.NAME` | all header fields, or those of one name |
| `body`, `body.KEY`, `body.KEY.KEY` | the body, or a member of the JSON object that it is |
| `session` | the id of the conversation it belongs to |
| `notes`, `notes.NAME` | what hooks tell each other and the flow's record |

A name stands for all that is below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ccinspect.errors import HookError

Resource = tuple[str, ...]

_URL_PARTS = ("scheme", "host", "port", "path")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KNOWN = "known are method, url, url.host, headers, headers.NAME, body, body.KEY, session, notes and notes.NAME"


def parse_resource(name: object) -> Resource:
    """Raises ValueError, which says what is known."""
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is no name of a part of a request; {_KNOWN}")
    root, _, rest = name.partition(".")
    if not rest and name in ("method", "url", "headers", "body", "session", "notes"):
        return (root,)
    if root == "headers" and _TOKEN.fullmatch(rest):
        return (root, rest.lower())
    if (root == "url" and rest in _URL_PARTS) or (root == "notes" and rest):
        return (root, rest)
    if root == "body" and all(rest.split(".")):
        return (root, *rest.split("."))
    raise ValueError(f"`{name}` is no part of a request; {_KNOWN}")


def parse_resources(names: object, hook: str, what: str) -> tuple[Resource, ...]:
    """The parts that `names` is or holds. Raises HookError."""
    names = (names,) if isinstance(names, str) else names
    if not isinstance(names, Iterable):
        raise HookError(f"the hook {hook}: `{what}` is to be a tuple of names, not {names!r}", _KNOWN)
    try:
        return tuple(parse_resource(name) for name in names)
    except ValueError as error:
        raise HookError(f"the hook {hook}: `{what}`: {error}", "mend its declaration; nothing was started") from error


def overlap(one: Resource, other: Resource) -> bool:
    """Whether they have something in common: one is the other, or below it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def shared(some: Iterable[Resource], others: Iterable[Resource]) -> list[tuple[Resource, Resource]]:
    others = list(others)
    return [(one, other) for one in some for other in others if overlap(one, other)]


def covers(declared: Iterable[Resource], changed: Resource) -> bool:
    """Whether a change of `changed` is within what was declared."""
    return any(changed[: len(one)] == one for one in declared)


def name_of(resource: Resource) -> str:
    return ".".join(resource)
