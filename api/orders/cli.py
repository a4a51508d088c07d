"""`flask orders`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from flask import current_app
from flask.cli import AppGroup

from api.core.caller import Caller
from api.orders import service
from api.orders.schemas import (
    STATUSES,
    OrderCancelSchema,
    OrderEventSchema,
    OrderQuerySchema,
    OrderSchema,
    OrderSummarySchema,
)
from api.rest.console import as_json_option, dry_run_option, parse, read, show, transaction, yes_option

if TYPE_CHECKING:
    from collections.abc import Sequence

orders = AppGroup("orders", help="Orders, by number (SO-001001) or id.")

SHOWN_OF_AN_ORDER = ("number", "status", "placed_at", "reference", "email", "line_count", "total", "balance_due")
SHOWN_OF_A_LINE = (
    "line_no",
    "sku",
    "name",
    "quantity",
    "cancelled_quantity",
    "shipped_quantity",
    "returned_quantity",
    "backordered_quantity",
    "unit_price",
    "amount",
)
SHOWN_OF_MONEY = ("subtotal", "discount_total", "tax_total", "total", "cancelled_total", "refund_total", "paid_total")
SHOWN_OF_AN_EVENT = ("occurred_at", "type", "actor_id", "data")

order_argument = click.argument("order", metavar="ORDER")


@orders.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option("--reference", help="Only those with this reference.")
@click.option("--email", help="Only those of this address.")
@click.option("--backordered", is_flag=True, help="Only those that wait for units.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@as_json_option
def list_orders(*, limit: int, backordered: bool, as_json: bool, **wanted: str | None) -> None:
    """List orders, newest first."""
    query = parse(OrderQuerySchema, **{name: value for name, value in wanted.items() if value is not None})
    facts = {name: query[name] for name in wanted if name in query} | ({"backordered": True} if backordered else {})
    with transaction() as session:
        rows, _ = service.listing(session, by=Caller.system(), **facts).page(session, limit=limit, after=None)
        found: list[dict[str, Any]] = OrderSummarySchema().dump(rows, many=True)
    show(found if as_json else [_of(one, SHOWN_OF_AN_ORDER) for one in found], title="Orders", as_json=as_json)


@orders.command("show")
@order_argument
@as_json_option
def show_order(order: str, *, as_json: bool) -> None:
    """Show an order with its lines and what is due."""
    with transaction() as session:
        _show(service.get(session, service.named(session, order), by=Caller.system()), as_json=as_json)


@orders.command("cancel")
@order_argument
@click.argument("lines", nargs=-1, metavar="[SKU=QUANTITY...]")
@click.option("--reason", help="Why.")
@yes_option
@dry_run_option
@as_json_option
def cancel(order: str, lines: Sequence[str], *, reason: str | None, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Cancel everything that has not shipped, or the units named."""
    with transaction(is_rehearsal=dry_run) as session:
        body = read(OrderCancelSchema, lines, reason=reason)
        order_id = service.named(session, order)
        if not (yes or dry_run):
            click.confirm(f"Cancel {'these units of ' if lines else ''}{order}?", abort=True, err=True)
        terms = {"currency": current_app.extensions["currency"], "by": Caller.system()}
        _show(service.cancel(session, order_id, **body, **terms), as_json=as_json, dry_run=dry_run)


@orders.command("timeline")
@order_argument
@as_json_option
def timeline(order: str, *, as_json: bool) -> None:
    """Show everything that happened to an order, oldest first."""
    with transaction() as session:
        listing = service.timeline(session, service.named(session, order), by=Caller.system())
        rows, _ = listing.page(session, limit=1000, after=None)
        found: list[dict[str, Any]] = OrderEventSchema().dump(rows, many=True)
    show(found if as_json else [_of(one, SHOWN_OF_AN_EVENT) for one in found], title="Timeline", as_json=as_json)


def _of(whole: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: whole[name] for name in names}


def _show(order: service.Order, *, as_json: bool, dry_run: bool = False) -> None:
    """Show an order with its lines and its money."""
    whole: dict[str, Any] = OrderSchema().dump(order)
    if as_json:
        show([whole], title="", as_json=True)
        return
    would_be = "Would be " if dry_run else ""
    show([_of(whole, SHOWN_OF_AN_ORDER)], title=f"{would_be}{whole['status']}", as_json=False)
    show([_of(line, SHOWN_OF_A_LINE) for line in whole["lines"]], title="Lines", as_json=False)
    show([_of(whole, SHOWN_OF_MONEY)], title=f"Money ({whole['currency']})", as_json=False)
