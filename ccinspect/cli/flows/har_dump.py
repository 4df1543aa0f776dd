"""`flows dump`: the HAR archive to stdout or a file, with progress on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import say
from ccinspect.cli.reading import default_filters, open_store
from ccinspect.errors import CcinspectError, FilterError
from ccinspect.store.har import write_har
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection

_TELL_EVERY = 0.2


def dump(instance: Instance, chosen: Selection, filters: Sequence[str], output: Path | None) -> None:
    """Write the chosen flows as HAR 1.2 to `output`, or to stdout."""
    all_filters = [*default_filters(instance), *filters]
    with open_store(instance) as store, _opened(output) as out:
        records = _filtered(store, chosen, all_filters) if all_filters else store.iter_records(chosen)
        summary = write_har(out, _told(records), store)
        out.flush()
    where = f" to {output}" if output is not None else ""
    left_out = (
        f"; {text.count(summary.left_out, 'other')} left out, for HAR knows HTTP only" if summary.left_out else ""
    )
    say(f"ccinspect: {text.count(summary.pages, 'flow')} written{where}{left_out}")


def _filtered(store: StoreReader, chosen: Selection, filters: Sequence[str]) -> Iterable[dict[str, Any]]:
    from ccinspect.store.jqfilter import apply

    found = apply(filters, store.select_text(chosen))
    if not all(isinstance(value, dict) and {"id", "type"} <= value.keys() for value in found):
        raise FilterError(
            "the jq filters do not yield flows, so there is nothing to export",
            "use filters that choose flows, as `map(select(...))`, `sort_by(...)` or `.[-1:]`",
        )
    return found


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """stdout, or a file that appears under its name only when it is whole."""
    if output is None or str(output) == "-":
        yield sys.stdout.buffer
        return
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(output, error) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        unfinished.replace(output)
    except OSError as error:
        raise _unwritable(output, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _unwritable(output: Path, error: OSError) -> CcinspectError:
    return CcinspectError(
        f"{output} cannot be written: {error.strerror}; nothing of it is left", "make room, or name another with -o"
    )


def _told(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Say on a terminal how far it is."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from records
        return
    said_at = time.monotonic()
    number = 0
    for number, record in enumerate(records, 1):
        yield record
        if time.monotonic() - said_at > _TELL_EVERY:
            said_at = time.monotonic()
            print(f"\r{text.count(number, 'flow')} ...", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
