"""Tokens of images, documents, sound and video, by each provider's documented formula.

Sources (read November 2026):

* Anthropic, "Vision": an image takes one token for each patch of 28 x 28 pixels, after it was shrunk to the model's
  limits; "PDF support": 1,500 to 3,000 tokens of text a page, and each page once more as an image.
* OpenAI, "Images and vision", calculating costs: newer and smaller models count patches of 32 x 32 pixels times a
  factor of the model; the others 512-pixel tiles on top of a base.
* Google, "Understand and count tokens" and "Media resolution": Gemini 2 counts 258 tokens a tile of 768 x 768 pixels
  (or a small image, or a page); Gemini 3 a fixed number by resolution; 32 tokens a second of sound.

Sizes are read from the first bytes of the file, never by decoding it. What cannot be seen (a URL, an uploaded
file) is given a typical size and marked as a guess.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass

from ccinspect.wire.model import Media

_TYPICAL = (1024, 1024)
_PAGE = (816, 1056)
"""A US letter page at 96 dots an inch."""
_HEAD = 349_528
"""Characters of base64 looked at for an image's size: a JPEG may hold 64 KiB segments before it."""
_PDF_LIMIT = 44_000_000


@dataclass(frozen=True, slots=True)
class MediaCount:
    tokens: int
    guess: bool
    """The content was not there to be measured."""


def media_tokens(media: Media, family: str, model: str) -> MediaCount:
    """Tokens of `media` for a model. `family` is `anthropic`, `openai`, `gemini` or `other`."""
    if media.kind == "audio":
        return _sound(media, 32 if family == "gemini" else 10)
    if media.kind == "video":
        return MediaCount(0, True)
    seen = bool(media.data)
    if media.kind == "document":
        pages = pdf_pages(media.data or "")
        return MediaCount((pages or 1) * _page_tokens(family, model), not pages)
    size = image_size(media.data or "")
    width, height = size or _TYPICAL
    return MediaCount(_image_tokens(width, height, media.detail, family, model), not (seen and size))


def media_variant(family: str, model: str) -> str:
    """Models of one variant count all media alike: part of the key under which counts are kept."""
    if family == "openai":
        return f"openai-{_openai_rule(model)}"
    if family == "anthropic":
        return "anthropic-high" if _sees_more(model) else "anthropic"
    return f"gemini-{_gemini_generation(model)}" if family == "gemini" else family


def _image_tokens(width: int, height: int, detail: str | None, family: str, model: str) -> int:
    if family == "openai":
        return _openai_image(width, height, detail, _openai_rule(model))
    if family == "gemini":
        return _gemini_image(width, height, detail, _gemini_generation(model))
    return anthropic_image(width, height, high=family == "anthropic" and _sees_more(model))


def _page_tokens(family: str, model: str) -> int:
    if family == "gemini":
        return 560 if _gemini_generation(model) >= 3 else 258
    if family == "openai":
        return 1_000 + _openai_image(*_PAGE, "high", _openai_rule(model))
    return 2_250 + anthropic_image(*_PAGE)


# Anthropic

_CLAUDE_VERSION = re.compile(r"claude-[a-z]+-(\d{1,2})(?:-(\d{1,2})(?!\d))?")


def claude_version(model: str) -> tuple[int, int]:
    """(major, minor) of a Claude model of the naming `claude-opus-4-7`; (3, 0) for older namings."""
    match = _CLAUDE_VERSION.search(model)
    return (int(match[1]), int(match[2] or 0)) if match else (3, 0)


def _sees_more(model: str) -> bool:
    """Whether the model takes images in high resolution: from Opus 4.7 on."""
    return claude_version(model) >= (4, 7)


def anthropic_image(width: int, height: int, *, high: bool = False) -> int:
    edge, limit = (2_576, 4_784) if high else (1_568, 1_568)
    return _shrunk_patches(width, height, 28, edge, limit)


def _shrunk_patches(width: int, height: int, patch: int, edge: int, limit: int) -> int:
    scale = min(1.0, edge / max(width, height))
    scale = min(scale, math.sqrt(limit * patch * patch / (width * height)))
    for _ in range(200):
        across = max(1, math.ceil(width * scale / patch - 1e-9))
        down = max(1, math.ceil(height * scale / patch - 1e-9))
        if across * down <= limit:
            break
        scale *= 0.995
    return min(limit, across * down)


# OpenAI: (beginning of the model's name, rule); the first that fits counts.

_OPENAI_RULES = (
    ("gpt-4.1-mini", "patch-1.62"),
    ("gpt-4.1-nano", "patch-2.46"),
    ("o4-mini", "patch-1.72"),
    ("gpt-5-mini", "patch-1.62"),
    ("gpt-5-nano", "patch-2.46"),
    ("gpt-4o-mini", "tile-2833-5667"),
    ("gpt-4", "tile-85-170"),
    ("chatgpt-4o", "tile-85-170"),
    ("computer-use", "tile-65-129"),
    ("o1", "tile-75-150"),
    ("o3", "tile-75-150"),
    ("gpt-5.4", "large-1.2"),
    ("gpt-5.5", "large-1.2"),
    ("gpt-6", "large-1.2"),
    ("gpt-5", "tile-70-140"),
)
_OPENAI_DEFAULT = "large-1.2"
_PATCHES = 1_536
_LARGE_PATCHES = {"high": 2_500, "original": 10_000, "auto": 10_000}


