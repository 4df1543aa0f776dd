"""The envelope of a shape around the content of a request. Pure: the request that is handed in stays as it is.

In this order: headers are stripped; the content goes into the shape's body; the inner hooks run; headers and query are
stamped; the headers that are to be preserved are as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.shapes import cache_markers, envelope, fieldpath
from ccinspect.shapes.merge import merge
from ccinspect.shapes.private import split_list
from ccinspect.shapes.settings import FreshIds, InsertCacheMarkers
from ccinspect.shapes.shape import Shape
from ccinspect.store import secret_names
from ccinspect.wire import jsonedit
from ccinspect.wire.jsontext import parse
from ccinspect.wire.model import JsonObject
from ccinspect.wire.registry import recognise

MAX_CHANGED = 50
"""Paths of the body that are told; more are counted as one."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of a request. `outgoing` is the very request that came when it was `skipped`."""

    outgoing: Outgoing
    changed: tuple[str, ...] = ()
    """`headers.NAME`, `query.NAME`, and paths of the body with `body` before them."""
    notes: tuple[str, ...] = ()
    """What of the request was left out, and what of the shape could not be done."""
    skipped: str | None = None
    """Why nothing was done."""

    def as_record(self) -> dict[str, Any]:
        """For the flow's record; holds names and paths, no values."""
        return {"changed": list(self.changed), "notes": list(self.notes), "skipped": self.skipped}


def why_not(shape: Shape, outgoing: Outgoing, facts: Facts, agents: Collection[str] = ()) -> str | None:
    """Why this request is none for the shape, as far as can be said without its body; None when it is one.

    `agents`: only requests of these; empty: all but those of the shape's own.
    """
    if agents and facts.agent not in agents:
        return f"it is not for requests of {facts.agent or 'an unknown client'}"
    if shape.agent is not None and facts.agent == shape.agent:
        return f"{shape.agent} is the shape's own client"
    spoken = recognise(outgoing.method, outgoing.path)
    dialect = spoken.dialect if spoken else facts.dialect
    kind = spoken.kind if spoken else facts.kind
    if dialect != shape.dialect:
        return f"the request speaks {dialect or 'no dialect we know'}, the shape {shape.dialect}"
    if kind != "generate":
        return f"the request is no model call but {kind or 'unknown'}"
    return None


def fill(
    shape: Shape, outgoing: Outgoing, facts: Facts, new_id: Callable[[], str], agents: Collection[str] = ()
) -> Filled:
    """Put the shape around the request; `agents` as in `why_not`. Never raises on any request.

    `new_id` is asked once for each inner hook that wants an id.
    """
    reason = why_not(shape, outgoing, facts, agents)
    if reason is not None:
        return Filled(outgoing, skipped=reason)
    if outgoing.body is None:
        return Filled(outgoing, skipped="the request's body was not read")
    live, problem = parse(outgoing.body)
    if problem or not isinstance(live, dict):
        return Filled(outgoing, skipped=f"the request's body is no JSON object{f': {problem}' if problem else ''}")
    headers = Headers(outgoing.headers.fields)
    notes = _strip_headers(shape, headers)
    body, merge_notes = merge(shape, live)
    notes += merge_notes
    notes += _run_inner_hooks(shape, body, headers, new_id)
    notes += _stamp_headers(shape, headers)
    path, query_changed, query_notes = _stamp_query(shape.path, outgoing.path)
    _restore(shape.preserve_headers, headers, outgoing.headers)
    data = jsonedit.rewrite(outgoing.body, live, body)
    filled = replace(outgoing, path=path, headers=headers, body=data)
    changed = (*_changed_headers(outgoing.headers, headers), *query_changed, *_changed_body(live, body))
    return Filled(filled, changed, (*notes, *query_notes))


def _strip_headers(shape: Shape, headers: Headers) -> list[str]:
    notes = []
    for name in shape.strip_headers:
        if envelope.header_kind(name) == "connection":
            notes.append(f"header {name} was not stripped: it belongs to the connection")
        else:
            headers.remove(name)
    return notes


