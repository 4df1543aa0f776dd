"""What a request says of the person, the machine or the account it comes from. Found, never changed.

When in doubt something is private: a shape that was refused costs a minute, one that was passed on cannot be had back.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote_plus

from ccinspect.shapes import envelope, fieldpath
from ccinspect.store import redaction, secret_names
from ccinspect.wire.model import Json, JsonObject, Path

MAX_FINDINGS = 200
"""That are told of one request; more change nothing."""

_SENTINEL = re.compile(r"sk-(?:ant-oat-)?ccinspect-", re.IGNORECASE)
_BEARER = re.compile(r"\b(?:bearer|basic)\s+(?=[A-Za-z0-9._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE)
_ASSIGNED = re.compile(r"\b([A-Za-z][A-Za-z0-9_.-]{1,60})[\"']?\s{0,4}[=:]\s{0,4}[\"']?([A-Za-z0-9._~+/-]{12,200})")
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY")
_USERINFO = re.compile(r"://[^/\s\"'<>@:]{1,100}:[^/\s\"'<>@]{1,200}@")
# The part before the @ is found backwards from it, bounded: else a long word would take quadratic time.
_EMAIL = re.compile(r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24})\b")
_LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}\Z")
_HOME = re.compile(
    r"(?:/home/|/Users/|/var/home/|/export/home/|[A-Za-z]:(?:\\{1,2}|/)(?:Users|Documents and Settings)(?:\\{1,2}|/)"
    r"|(?<![\w-])-(?:home|Users)-)(?P<who>[A-Za-z0-9._%+-]{1,64})"
    r"|(?<![\w./])(?P<root>/root)(?=/[\w.])"
)
# What an agent tells its model of the place and the moment it works in, one thing on a line.
_SURROUNDINGS = re.compile(
    r"(?im)^[^\w\n]{0,12}(?P<what>(?:primary |current |additional )?(?:working|workspace|project|home)[ -]?(?:directory"
    r"|root(?: folder)?|folder)|cwd|git ?status|git user|current branch|main branch|recent commits|os version"
    r"|host ?name|user ?name|today'?s date|current date|is (?:directory )?a git repo"
    r"|(?:the )?current working directory(?: is)?)"
    r"\b[^:\n]{0,40}:[ \t]{0,4}(?=[^\s])"
)
_UUID = re.compile(r"(?<![0-9A-Fa-f-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9A-Fa-f-])")
_RANDOM = re.compile(r"(?<![A-Za-z0-9_+/=-])[A-Za-z0-9_+/=-]{28,512}(?![A-Za-z0-9_+/=-])")

# Of documentation, and of those who cannot be written to.
_NOBODY = {
    "noreply",
    "no-reply",
    "donotreply",
    "do-not-reply",
    "git",
    "user",
    "username",
    "name",
    "you",
    "someone",
    "me",
}
_NOWHERE = re.compile(r"(?:.*\.)?(?:example(?:\.(?:com|org|net))?|test|invalid|localhost|local)\Z", re.IGNORECASE)
_PLACEHOLDERS = {
    "user",
    "username",
    "name",
    "you",
    "yourname",
    "your-name",
    "your_name",
    "me",
    "someone",
    "foo",
    "project",
}
# Logins and names of machines that prompts and definitions of tools hold anyway.
_COMMON_WORDS = {
    *("root", "user", "admin", "ubuntu", "debian", "fedora", "localhost", "vagrant", "runner", "build", "test", "code"),
    *(
        "agent",
        "claude",
        "codex",
        "gemini",
        "openai",
        "python",
        "node",
        "docker",
        "server",
        "desktop",
        "laptop",
        "home",
    ),
    *("work", "github", "gitlab", "jenkins", "coder", "developer", "default", "main", "local", "linux", "host"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One private thing: where it stands, what kind of thing it is, and enough of it to find it again."""

    kind: str
    """`credential`, `sentinel`, `prompt`, `e-mail address`, `home directory`, `surroundings`, `id`, `random text`,
    `identity`, `name` or `connection`."""
    where: str
    """A path into the body with `body` before it, `headers.NAME`, or `path`."""
    shown: str = ""
    """Never a whole credential."""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}{f' ({self.shown})' if self.shown else ''}"


def find(
    path: str, headers: dict[str, str], body: JsonObject, dialect: str, names: Collection[str] = ()
) -> list[Finding]:
    """All that is private in a request, at most MAX_FINDINGS.

    `names` are the words to be looked for besides: of the user, and of the machine.
    """
    own = _own_names(names)
    found: list[Finding] = []
    for finding in _all(path, headers, body, dialect, own):
        found.append(finding)
        if len(found) >= MAX_FINDINGS:
            break
    return found


def _all(
    path: str, headers: dict[str, str], body: JsonObject, dialect: str, own: re.Pattern[str] | None
) -> Iterator[Finding]:
    yield from (Finding(kind, "path", shown) for kind, shown in _in_query(path))
    yield from (Finding(kind, "path", shown) for kind, shown in in_text(unquote_plus(path), own))
    for name, value in headers.items():
        where = f"headers.{name}"
        kind = envelope.header_kind(name)
        if kind is not None:
            yield Finding("connection" if kind == "ours" else kind, where)
        elif name.lower() in envelope.MERGED_HEADERS:
            yield from (
                Finding("identity", where, beta) for beta in split_list(value) if envelope.IDENTITY_BETA.fullmatch(beta)
            )
        else:
            yield from (Finding(kind, where, shown) for kind, shown in in_text(value, own))
    for field in envelope.ENVELOPES[dialect].prompts:
        if body.get(field):
            yield Finding("prompt", f"body.{field}")
    yield from _in_body(body, dialect, own)


