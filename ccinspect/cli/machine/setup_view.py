"""What `ccinspect setup` shows and does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ccinspect.cli import output
from ccinspect.cli.instance import Instance
from ccinspect.cli.machine.listeners import find_listeners, runs, token_to_show
from ccinspect.cli.output import say, write_json
from ccinspect.errors import SetupError
from ccinspect.setup import applying
from ccinspect.setup.agents import ENTRIES, Entry, FileNeed, Need
from ccinspect.setup.applying import Step
from ccinspect.setup.edits import apply
from ccinspect.setup.forms import FORMS
from ccinspect.setup.notes import Notes
from ccinspect.setup.places import Places
from ccinspect.setup.variables import Listeners, Mode

_TITLES: dict[Mode, str] = {"base-url": "by base URL", "proxy": "by proxy"}


def notes_of(instance: Instance) -> Notes:
    return Notes(instance.paths.data_dir / "setup")


def show(instance: Instance, name: str, modes: Sequence[Mode], json: bool) -> None:
    """Print what to add, and where."""
    entry = ENTRIES[name]
    needs = {mode: _shown(instance, entry, mode, only=len(modes) == 1) for mode in modes}
    if json:
        write_json({"program": name, "modes": {mode: _as_json(need) for mode, need in needs.items()}})
        return
    for mode, need in needs.items():
        for line in _lines(entry, mode, need):
            output.write(line)
    if any(need.files for need in needs.values()):
        say(f"ccinspect: to let it be done: ccinspect setup {name} --write; to take it back: --undo")


def write(instance: Instance, name: str, modes: Sequence[Mode], json: bool) -> None:
    """Change the program's files for the first of `modes` that has any. Raises SetupError."""
    entry = ENTRIES[name]
    for mode in modes:
        need = _need(instance, entry, mode)
        if need.files:
            break
    else:
        raise _nothing_to_write(entry, mode, need)
    member = entry.member(places_of(instance))
    secret = token_to_show(instance) is not None
    steps = applying.write(member, need.files, notes_of(instance), undo_hint=f"ccinspect setup {name}", secret=secret)
    _report(name, mode, steps, need.notes, json)
    if not json and 0 in (instance.config().inspector.reverse_port, instance.config().inspector.proxy_port):
        say("ccinspect: the settings leave a port open: after a restart it may be another; then say --write again")
    if not json and not runs(instance):
        say(f"ccinspect: the daemon does not run; without it {entry.title} reaches nothing: ccinspect start --detach")


def undo(instance: Instance, name: str, json: bool) -> None:
    """Take out of the program's files what `write` put there. Raises SetupError."""
    steps = applying.undo(ENTRIES[name].member(places_of(instance)), _candidates(instance, name), notes_of(instance))
    if json or steps:
        _report(name, None, steps, (), json)
    else:
        say(f"ccinspect: nothing of ours is in the files of {ENTRIES[name].title}")


def _candidates(instance: Instance, name: str) -> list[FileNeed]:
    """The files that this program may have, whatever the ports are."""
    places = places_of(instance)
    listeners = Listeners(0, 0, instance.paths.ca_cert, Path(os.devnull))
    entry = ENTRIES[name]
    return [file for need in (entry.base_url, entry.proxy) for file in need(listeners, places).files]


def _need(instance: Instance, entry: Entry, mode: Mode) -> Need:
    listeners = find_listeners(instance, trust=mode == "proxy")
    return entry.need(mode, listeners, places_of(instance))


def places_of(instance: Instance) -> Places:
    return Places.find(os.environ, Path.cwd(), instance.paths.config_file)


def _shown(instance: Instance, entry: Entry, mode: Mode, *, only: bool) -> Need:
    """What it needs. Where both modes are shown, one that cannot be told yet does not keep the other from it."""
    try:
        return _need(instance, entry, mode)
    except SetupError as error:
        if only:
            raise
        return Need(impossible=f"{error.message}; {error.hint}")


def _nothing_to_write(entry: Entry, mode: Mode, need: Need) -> SetupError:
    if need.impossible is not None:
        return SetupError(f"{entry.title} cannot be seen {_TITLES[mode]}", need.impossible)
    return SetupError(
        f"{entry.title} has no file for this: it takes variables only",
        f"{need.notes[-1]}; or let your shell start it in a run: ccinspect install",
    )


def _report(name: str, mode: Mode | None, steps: Sequence[Step], notes: Sequence[str], json: bool) -> None:
    if json:
        changed = [{"file": str(step.path), "changed": step.changes} for step in steps]
        write_json({"program": name, "mode": mode, "files": changed, "notes": list(notes)})
        return
    for step in steps:
        if not step.changes and step.note is not None and mode is None:
            say(f"ccinspect: {step.path} stays as it is, for {', '.join(step.note.members)}")
        elif not step.changes:
            say(f"ccinspect: {step.path} is as it should be")
        elif step.after is None:
            say(f"ccinspect: {step.path} removed: we had made it")
        else:
            say(f"ccinspect: {step.path} {'written' if mode else 'is without us again'}")
    for note in notes:
        say(f"  {note}")


def _as_json(need: Need) -> dict[str, Any]:
    return {
        "possible": need.impossible is None,
        "why_not": need.impossible,
        "files": [
            {"file": str(file.path), "format": file.form, "add": snippet(file), "settings": _nested(file)}
            for file in need.files
        ],
        "variables": dict(need.variables),
        "notes": list(need.notes),
    }


def _nested(file: FileNeed) -> list[dict[str, Any]]:
    return [{"path": list(path), "value": value} for path, value in file.settings.items()]


def _lines(entry: Entry, mode: Mode, need: Need) -> Iterator[str]:
    yield f"# {entry.title}, {_TITLES[mode]}"
    if need.impossible is not None:
        yield f"#   {need.impossible}"
    for file in need.files:
        yield f"# in {file.path}:"
        yield snippet(file).rstrip("\n")
    if need.variables:
        yield "# or in its environment:" if need.files else "# in its environment:"
        yield from (f"export {name}={value}" for name, value in need.variables.items())
    yield from (f"#   {note}" for note in need.notes)
    yield ""


def snippet(file: FileNeed) -> str:
    """What an empty file would hold."""
    return apply("", FORMS[file.form].add("", file.settings))
