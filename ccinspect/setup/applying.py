"""Putting settings into files, and taking them out: planned whole first, so that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ccinspect.errors import SetupError
from ccinspect.setup import fences, files
from ccinspect.setup.agents import FileNeed
from ccinspect.setup.edits import InTheWay, NotUnderstood, apply, take_back
from ccinspect.setup.forms import FORMS
from ccinspect.setup.notes import Note, Notes, digest


@dataclass(frozen=True)
class Step:
    """One file: what it is to hold (None: nothing, it goes), and our note of it (None: nothing of ours is left)."""

    path: Path
    before: str | None
    after: str | None
    note: Note | None
    directories: tuple[Path, ...] = ()
    """Made by us for this file; they go with it."""

    @property
    def changes(self) -> bool:
        return self.before != self.after


def write(name: str, needs: Sequence[FileNeed], notes: Notes, *, undo_hint: str, secret: bool = False) -> list[Step]:
    """Put what `name` needs into its files, and out of others where an earlier call had put it.

    With `secret`, files that other users can read are refused. Returns what was done, file by file. Raises SetupError,
    before anything is changed.
    """
    wanted = {need.path: need for need in needs}
    for path in wanted if secret else ():
        if path.exists() and path.stat().st_mode & 0o077:
            raise SetupError(
                f"{path} was left as it is: other users can read it, and the token of the listeners would stand in it",
                f"chmod go= {path}",
            )
    steps = [
        _without_member(note, name) for note in notes.all() if name in note.members and Path(note.path) not in wanted
    ]
    steps += [_with_member(need, name, notes, undo_hint) for need in needs]
    return _carry_out(steps, notes)


def undo(name: str, candidates: Iterable[FileNeed], notes: Notes) -> list[Step]:
    """Take out what `name` had needed. Raises SetupError, before anything is changed.

    `candidates` are files that may have lines of ours between markers, though we have no note of them.
    """
    steps = [_without_member(note, name) for note in notes.all() if name in note.members]
    for need in {need.path: need for need in candidates}.values():
        text = files.read(need.path)
        if notes.of(need.path) is None and need.form != "json" and text is not None and _has_lines(need.path, text):
            steps.append(Step(need.path, text, fences.remove(text), None))
    return _carry_out(steps, notes)


def _carry_out(steps: list[Step], notes: Notes) -> list[Step]:
    for step in steps:
        # Noted first: what was written without a note could not be taken back.
        if step.note is not None:
            notes.save(step.note)
        made: list[Path] = []
        if step.changes and step.after is None:
            files.delete(step.path)
        elif step.changes and step.after is not None:
            made = files.replace(step.path, step.after)
        if step.note is None:
            notes.forget(step.path)
        elif made:
            notes.save(replace(step.note, directories=[str(each) for each in made]))
    # Last, for files may share a directory that we had made.
    for step in steps:
        if step.after is None:
            files.remove_empty(step.directories)
    return steps


def _with_member(need: FileNeed, name: str, notes: Notes, undo_hint: str) -> Step:
    current = files.read(need.path)
    note = notes.of(need.path) or Note(str(need.path), need.form, existed=current is not None)
    base = _base(note, current)
    members = {other: pairs for other, pairs in note.members.items() if other != name}
    note = replace(note, members=members | {name: list(need.settings.items())})
    try:
        return _rewritten(note, need.path, current, base)
    except InTheWay as error:
        raise SetupError(
            f"{need.path} was left as it is: {error}, and what is there would be passed over",
            f"remove it there if it is not needed; `ccinspect run` works beside it ({undo_hint} shows what to add)",
        ) from error
    except NotUnderstood as error:
        raise _left(need.path, str(error)) from error


def _without_member(note: Note, name: str) -> Step:
    path = Path(note.path)
    current = files.read(path)
    base = _base(note, current)
    rest = replace(note, members={other: pairs for other, pairs in note.members.items() if other != name})
    if rest.members:
        try:
            return _rewritten(rest, path, current, base)
        except NotUnderstood as error:
            raise _left(path, str(error)) from error
    gone = current is None or (not note.existed and base.strip() in ("", "{}"))
    return Step(path, current, None if gone else base, None, tuple(map(Path, note.directories)))


def _rewritten(note: Note, path: Path, current: str | None, base: str) -> Step:
    """The file with what all members of `note` want, made from `base`, which has nothing of ours."""
    form, settings = FORMS[note.form], note.settings()
    inserts = form.add(base, settings)
    if not inserts:
        # All of it is there already, by the user's own hand: it is not ours to take out.
        return Step(path, current, current if current is None else base, None)
    after = apply(base, inserts)
    note = replace(note, inserts=inserts, made=form.made(base, settings), digest=digest(after))
    return Step(path, current, after, note)


def _base(note: Note, current: str | None) -> str:
    """The file without anything of ours. Raises SetupError."""
    if current is None:
        return ""
    try:
        if note.digest == digest(current):
            return take_back(current, note.inserts)
        if not note.members:
            return current if note.form == "json" else fences.remove(current)
        return FORMS[note.form].remove(current, note.settings(), note.made)
    except NotUnderstood as error:
        raise _left(Path(note.path), str(error)) from error


def _has_lines(path: Path, text: str) -> bool:
    try:
        return bool(fences.find(text))
    except NotUnderstood as error:
        raise _left(path, str(error)) from error


def _left(path: Path, why: str) -> SetupError:
    return SetupError(f"{path} was left as it is: {why}", "make the change by hand; without --write it is shown")
