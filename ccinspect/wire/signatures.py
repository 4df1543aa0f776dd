"""Carrying one provider's signatures through another dialect's clients.

A signature is only worth something to the provider that made it. When an answer is told in another dialect, it is
wrapped with the name of its origin, the client sends it back in its history, and unwrapping gives the original.
Thinking without a signature is wrapped too (with nothing inside), so that its origin is known when it comes back.
"""

from __future__ import annotations

from ccinspect.wire.model import Block, Signature, Thinking

_MARK = "ccinspect"
_ID = "#"


def wrap(signature: Signature, dialect: str) -> str:
    """How the signature is written in an answer in `dialect`: as it is at home, with its origin anywhere else."""
    return signature.value if signature.origin == dialect else wrapping(signature.origin) + signature.value


def wrapping(origin: str) -> str:
    """What stands before a signature away from home."""
    return f"{_MARK}:{origin}:"


def unwrap(text: str, dialect: str) -> Signature:
    """A signature read in `dialect`."""
    parts = text.split(":", 2)
    if len(parts) == 3 and parts[0] == _MARK and parts[1]:
        return Signature(parts[2], parts[1])
    return Signature(text, dialect)


def sealed(block: Thinking, source: str, target: str) -> str:
    """The signature of a thinking block of `source` as told in `target`; its id goes with it."""
    signature = block.signature or Signature("", source)
    if block.id and signature.origin != target:
        signature = Signature(f"{block.id}{_ID}{signature.value}", signature.origin)
    return wrap(signature, target)


def split_id(signature: Signature) -> tuple[str | None, str]:
    """(id or None, the signature's own value) of one that may have been told together with an id."""
    first, mark, value = signature.value.partition(_ID)
    return (first, value) if mark else (None, signature.value)


def is_own(block: Block, source: str, target: str) -> bool:
    """Whether the block's reasoning was made by a provider of the `target` dialect, which alone can use it."""
    return block.signature.origin == target if block.signature else source == target
