"""Every statement about orders."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, Uuid, column, func, select, table, text
from sqlalchemy.orm import selectinload, with_expression

from api.core import money
from api.core.bulk import COPIED_FROM, arrays, copy_in, unnest
from api.core.orm import Repository
from api.core.paging import Listing
from api.core.prepared import Prepared
from api.orders.models import CANCELLED, DELIVERED, SHIPPED, Order, OrderLine, number_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.orders.drafts import Placed

_ORDER_TYPES = {
    "id": "uuid",
    "customer_id": "uuid",
    "created_by": "uuid",
    "reservation_id": "uuid",
    "reference": "text",
    "note": "text",
    "metadata": "jsonb",
    "email": "text",
    "shipping_address": "jsonb",
    "billing_address": "jsonb",
    "currency": "text",
    "charges": "jsonb",
    "subtotal": "numeric",
    "discount_total": "numeric",
    "tax_total": "numeric",
    "total": "numeric",
    "line_count": "int2",
    "status": "text",
    "hold_reason": "text",
    "location_id": "uuid",
    "allocation_policy": "text",
    "allow_backorders": "bool",
    "placed_at": "timestamptz",
}
_LINE_TYPES = {
    "order_id": "uuid",
    "line_no": "int2",
    "item_id": "uuid",
    "sku": "text",
    "name": "text",
    "quantity": "int4",
    "unit_price": "numeric",
    "is_stocked": "bool",
    "promised_on": "date",
}

_LINE_FACTS = attrgetter(*[name for name in _LINE_TYPES if name != "order_id"])
_PLAIN_FACTS = {"metadata": "details"}
_WRITTEN = tuple(_PLAIN_FACTS.get(name, name) for name in _ORDER_TYPES)
_ORDER_FACTS = attrgetter(*_WRITTEN)
_IN_JSON = [number for number, kind in enumerate(_ORDER_TYPES.values()) if kind == "jsonb"]

_ORDER_COLUMNS = ", ".join(_ORDER_TYPES)


class Inserted(NamedTuple):
    """What the database makes up of an order."""

    id: UUID
    sequence_number: int
    placed_at: datetime
    created_at: datetime
    updated_at: datetime
    version: int
    held_at: datetime | None


_INSERT_TEXT = text(f"""
    WITH placed AS (
        INSERT INTO orders ({_ORDER_COLUMNS}, held_at)
        SELECT {_ORDER_COLUMNS.replace("placed_at", "coalesce(placed_at, now())")},
            CASE WHEN status = 'on_hold' THEN now() END
        FROM {unnest("o", _ORDER_TYPES)}
        RETURNING id, sequence_number, placed_at, created_at, updated_at, version, held_at
    ), line AS (
        INSERT INTO order_lines ({", ".join(_LINE_TYPES)})
        SELECT {", ".join(_LINE_TYPES)} FROM {unnest("l", _LINE_TYPES)}
    )
    SELECT * FROM placed
""")  # noqa: S608  # only names from the tables above are put into the text
_INSERT = Prepared(_INSERT_TEXT, Inserted._make)

_CANCELLED_TYPES = {"order_id": "uuid", "line_no": "int2", "quantity": "int4"}
_CANCEL_UNITS = text(f"""
    UPDATE order_lines AS l SET cancelled_quantity = l.cancelled_quantity + c.quantity
    FROM {unnest("c", _CANCELLED_TYPES)}
    WHERE l.order_id = c.order_id AND l.line_no = c.line_no
""")  # noqa: S608  # the same

_LEFT = text("""
    SELECT order_id, sum((quantity - cancelled_quantity) * unit_price) AS amount
    FROM order_lines WHERE order_id = ANY(:order_ids) GROUP BY order_id
""")
_LEFT_TYPES = {"order_id": "uuid", "amount": "numeric"}
_COUNT_CANCELLED = text(f"""
    UPDATE orders AS o SET cancelled_total = o.total - l.amount
    FROM {unnest("l", _LEFT_TYPES)} WHERE o.id = l.order_id
""")  # noqa: S608  # the same

_MOMENT_TYPES = {"order_id": "uuid", "moment": "timestamptz"}
_CANCEL_EMPTY = text(f"""
    UPDATE orders AS o SET status = 'cancelled', cancelled_at = c.moment, version = version + 1, updated_at = now()
    FROM {unnest("c", _MOMENT_TYPES)}
    WHERE o.id = c.order_id AND o.status = 'placed' AND NOT EXISTS (
        SELECT FROM order_lines AS l WHERE l.order_id = o.id AND l.cancelled_quantity < l.quantity
    )
""")  # noqa: S608  # the same


_BACKORDERS = table("stock_backorders", column("owner_id", Uuid), column("line_no"), column("quantity", Integer))
"""What this domain reads of another's table, in the statement that would otherwise take a second one."""

_BACKORDERED = (
    select(_BACKORDERS.c.quantity)
    .where(_BACKORDERS.c.owner_id == OrderLine.order_id, _BACKORDERS.c.line_no == OrderLine.line_no)
    .scalar_subquery()
)


