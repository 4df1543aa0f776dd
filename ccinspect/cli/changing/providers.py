"""`providers list`."""

from __future__ import annotations

from dataclasses import asdict

from ccinspect.cli.instance import Instance
from ccinspect.cli.output import CYAN, GREEN, write_json, write_table
from ccinspect.cli.table import Cell, Column
from ccinspect.identity.providers import ProviderInfo, Providers

COLUMNS = (
    Column("Provider"),
    Column("Title", least=8, sacrifice=3),
    Column("Source", sacrifice=1),
    Column("Read as", least=12, sacrifice=2),
    Column("Hosts", least=20),
)


def list_providers(instance: Instance, as_json: bool) -> None:
    """Print the table of providers. Raises ConfigError."""
    rows = Providers(instance.config().identities).listing()
    if as_json:
        write_json([asdict(row) for row in rows])
    else:
        write_table(COLUMNS, [_row(row) for row in rows])


def _row(info: ProviderInfo) -> list[str | Cell]:
    source = Cell(info.source, "" if info.source == "built in" else GREEN)
    return [Cell(info.name, CYAN), info.title, source, ", ".join(info.dialects), ", ".join(info.hosts)]
