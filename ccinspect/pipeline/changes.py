"""What a hook changed: found by comparison when it has ended, checked, and taken over as far as it was declared."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ccinspect.pipeline.body import Body, check_sayable, with_only
from ccinspect.pipeline.context import Context, State
from ccinspect.pipeline.message import Fields, Headers
from ccinspect.pipeline.resources import Resource, covers
from ccinspect.wire.jsonedit import changed_paths
from ccinspect.wire.model import Json

MAX_PATHS = 50
"""Places of a body that are named in a flow's record."""
_MAX_NOTES = 16_000
_PLACES = ("method", "scheme", "host", "port", "path")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\r\n\0]")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}")
# A target never holds space or control characters: with them it would be more than one line, or request.
_PATH = re.compile(r"(?:/[^\x00-\x20\x7f]*|\*)")
_HOST = re.compile(r"[^\x00-\x20\x7f/?#@\\]{1,255}")


class Nonsense(Exception):
    """A hook left something that is no request. Says what."""


@dataclass(slots=True)
class Changes:
    """What to take over from one hook."""

    fields: Fields | None = None
    names: set[bytes] = field(default_factory=set)
    """Lower-case names of the header fields to take from `fields`."""
    places: dict[int, str | int] = field(default_factory=dict)
    body: Body | None = None
    """The body with all that was declared."""
    value: Json = None
    """Its JSON, where only parts of it were declared."""
    base: Body | None = None
    """The body that the hook was given."""
    session: str | None = None
    session_set: bool = False
    notes: dict[str, Json] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    """Names of what is taken over: `headers.NAME`, `url.path`, `.messages[0]`."""
    dropped: list[str] = field(default_factory=list)
    """What was changed without having been declared."""
    remark: str | None = None
    """What is odd, and changes nothing."""

    def apply(self, state: State, start: Fields, writes: Sequence[Resource]) -> None:
        """Take the changes over. `start` are the fields that the hook was given."""
        if self.fields is not None and self.names:
            state.fields = (
                self.fields if state.fields is start and not self._dropped_headers() else self._merged(state.fields)
            )
        if self.places:
            state.places = tuple(self.places.get(at, old) for at, old in enumerate(state.places))  # type: ignore[assignment]
        if self.body is not None and state.body is not None:
            if state.body is self.base:
                state.body = self.body
            else:
                # Another hook changed other members meanwhile.
                state.body = state.body.changed_to(with_only(state.body.value(), self.value, writes))
        if self.session_set:
            state.session = self.session
        if self.notes:
            state.notes = state.notes | self.notes

    def _dropped_headers(self) -> bool:
        return any(name.startswith("headers.") for name in self.dropped)

    def _merged(self, current: Fields) -> Fields:
        wanted = {name: [each for each in self.fields or () if each[0].lower() == name] for name in self.names}
        merged = []
        for each in current:
            name = each[0].lower()
            if name not in self.names:
                merged.append(each)
            else:
                merged += wanted.pop(name, [])
        return (*merged, *(each for fields in wanted.values() for each in fields))


def changes_of(context: Context, writes: Sequence[Resource]) -> Changes:
    """Compare what a hook left with what it was given. Raises Nonsense.

    A body of 1 MB that was changed takes about 15 ms; so this runs where the hook ran.
    """
    changes = Changes()
    fields, places, notes, session = context.start
    _compare_headers(changes, fields, context, writes)
    _compare_places(changes, places, context, writes)
    if context.session != session:
        _compare_session(changes, context, writes)
    if context.notes != notes:
        _compare_notes(changes, notes, context)
    _compare_body(changes, context, writes)
    return changes


def _take(changes: Changes, resource: Resource, writes: Sequence[Resource]) -> bool:
    """Whether a change of `resource` was declared; noted either way."""
    declared = covers(writes, resource)
    (changes.changed if declared else changes.dropped).append(".".join(resource))
    return declared


