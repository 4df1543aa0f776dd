"""A request as a command or a program that sends it: `curl`, `httpie`, `python`. Pure; the result is bytes.

What is written holds no control character, whatever was captured: what is no plain text goes through `printf` or
base64. Bodies stand in here-documents, byte for byte.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Iterable

from ccinspect.cli.text import clean, clean_lines
from ccinspect.errors import CcinspectError
from ccinspect.replay.sendable import Sendable, Template, Variable, ascii_path, join

_WITH_BODY = ("POST", "PUT", "PATCH")
_PIECE = 100
# HTTPie cannot be told a backslash before one of these.
_HTTPIE_SPECIAL = ":;=@"


def curl(request: Sendable, body_file: str | None) -> str:
    """A command for a POSIX shell."""
    words = ["curl --silent --show-error --no-buffer --globoff --path-as-is"]
    if request.accepts_encodings:
        words.append("--compressed")
    words.append("--head" if request.method == "HEAD" else f"--request {shlex.quote(request.method)}")
    words.append(_shell(request.url))
    # curl adds these by itself; a header without a value takes them away.
    given = {name.lower() for name, _ in request.headers}
    words += [
        f"--header '{name}:'" for name in ("User-Agent", "Accept", "Content-Type", "Expect") if _absent(name, given)
    ]
    for name, value in request.headers:
        words.append(f"--header {_shell((f'{name}: ', *value) if value else (f'{name};',))}")
    if body_file is not None:
        words.append(f"--data-binary {shlex.quote(f'@{body_file}')}")
    elif request.body:
        words.append("--data-binary @-")
    elif request.method in _WITH_BODY:
        words.append("--data-binary ''")
    return _with_stdin(words, request.body if body_file is None else b"")


def _absent(name: str, given: set[str]) -> bool:
    return name.lower() not in given


def httpie(request: Sendable, body_file: str | None) -> str:
    """A command for a POSIX shell. Raises CcinspectError for a header that HTTPie cannot be told."""
    words = ["http --ignore-netrc --path-as-is --stream --body"]
    has_body = bool(request.body) or body_file is not None
    if not has_body:
        words.append("--ignore-stdin")
    words += [shlex.quote(request.method), _shell(request.url)]
    given = {name.lower() for name, _ in request.headers}
    words += [f"{name}:" for name in ("User-Agent", "Accept", "Content-Type") if _absent(name, given)]
    for name, value in request.headers:
        words.append(_shell(_httpie_header(name, value)))
    if body_file is not None:
        words.append(f"< {shlex.quote(body_file)}")
    return _with_stdin(words, request.body if body_file is None else b"")


def _httpie_header(name: str, value: Template) -> Template:
    texts = [part for part in value if isinstance(part, str)]
    if any("\\" + special in text for text in texts for special in _HTTPIE_SPECIAL):
        raise CcinspectError(
            f"HTTPie cannot send the header {clean(name)} as it was: it takes a backslash away", "use --as curl"
        )
    if not value:
        return (f"{name};",)
    first = value[0]
    if isinstance(first, str) and first[0] in "=@":
        # `Name:=` and `Name:@` would mean something else.
        return (f"{name}:\\{first}", *value[1:])
    return (f"{name}:", *value)


def _with_stdin(words: list[str], body: bytes) -> str:
    """The command with `body` as its input."""
    command = " \\\n  ".join(words) + "\n"
    if not body:
        return command
    text = _plain_text(body)
    if text is None:
        return f"base64 --decode <<'BODY' |\n{_wrapped(base64.b64encode(body).decode())}\nBODY\n{command}"
    mark, number = "BODY", 1
    while mark in text.split("\n"):
        number += 1
        mark = f"BODY{number}"
    # A here-document ends with a line end, whether the body does or not.
    end = "" if text.endswith("\n") else "\n"
    return f"head -c {len(body)} <<'{mark}' |\n{text}{end}{mark}\n{command}"


def _plain_text(body: bytes) -> str | None:
    """The body as text that a terminal and a shell take as it is."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if clean_lines(text) == text else None


def _wrapped(text: str) -> str:
    return "\n".join(text[at : at + 76] for at in range(0, len(text), 76))


def _shell(template: Iterable[str | Variable]) -> str:
    """One word of a shell; a variable that is not set ends the command with its name."""
    parts = join(tuple(template))
    return "".join(_variable(part.name) if isinstance(part, Variable) else _literal(part) for part in parts) or "''"


def _variable(name: str) -> str:
    return f'"${{{name}:?}}"'


def _literal(text: str) -> str:
    if clean(text) == text:
        return shlex.quote(text)
    octal = "".join(f"\\{byte:03o}" for byte in text.encode("utf-8", "surrogateescape"))
    return f"\"$(printf '{octal}')\""


def python(request: Sendable, body_file: str | None) -> str:
    """A program that needs nothing but Python."""
    made = "HTTPSConnection" if request.scheme == "https" else "HTTPConnection"
    imports = ["http.client", "sys"]
    if request.variables():
        imports.append("os")
    body = _python_body(request, body_file)
    if "base64." in body:
        imports.append("base64")
    lines = [
        *(f"import {name}" for name in sorted(imports)),
        "",
        *(["body = " + body] if body else []),
        f"connection = http.client.{made}({request.host!r}, {request.port})",
        f"connection.putrequest({request.method!r}, {_python(request.path, ascii_path)}, skip_accept_encoding=True)",
        *(f"connection.putheader({name!r}, {_python(value, str)})" for name, value in request.headers),
    ]
    if body or request.method in _WITH_BODY:
        lines.append(f'connection.putheader("Content-Length", {"str(len(body))" if body else repr("0")})')
    lines += [
        f"connection.endheaders({'body' if body else ''})",
        "answer = connection.getresponse()",
        "print(answer.status, answer.reason, file=sys.stderr)",
        "while piece := answer.read1(65536):",
        "    sys.stdout.buffer.write(piece)",
        "    sys.stdout.buffer.flush()",
        "connection.close()",
    ]
    return "\n".join(lines) + "\n"


def _python_body(request: Sendable, body_file: str | None) -> str:
    if body_file is not None:
        return f"open({body_file!r}, 'rb').read()"
    if not request.body:
        return ""
    text = _plain_text(request.body)
    if text is None:
        pieces = _wrapped(base64.b64encode(request.body).decode()).split("\n")
        return "base64.b64decode(\n" + "\n".join(f"    {piece!r}" for piece in pieces) + "\n)"
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return "(\n" + "\n".join(f"    {piece!r}" for piece in pieces) + "\n).encode()"


def _python(template: Template, spell: Callable[[str], str]) -> str:
    """An expression for the template: text, or bytes where it holds what Latin-1 cannot."""
    texts = [spell(part) for part in template if isinstance(part, str)]
    plain = all(text.isascii() for text in texts)
    parts = []
    for part in template:
        if isinstance(part, Variable):
            parts.append(f"os.environ[{part.name!r}]" + ("" if plain else ".encode()"))
        else:
            spelled = spell(part)
            parts.append(repr(spelled) if plain else repr(spelled.encode("utf-8", "surrogateescape")))
    return " + ".join(parts) or "''"


WRITERS: dict[str, Callable[[Sendable, str | None], str]] = {"curl": curl, "httpie": httpie, "python": python}
"""By the name that `--as` takes. The second argument names the file that holds the body, where it is not to be in the
text."""
