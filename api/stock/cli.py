"""`flask stock`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from api.rest.console import show, transaction
from api.stock import service

stock = AppGroup("stock", help="What lies where, and why.")

DIFFERENCES_FOUND = 1


@stock.command("audit")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(*, as_json: bool) -> None:
    """Compare ledger, balances, promises and orders; exit code 1 when anything differs."""
    with transaction() as session:
        differences = [dict(row._mapping) for row in service.audit(session)]  # noqa: SLF001  # SQLAlchemy's public accessor
    if as_json or differences:
        show(differences, title="Differences", as_json=as_json)
    else:
        click.echo("Ledger, balances, promises and orders agree.")
    if differences:
        raise SystemExit(DIFFERENCES_FOUND)
