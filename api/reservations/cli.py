"""`flask reservations`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup

from api.core.caller import Caller
from api.reservations import service
from api.reservations.schemas import STATUSES, ReservationSchema, ReservationSummarySchema
from api.rest.console import as_json_option, dry_run_option, show, transaction

if TYPE_CHECKING:
    from uuid import UUID

    from api.reservations.models import Reservation

reservations = AppGroup("reservations", help="Holds on stock for a while.")

SHOWN_OF_A_RESERVATION = ("id", "status", "customer_id", "reference", "expires_at", "ended_at", "order_id")
SHOWN_OF_A_LINE = ("line_no", "sku", "name", "quantity")

reservation_argument = click.argument("reservation_id", metavar="RESERVATION", type=click.UUID)


@reservations.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only those, by the clock.")
@click.option("--reference", help="Only those that belong to this.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@as_json_option
def list_reservations(*, limit: int, as_json: bool, **wanted: str | None) -> None:
    """List reservations, newest first."""
    facts: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    with transaction() as session:
        listing = service.listing(session, **facts, by=Caller.system())
        rows, _ = listing.page(session, limit=limit, after=None)
        found: list[dict[str, Any]] = ReservationSummarySchema().dump(rows, many=True)
    shown = found if as_json else [{name: one[name] for name in SHOWN_OF_A_RESERVATION} for one in found]
    show(shown, title="Reservations", as_json=as_json)


@reservations.command("show")
@reservation_argument
@as_json_option
def show_reservation(reservation_id: UUID, *, as_json: bool) -> None:
    """Show what a reservation keeps, and until when."""
    with transaction() as session:
        _show(service.get(session, reservation_id, by=Caller.system()), as_json=as_json)


@reservations.command("release")
@reservation_argument
@dry_run_option
@as_json_option
def release(reservation_id: UUID, *, dry_run: bool, as_json: bool) -> None:
    """Give back what a reservation keeps."""
    with transaction(is_rehearsal=dry_run) as session:
        _show(service.release(session, reservation_id, by=Caller.system()), as_json=as_json, dry_run=dry_run)


def _show(reservation: Reservation, *, as_json: bool, dry_run: bool = False) -> None:
    """Show a reservation with its lines."""
    whole: dict[str, Any] = ReservationSchema().dump(reservation)
    if as_json:
        show([whole], title="", as_json=True)
        return
    would_be = "Would be " if dry_run else ""
    show([{name: whole[name] for name in SHOWN_OF_A_RESERVATION}], title=f"{would_be}{whole['status']}", as_json=False)
    show([{name: line[name] for name in SHOWN_OF_A_LINE} for line in whole["lines"]], title="Lines", as_json=False)
