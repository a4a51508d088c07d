"""`flask stock`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson
from flask.cli import AppGroup

from api.core.caller import Caller
from api.items import service as items
from api.locations import service as locations
from api.rest.console import (
    as_json_option,
    dry_run_option,
    lines_argument,
    occurred_at_option,
    parse,
    read,
    reference_option,
    show,
    transaction,
    yes_option,
)
from api.stock import service
from api.stock.remedies import remedy
from api.stock.schemas import REASONS, AdjustmentSchema, AsOfSchema, LevelSchema, MovementSchema, ReceiptSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

stock = AppGroup("stock", help="What lies where, and why.")

DIFFERENCES_FOUND = 1
SHOWN_OF_A_LEVEL = (
    "location_code",
    "location_kind",
    "on_hand",
    "reserved",
    "available",
    "reorder_point",
    "value",
    "average_cost",
)
SHOWN_OF_A_MOVEMENT = (
    "item_id",
    "kind",
    "quantity",
    "on_hand",
    "reserved",
    "value",
    "reason",
    "reference",
    "occurred_at",
)


@stock.command("receive")
@click.argument("location")
@lines_argument("SKU=QUANTITY[@UNIT_COST]")
@reference_option
@occurred_at_option
@dry_run_option
@as_json_option
def receive(location: str, lines: Sequence[str], *, dry_run: bool, as_json: bool, **facts: str | None) -> None:
    """Take stock in at LOCATION (a code), as in `flask stock receive MAIN 22423=24@5.10`."""
    with transaction(is_rehearsal=dry_run) as session:
        body = read(ReceiptSchema, lines, location_id=locations.by_code(session, location).id, **facts)
        posting = service.receive(session, **body, by=Caller.system())
    show_posting(posting, as_json=as_json, dry_run=dry_run)


@stock.command("adjust")
@click.argument("location")
@lines_argument("SKU=±QUANTITY")
@click.option("--reason", required=True, type=click.Choice(REASONS), help="Why.")
@reference_option
@occurred_at_option
@yes_option
@dry_run_option
@as_json_option
def adjust(
    location: str, lines: Sequence[str], *, yes: bool, dry_run: bool, as_json: bool, **facts: str | None
) -> None:
    """Correct what lies at LOCATION (a code), as in `flask stock adjust MAIN 22423=-2 --reason damaged`."""
    with transaction(is_rehearsal=dry_run) as session:
        body = read(AdjustmentSchema, lines, location_id=locations.by_code(session, location).id, **facts)
        gone = -sum(min(line["quantity"], 0) for line in body["lines"])
        if gone and not (yes or dry_run):
            click.confirm(f"Take {gone} units away at {location}?", abort=True, err=True)
        posting = service.adjust(session, **body, by=Caller.system())
    show_posting(posting, as_json=as_json, dry_run=dry_run)


@stock.command("show")
@click.argument("sku")
@click.option("--as-of", help="How it was at this moment, as in 2026-05-17T09:30:00Z.")
@as_json_option
def show_levels(sku: str, as_of: str | None, *, as_json: bool) -> None:
    """Show where an item lies, how much of it is promised and what it is worth."""
    options = parse(AsOfSchema, **({"as_of": as_of} if as_of else {}))
    with transaction() as session:
        listing = service.levels(session, item_id=items.by_sku(session, sku).id, **options)
        rows, _ = listing.page(session, limit=1000, after=None)
        levels: list[dict[str, Any]] = LevelSchema().dump(rows, many=True)
    shown = levels if as_json else [{name: level.get(name) for name in SHOWN_OF_A_LEVEL} for level in levels]
    show(shown, title=sku, as_json=as_json)


@stock.command("audit")
@click.option(
    "--fix-report", type=click.Path(path_type=Path, dir_okay=False), help="Write what would set it right here."
)
@as_json_option
def audit(*, fix_report: Path | None, as_json: bool) -> None:
    """Compare ledger, balances, values, promises, orders and transfers; exit code 1 when anything differs."""
    with transaction() as session:
        differences = [dict(row._mapping) for row in service.verify(session, patiently=True).differences]  # noqa: SLF001  # SQLAlchemy's public accessor
    if as_json or differences:
        show(differences, title="Differences", as_json=as_json)
    else:
        click.echo("Ledger, balances, values, promises, orders and transfers agree.")
    if fix_report:
        report = [one | {"remedy": remedy(one)} for one in differences]
        fix_report.write_bytes(orjson.dumps(report, default=str, option=orjson.OPT_INDENT_2))
        click.echo(f"What would set it right is in {fix_report}; nothing was changed.", err=True)
    if differences:
        raise SystemExit(DIFFERENCES_FOUND)


def show_posting(posting: service.Posting, *, as_json: bool, dry_run: bool) -> None:
    """Show what was, or would have been, written to the ledger."""
    movements: list[dict[str, Any]] = MovementSchema().dump(posting.movements, many=True)
    shown = movements if as_json else [{name: one.get(name) for name in SHOWN_OF_A_MOVEMENT} for one in movements]
    show(shown, title="Would be written" if dry_run else "Written", as_json=as_json)