def _run_inner_hooks(shape: Shape, body: JsonObject, headers: Headers, new_id: Callable[[], str]) -> list[str]:
    notes: list[str] = []
    for hook in shape.inner_hooks:
        if isinstance(hook, FreshIds):
            notes += _fresh_ids(hook, body, headers, new_id())
        elif shape.dialect != "anthropic":
            notes.append(f"{hook.hook} did nothing: {shape.dialect} has no cache markers")
        elif isinstance(hook, InsertCacheMarkers):
            wanted = hook.params
            notes += cache_markers.insert(body, wanted.breakpoints, wanted.ttl, wanted.limit)[1]
        else:
            cache_markers.strip(body)
    return notes


def _fresh_ids(hook: FreshIds, body: JsonObject, headers: Headers, ident: str) -> list[str]:
    notes = []
    for text in hook.params.paths:
        if not fieldpath.put(body, fieldpath.parse(text), ident):
            notes.append(f"no new id at {text}: nothing can stand there")
    for name in hook.params.headers:
        if envelope.header_kind(name) in (None, "id"):
            headers.set(name, ident)
        else:
            notes.append(f"no new id in header {name}: it is none of ours to say")
    return notes


def _stamp_headers(shape: Shape, headers: Headers) -> list[str]:
    notes = []
    for name, value in shape.headers.items():
        kind = envelope.header_kind(name)
        if kind is not None:
            notes.append(f"header {name} was not stamped: {kind}")
        elif name.lower() in envelope.MERGED_HEADERS:
            _stamp_list(headers, name, value)
        elif headers.get_all(name) != [value]:
            headers.set(name, value)
    return notes


def _stamp_list(headers: Headers, name: str, value: str) -> None:
    theirs = [entry for each in headers.get_all(name) for entry in split_list(each)]
    ours = [entry for entry in split_list(value) if not envelope.IDENTITY_BETA.fullmatch(entry)]
    new = [entry for entry in dict.fromkeys(ours) if entry not in theirs]
    if new:
        headers.set(name, ",".join([*theirs, *new]))


def _stamp_query(stamped: str, path: str) -> tuple[str, tuple[str, ...], list[str]]:
    """The path with the parameters of the shape's: those that it has get the shape's value, the others go last."""
    where, mark, query = path.partition("?")
    pairs = query.split("&") if mark and query else []
    changed: list[str] = []
    notes: list[str] = []
    for pair in filter(None, stamped.partition("?")[2].split("&")):
        name, _, value = pair.partition("=")
        if secret_names.is_secret_parameter(name, long_value=len(value) >= secret_names.LONG_VALUE):
            notes.append(f"parameter {name} was not stamped: credential")
            continue
        same = [each for each in pairs if each.partition("=")[0] == name]
        if same == [pair]:
            continue
        at = pairs.index(same[0]) if same else len(pairs)
        pairs = [each for each in pairs if each not in same]
        pairs.insert(at, pair)
        changed.append(f"query.{name}")
    return (f"{where}?{'&'.join(pairs)}" if changed else path), tuple(changed), notes


def _restore(names: Collection[str], headers: Headers, came: Headers) -> None:
    """The preserved headers as the client sent them, all of their lines in their places."""
    for name in names:
        theirs = came.get_all(name)
        if theirs and headers.get_all(name) != theirs:
            headers.remove(name)
            for value in theirs:
                headers.add(name, value)


def _changed_headers(before: Headers, after: Headers) -> list[str]:
    names = dict.fromkeys(name.lower() for name in (*before, *after))
    return [f"headers.{name}" for name in names if before.get_all(name) != after.get_all(name)]


def _changed_body(before: JsonObject, after: JsonObject) -> list[str]:
    paths = jsonedit.changed_paths(before, after, MAX_CHANGED + 1)
    told = [f"body{path}" for path in paths[:MAX_CHANGED]]
    return told if len(paths) <= MAX_CHANGED else [*told, "body (more)"]
