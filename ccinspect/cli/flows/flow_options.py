"""The options by which the `flows` commands choose flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ccinspect.store.selection import Selection

Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only flows that began since: an age (1h, 7d), `today`, `yesterday`, ISO 8601."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only flows that began before.")]
Run = Annotated[str | None, typer.Option(metavar="RUN", help="Only flows of a run: its id, its name, or `last`.")]
Host = Annotated[
    str | None, typer.Option(metavar="HOST", help="Only this host and its subdomains, or a pattern with `*`.")
]
Path = Annotated[str | None, typer.Option(metavar="PATH", help="Only paths that begin so, or fit a pattern with `*`.")]
Status = Annotated[
    str | None,
    typer.Option(metavar="STATUS", help="Only these status codes: 200, '>=400', 4xx, 500-599; a list with commas."),
]
Method = Annotated[str | None, typer.Option(metavar="METHOD", help="Only this HTTP method.")]
Type = Annotated[str | None, typer.Option(metavar="TYPE", help="Only http, dns, tcp, udp or tls.")]
Errors = Annotated[bool, typer.Option("--errors", help="Only flows that failed: an error, or a status of 400 or more.")]
Changed = Annotated[
    bool, typer.Option("--changed", help="Only flows that were changed on their way: see `flows compare`.")
]
Device = Annotated[
    str | None,
    typer.Option(metavar="DEVICE", help="Of these, only flows from this other machine: its name or address."),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="Only the newest N.")]
Jq = Annotated[
    list[str] | None,
    typer.Option(
        "--jq",
        metavar="FILTER",
        help="A jq filter from array to array, as 'map(select(.sizes.request > 1e5))'; may be repeated.",
    ),
]
FlowId = Annotated[str, typer.Argument(metavar="ID", help="The flow's id, or the beginning of it.", show_default=False)]
FlowIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of flows, or their beginnings.", show_default=False)
]
Full = Annotated[bool, typer.Option("--full", help="Do not cut long values and long lists.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def selection(
    *,
    since: str | None = None,
    until: str | None = None,
    run: str | None = None,
    host: str | None = None,
    path: str | None = None,
    status: str | None = None,
    method: str | None = None,
    type: str | None = None,
    errors: bool = False,
    changed: bool = False,
    limit: int | None = None,
) -> Selection:
    """What the options mean. Raises BadSelection."""
    from ccinspect.store.selection import Selection, parse_status, parse_time, parse_type

    if status is not None:
        parse_status(status)
    return Selection(
        since=parse_time(since) if since is not None else None,
        until=parse_time(until) if until is not None else None,
        run=run,
        host=host,
        path=path,
        status=status,
        method=method,
        type=parse_type(type) if type is not None else None,
        errors=errors,
        changed=changed,
        limit=limit,
    )
