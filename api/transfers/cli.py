"""`flask stock transfer` and `flask stock transfers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup

from api.core.caller import Caller
from api.locations import service as locations
from api.rest.console import (
    as_json_option,
    dry_run_option,
    lines_argument,
    occurred_at_option,
    read,
    reference_option,
    show,
    transaction,
    yes_option,
)
from api.transfers import service
from api.transfers.schemas import (
    LOSSES,
    STATUSES,
    TransferCreateSchema,
    TransferReceiveSchema,
    TransferSchema,
    TransferSummarySchema,
    TransferWriteOffSchema,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from api.transfers.models import Transfer

transfers = AppGroup("transfers", help="Stock on its way from one location to another.")

SHOWN_OF_A_TRANSFER = (
    "id",
    "status",
    "from_location_code",
    "to_location_code",
    "reference",
    "sent_at",
    "completed_at",
)
SHOWN_OF_A_LINE = (
    "line_no",
    "sku",
    "name",
    "quantity",
    "received_quantity",
    "returned_quantity",
    "lost_quantity",
    "outstanding_quantity",
)

transfer_argument = click.argument("transfer_id", metavar="TRANSFER", type=click.UUID)
chosen_lines_argument = click.argument("lines", nargs=-1, metavar="[SKU=QUANTITY...]")


@click.command("transfer")
@click.argument("from_location", metavar="FROM")
@click.argument("to_location", metavar="TO")
@lines_argument("SKU=QUANTITY")
@click.option("--in-transit", is_flag=True, help="Leave the units on the road until they are received.")
@reference_option
@occurred_at_option
@yes_option
@dry_run_option
@as_json_option
def transfer(
    from_location: str,
    to_location: str,
    lines: Sequence[str],
    *,
    in_transit: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **papers: str | None,
) -> None:
    """Move stock FROM one location TO another (codes), as in `flask stock transfer MAIN SHOP 22423=24`."""
    with transaction(is_rehearsal=dry_run) as session:
        places = {
            "from_location_id": locations.by_code(session, from_location).id,
            "to_location_id": locations.by_code(session, to_location).id,
        }
        body = read(TransferCreateSchema, lines, **places, **papers) | {"in_transit": in_transit}
        units = sum(line["quantity"] for line in body["lines"])
        _ask(f"Move {units} units from {from_location} to {to_location}?", is_needed=not (yes or dry_run))
        _show(service.send(session, **body, by=Caller.system()), as_json=as_json, dry_run=dry_run)


@transfers.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@as_json_option
def list_transfers(*, status: str | None, limit: int, as_json: bool) -> None:
    """List transfers, newest first."""
    wanted: dict[str, Any] = {"status": status} if status else {}
    with transaction() as session:
        listing = service.listing(session, **wanted)
        rows, _ = listing.page(session, limit=limit, after=None)
        found: list[dict[str, Any]] = TransferSummarySchema().dump(rows, many=True)
    shown = found if as_json else [{name: one[name] for name in SHOWN_OF_A_TRANSFER} for one in found]
    show(shown, title="Transfers", as_json=as_json)


@transfers.command("show")
@transfer_argument
@as_json_option
def show_transfer(transfer_id: UUID, *, as_json: bool) -> None:
    """Show what has become of a transfer's units."""
    with transaction() as session:
        _show(service.get(session, transfer_id), as_json=as_json)


@transfers.command("receive")
@transfer_argument
@chosen_lines_argument
@dry_run_option
@as_json_option
def receive(transfer_id: UUID, lines: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    """Take in what has arrived: everything outstanding, or the units named."""
    with transaction(is_rehearsal=dry_run) as session:
        body = read(TransferReceiveSchema, lines)
        _show(service.receive(session, transfer_id, **body, by=Caller.system()), as_json=as_json, dry_run=dry_run)


@transfers.command("cancel")
@transfer_argument
@click.option("--reason", help="Why.")
@dry_run_option
@as_json_option
def cancel(transfer_id: UUID, *, reason: str | None, dry_run: bool, as_json: bool) -> None:
    """Call back what is outstanding."""
    with transaction(is_rehearsal=dry_run) as session:
        cancelled = service.cancel(session, transfer_id, reason=reason, by=Caller.system())
        _show(cancelled, as_json=as_json, dry_run=dry_run)


@transfers.command("write-off")
@transfer_argument
@chosen_lines_argument
@click.option("--reason", required=True, type=click.Choice(LOSSES), help="Why.")
@yes_option
@dry_run_option
@as_json_option
def write_off(transfer_id: UUID, lines: Sequence[str], *, reason: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Give up units that will not arrive: everything outstanding, or the units named."""
    with transaction(is_rehearsal=dry_run) as session:
        body = read(TransferWriteOffSchema, lines, reason=reason)
        what = f"{sum(line['quantity'] for line in body['lines'])} units" if lines else "everything in transit"
        _ask(f"Write off {what} as {reason}?", is_needed=not (yes or dry_run))
        _show(service.write_off(session, transfer_id, **body, by=Caller.system()), as_json=as_json, dry_run=dry_run)


def _ask(question: str, *, is_needed: bool) -> None:
    if is_needed:
        click.confirm(question, abort=True, err=True)


def _show(transfer: Transfer, *, as_json: bool, dry_run: bool = False) -> None:
    """Show a transfer with its lines."""
    whole: dict[str, Any] = TransferSchema().dump(transfer)
    if as_json:
        show([whole], title="", as_json=True)
        return
    would_be = "Would be " if dry_run else ""
    show([{name: whole[name] for name in SHOWN_OF_A_TRANSFER}], title=f"{would_be}{whole['status']}", as_json=False)
    show([{name: line[name] for name in SHOWN_OF_A_LINE} for line in whole["lines"]], title="Lines", as_json=False)
