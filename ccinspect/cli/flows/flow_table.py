"""One line per flow: what a person wants to see of HTTP, DNS, TCP, UDP and undecrypted connections alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ccinspect.cli import text
from ccinspect.cli.output import CYAN, DIM, GREEN, RED, YELLOW
from ccinspect.cli.table import Cell, Column
from ccinspect.cli.understanding import amounts
from ccinspect.store.record import header

if TYPE_CHECKING:
    from ccinspect.analysis.glance import Glance

SHORT_ID = 8

COLUMNS = (
    Column("ID"),
    Column("Method", sacrifice=2),
    Column("Code"),
    Column("Host", least=12),
    Column("Path", least=14, sacrifice=1),
    Column("Agent", least=6, sacrifice=6),
    Column("Type", sacrifice=5),
    Column("Size", align="right", sacrifice=4),
    Column("Time", sacrifice=3),
)

# With what was understood of model calls between agent and kind.
CALL_COLUMNS = (
    Column("ID"),
    Column("Method", sacrifice=6),
    Column("Code"),
    Column("Host", least=12),
    Column("Path", least=12, sacrifice=1),
    Column("Agent", least=6, sacrifice=7),
    Column("Model", least=10, sacrifice=3),
    Column("Tokens", align="right", sacrifice=4),
    Column("Type", sacrifice=9),
    Column("Size", align="right", sacrifice=8),
    Column("Time", sacrifice=5),
)
_BEFORE_CALL = 5

# A product of a User-Agent (RFC 9110, 10.1.5): `claude-cli/2.1`, but also `Anthropic/Python 1.2`.
_AGENT = re.compile(r"[^\s/()]+(?:/[^\s\d/][^\s/]*)?")


def flow_row(record: dict[str, Any]) -> list[str | Cell]:
    """The cells of COLUMNS for one flow record."""
    host, path = _where(record)
    return [
        Cell(str(record.get("id") or "")[:SHORT_ID], CYAN),
        _method(record),
        code_cell(record),
        host,
        path,
        agent(record),
        media(record),
        text.size(total_size(record)),
        Cell(text.moment((record.get("timing") or {}).get("started_at")), DIM),
    ]


def call_row(record: dict[str, Any], known: Glance | None) -> list[str | Cell]:
    """The cells of CALL_COLUMNS for one flow record and what is known of it."""
    plain = flow_row(record)
    who = known.agent if known is not None and known.agent else agent(record)
    basis = "estimated" if known is not None and known.estimated else amounts.PROVIDER
    tokens = "" if known is None or known.tokens is None else amounts.short(known.tokens, basis)
    model = "" if known is None else known.model or ""
    return [*plain[:_BEFORE_CALL], who, model, tokens, *plain[_BEFORE_CALL + 1 :]]


def with_devices(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]], devices: Sequence[str]
) -> tuple[list[Column], list[list[str | Cell]]]:
    """The table with a column more, which says from which machine each flow came; unchanged without `devices`."""
    if not devices:
        return list(columns), [list(row) for row in rows]
    wider: list[list[str | Cell]] = [[*row[:3], device, *row[3:]] for row, device in zip(rows, devices, strict=True)]
    return [*columns[:3], Column("Device", least=8, sacrifice=4), *columns[3:]], wider


def _method(record: dict[str, Any]) -> str:
    if record.get("type") == "http":
        return str((record.get("request") or {}).get("method") or "-")
    return str(record.get("type") or "-").upper()


def code_cell(record: dict[str, Any]) -> Cell:
    """Status code, or in a word why there is none."""
    if record.get("state") == "interrupted":
        return Cell("cut", YELLOW)
    response = record.get("response") or {}
    code = response.get("status_code", response.get("response_code"))
    if record.get("error"):
        # An answer that came and then broke keeps its code, in the colour of an error.
        return Cell(str(code) if code is not None else "error", RED)
    if code is None:
        return Cell("...", DIM) if record.get("state") == "started" else Cell("-")
    if isinstance(code, int):
        return Cell(str(code), GREEN if code < 300 else YELLOW if code < 400 else RED)
    return Cell(str(code), GREEN if code == "NOERROR" else RED)


def _where(record: dict[str, Any]) -> tuple[str, str]:
    request = record.get("request") or {}
    if record.get("type") == "http":
        host = str(request.get("pretty_host") or request.get("host") or "")
        return host + port_suffix(request), str(request.get("path") or "")
    if record.get("type") == "dns":
        question = request.get("question") or {}
        answers = (record.get("response") or {}).get("answers") or []
        found = ", ".join(str(answer.get("data")) for answer in answers)
        return str(question.get("name") or ""), f"{question.get('type') or ''} {found}".strip()
    return server_name(record), str(record.get("hint") or ("not decrypted" if record.get("opaque") else ""))


def port_suffix(request: dict[str, Any]) -> str:
    """`:PORT` where it is not the scheme's own."""
    port = request.get("port")
    usual = {"http": 80, "https": 443}.get(str(request.get("scheme")))
    return f":{port}" if port and port != usual else ""


def server_name(record: dict[str, Any]) -> str:
    """`name:port` of a connection's far end: the name that TLS asked for, else the address."""
    server = record.get("server_conn") or {}
    address = server.get("address") or server.get("peername") or []
    sni = server.get("sni") or (record.get("client_conn") or {}).get("sni")
    host = sni or (str(address[0]) if address else "")
    return f"{host}:{address[1]}" if len(address) > 1 and address[1] else str(host)


def is_flow(value: Any) -> bool:
    """Whether what a jq filter left is still a flow, and can be a row."""
    return isinstance(value, dict) and {"id", "type", "state"} <= value.keys()


def total_size(record: dict[str, Any]) -> int | None:
    """Body bytes of both directions; None while nothing is known."""
    sizes = record.get("sizes") or {}
    known = [value for value in (sizes.get("request"), sizes.get("response")) if value is not None]
    return sum(known) if known else None


def agent(record: dict[str, Any]) -> str:
    """Who asked, as far as its User-Agent tells."""
    value = header(record.get("client_request") or record.get("request"), "user-agent")
    found = _AGENT.match(value.strip()[:200])
    return found[0] if found else ""


def media(record: dict[str, Any]) -> str:
    """What kind of answer it was: `json`, `sse`, `html`, `ws`, ..."""
    response = record.get("response")
    if not response or record.get("type") != "http":
        return ""
    if response.get("status_code") == 101:
        return "ws"
    value = header(response, "content-type").split(";")[0].strip().lower()
    if value == "text/event-stream":
        return "sse"
    return value.rpartition("/")[2].rpartition("+")[2][:12]
