from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.media import (
    anthropic_image,
    claude_version,
    image_size,
    media_tokens,
    media_variant,
    openai_patches,
    pdf_pages,
)
from ccinspect.wire.model import Media


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png(width: int, height: int) -> str:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b64(b"\x89PNG\r\n\x1a\n" + chunk)


def jpeg(width: int, height: int, before: bytes = b"") -> str:
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\x01\x22\x00" * 3
    return b64(b"\xff\xd8" + before + frame + b"\xff\xd9")


EXIF = b"\xff\xe1" + struct.pack(">H", 60_000) + b"\xff\xc0" * 29_999
FILL = b"\xff\xff\xff"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(800, 600), (800, 600)),
        ("data:image/png;base64," + png(8, 6), (8, 6)),
        (jpeg(1024, 768), (1024, 768)),
        (jpeg(1024, 768, EXIF), (1024, 768)),
        (jpeg(1024, 768, FILL), (1024, 768)),
        (b64(b"GIF89a" + struct.pack("<HH", 320, 200)), (320, 200)),
        (b64(b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + b"\x1f\x03\0" + b"\x57\x02\0"), (800, 600)),
        (b64(b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 799 | 599 << 14)), (800, 600)),
        (b64(b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", 800, 600)), (800, 600)),
        (png(0, 600), None),
        (png(2**31, 600), None),
        ("", None),
        ("not base64!", None),
        (b64(b"\xff\xd8\xff\xe1\x00\x00" * 10), None),
    ],
)
def test_an_image_tells_its_size(data, size):
    assert image_size(data) == size


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8", b"RIFF\0\0\0\0WEBPVP8X"]),
)
def test_no_bytes_are_too_odd_to_be_measured(data, start):
    size = image_size(b64(start + data))
    assert size is None or (size[0] > 0 and size[1] > 0)
    pdf_pages(b64(b"%PDF" + data))
    assert media_tokens(Media(data=b64(start + data)), "anthropic", "claude-opus-4-7").tokens > 0


# OpenAI's page "Images and vision", calculating costs.
@pytest.mark.parametrize(
    ("width", "height", "detail", "model", "tokens"),
    [
        (1024, 1024, "high", "gpt-4o", 765),
        (2048, 4096, "high", "gpt-4o", 1105),
        (4096, 8192, "low", "gpt-4o", 85),
        (1024, 1024, "high", "gpt-4o-mini", 25_501),
        (1024, 1024, None, "o4-mini", 1762),
        (1024, 1024, None, "gpt-4.1-mini", 1659),
        (1024, 1024, "high", "gpt-5", 630),
    ],
)
def test_openai_images_take_what_its_page_says(width, height, detail, model, tokens):
    assert media_tokens(Media(data=png(width, height), detail=detail), "openai", model).tokens == tokens


def test_openai_patches_are_those_of_its_example():
    assert openai_patches(1024, 1024) == 1024
    assert openai_patches(1800, 2400) == 1452


# Anthropic's page: 1 token for 28 x 28 pixels, at most 1,568; and measured counts published for Claude Haiku 4.5, less
# the 65 tokens of the words sent along.
@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (200, 200, 64),
        (256, 256, 100),
        (512, 512, 361),
        (768, 768, 784),
        (1024, 1024, 1369),
        (1280, 720, 1196),
        (1920, 1080, 1560),
    ],
)
def test_anthropic_images_take_a_token_for_each_patch(width, height, tokens):
    assert anthropic_image(width, height) == tokens


@given(st.integers(1, 8_000), st.integers(1, 8_000))
def test_images_never_take_more_than_the_most(width, height):
    assert 1 <= anthropic_image(width, height) <= 1_568
    assert 1 <= anthropic_image(width, height, high=True) <= 4_784
    assert 1 <= openai_patches(width, height) <= 1_536


@pytest.mark.parametrize(
    ("media", "model", "tokens"),
    [
        (Media(data=png(300, 300)), "gemini-2.5-pro", 258),
        (Media(data=png(1000, 700)), "gemini-2.5-pro", 516),
        (Media(data=png(1000, 700), detail="MEDIA_RESOLUTION_LOW"), "gemini-2.5-pro", 64),
        (Media(data=png(1000, 700)), "gemini-3-pro", 1120),
        (Media(data=png(1000, 700), detail="MEDIA_RESOLUTION_LOW"), "gemini-3-pro", 280),
    ],
)
def test_gemini_images(media, model, tokens):
    assert media_tokens(media, "gemini", model).tokens == tokens


def test_sound_is_counted_by_its_length():
    second = 32_000
    head = (
        b"RIFF"
        + struct.pack("<I", second * 10)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, second, 2, 16)
    )
    wav = Media(kind="audio", data=b64(head + b"\0" * second * 10))
    assert abs(media_tokens(wav, "gemini", "gemini-2.5-pro").tokens - 320) <= 1
    assert not media_tokens(wav, "gemini", "").guess
    assert media_tokens(Media(kind="audio", data=b64(b"\xff\xfb" * 100)), "openai", "").guess


def test_pages_of_a_pdf():
    page = b"<< /Type /Page >>\n"
    assert pdf_pages(b64(b"%PDF-1.7\n<< /Type /Pages /Count 3 >>\n" + page * 3)) == 3
    assert pdf_pages(b64(b"%PDF-1.7\n<< /Count 12 >>\n")) == 12
    assert pdf_pages(b64(b"%PDF-1.7\n")) is None
    assert pdf_pages(b64(b"<html>")) is None


def test_what_cannot_be_seen_is_a_guess():
    assert media_tokens(Media(url="https://example.com/a.png"), "anthropic", "").guess
    assert media_tokens(Media(file_id="file-1", kind="document"), "openai", "gpt-5").guess
    assert not media_tokens(Media(data=png(8, 8)), "anthropic", "").guess


def test_models_that_count_alike_share_a_variant():
    assert (
        media_variant("openai", "gpt-4o") == media_variant("openai", "gpt-4-turbo") != media_variant("openai", "gpt-5")
    )
    assert media_variant("anthropic", "claude-opus-4-7") != media_variant("anthropic", "claude-opus-4-6")


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-opus-4-7", (4, 7)),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-opus-5", (5, 0)),
        ("claude-3-5-haiku-20241022", (3, 0)),
    ],
)
def test_claude_versions(model, version):
    assert claude_version(model) == version
