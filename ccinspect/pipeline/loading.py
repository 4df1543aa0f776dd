"""From the names in the configuration to hooks.

A name is looked for among the built-in hooks, then among the files of the configuration's directory `hooks`; else it is
a dotted path that Python can import. The files are modules of a package that exists in memory only: they may import
each other (`from .common import x`), and their names clash with nothing.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import sys
import traceback
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ccinspect.errors import CcinspectError, HookError
from ccinspect.pipeline.declaration import Hook, Stage
from ccinspect.pipeline.order import Step
from ccinspect.pipeline.settings import HookEntry

_STOPPED = "nothing was started"


@dataclass(frozen=True, slots=True)
class Library:
    """Where hooks are found."""

    built_in: Mapping[str, str]
    """Short names and the dotted paths they stand for."""
    directory: Path | None = None
    """Of the person's own; it need not exist."""

    def find(self, name: str) -> Hook:
        """Raises HookError, which names the file and line of a mistake in it."""
        word = name.removeprefix("hooks.")
        file, _, attribute = word.partition(".")
        own = self._file(file)
        if name in self.built_in:
            if own is not None:
                raise HookError(f"the hook {name} is built in, and {own} has its name", f"rename the file; {_STOPPED}")
            return self._imported(name, self.built_in[name])
        if own is not None:
            return self._own(name, own, attribute)
        if "." not in name:
            raise HookError(f"there is no hook {name}", f"{self._nearest(name)}; {_STOPPED}")
        return self._imported(name, name)

    def files(self) -> list[Path]:
        """Files of the directory that may hold hooks."""
        if self.directory is None or not self.directory.is_dir():
            return []
        return sorted(path for path in self.directory.glob("*.py") if not path.name.startswith(("_", ".")))

    def _file(self, stem: str) -> Path | None:
        return next((path for path in self.files() if path.stem == stem), None)

    def _own(self, name: str, path: Path, attribute: str) -> Hook:
        module = self._module(path)
        if attribute:
            return _hook_in(module, attribute, name, str(path))
        found = _hooks_of(module)
        same_name = found.get(path.stem)
        if same_name is None and len(found) != 1:
            those = ", ".join(f"{path.stem}.{each}" for each in found) or "none"
            raise HookError(f"{path} has {len(found)} hooks, and none named {path.stem}", f"say which: {those}")
        return same_name or next(iter(found.values()))

    def _module(self, path: Path) -> types.ModuleType:
        package = _package(path.parent)
        return _import(f"{package}.{path.stem}", str(path), path.name)

    def _imported(self, name: str, dotted: str) -> Hook:
        module, _, attribute = dotted.rpartition(".")
        if not module or not all(part.isidentifier() for part in dotted.split(".")):
            raise HookError(f"there is no hook {name}", f"{self._nearest(name)}; {_STOPPED}")
        return _hook_in(_import(module, f"the module {module}", name), attribute, name, f"the module {module}")

    def _nearest(self, name: str) -> str:
        known = [*self.built_in, *(path.stem for path in self.files())]
        match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        return f"did you mean {match[0]}?" if match else f"known are {', '.join(known) or 'none'}"


def _package(directory: Path) -> str:
    """The name of the package in memory whose modules are the files of `directory`."""
    name = "ccinspect_hooks_" + hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(directory.resolve())]
        sys.modules[name] = package
    return name


def forget(directory: Path) -> None:
    """Have the files of `directory` read anew when they are asked for next."""
    package = _package(directory)
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def _import(module: str, where: str, name: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except CcinspectError:
        raise
    # A module may do anything when it is imported, `sys.exit()` too.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        line = _line_of(error)
        raise HookError(
            f"the hook {name}: {where}{line} cannot be loaded: {_told(error)}", f"mend it; {_STOPPED}"
        ) from (error)


def _line_of(error: BaseException) -> str:
    """`, line N`, and of which file, if an import within it failed."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" ({error.filename}, line {error.lineno})"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<")]
    last = next((each for each in reversed(frames) if "importlib" not in each.filename), None)
    return f" ({last.filename}, line {last.lineno})" if last and last.filename != __file__ else ""


def _told(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text[:300]}"


def _hooks_of(module: types.ModuleType) -> dict[str, Hook]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Hook) and not name.startswith("_")}


def _hook_in(module: types.ModuleType, attribute: str, name: str, where: str) -> Hook:
    found: Any = getattr(module, attribute, None)
    if isinstance(found, Hook):
        return found
    those = ", ".join(_hooks_of(module)) or "none"
    what = "nothing" if found is None else "something, but no hook (is it declared with @hook?),"
    raise HookError(
        f"there is no hook {name}: {where} has {what} named {attribute}", f"hooks there: {those}; {_STOPPED}"
    )


def steps_of(stage: Stage, entries: list[HookEntry], library: Library, timeout: float) -> list[Step]:
    """The steps of a stage as configured. Raises HookError."""
    steps: list[Step] = []
    for entry in entries:
        hook = library.find(entry.hook)
        # Not by a number: those that nobody configured are counted here, too.
        where = f"hooks.{stage}: the hook {entry.hook}"
        if hook.stage not in (None, stage):
            raise HookError(
                f"{where} belongs into the stage {hook.stage}", f"move it to hooks.{hook.stage}; {_STOPPED}"
            )
        base = _name(entry.hook, library)
        again = sum(step.name.partition("#")[0] == base for step in steps)
        name = f"{base}#{again + 1}" if again else base
        steps.append(Step(name, hook, _params(hook, entry.params, where), entry.timeout or hook.timeout or timeout))
    return steps


def _name(entry: str, library: Library) -> str:
    """How a step is called: by its short name where it has one, else by the last part of its path."""
    short = next((name for name, dotted in library.built_in.items() if entry == dotted), entry)
    return short.rpartition(".")[2]


def _params(hook: Hook, given: dict[str, Any], where: str) -> BaseModel | None:
    if hook.params is None:
        if given:
            raise HookError(f"{where} takes no parameters", f"remove `params`; {_STOPPED}")
        return None
    try:
        return hook.params.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(hook.params.model_fields)
        raise HookError(f"{where}: `params.{key}`: {first['msg']}", f"its parameters: {known}; {_STOPPED}") from error
