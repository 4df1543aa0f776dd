"""What keys and tokens of well-known services look like: detect-secrets' patterns, and those that it does not have.

Left out of detect-secrets are what goes by an assignment's name or by entropy (in prompts nearly everything is one),
and the patterns that take quadratic time on text made for it; those are written anew below.

Importing detect-secrets takes 0.3 s: it is imported only once somebody wants it.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import regex

Edges = Literal["word", "start", "free"]

_ALNUM = frozenset(string.ascii_letters + string.digits)
_TOKEN = _ALNUM | {"_", "-"}
# Where a word begins although a letter stands before it: after an escape that nobody has undone (JSON within JSON, a
# URL's `%3D`) and after a colour of a terminal.
_ESCAPE = (
    r"\\[nrtbfv]|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}"
    r"|(?:\x1b|\\u001[bB]|\\x1[bB]|\\033|\\e)\[[0-9;]{0,12}m"
)
_AFTER_ESCAPE = regex.compile(rf"(?:{_ESCAPE})\Z")
_LONGEST_ESCAPE = 24
# For patterns that would else be tried at each of many beginnings within one word.
_WORD = rf"(?:(?<![A-Za-z0-9_-])|(?<={_ESCAPE}))"


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    pattern: regex.Pattern[str]
    group: int = 0
    """Which group of the pattern is the secret itself."""
    edges: Edges = "start"
    """`word`: a whole word, for shapes that could be a part of base64; `start`: the beginning of one, up to its end;
    `free`: anywhere, up to the end of the word."""
    valid: Callable[[str], bool] | None = None

    def span(self, match: regex.Match[str], text: str, end_of_piece: int) -> tuple[int, int] | None:
        """The secret in a match: (start, end) in the text; None when it is none after all."""
        start, end = match.span(self.group)
        if self.edges != "free" and start and text[start - 1] in _ALNUM and not _after_escape(text, start):
            return None
        if self.edges == "word":
            if end < end_of_piece and text[end] in _ALNUM:
                return None
        elif not self.group:
            while end < end_of_piece and text[end] in _TOKEN:
                end += 1
        return (start, end) if self.valid is None or self.valid(text[start:end]) else None


def _after_escape(text: str, start: int) -> bool:
    return _AFTER_ESCAPE.search(text, max(0, start - _LONGEST_ESCAPE), start) is not None


# An alternative at the beginning of a pattern costs 10 ms for each MB: rather two patterns.
_OURS: tuple[tuple[str, str, int, Edges], ...] = (
    (
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]|-(?!----)){0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"|[A-Za-z0-9+/=\s\\]{0,20000})",
        0,
        "free",
    ),
    (
        "AWS secret key",
        rf"(?:(?<![A-Za-z])|(?<={_ESCAPE}))"
        r"(?i:aws[a-z0-9_ .-]{0,20}(?:key|secret|token|password|pwd|pass))[\"'\\]{0,4}\s{0,4}(?::=|=>|=|:)\s{0,4}"
        r"[\"'\\]{0,4}([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        1,
        "free",
    ),
    ("Anthropic key", r"sk-ant-(?!oat-ccinspect-)[A-Za-z0-9_-]{16,}", 0, "free"),
    ("OpenAI key", r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{16,}", 0, "free"),
    ("OpenAI key", r"sk-[A-Za-z0-9_-]{0,200}?T3BlbkFJ[A-Za-z0-9_-]{16,}", 0, "start"),
    ("OpenRouter key", r"sk-or-(?:v1-)?[A-Za-z0-9]{32,}", 0, "free"),
    ("API key", rf"{_WORD}sk-[A-Za-z0-9]{{32,}}", 0, "start"),
    ("Google API key", r"AIza[A-Za-z0-9_-]{35}", 0, "word"),
    ("Google OAuth token", r"ya29\.[A-Za-z0-9_-]{30,}", 0, "start"),
    ("Google OAuth secret", r"GOCSPX-[A-Za-z0-9_-]{28}", 0, "start"),
    ("Hugging Face token", r"hf_[A-Za-z0-9]{30,}", 0, "start"),
    ("Groq key", r"gsk_[A-Za-z0-9]{40,}", 0, "start"),
    ("xAI key", r"xai-[A-Za-z0-9]{60,}", 0, "start"),
    ("Perplexity key", r"pplx-[A-Za-z0-9]{40,}", 0, "start"),
    ("Replicate token", r"r8_[A-Za-z0-9]{37,}", 0, "start"),
    ("Cerebras key", r"csk-[a-z0-9]{40,}", 0, "start"),
    ("NVIDIA key", r"nvapi-[A-Za-z0-9_-]{50,}", 0, "start"),
    ("GitHub token", r"github_pat_[A-Za-z0-9_]{40,}", 0, "free"),
    ("npm token", r"npm_[A-Za-z0-9]{36,}", 0, "start"),
    ("npm token", r":_authToken=\s{0,4}([A-Za-z0-9_=+/-]{20,})", 1, "free"),
    ("Slack token", r"xapp-\d-[A-Z0-9]{5,20}-\d{5,20}-[a-z0-9]{20,}", 0, "start"),
    ("Slack token", r"xoxe\.?-?(?:xox[bp]-)?\d-[A-Za-z0-9-]{40,}", 0, "start"),
    ("Stripe key", r"whsec_[A-Za-z0-9+/=]{24,}", 0, "start"),
    ("Stripe key", r"[rs]k_test_[A-Za-z0-9]{24,}", 0, "start"),
    ("DigitalOcean token", r"do[opr]_v1_[a-f0-9]{64}", 0, "start"),
    ("Databricks token", r"dapi[a-f0-9]{32}(?:-\d)?", 0, "word"),
    ("Linear key", r"lin_(?:api|oauth)_[A-Za-z0-9]{40,}", 0, "start"),
    ("Notion token", r"ntn_[A-Za-z0-9]{40,}", 0, "start"),
    ("Notion token", r"secret_[A-Za-z0-9]{43}", 0, "word"),
    ("Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}", 0, "start"),
    ("Doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,}", 0, "start"),
    ("Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", 0, "start"),
    ("Tailscale key", r"tskey-[a-z]{2,10}-[A-Za-z0-9]{5,30}-[A-Za-z0-9]{20,}", 0, "start"),
    ("Supabase token", r"sb(?:p_[a-f0-9]{40}|_secret_[A-Za-z0-9_-]{30,})", 0, "start"),
    ("Docker token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}", 0, "start"),
    ("Fly token", r"FlyV1 fm[12][a-z]?_[A-Za-z0-9+/=,_-]{60,}", 0, "start"),
    ("age key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", 0, "start"),
)  # fmt: skip

# Class of detect-secrets, our name, which group is the secret, edges. Its OpenAI, npm and private key patterns are ours
# instead: the first two take quadratic time, the last finds only the first line of a key.
_THEIRS: tuple[tuple[str, str, str, int, Edges], ...] = (
    ("aws", "AWSKeyDetector", "AWS key", 0, "word"),
    ("azure_storage_key", "AzureStorageKeyDetector", "Azure storage key", 0, "free"),
    ("basic_auth", "BasicAuthDetector", "password in a URL", 1, "free"),
    ("discord", "DiscordBotTokenDetector", "Discord token", 0, "word"),
    ("github_token", "GitHubTokenDetector", "GitHub token", 0, "start"),
    ("gitlab_token", "GitLabTokenDetector", "GitLab token", 0, "start"),
    ("mailchimp", "MailchimpDetector", "Mailchimp key", 0, "word"),
    ("pypi_token", "PypiTokenDetector", "PyPI token", 0, "free"),
    ("sendgrid", "SendGridDetector", "SendGrid key", 0, "start"),
    ("slack", "SlackDetector", "Slack token", 0, "start"),
    ("square_oauth", "SquareOAuthDetector", "Square secret", 0, "start"),
    ("stripe", "StripeDetector", "Stripe key", 0, "start"),
    ("telegram_token", "TelegramBotTokenDetector", "Telegram token", 0, "word"),
    ("twilio", "TwilioKeyDetector", "Twilio key", 0, "word"),
)
# Of these, the patterns with a group go by the name of what is assigned to; ours takes their place.
_BY_NAME = {"AWSKeyDetector"}


@cache
def known_shapes() -> tuple[Shape, ...]:
    """All shapes, compiled; the first call takes half a second."""
    import importlib

    from detect_secrets.plugins.jwt import JwtTokenDetector

    found = [Shape(name, regex.compile(pattern), group, edges) for name, pattern, group, edges in _OURS]
    # Only from a word's beginning, and with the signature, which detect-secrets leaves out.
    jwt = rf"{_WORD}eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}(?:\.[A-Za-z0-9_-]*)?"
    found.append(Shape("JSON Web Token", regex.compile(jwt), 0, "start", JwtTokenDetector.is_formally_valid))
    for module, plugin, name, group, edges in _THEIRS:
        for pattern in getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), plugin).denylist:
            if plugin not in _BY_NAME or not pattern.groups:
                found.append(Shape(name, regex.compile(pattern.pattern, pattern.flags), group, edges))
    return tuple(found)
