"""Data URLs, and the media types that some dialects shorten to a word."""

from __future__ import annotations

from ccinspect.wire.model import Media

_FORMATS = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
}


def media_type_of(word: str, kind: str) -> str:
    """The media type of a format's short name; unknown ones as `image/NAME` and the like."""
    return _FORMATS.get(word.lower(), f"{'application' if kind == 'document' else kind}/{word}")


def split_data_url(url: str) -> tuple[str | None, str] | None:
    """(media type, base64 data) of a base64 data URL; None for any other URL."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, mark, _ = head.partition(";base64")
    return (media_type.partition(";")[0] or None, data) if comma and mark else None


def data_url(media: Media, default: str) -> str:
    return f"data:{media.media_type or default};base64,{media.data or ''}"


def kind_of(media_type: str | None) -> str:
    """`image`, `audio`, `video` or `document`."""
    kind = (media_type or "").partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"
