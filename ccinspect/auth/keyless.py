"""`run --inspect --keyless NAME`: an environment with a sentinel where the key was.

Standard library only: `run` has to start fast. What a variable or a file may tell of the real credential is decided
here; that the jail shows neither is the jail's part.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote_plus

from ccinspect.auth.sentinel import sentinel_for

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_API_KEY"),
    "openai": ("OPENAI_API_KEY", "CODEX_API_KEY"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"),
    "azure-openai": ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
    "openrouter": ("OPENROUTER_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "mistral": ("MISTRAL_API_KEY", "CODESTRAL_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "moonshot": ("MOONSHOT_API_KEY", "KIMI_API_KEY"),
    "zai": ("ZAI_API_KEY", "ZHIPU_API_KEY", "ZHIPUAI_API_KEY"),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    "vertex": ("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"),
    "github-copilot": ("GITHUB_COPILOT_TOKEN", "COPILOT_GITHUB_TOKEN"),
    "ollama": ("OLLAMA_API_KEY",),
}
"""Variables in which tools look for the key of a built-in provider; the first is the most usual."""

_BY_DIALECT = {
    "anthropic": "anthropic",
    "openai_chat": "openai",
    "openai_responses": "openai",
    "openai_completions": "openai",
    "openai_embeddings": "openai",
    "gemini": "gemini",
    "ollama": "ollama",
    "bedrock": "bedrock",
}
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_LEAST_SECRET = 8
_MAX_VALUE = 1 << 17


@dataclass(frozen=True)
class KeylessEnvironment:
    """What becomes of the child's environment."""

    set: Mapping[str, str]
    """Variables that get the sentinel."""
    removed: tuple[str, ...]
    """Variables that go, because they hold the real credential or another of this provider."""

    def over(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in environ.items() if name not in self.removed} | dict(self.set)


def keyless_environment(
    provider: str,
    environ: Mapping[str, str],
    holds_secret: Callable[[str], bool],
    *,
    dialects: Iterable[str] = (),
    source_variables: Iterable[str] = (),
) -> KeylessEnvironment:
    """The environment of a child that may use `provider` and know no key of it.

    A variable of the provider that is set gets the sentinel, so that the tool authenticates as it is used to; where
    none is, the most usual one of each dialect. `dialects` are those spoken by a provider that is not built in;
    `source_variables` are what `AuthSettings.variables` says. Raises CredentialsError for a name that cannot be one.
    """
    families = [provider] if provider in VARIABLES else []
    families += [_BY_DIALECT[dialect] for dialect in dialects if dialect in _BY_DIALECT]
    families = list(dict.fromkeys(families)) or ["openai", "anthropic"]
    chosen: dict[str, str] = {}
    known: set[str] = set()
    for family in families:
        names = VARIABLES[family]
        known.update(names)
        # One that signs has no use for a key; its variables only go.
        usable = names[:1] if family == "bedrock" else names
        for name in [name for name in usable if environ.get(name)] or usable[:1]:
            chosen[name] = sentinel_for(provider, family == "anthropic")
    gone = {*known, *source_variables}
    gone |= {name for name, value in environ.items() if holds_secret(value)}
    return KeylessEnvironment(chosen, tuple(sorted((gone & environ.keys()) - chosen.keys())))


@dataclass(frozen=True, repr=False)
class Fingerprint:
    """Enough to recognise a secret, and not enough to learn it: for who must find it and may not have it."""

    length: int
    """In bytes."""
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, secret: str, salt: bytes) -> Fingerprint:
        """`salt` is random, of 16 bytes or more."""
        raw = secret.encode("utf-8", "surrogateescape")
        return cls(len(raw), salt, _digest(raw, salt))

    def is_in(self, text: str) -> bool:
        """Whether `text` is or contains the secret: plain, percent-encoded, or in base64 by itself or with a user."""
        return any(self._slides_over(form) for form in _forms(text))

    def _slides_over(self, raw: bytes) -> bool:
        last = len(raw) - self.length
        return any(
            hmac.compare_digest(_digest(raw[at : at + self.length], self.salt), self.digest) for at in range(last + 1)
        )


def _digest(raw: bytes, salt: bytes) -> bytes:
    return hashlib.blake2b(raw, key=salt[:64], digest_size=32).digest()


def _forms(text: str) -> Iterable[bytes]:
    text = text[:_MAX_VALUE]
    yield text.encode("utf-8", "surrogateescape")
    if "%" in text or "+" in text:
        yield unquote_plus(text).encode("utf-8", "surrogateescape")
    for word in _ENCODED.findall(text):
        if (decoded := _decoded(word)) is not None:
            yield decoded


def _decoded(word: str) -> bytes | None:
    bare = word.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), b"-_" if set("-_") & set(bare) else None)
    except (binascii.Error, ValueError):
        return None


def holds(secret: str) -> Callable[[str], bool]:
    """As `Fingerprint.is_in`, for who knows the secret. One shorter than 8 characters is only found alone."""
    if len(secret) < _LEAST_SECRET:
        return lambda text: text == secret
    raw = secret.encode("utf-8", "surrogateescape")
    spellings = (secret, quote(secret, safe=""), quote_plus(secret))

    def is_in(text: str) -> bool:
        return any(spelling in text for spelling in spellings) or any(raw in form for form in _forms(text))

    return is_in