def _openai_rule(model: str) -> str:
    name = model.rpartition("/")[2]
    return next((rule for start, rule in _OPENAI_RULES if name.startswith(start)), _OPENAI_DEFAULT)


def _openai_image(width: int, height: int, detail: str | None, rule: str) -> int:
    kind, *numbers = rule.split("-")
    if kind == "tile":
        base, tile = map(int, numbers)
        return base if detail == "low" else base + tile * _tiles(width, height)
    limit = _PATCHES if kind == "patch" else _LARGE_PATCHES.get(detail or "auto", _PATCHES)
    if detail == "low":
        limit = 256
    return math.ceil(openai_patches(width, height, limit) * float(numbers[0]))


def _tiles(width: int, height: int) -> int:
    """512-pixel tiles of the image, first fit into 2,048 pixels and then shrunk to a short side of 768."""
    scale = min(1.0, 2_048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return math.ceil(width * scale / 512 - 1e-9) * math.ceil(height * scale / 512 - 1e-9)


def openai_patches(width: int, height: int, limit: int = _PATCHES) -> int:
    """32-pixel patches that cover the image, shrunk so that at most `limit` of them are needed."""
    across, down = math.ceil(width / 32), math.ceil(height / 32)
    if across * down <= limit:
        return across * down
    shrink = math.sqrt(32 * 32 * limit / (width * height))
    wide, high = width * shrink / 32, height * shrink / 32
    shrink *= min(max(1, math.floor(wide)) / wide, max(1, math.floor(high)) / high)
    patches = math.ceil(width * shrink / 32 - 1e-9) * math.ceil(height * shrink / 32 - 1e-9)
    return max(1, min(limit, patches))


# Gemini

_GEMINI_VERSION = re.compile(r"gemini-(\d{1,2})")
_RESOLUTION = {"low": 280, "medium": 560, "high": 1_120, "ultra_high": 2_240}


def _gemini_generation(model: str) -> int:
    match = _GEMINI_VERSION.search(model)
    return int(match[1]) if match else 3


def _gemini_image(width: int, height: int, detail: str | None, generation: int) -> int:
    wish = (detail or "").lower().removeprefix("media_resolution_")
    if generation >= 3:
        return _RESOLUTION.get(wish, 1_120)
    if wish == "low":
        return 64
    if width <= 384 and height <= 384:
        return 258
    return 258 * math.ceil(width / 768) * math.ceil(height / 768)


# What a file says of itself


def _decode(data: str, limit: int) -> bytes:
    text = data[:limit]
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


_MAX_EDGE = 100_000


def image_size(data: str) -> tuple[int, int] | None:
    """(width, height) in pixels of a PNG, GIF, JPEG or WebP image in base64, or None."""
    head = _decode(data, _HEAD)
    size: tuple[int, int] | None = None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        size = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    elif head[:6] in (b"GIF87a", b"GIF89a") and len(head) >= 10:
        size = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    elif head.startswith(b"\xff\xd8"):
        size = _jpeg_size(head)
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        size = _webp_size(head)
    return size if size and all(0 < edge <= _MAX_EDGE for edge in size) else None


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        # Fill bytes and markers without a length; anything else names the length of its segment.
        alone = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 1 if marker == 0xFF else 2 if alone else 2 + max(2, int.from_bytes(head[at + 2 : at + 4]))
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    form = head[12:16]
    if form == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if form == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if form == b"VP8 " and len(head) >= 30:
        width, height = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
        return width & 0x3FFF, height & 0x3FFF
    return None


_PAGE_OBJECT = re.compile(rb"/Type\s{0,9}/Page(?![A-Za-z])")
_PAGE_COUNT = re.compile(rb"/Count\s{1,9}(\d{1,5})(?!\d)")


def pdf_pages(data: str) -> int | None:
    """Pages of a PDF in base64; None when it is none, or keeps its pages in compressed objects without a count."""
    body = _decode(data, _PDF_LIMIT)
    if not body.startswith(b"%PDF"):
        return None
    counts = [int(found) for found in _PAGE_COUNT.findall(body)]
    return len(_PAGE_OBJECT.findall(body)) or max(counts, default=0) or None


def _sound(media: Media, rate: int) -> MediaCount:
    """`rate` tokens a second; a file that does not tell its length is taken for 128 kbit a second."""
    data = media.data or ""
    head = _decode(data, 128)
    size = len(data) * 3 // 4
    bytes_a_second = int.from_bytes(head[28:32], "little") if head[:4] == b"RIFF" and head[8:12] == b"WAVE" else 0
    seconds = size / (bytes_a_second or 16_000)
    return MediaCount(math.ceil(seconds * rate), not (data and bytes_a_second))
