"""The variables by which clients look for their provider. Light to import: `run` pays for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BaseUrl:
    """One variable: the key in the path prefix of a run, and the URL its users mean when they do not set it."""

    variable: str
    key: str
    default: str


BASE_URLS = (
    BaseUrl("ANTHROPIC_BASE_URL", "anthropic", "https://api.anthropic.com"),
    BaseUrl("OPENAI_BASE_URL", "openai", "https://api.openai.com/v1"),
    BaseUrl("OPENAI_API_BASE", "openai-api", "https://api.openai.com/v1"),
    BaseUrl("GOOGLE_GEMINI_BASE_URL", "gemini", "https://generativelanguage.googleapis.com"),
    BaseUrl("OLLAMA_HOST", "ollama", "http://127.0.0.1:11434"),
)
BASE_URL_VARIABLES = tuple(base.variable for base in BASE_URLS)
