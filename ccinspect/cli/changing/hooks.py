"""`hooks list` and `hooks graph`: which hooks there are, which are configured, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.changing.change_settings import hooks_of, library_of
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import CYAN, DIM, GREEN, RED, say, write, write_json, write_table
from ccinspect.cli.table import Cell, Column
from ccinspect.errors import HookError
from ccinspect.pipeline.declaration import STAGES, Hook
from ccinspect.pipeline.graph import draw
from ccinspect.pipeline.loading import Library, steps_of
from ccinspect.pipeline.order import Plan, make_plan
from ccinspect.pipeline.resources import name_of
from ccinspect.pipeline.settings import HooksConfig

_COLUMNS = (
    Column("Hook"),
    Column("Source", sacrifice=2),
    Column("Runs"),
    Column("Reads", least=10, sacrifice=3),
    Column("Writes", least=10, sacrifice=4),
    Column("What", least=16, sacrifice=1),
)


@dataclass(frozen=True, slots=True)
class Known:
    """One hook that could be, or is, configured."""

    name: str
    source: str
    """`built in`, `own` or `package`."""
    stages: tuple[str, ...]
    """Stages in which it is configured to run."""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    doc: str = ""
    file: str = ""
    problem: str = ""


def show_list(instance: Instance, as_json: bool) -> int:
    """Print all hooks: those that are built in, those of the directory `hooks`, and those configured besides.

    The exit status is 1 when one cannot be used. Raises ConfigError.
    """
    config = hooks_of(instance.config())
    known = list(known_hooks(config, library_of(instance.paths)))
    if as_json:
        write_json([asdict(each) for each in known])
    else:
        write_table(_COLUMNS, [_row(each) for each in known])
    broken = [each for each in known if each.problem]
    for each in broken if not as_json else ():
        say(f"ccinspect: {each.problem}")
    return 1 if broken else 0


def known_hooks(config: HooksConfig, library: Library) -> Iterator[Known]:
    """All that could be configured, and what is."""
    configured: dict[str, list[str]] = {}
    for stage in STAGES:
        for entry in getattr(config, stage):
            configured.setdefault(entry.hook, []).append(stage)
    names = dict.fromkeys(library.built_in, "built in")
    names |= {path.stem: "own" for path in library.files() if path.stem not in names}
    for name in configured:
        if name not in names:
            file = name.removeprefix("hooks.").partition(".")[0]
            names[name] = "own" if names.get(file) == "own" else "package"
    for name, source in names.items():
        stages = tuple(configured.get(name, ()))
        try:
            yield _described(library.find(name), name, source, stages)
        except HookError as error:
            # A file may hold helpers of hooks, and none itself.
            if source != "own" or stages:
                yield Known(name, source, stages, problem=f"{error.message}: {error.hint}")


def _described(hook: Hook, name: str, source: str, stages: tuple[str, ...]) -> Known:
    reads, writes = tuple(map(name_of, hook.reads)), tuple(map(name_of, hook.writes))
    first = hook.doc.strip().partition("\n")[0]
    return Known(name, source, stages, reads, writes, first, hook.origin)


def _row(known: Known) -> list[str | Cell]:
    runs = Cell(", ".join(known.stages), GREEN) if known.stages else Cell("-", DIM)
    what = Cell(known.problem, RED) if known.problem else known.doc
    return [Cell(known.name, CYAN), known.source, runs, ", ".join(known.reads), ", ".join(known.writes), what]


def show_graph(instance: Instance, style: str) -> None:
    """Draw the configured hooks in the order in which they run. Raises ConfigError, HookError."""
    for line in draw(plans(hooks_of(instance.config()), library_of(instance.paths)), style).splitlines():
        write(text.clean(line))


def plans(config: HooksConfig, library: Library) -> list[Plan]:
    """The plan of each stage. Raises HookError."""
    return [make_plan(stage, steps_of(stage, _entries(config, stage), library, config.timeout)) for stage in STAGES]


def _entries(config: HooksConfig, stage: str) -> list[Any]:
    found: list[Any] = getattr(config, stage)
    return found