def _compare_headers(changes: Changes, before: Fields, context: Context, writes: Sequence[Resource]) -> None:
    headers = context.request.headers
    after = headers.fields if isinstance(headers, Headers) else None
    if after is before or after == before:
        return
    if not isinstance(after, tuple) or not all(_is_field(each) for each in after):
        raise Nonsense("it left something that is no header field")
    changes.fields = after
    old, new = _by_name(before), _by_name(after)
    for name in {**old, **new}:
        if old.get(name) == new.get(name):
            continue
        if _take(changes, ("headers", name.decode("latin-1")), writes):
            if not _NAME.fullmatch(name) or any(_BAD_VALUE.search(value) for _, value in new.get(name, [])):
                raise Nonsense(f"it left the header {name!r} with characters that no header may have")
            changes.names.add(name)


def _is_field(each: object) -> bool:
    return isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], bytes) and isinstance(each[1], bytes)


def _by_name(fields: Fields) -> dict[bytes, list[tuple[bytes, bytes]]]:
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for each in fields:
        found.setdefault(each[0].lower(), []).append(each)
    return found


def _compare_places(
    changes: Changes, before: tuple[str, str, str, int, str], context: Context, writes: Sequence[Resource]
) -> None:
    request = context.request
    after: tuple[Any, ...] = (request.method, request.scheme, request.host, request.port, request.path)
    if after == before:
        return
    for at, (name, old, new) in enumerate(zip(_PLACES, before, after, strict=True)):
        if old == new:
            continue
        if _take(changes, ("method",) if name == "method" else ("url", name), writes):
            if not _is_place(name, new):
                raise Nonsense(f"it left {new!r:.80} as the request's {name}")
            changes.places[at] = new


def _is_place(name: str, value: object) -> bool:
    if name == "port":
        return type(value) is int and 0 < value < 65536
    if not isinstance(value, str):
        return False
    if name == "scheme":
        return value in ("http", "https")
    pattern = {"method": _METHOD, "host": _HOST, "path": _PATH}[name]
    return bool(pattern.fullmatch(value))


def _compare_session(changes: Changes, context: Context, writes: Sequence[Resource]) -> None:
    session = context.session
    if session is not None and not isinstance(session, str):
        raise Nonsense(f"it left {session!r:.80} as the session")
    if _take(changes, ("session",), writes):
        changes.session, changes.session_set = session[:200] if session else None, True


def _compare_notes(changes: Changes, before: dict[str, Json], context: Context) -> None:
    after = context.notes
    if not isinstance(after, dict):
        raise Nonsense("it left something that is no dictionary as the notes")
    added = {str(key): value for key, value in after.items() if key not in before or before[key] != value}
    try:
        size = len(json.dumps(added, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Nonsense(f"it left notes that JSON cannot say: {error}") from error
    if size > _MAX_NOTES:
        changes.dropped.append(f"notes: {size} bytes, {_MAX_NOTES} are allowed")
    else:
        changes.notes = added


def _compare_body(changes: Changes, context: Context, writes: Sequence[Resource]) -> None:
    base = context.body
    given = None if base is None else base.data
    replaced = context.request.body is not given and context.request.body != given
    edited = context.asked_for_json and not _is_untouched(base, context.json)
    if not replaced and not edited:
        return
    if replaced and edited:
        raise Nonsense("it changed both the bytes and the JSON of the body")
    if base is None:
        raise Nonsense("it changed the body, which was not read; declare `needs_body=True`")
    changes.base = base
    if edited:
        _compare_json(changes, base, context.json, writes)
    elif _take(changes, ("body",), writes):
        if not isinstance(context.request.body, bytes):
            raise Nonsense(f"it left {type(context.request.body).__name__} as the body's bytes")
        changes.body = Body(context.request.body)


def _is_untouched(base: Body | None, value: Json) -> bool:
    return value is None if base is None else base.is_written_as(value)


def _compare_json(changes: Changes, base: Body, after: Json, writes: Sequence[Resource]) -> None:
    if after is None:
        raise Nonsense("it left None as the body's JSON")
    try:
        check_sayable(after)
    except ValueError as error:
        raise Nonsense(f"it left a body that JSON cannot say: {error}") from error
    taken = after
    if ("body",) not in writes:
        taken = with_only(base.value(), after, writes)
        changes.dropped += [f"body{path}" for path in changed_paths(taken, after, MAX_PATHS)]
    paths = changed_paths(base.value(), taken, MAX_PATHS)
    if paths:
        changes.changed += paths
        changes.body, changes.value = base.changed_to(taken), after
