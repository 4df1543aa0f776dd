"""What is wrong with a shape, or will be: private things in it, what is out of date, what can never have an effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from ccinspect.shapes import cache_markers, envelope, fieldpath, private
from ccinspect.shapes.betas import KNOWN_BETAS
from ccinspect.shapes.settings import MAX_MARKERS, FreshIds
from ccinspect.shapes.shape import Shape
from ccinspect.wire.registry import recognise

OLD_AFTER = 180 * 86_400.0
"""Seconds after which a captured shape may no longer be what its client sends."""


@dataclass(frozen=True, slots=True)
class Remark:
    level: Literal["private", "wrong", "stale", "note"]
    """`private`: must not be passed on; `wrong`: has no effect, or breaks requests; `stale`: old or unknown."""
    where: str
    text: str

    def as_record(self) -> dict[str, str]:
        return {"level": self.level, "where": self.where, "text": self.text}


def audit(shape: Shape, now: float, names: Collection[str] = ()) -> list[Remark]:
    """All remarks on a shape, the gravest first.

    `now`: seconds since the epoch; `names`: words of this user and machine.
    """
    found = [*_private(shape, names), *_wrong(shape), *_stale(shape, now), *_notes(shape)]
    order = {"private": 0, "wrong": 1, "stale": 2, "note": 3}
    return sorted(found, key=lambda remark: order[remark.level])


def _private(shape: Shape, names: Collection[str]) -> Iterator[Remark]:
    for finding in private.find(shape.path, shape.headers, shape.body, shape.dialect, names):
        if finding.kind == "connection":
            yield Remark("wrong", finding.where, "belongs to the connection: never stamped")
            continue
        shown = f" ({finding.shown})" if finding.shown else ""
        yield Remark("private", finding.where, f"{finding.kind}{shown}")
    for finding in private.find("/", {}, {"description": shape.description}, shape.dialect, names):
        yield Remark("private", "description", f"{finding.kind} ({finding.shown})")


def _wrong(shape: Shape) -> Iterator[Remark]:
    spoken = recognise(shape.method, shape.path)
    if spoken and spoken.dialect != shape.dialect:
        yield Remark("wrong", "path", f"this is a path of {spoken.dialect}, and the shape speaks {shape.dialect}")
    elif spoken and spoken.kind != "generate":
        yield Remark("wrong", "path", f"this is a path of {spoken.kind}: only requests that generate are filled")
    stripped = {name.lower() for name in shape.strip_headers}
    for name in shape.preserve_headers:
        if name.lower() in stripped:
            yield Remark("wrong", f"preserve_headers.{name}", "also in strip_headers: it is preserved")
    for name in shape.strip_headers:
        if envelope.header_kind(name) == "connection":
            yield Remark("wrong", f"strip_headers.{name}", "belongs to the connection: never stripped")
    chosen = [fieldpath.parse(text) for text in shape.content_fields]
    for text, strategy in shape.merge_strategies.items():
        path = fieldpath.parse(text)
        if strategy in ("prepend", "append") and fieldpath.get(shape.body, path) is fieldpath.MISSING:
            yield Remark("wrong", f"merge_strategies{text}", f"{strategy} to what the shape does not have")
        if strategy == "drop" and not any(fieldpath.covers(each, path) for each in chosen):
            yield Remark("wrong", f"merge_strategies{text}", "dropped anyway: in no content field")
    yield from _wrong_hooks(shape)


def _wrong_hooks(shape: Shape) -> Iterator[Remark]:
    for hook in shape.inner_hooks:
        where = f"inner_hooks.{hook.hook}"
        if isinstance(hook, FreshIds):
            if not hook.params.paths and not hook.params.headers:
                yield Remark("wrong", where, "has neither paths nor headers")
            for name in hook.params.headers:
                if envelope.header_kind(name) not in (None, "id"):
                    yield Remark("wrong", where, f"header {name} is not for a shape to say")
        elif shape.dialect != "anthropic":
            yield Remark("wrong", where, f"{shape.dialect} has no cache markers")
    if shape.dialect == "anthropic" and len(cache_markers.markers(shape.body)) > MAX_MARKERS:
        yield Remark("wrong", "body", f"more than {MAX_MARKERS} cache markers: refused upstream")


def _stale(shape: Shape, now: float) -> Iterator[Remark]:
    known = envelope.ENVELOPES[shape.dialect].known
    if shape.saved is not None and now - shape.saved > OLD_AFTER:
        days = (now - shape.saved) / 86_400
        yield Remark("stale", "saved_at", f"saved {days:.0f} days ago: its client may send something else by now")
    for key in shape.body:
        if not _is_known(key, known):
            yield Remark("stale", f"body{fieldpath.spell((key,))}", f"no field of {shape.dialect} that we know")
    for text in (*shape.content_fields, *shape.merge_strategies):
        path = fieldpath.parse(text)
        if path and not _is_known(str(path[0]), known):
            yield Remark("stale", text, f"no field of {shape.dialect} that we know")
    if shape.dialect != "anthropic":
        return
    for name, value in shape.headers.items():
        if name.lower() == "anthropic-beta":
            for beta in private.split_list(value):
                if beta not in KNOWN_BETAS and not envelope.IDENTITY_BETA.fullmatch(beta):
                    yield Remark("stale", f"headers.{name}", f"no beta that we know: {beta[:80]}")


def _is_known(key: str, known: frozenset[str]) -> bool:
    """protobuf's JSON takes both spellings."""
    return key in known or key.replace("_", "").lower() in {each.lower() for each in known}


def _notes(shape: Shape) -> Iterator[Remark]:
    live = {fieldpath.parse(text) for text in shape.content_fields}
    for field in ("model", "stream"):
        if field in shape.body and (field,) not in live and () not in live:
            yield Remark("note", f"body.{field}", "the request's own is not asked for")
    content = [(field,) for field in envelope.ENVELOPES[shape.dialect].prompts]
    if () not in live and not live.intersection(content):
        yield Remark("wrong", "content_fields", "no messages are taken from the request")