def _in_body(body: JsonObject, dialect: str, own: re.Pattern[str] | None) -> Iterator[Finding]:
    prompts = envelope.ENVELOPES[dialect].prompts
    said: set[Path] = set()
    for place, value in fieldpath.leaves(body):
        if place and place[0] in prompts:
            continue
        where = f"body{fieldpath.spell(place)}"
        for depth, step in enumerate(place):
            # A key is looked at once, however much lies below it.
            if isinstance(step, str) and len(step) > 5 and place[: depth + 1] not in said:
                said.add(place[: depth + 1])
                key = fieldpath.spell(place[:depth]) if depth else ""
                yield from (Finding(kind, f"body{key} (a key)", shown) for kind, shown in in_text(step, own))
        yield from (Finding(kind, where, shown) for kind, shown in _in_field(place, value, own))


def _in_field(place: Path, value: Json, own: re.Pattern[str] | None) -> Iterator[tuple[str, str]]:
    name = place[-1] if place and isinstance(place[-1], str) else ""
    if isinstance(value, str) and value:
        if name and secret_names.is_secret_parameter(name, long_value=False) and len(value) >= 8:
            yield "credential", ""
        elif name and envelope.is_id_field(name):
            yield "id", ""
        if name in ("text", "system", "content", "instructions") or place[:1] in (("system",), ("instructions",)):
            yield from (("identity", _short(match[0].strip())) for match in envelope.IDENTITY_TEXT.finditer(value))
        yield from in_text(value, own)
    elif isinstance(value, int) and not isinstance(value, bool) and name and envelope.is_id_field(name):
        yield "id", ""


def _in_query(path: str) -> Iterator[tuple[str, str]]:
    for pair in path.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if value and secret_names.is_secret_parameter(name, long_value=len(value) >= secret_names.LONG_VALUE):
            yield "credential", f"{name[:40]}=..."
        elif value and envelope.is_id_field(name):
            yield "id", f"{name[:40]}=..."


def in_text(text: str, own: re.Pattern[str] | None = None) -> Iterator[tuple[str, str]]:
    """(kind, how it is shown) of everything private in a text."""
    if len(text) < 4:
        return
    yield from _keys(text)
    if "@" in text:
        yield from _addresses(text)
    for match in _HOME.finditer(text):
        who = (match["who"] or "").rstrip(".").lower()
        if match["root"] or (who not in _PLACEHOLDERS and not who.startswith(("%", "-"))):
            yield "home directory", _short(match[0])
    for match in _SURROUNDINGS.finditer(text):
        yield "surroundings", match["what"]
    for match in _UUID.finditer(text):
        yield "id", f"{match[0][:4]}..."
    if own:
        yield from (("name", match[0]) for match in own.finditer(text))
    for match in _RANDOM.finditer(text):
        if _is_random(match[0]):
            yield "random text", f"{match[0][:4]}..."


def _keys(text: str) -> Iterator[tuple[str, str]]:
    if redaction.MARK in text:
        yield "credential", redaction.MARK
    if _SENTINEL.search(text):
        yield "sentinel", "sk-...ccinspect-..."
    for start, end in redaction.known_keys(text):
        if not _SENTINEL.match(text, start):
            yield "credential", f"{text[start : min(start + 4, end)]}..."
    if _PRIVATE_KEY.search(text):
        yield "credential", "a private key"
    if _USERINFO.search(text):
        yield "credential", "user and password in a URL"
    if _BEARER.search(text):
        yield "credential", "Bearer ..."
    for match in _ASSIGNED.finditer(text):
        # Prose says `token: something`; a value of letters and digits is no prose.
        if secret_names.is_secret_variable(match[1]) and _mixed(match[2]):
            yield "credential", f"{match[1]}=..."


def _addresses(text: str) -> Iterator[tuple[str, str]]:
    for match in _EMAIL.finditer(text):
        local = _LOCAL_PART.search(text, max(0, match.start() - 64), match.start())
        if local and local[0].lower() not in _NOBODY and not _NOWHERE.fullmatch(match[1]):
            yield "e-mail address", f"{local[0][0]}...@{match[1]}"


def _mixed(word: str) -> bool:
    return any(each.isdigit() for each in word) and any(each.isalpha() for each in word)


def _is_random(word: str) -> bool:
    """Whether a word was drawn and not written: letters and digits, nearly all different."""
    bare = re.sub(r"[^A-Za-z0-9]", "", word)
    digits = sum(each.isdigit() for each in bare)
    if len(bare) < 24 or digits < 3:
        return False
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", bare):
        return len(set(bare)) >= 8
    if digits > 0.9 * len(bare) or len(re.split(r"[_/+=-]", word)) > len(word) / 8:
        return False
    counts = Counter(bare)
    entropy = -sum(count / len(bare) * math.log2(count / len(bare)) for count in counts.values())
    changes = sum(_class(left) != _class(right) for left, right in pairwise(bare))
    return entropy > 3.7 and changes > len(bare) / 4


def _class(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.isupper() else 2


def _own_names(names: Collection[str]) -> re.Pattern[str] | None:
    """A pattern for the words that name this user or machine; None when all of them are too common to tell."""
    words = {name.strip() for name in names}
    telling = sorted(word for word in words if len(word) >= 4 and word.lower() not in _COMMON_WORDS)
    if not telling:
        return None
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, telling))})(?![A-Za-z0-9])", re.IGNORECASE)


def split_list(value: str) -> list[str]:
    """The entries of a header that is a list."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
