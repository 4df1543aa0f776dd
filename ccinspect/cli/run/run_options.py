"""What `ccinspect run` was asked to do.

typer takes 100 ms to import, which is a third of what `run` may cost. `parse_quickly` therefore understands the plain
spellings of `run` by itself; anything else (a mistake, `--help`, an abbreviation) it leaves to typer, which then
comes to the same options or to a proper message. A test holds both to the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

type Mode = Literal["inspect", "base-url", "proxy"]

FLAGS = ("--inspect", "-i", "--proxy", "--offline", "--ask", "--mcp")
VALUES = ("--project", "--tag", "--name", "--allow", "--deny", "--max-cost", "--max-tokens", "--keyless")


class BadRunOptions(ValueError):
    """The options contradict each other or say nothing; its text is for the user."""


@dataclass(frozen=True)
class Restrictions:
    """What a run may reach and spend, see docs/policy.md."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    offline: bool = False
    max_cost: str | None = None
    """US dollars, a decimal number."""
    max_tokens: int | None = None
    ask: bool = False
    """Whether to ask for more, where there is a terminal, when that is spent."""

    @classmethod
    def of(
        cls,
        allow: Iterable[str] | None,
        deny: Iterable[str] | None,
        offline: bool,
        max_cost: str | None,
        max_tokens: str | None,
        ask: bool = False,
    ) -> Restrictions:
        """Check what was given. Raises BadRunOptions."""
        found = cls(tuple(allow or ()), tuple(deny or ()), offline)
        if found.reach is not None:
            from ccinspect.policy import rules

            for option, texts in (("--allow", found.allow), ("--deny", found.deny)):
                for text in texts:
                    _checked(option, text, rules.parse)
        if max_cost is None and max_tokens is None:
            if ask:
                raise BadRunOptions("--ask needs --max-cost or --max-tokens: it asks when that is spent")
            return found
        from ccinspect.policy import amounts

        cost = None if max_cost is None else format(_checked("--max-cost", max_cost, amounts.parse_dollars), "f")
        tokens = None if max_tokens is None else _checked("--max-tokens", max_tokens, amounts.parse_tokens)
        return replace(found, max_cost=cost, max_tokens=tokens, ask=ask)

    @property
    def reach(self) -> dict[str, Any] | None:
        """What it may reach, as `run.start` wants it; None where nothing was said."""
        if not (self.allow or self.deny or self.offline):
            return None
        return {"allow": list(self.allow), "deny": list(self.deny), "offline": self.offline}

    @property
    def budget(self) -> dict[str, Any] | None:
        """What it may spend, as `run.start` wants it; None where nothing was said."""
        if self.max_cost is None and self.max_tokens is None:
            return None
        return {"max_cost": self.max_cost, "max_tokens": self.max_tokens, "on_exceed": "ask" if self.ask else "deny"}


def _checked[T](option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise BadRunOptions(f"{option} {text}: {error}") from error


@dataclass(frozen=True)
class RunOptions:
    mode: Mode
    command: tuple[str, ...]
    project: str | None = None
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    restrictions: Restrictions = Restrictions()
    keyless: str | None = None
    """Provider whose key the command gets a sentinel for, and not the key."""
    mcp: bool = False
    """Let it ask about itself, over MCP."""


@dataclass
class _Seen:
    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)

    def note(self, option: str, value: str) -> None:
        self.values.setdefault(option, []).append(value)

    def last(self, option: str) -> str | None:
        return self.values.get(option, [None])[-1]

    def all(self, option: str) -> list[str]:
        return self.values.get(option, [])


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
    restrictions: Restrictions = Restrictions(),
    keyless: str | None = None,
    mcp: bool = False,
) -> RunOptions:
    """Check what was parsed and fill in `CCINSPECT_PROJECT` and `CCINSPECT_TAGS` (`k=v,k2=v2`).

    `separated` tells whether `--` stood before the command. Raises BadRunOptions.
    """
    if inspect and proxy:
        raise BadRunOptions("--inspect and --proxy exclude each other: choose one")
    if keyless is not None and not inspect:
        raise BadRunOptions("--keyless needs --inspect: outside of a jail the key cannot be kept from the command")
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
        restrictions=restrictions,
        keyless=keyless,
        mcp=mcp,
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
        if word in FLAGS:
            seen.flags.add(word)
        elif name in VALUES and (equals or rest):
            seen.note(name, value if equals else rest.pop(0))
        else:
            return None
    try:
        return build(
            rest,
            inspect=bool(seen.flags & {"--inspect", "-i"}),
            proxy="--proxy" in seen.flags,
            project=seen.last("--project"),
            name=seen.last("--name"),
            tags=seen.all("--tag"),
            separated=separated,
            environ=environ,
            restrictions=Restrictions.of(
                seen.all("--allow"),
                seen.all("--deny"),
                "--offline" in seen.flags,
                seen.last("--max-cost"),
                seen.last("--max-tokens"),
                "--ask" in seen.flags,
            ),
            keyless=seen.last("--keyless"),
            mcp="--mcp" in seen.flags,
        )
    except BadRunOptions:
        return None
