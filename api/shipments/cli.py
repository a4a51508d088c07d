"""`flask orders ship`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from api.core.caller import Caller
from api.locations import service as locations
from api.orders import service as orders
from api.rest.console import as_json_option, dry_run_option, read, show, transaction, yes_option
from api.shipments import service
from api.shipments.schemas import ShipmentCreateSchema, ShipmentSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN_OF_A_SHIPMENT = ("number", "status", "carrier", "tracking_number", "shipped_at")
SHOWN_OF_A_LINE = ("line_no", "sku", "name", "quantity", "location_code")


@click.command("ship")
@click.argument("order", metavar="ORDER")
@click.argument("lines", nargs=-1, metavar="[SKU=QUANTITY...]")
@click.option("--from", "location", metavar="LOCATION", help="Only what lies there (its code).")
@click.option("--carrier", help="Who carries it.")
@click.option("--tracking-number", help="The carrier's number.")
@yes_option
@dry_run_option
@as_json_option
def ship(
    order: str,
    lines: Sequence[str],
    *,
    location: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **papers: str | None,
) -> None:
    """Ship everything of an order that lies ready, or the units named."""
    with transaction(is_rehearsal=dry_run) as session:
        place = {"location_id": locations.by_code(session, location).id} if location else {}
        body = read(ShipmentCreateSchema, lines, **place, **papers)
        order_id = orders.named(session, order)
        if not (yes or dry_run):
            click.confirm(f"Ship {'these units of ' if lines else ''}{order}?", abort=True, err=True)
        whole: dict[str, Any] = ShipmentSchema().dump(service.ship(session, order_id, **body, by=Caller.system()))
    if as_json:
        show([whole], title="", as_json=True)
        return
    would_be = "Would be " if dry_run else ""
    show([{name: whole[name] for name in SHOWN_OF_A_SHIPMENT}], title=f"{would_be}{whole['status']}", as_json=False)
    show([{name: line[name] for name in SHOWN_OF_A_LINE} for line in whole["lines"]], title="Lines", as_json=False)
