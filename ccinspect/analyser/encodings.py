"""Byte-pair encodings from the vocabularies shipped in the package, never downloaded.

Counting takes time linear in the text, whatever the text: long texts are cut into pieces (without which a run of a
million spaces overflows the regular expression's stack), and beyond EXACT_CHARACTERS a text is counted
by samples. No model accepts a text that long, so that number only has to be about right.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import tiktoken

PIECE = 32_768
"""Characters counted at a time."""
EXACT_CHARACTERS = 4_000_000
"""Texts up to here are counted whole; longer ones by SAMPLES pieces of them, evenly spread."""
SAMPLES = 64

# What may stand in one token, by OpenAI's published definition of each encoding (as in tiktoken itself): letters with
# at most one leading sign, numbers of up to three digits, signs, ends of lines, spaces.
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
)
_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)",
    r"[^\r\n\p{L}\p{N}]?+\p{L}++",
    r"\p{N}{1,3}+",
    r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
    r"\s++$",
    r"\s*[\r\n]",
    r"\s+(?!\S)",
    r"\s",
)
PATTERNS = {"o200k_base": "|".join(_O200K), "cl100k_base": "|".join(_CL100K)}
DEFAULT = "o200k_base"

_OLD_MODELS = ("gpt-4-", "gpt-3.5", "gpt-35", "text-embedding-", "davinci-002", "babbage-002", "text-davinci")


def encoding_name(model: str | None) -> str:
    """The encoding to count a model's text with: its own for OpenAI's models, `o200k_base` for all others.

    Source: tiktoken's table of models. Claude, Gemini and most others have no public one.
    """
    name = (model or "").lower().rpartition("/")[2].removeprefix("ft:")
    return "cl100k_base" if name == "gpt-4" or name.startswith(_OLD_MODELS) else DEFAULT


@cache
def load(name: str) -> tiktoken.Encoding:
    """An encoding by name. The first call reads its vocabulary: about 0.4 s of CPU and 60 MB of memory."""
    packed = files("ccinspect.analyser").joinpath("vocabularies", f"{name}.tiktoken.gz").read_bytes()
    ranks = {}
    for line in gzip.decompress(packed).splitlines():
        token, _, rank = line.partition(b" ")
        ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})


def count(text: str, name: str = DEFAULT) -> int:
    """How many tokens a text takes. Words that look like special tokens count as the text they are."""
    encode = load(name).encode_ordinary
    if len(text) <= PIECE:
        return len(encode(text))
    if len(text) <= EXACT_CHARACTERS:
        return sum(len(encode(piece)) for piece in pieces(text))
    stride = (len(text) - PIECE) // (SAMPLES - 1)
    sampled = sum(len(encode(text[at : at + PIECE])) for at in range(0, stride * SAMPLES, stride))
    return round(sampled * len(text) / (SAMPLES * PIECE))


def pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces of at most PIECE characters, where tokens end if such a place is near."""
    start = 0
    while len(text) - start > PIECE:
        end = _cut(text, start + PIECE)
        yield text[start:end]
        start = end
    yield text[start:]


_LOOK_BACK = 2_000


def _cut(text: str, limit: int) -> int:
    """The last place before `limit` where a line starts, or else a word; `limit` itself in a text without."""
    floor = limit - _LOOK_BACK
    for mark, offset in (("\n", 1), (" ", 0)):
        at = text.rfind(mark, floor, limit - 1)
        while at >= 0:
            if not text[at + 1].isspace() and (offset or not text[at - 1].isspace()):
                return at + offset
            at = text.rfind(mark, floor, at)
    return limit
