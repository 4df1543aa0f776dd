"""Where credentials stand in requests, by provider and by habit."""

from __future__ import annotations

HEADERS = ("x-api-key", "x-goog-api-key", "authorization", "api-key")
"""Headers in which API keys travel."""

_SCHEMES = ("bearer ", "basic ", "token ", "digest ", "apikey ", "api-key ", "key ")

# Built-in providers whose keys do not go as a bearer, and how their OAuth tokens begin, which do.
_OWN = {
    "anthropic": ("x-api-key", ("sk-ant-oat",)),
    "gemini": ("x-goog-api-key", ("ya29.",)),
    "azure-openai": ("api-key", ("eyJ",)),
}


def place_of(provider: str, header: str | None, prefix: str | None, value: str) -> tuple[str, str]:
    """The header (in lower case) for this value, and what goes before it."""
    if header is None:
        own, tokens = _OWN.get(provider, ("authorization", ()))
        # A prefix only makes sense where nobody has a habit.
        header = "authorization" if value.startswith(tokens) or prefix is not None else own
    header = header.lower()
    if prefix is None:
        has_scheme = value.lower().startswith(_SCHEMES)
        prefix = "Bearer " if header == "authorization" and not has_scheme else ""
    return header, prefix