_BEGINNINGS = {SHIPPED: "shipped_at", DELIVERED: "delivered_at", CANCELLED: "cancelled_at"}
"""Where it is kept when an order came to a status."""


class OrderRepository(Repository[Order]):
    """Orders by id, owner and time."""

    model = Order

    def with_lines(self, order_id: UUID, *, locked: bool = False) -> Order | None:
        """Find an order with its lines; locked, nobody else changes it until this transaction ends.

        The lines are read by a second statement: one that waited for somebody else sees what they have done.
        """
        query = select(Order).where(Order.id == order_id)
        lines = selectinload(Order.lines).options(
            with_expression(OrderLine.backordered_quantity, func.coalesce(_BACKORDERED, 0))
        )
        query = query.options(lines).execution_options(populate_existing=True)
        return self.one(query.with_for_update(of=Order) if locked else query)

    def touch(self, order: Order, *, begins: str | None = None) -> None:
        """Write an order and its lines as a new version, whatever of them has changed, and when a status begins."""
        order.updated_at = func.now()
        if begins in _BEGINNINGS:
            setattr(order, _BEGINNINGS[begins], func.now())
        self.session.flush()

    def listing(
        self,
        *,
        number: int | None = None,
        email: str | None = None,
        item_id: UUID | None = None,
        backordered: bool | None = None,
        placed_from: datetime | None = None,
        placed_before: datetime | None = None,
        **facts: object,
    ) -> Listing:
        """List orders, newest first; `facts` are columns and what they must be."""
        query = select(Order)
        for name, value in facts.items():
            query = query.where(getattr(Order, name) == value)
        if number is not None:
            query = query.where(Order.sequence_number == number)
        if email is not None:
            query = query.where(func.lower(Order.email) == email.lower())
        if item_id is not None:
            query = query.where(
                select(OrderLine).where(OrderLine.order_id == Order.id, OrderLine.item_id == item_id).exists()
            )
        if backordered is not None:
            waits = select(_BACKORDERS.c.line_no).where(_BACKORDERS.c.owner_id == Order.id).exists()
            query = query.where(waits if backordered else ~waits)
        if placed_from is not None:
            query = query.where(Order.placed_at >= placed_from)
        if placed_before is not None:
            query = query.where(Order.placed_at < placed_before)
        return Listing(query, keys=(Order.placed_at, Order.id), descending=True)

    def id_of(self, sequence_number: int) -> UUID | None:
        """Find the id of the order that has a number."""
        return self.session.scalar(select(Order.id).where(Order.sequence_number == sequence_number))


_NAMES_OF_LINES = text("""
    SELECT l.order_id, l.line_no, l.sku, l.name
    FROM unnest(CAST(:orders AS uuid[]), CAST(:lines AS int2[])) AS wanted (order_id, line_no)
    JOIN order_lines AS l USING (order_id, line_no)
""")


def addressees(session: Session, order_ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Read whom orders are for."""
    query = select(Order.id, Order.sequence_number, Order.customer_id, Order.email)
    return session.execute(query.where(Order.id.in_(order_ids))).all()


def names_of_lines(session: Session, lines: Collection[tuple[UUID, int]]) -> Sequence[AnyRow]:
    """Read SKU and name of lines."""
    wanted = {"orders": [order_id for order_id, _ in lines], "lines": [line_no for _, line_no in lines]}
    return session.execute(_NAMES_OF_LINES, wanted).all()


def insert(session: Session, orders: Sequence[Placed]) -> None:
    """Insert orders and their lines with one statement, and thousands of lines with COPY; fill in what is made up."""
    lines = [(order.id, *_LINE_FACTS(line)) for order in orders for line in order.lines]
    is_copied = len(lines) >= COPIED_FROM
    values = arrays("o", _ORDER_TYPES, map(_order_row, orders))
    values |= arrays("l", _LINE_TYPES, () if is_copied else lines)
    made_up = {row.id: row for row in _INSERT.rows(session, values)}
    if is_copied:
        copy_in(session, "order_lines", _LINE_TYPES, lines)
    for order in orders:
        row = made_up[order.id]
        order.number, order.version, order.placed_at = number_of(row.sequence_number), row.version, row.placed_at
        order.created_at, order.updated_at, order.held_at = row.created_at, row.updated_at, row.held_at


def _order_row(order: Placed) -> list[Any]:
    values = list(_ORDER_FACTS(order))
    for number in _IN_JSON:
        values[number] = None if values[number] is None else json.dumps(values[number])
    return values


def cancel_units(
    session: Session, units: Sequence[tuple[UUID, int, int]], moments: dict[UUID, datetime], *, places: int
) -> None:
    """Count units of lines as cancelled, and orders of which nothing is left; orders without charges."""
    session.execute(_CANCEL_UNITS, arrays("c", _CANCELLED_TYPES, units))
    left = session.execute(_LEFT, {"order_ids": list(moments)})
    rounded = [(row.order_id, money.total([row.amount], places=places)) for row in left]
    session.execute(_COUNT_CANCELLED, arrays("l", _LEFT_TYPES, rounded))
    session.execute(_CANCEL_EMPTY, arrays("c", _MOMENT_TYPES, moments.items()))
