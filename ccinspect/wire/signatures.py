"""Carrying one provider's signatures through another dialect's clients.

A signature is only worth something to the provider that made it. When an answer is told in another dialect, it is
wrapped with the name of its origin, the client sends it back in its history, and unwrapping gives the original.
Thinking without a signature is wrapped too (with nothing inside), so that its origin is known when it comes back.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import replace

from ccinspect.wire.model import Block, Signature, Thinking

_MARK = "ccinspect"
_REDACTED = "ccinspect-redacted"
"""Mark of thinking that is nothing but its seal, for dialects that have no other word for it."""
_ID = "#"


_SIGNERS = {"bedrock": "anthropic"}
# Anthropic's signatures are good on all its platforms.


def signer_of(dialect: str) -> str:
    """The dialect under which the signatures of a dialect's providers are known."""
    return _SIGNERS.get(dialect, dialect)


def wrap(signature: Signature, dialect: str, mark: str = _MARK) -> str:
    """How the signature is written in an answer in `dialect`: as it is at home, with its origin anywhere else."""
    if signature.origin == dialect:
        return signature.value
    told = f"{mark}:{signature.origin}:{signature.value}"
    # Gemini's clients take signatures for base64 and refuse anything else.
    return base64.b64encode(told.encode("utf-8", "surrogatepass")).decode() if dialect == "gemini" else told


def wrapping(origin: str) -> str:
    """What stands before a signature away from home, where it is told in pieces."""
    return f"{_MARK}:{signer_of(origin)}:"


def unwrap(text: str, dialect: str) -> Signature:
    """A signature read in `dialect`."""
    parts = _parts(text, dialect)
    return Signature(parts[2], parts[1]) if parts else Signature(text, signer_of(dialect))


def is_redacted(text: object, dialect: str) -> bool:
    """Whether a signature read in `dialect` is the seal of redacted thinking from elsewhere."""
    parts = _parts(text, dialect) if isinstance(text, str) else None
    return parts is not None and parts[0] == _REDACTED


def _parts(text: str, dialect: str) -> list[str] | None:
    """[mark, origin, value] of a wrapped signature."""
    told = _decoded(text) if dialect == "gemini" else text
    parts = told.split(":", 2)
    return parts if len(parts) == 3 and parts[0] in (_MARK, _REDACTED) and parts[1] else None


_BASE64_MARK = base64.b64encode(_MARK.encode())[:-1].decode()


def _decoded(text: str) -> str:
    if not text.startswith(_BASE64_MARK):
        return text
    try:
        return base64.b64decode(text).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return text


def sealed(block: Thinking, source: str, target: str) -> str:
    """The signature of a thinking block of `source` as told in `target`; its id goes with it."""
    signature = block.signature or Signature("", signer_of(source))
    if block.id and signature.origin != target:
        signature = Signature(f"{block.id}{_ID}{signature.value}", signature.origin)
    return wrap(signature, target, _REDACTED if block.redacted else _MARK)


def split_id(signature: Signature) -> tuple[str | None, str]:
    """(id or None, the signature's own value) of one that may have been told together with an id."""
    first, mark, value = signature.value.partition(_ID)
    return (first, value) if mark else (None, signature.value)


def is_own(block: Block, source: str, target: str) -> bool:
    """Whether the block's reasoning was made by a provider of the `target` dialect, which alone can use it."""
    return block.signature.origin == target if block.signature else signer_of(source) == target


def attach_carried(blocks: Iterable[Block]) -> list[Block]:
    """Give signatures that were carried in an empty thinking block back to the block after it.

    Gemini signs calls and texts; other dialects have a place for a signature only in thinking.
    """
    out: list[Block] = []
    carried: Signature | None = None
    for block in blocks:
        if is_carrier(block):
            carried = block.signature
            continue
        if carried is not None and block.signature is None:
            block = replace(block, signature=carried)
        carried = None
        out.append(block)
    if carried is not None:
        out.append(Thinking(signature=carried))
    return out


def is_carrier(block: Block) -> bool:
    return (
        isinstance(block, Thinking)
        and not block.text
        and not block.redacted
        and block.signature is not None
        and block.signature.origin == "gemini"
        and block.signature.value != ""
    )
