"""Command lines without the credentials in them, fit to be kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "***"

_NAME = (
    r"[\w.-]*(?:api[_-]?key|apikey|access[_-]?key|token(?!s|iz)|secret|passw(?:or)?d|passphrase|credentials?)[\w.-]*"
)
_FLAG = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Headers: `x-api-key: ...`, `Authorization: Bearer ...`, also inside of a shell's string.
        r"(?P<keep>\b(?:x-api-key|x-goog-api-key|api-key)\s*:\s*)[^\s\"']+",
        r"(?P<keep>\b(?:(?:proxy-)?authorization|cookie)\s*:\s*(?:(?:bearer|basic|token)\s+)?)[^\"']+",
        r"(?P<keep>\bbearer\s+)[\w.~+/=-]{8,}",
        # `NAME=value`, `--flag=value`, and URL parameters.
        rf"(?P<keep>(?<![\w.-]){_NAME}[=:])(?:\"[^\"]*\"|'[^']*'|[^\s&\"';]+)",
        r"(?P<keep>[?&](?:key|sig|signature)=)[^&\s\"']+",
        # `https://user:password@host`
        r"(?P<keep>\w://[^\s/:@\"']*:)[^\s/@\"']+(?=@)",
        # Keys that are known by their looks: OpenAI and Anthropic, GitHub, Google, Slack, GitLab, AWS.
        r"(?P<keep>\b(?:sk|rk|pk)-)[\w-]{12,}",
        r"(?P<keep>\bgh[opsur]_)\w{12,}",
        r"(?P<keep>\bgithub_pat_)\w{12,}",
        r"(?P<keep>\bAIza)[\w-]{20,}",
        r"(?P<keep>\bxox[abp]-)[\w-]{10,}",
        r"(?P<keep>\bglpat-)[\w-]{12,}",
        r"(?P<keep>\b(?:AKIA|ASIA))[A-Z0-9]{16}",
    )
]


def without_secrets(argv: Sequence[str]) -> list[str]:
    """The same arguments, with what looks like a credential replaced by `***`. Cut long arguments before."""
    shown = []
    after_flag = False
    for argument in argv:
        if after_flag and not argument.startswith("-"):
            shown.append(HIDDEN)
            after_flag = False
            continue
        after_flag = _FLAG.fullmatch(argument) is not None
        for pattern in _PATTERNS:
            argument = pattern.sub(lambda found: found["keep"] + HIDDEN, argument)
        shown.append(argument)
    return shown
