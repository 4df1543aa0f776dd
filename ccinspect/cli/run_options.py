"""What `ccinspect run` was asked to do.

typer takes 100 ms to import, which is a third of what `run` may cost. `parse_quickly` therefore understands the plain
spellings of `run` by itself; anything else (a mistake, `--help`, an abbreviation) it leaves to typer, which then
comes to the same options or to a proper message. A test holds both to the same results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

type Mode = Literal["inspect", "base-url", "proxy"]

FLAGS = ("--inspect", "-i", "--proxy")
VALUES = ("--project", "--tag", "--name")


class BadRunOptions(ValueError):
    """The options contradict each other or say nothing; its text is for the user."""


@dataclass(frozen=True)
class RunOptions:
    mode: Mode
    command: tuple[str, ...]
    project: str | None = None
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Seen:
    inspect: bool = False
    proxy: bool = False
    project: str | None = None
    name: str | None = None
    tags: list[str] = field(default_factory=list)

    def note(self, option: str, value: str) -> None:
        if option == "--project":
            self.project = value
        elif option == "--name":
            self.name = value
        else:
            self.tags.append(value)


def build(
    command: Sequence[str],
    *,
    inspect: bool,
    proxy: bool,
    project: str | None,
    name: str | None,
    tags: Iterable[str],
    separated: bool,
    environ: Mapping[str, str],
) -> RunOptions:
    """Check what was parsed and fill in `CCINSPECT_PROJECT` and `CCINSPECT_TAGS` (`k=v,k2=v2`).

    `separated` tells whether `--` stood before the command. Raises BadRunOptions.
    """
    if inspect and proxy:
        raise BadRunOptions("--inspect and --proxy exclude each other: choose one")
    if not command:
        raise BadRunOptions("no command to run: ccinspect run [OPTIONS] -- CMD [ARG...]")
    if not separated and (doubtful := _doubtful(command)):
        raise BadRunOptions(
            f"`{doubtful}` after `{command[0]}` could be meant for ccinspect or for {command[0]}: "
            f"put `--` before the command (ccinspect run [OPTIONS] -- {command[0]} ...)"
        )
    from_environment = [tag for tag in environ.get("CCINSPECT_TAGS", "").split(",") if tag.strip()]
    return RunOptions(
        mode="inspect" if inspect else "proxy" if proxy else "base-url",
        command=tuple(command),
        project=project or environ.get("CCINSPECT_PROJECT") or None,
        name=name,
        tags=dict([_tag(text) for text in [*from_environment, *tags]]),
    )


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadRunOptions(f"a tag is KEY=VALUE, not `{text}`")
    return key.strip(), value.strip()


def _doubtful(command: Sequence[str]) -> str | None:
    """The first of our own options among the command's arguments, up to a `--` of its own."""
    for word in command[1:]:
        if word == "--":
            return None
        if word.split("=", 1)[0] in (*FLAGS, *VALUES):
            return word
    return None


def parse_quickly(arguments: Sequence[str], environ: Mapping[str, str]) -> RunOptions | None:
    """Parse what stands after `run`; None when typer has to look at it."""
    seen = _Seen()
    rest = list(arguments)
    separated = False
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            separated = True
            break
        if word in ("--inspect", "-i"):
            seen.inspect = True
        elif word == "--proxy":
            seen.proxy = True
        elif name in VALUES and (equals or rest):
            seen.note(name, value if equals else rest.pop(0))
        else:
            return None
    try:
        return build(
            rest,
            inspect=seen.inspect,
            proxy=seen.proxy,
            project=seen.project,
            name=seen.name,
            tags=seen.tags,
            separated=separated,
            environ=environ,
        )
    except BadRunOptions:
        return None
