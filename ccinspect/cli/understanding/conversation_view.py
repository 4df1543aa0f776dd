"""A model call as a person reads it: what was said, block by block, each with its tokens at the right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ccinspect.cli import text
from ccinspect.cli.output import CYAN, DIM, GREEN, RED, YELLOW, paint
from ccinspect.cli.understanding import amounts
from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import (
    Block,
    Media,
    Message,
    Path,
    Refusal,
    Request,
    Response,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
)

_ROLE_COLOURS = {"user": GREEN, "assistant": CYAN, "tool": GREEN}
_INDENT = "  "
_TOOLS_NAMED = 400
_LONGEST_LINE = 2_000


@dataclass(frozen=True)
class View:
    """How to show it. `tokens` are those of the request's blocks by their path, `answer` those of the answer's.

    `columns` is how wide headings are, `lines` how much of a block is shown (None: all of it).
    """

    columns: int
    lines: int | None = 24
    basis: str = amounts.PROVIDER
    tokens: Mapping[Path, int] = field(default_factory=dict)
    answer: Sequence[int | None] = ()
    answer_basis: str = amounts.PROVIDER

    def heading(self, label: str, tokens: int | None, colour: str, basis: str | None = None) -> str:
        """One line with its tokens at the right end."""
        count = "" if tokens is None else amounts.exact(tokens, basis or self.basis)
        label = text.shorten(text.clean(label), max(8, self.columns - len(count) - 1))
        gap = " " * max(1, self.columns - text.width(label) - len(count))
        return paint(label, colour) + (gap + paint(count, DIM) if count else "")


def request_lines(request: Request, view: View) -> Iterator[str]:
    """The context: tools, system prompt, messages."""
    if request.tools:
        yield ""
        yield from _tool_lines(request.tools, view)
    if request.system:
        yield ""
        yield view.heading("system", _sum(request.system, view), YELLOW)
        for block in request.system:
            yield from _block_lines(block, view, _own(block, view), view.basis, len(request.system) > 1)
    for index, message in enumerate(request.messages):
        # Tools that stand among the messages are listed above.
        if message.blocks or message.role != "developer":
            yield ""
            yield from _message_lines(index, message, view)


def response_lines(response: Response, view: View) -> Iterator[str]:
    """The answer, as far as it came."""
    yield ""
    why = [str(response.stop_reason)] if response.stop_reason else []
    if response.outcome != "complete":
        why.append(str(response.outcome))
    yield view.heading(f"answer{f' ({", ".join(why)})' if why else ''}", None, CYAN)
    counts = [*view.answer, *([None] * len(response.blocks))]
    for block, tokens in zip(response.blocks, counts, strict=False):
        yield from _block_lines(block, view, tokens, view.answer_basis, titled=True)
    if response.error:
        yield paint(f"{_INDENT}{text.clean(f'{response.error.kind}: {response.error.message}')}", RED)


def _tool_lines(tools: Sequence[Tool], view: View) -> Iterator[str]:
    counts = [(tool.name, view.tokens.get(tool.path)) for tool in tools]
    known = [count for _, count in counts if count is not None]
    yield view.heading(f"tools: {text.count(len(tools), 'definition')}", sum(known) if known else None, YELLOW)
    counts.sort(key=lambda entry: -(entry[1] or 0))
    shown = counts[:_TOOLS_NAMED] if view.lines is None else counts[: view.lines]
    for name, count in shown:
        yield view.heading(_INDENT + name, count, "")
    if len(counts) > len(shown):
        rest = sum(count or 0 for _, count in counts[len(shown) :])
        yield view.heading(f"{_INDENT}... and {len(counts) - len(shown):,} more", rest, DIM)


def _message_lines(index: int, message: Message, view: View) -> Iterator[str]:
    name = f" {message.name}" if message.name else ""
    colour = _ROLE_COLOURS.get(message.role, YELLOW)
    yield view.heading(f"{message.role}{name} [{index}]", _sum(message.blocks, view), colour)
    for block in message.blocks:
        titled = len(message.blocks) > 1 or not isinstance(block, Text)
        yield from _block_lines(block, view, _own(block, view), view.basis, titled)


def _sum(blocks: Iterable[Block], view: View) -> int | None:
    known = [count for count in (_own(block, view) for block in blocks) if count is not None]
    return sum(known) if known else None


def _own(block: Block, view: View) -> int | None:
    """A block's tokens, with what is inside of it."""
    inner = block.content if isinstance(block, ToolResult) else ()
    paths = {block.path, *(each.path for each in inner)}
    known = [view.tokens[path] for path in paths if path in view.tokens]
    return sum(known) if known else None


def _block_lines(block: Block, view: View, tokens: int | None, basis: str, titled: bool) -> Iterator[str]:
    title, colour, content = _described(block)
    if titled or title != "text":
        mark = "  [cache marker]" if block.cache else ""
        yield view.heading(f"{_INDENT}{title}{mark}", tokens, colour or DIM, basis)
    yield from _cut_lines(content, view.lines, colour)


def _described(block: Block) -> tuple[str, str, str]:
    """What a block is, its colour, and what it says."""
    match block:
        case Text():
            return "text", "", block.text
        case Refusal():
            return "refusal", RED, block.text
        case Thinking():
            kind = "thinking summary" if block.summary else "thinking"
            return (kind + (", sealed" if block.redacted or not block.text else "")), DIM, block.text
        case Media():
            return _media(block), YELLOW, block.text or ""
        case ToolCall():
            server = f"{block.server}/" if block.server else ""
            who = "" if block.executor == "client" else f" by the {block.executor}"
            return f"-> {server}{block.name}{who}", CYAN, _arguments(block)
        case ToolResult():
            failed = " failed" if block.is_error else ""
            name = f" of {block.name}" if block.name else ""
            inner = "\n".join(_inside(each) for each in block.content)
            return f"<- result{name}{failed}", RED if block.is_error else "", inner
        case Unknown():
            return f"{block.kind or 'block'} (not understood)", YELLOW, block.text
    return type(block).__name__, "", ""


def _inside(block: Block) -> str:
    title, _, content = _described(block)
    return content if isinstance(block, Text) else f"[{title}] {content}".rstrip()


def _media(block: Media) -> str:
    where = block.url or (f"file {block.file_id}" if block.file_id else "")
    size = f"{text.size(len(block.data) * 3 // 4)} bytes" if block.data else ""
    return " ".join(word for word in (block.kind, block.media_type, block.name, size, where) if word)


def _arguments(call: ToolCall) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    return "\n".join(
        f"{key}: {value if isinstance(value, str) else dump_text(value)}" for key, value in call.arguments.items()
    )


def _cut_lines(content: str, limit: int | None, colour: str) -> Iterator[str]:
    if not content.strip():
        return
    lines = text.clean_lines(content).strip("\n").split("\n")
    shown = lines if limit is None else lines[:limit]
    for line in shown:
        if limit is not None and len(line) > _LONGEST_LINE:
            line = f"{line[:_LONGEST_LINE]}... {text.count(len(line) - _LONGEST_LINE, 'character')} more"
        yield paint(f"{_INDENT * 2}{line}".rstrip(), colour)
    if len(lines) > len(shown):
        yield paint(f"{_INDENT * 2}... {text.count(len(lines) - len(shown), 'line')} more: --full", DIM)
