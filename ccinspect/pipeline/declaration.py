"""What a hook says of itself.

@hook(reads=("headers",), writes=("headers.anthropic-beta",), guard=lambda ctx: ctx.facts.agent == "claude-code")
def quieter(ctx: Context, params: Params) -> None: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from pydantic import BaseModel

from ccinspect.errors import HookError
from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.resources import Resource, parse_resources

Stage = Literal["inbound", "outbound"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Function = Callable[..., Awaitable[None] | None]
Guard = Callable[[Head], object]
NeedsBody = bool | Callable[[Head], object]


@dataclass(frozen=True, slots=True)
class Hook:
    """A declared hook. Calling `call(ctx, params)` is all that running it means."""

    name: str
    function: Function = field(repr=False)
    reads: tuple[Resource, ...] = ()
    writes: tuple[Resource, ...] = ()
    guard: Guard | None = None
    params: type[BaseModel] | None = None
    stage: Stage | None = None
    """The only stage it may be in; None is either."""
    needs_body: NeedsBody = False
    """Whether the body must have been read for it."""
    inline: bool = False
    """It runs on the proxy's own event loop, because it never blocks and takes microseconds."""
    fail_closed: bool = False
    """When it fails, the request is refused instead of going on without it; and no request can skip it."""
    timeout: float | None = None
    """Seconds; None is what the configuration says. An entry's own comes first."""
    is_async: bool = False
    takes_params: bool = True
    doc: str = ""
    origin: str = ""
    """Its file and line."""

    def call(self, context: Context, params: BaseModel | None) -> Awaitable[None] | None:
        return self.function(context, params) if self.takes_params else self.function(context)


def hook(
    *,
    reads: str | Iterable[str] = (),
    writes: str | Iterable[str] = (),
    guard: Guard | None = None,
    params: type[BaseModel] | None = None,
    stage: Stage | None = None,
    needs_body: NeedsBody | None = None,
    inline: bool = False,
    fail_closed: bool = False,
    timeout: float | None = None,
    name: str | None = None,
) -> Callable[[Function], Hook]:
    """Declare a function as a hook: `fn(ctx, params)`, or `fn(ctx)` where it has no parameters; `async def` or `def`.

    `reads` and `writes` name parts of the request (`resources.py`); who writes a part runs before who reads it, and
    changes of other parts are not taken. `guard(head)` decides by what is known before the body was read. `needs_body`
    is True when a part of the body is declared, unless said otherwise; a function of the head decides each time.
    `inline` is for hooks that only look at headers and the like: a plain function otherwise runs in a thread, a
    coroutine in a loop apart from the proxy's. `fail_closed` is for hooks that keep something in.

    Raises HookError when the declaration makes no sense.
    """

    def declare(function: Function) -> Hook:
        if isinstance(function, Hook) or not callable(function):
            raise HookError(f"@hook was put on {function!r}, which is no function", "put it on a function, once")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise HookError(f"the hook {function.__name__} is a generator: it would never run", "take its `yield` out")
        called = name or str(getattr(function, "__name__", function))
        read, written = parse_resources(reads, called, "reads"), parse_resources(writes, called, "writes")
        _check(called, guard, params, stage, needs_body)
        touches_body = any(resource[0] == "body" for resource in (*read, *written))
        return Hook(
            name=called,
            function=function,
            reads=read,
            writes=written,
            guard=guard,
            params=params,
            stage=stage,
            needs_body=touches_body if needs_body is None else needs_body,
            inline=inline,
            fail_closed=fail_closed,
            timeout=timeout,
            is_async=inspect.iscoroutinefunction(function),
            takes_params=_takes_params(function, called),
            doc=inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0].replace("\n", " "),
            origin=_origin(function),
        )

    return declare


def _check(name: str, guard: object, params: object, stage: object, needs_body: object) -> None:
    problem = None
    if guard is not None and (not callable(guard) or inspect.iscoroutinefunction(guard)):
        problem = "`guard` is to be a plain function of one argument"
    elif params is not None and not (isinstance(params, type) and issubclass(params, BaseModel)):
        problem = "`params` is to be a pydantic model"
    elif stage is not None and stage not in STAGES:
        problem = f"`stage` is to be one of {', '.join(STAGES)}"
    elif not (needs_body is None or isinstance(needs_body, bool) or callable(needs_body)):
        problem = "`needs_body` is to be True, False or a function"
    if problem:
        raise HookError(f"the hook {name}: {problem}", "mend its declaration; nothing was started")


def _takes_params(function: Function, name: str) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    for arguments in (2, 1):
        try:
            signature.bind(*range(arguments))
        except TypeError:
            continue
        return arguments == 2
    raise HookError(f"the hook {name} cannot be called with (ctx, params) nor with (ctx)", "mend its arguments")


def _origin(function: Function) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""
