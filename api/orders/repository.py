"""Every statement about orders."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import selectinload

from api.core.bulk import COPIED_FROM, arrays, copy_in, unnest
from api.core.orm import Repository
from api.core.paging import Listing
from api.orders.models import CANCELLED, Order, number_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.orders.drafts import Placed

_ORDER_TYPES = {
    "id": "uuid",
    "customer_id": "uuid",
    "reference": "text",
    "note": "text",
    "metadata": "jsonb",
    "currency": "text",
    "total": "numeric",
    "line_count": "smallint",
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
}

_LINE_FACTS = attrgetter(*[name for name in _LINE_TYPES if name != "order_id"])

_INSERT = text(f"""
    WITH placed AS (
        INSERT INTO orders ({", ".join(_ORDER_TYPES)}, status)
        SELECT id, customer_id, reference, note, metadata, currency, total, line_count, coalesce(placed_at, now()),
            'placed'
        FROM {unnest("o", _ORDER_TYPES)}
        RETURNING id, sequence_number, placed_at, created_at, updated_at, version
    ), line AS (
        INSERT INTO order_lines ({", ".join(_LINE_TYPES)})
        SELECT {", ".join(_LINE_TYPES)} FROM {unnest("l", _LINE_TYPES)}
    )
    SELECT * FROM placed
""")  # noqa: S608  # only names from the tables above are put into the text

_CANCELLED_TYPES = {"order_id": "uuid", "line_no": "int2", "quantity": "int4"}
_CANCEL_UNITS = text(f"""
    UPDATE order_lines AS l SET cancelled_quantity = l.cancelled_quantity + c.quantity
    FROM {unnest("c", _CANCELLED_TYPES)}
    WHERE l.order_id = c.order_id AND l.line_no = c.line_no
""")  # noqa: S608  # the same

_MOMENT_TYPES = {"order_id": "uuid", "moment": "timestamptz"}
_CANCEL_EMPTY = text(f"""
    UPDATE orders AS o SET status = 'cancelled', cancelled_at = c.moment, version = version + 1, updated_at = now()
    FROM {unnest("c", _MOMENT_TYPES)}
    WHERE o.id = c.order_id AND o.status = 'placed' AND NOT EXISTS (
        SELECT FROM order_lines AS l WHERE l.order_id = o.id AND l.cancelled_quantity < l.quantity
    )
""")  # noqa: S608  # the same


class OrderRepository(Repository[Order]):
    """Orders by id, owner and time."""

    model = Order

    def with_lines(self, order_id: UUID, *, locked: bool = False) -> Order | None:
        """Find an order with its lines; locked, nobody else changes it until this transaction ends."""
        query = select(Order).where(Order.id == order_id).options(selectinload(Order.lines))
        return self.one(query.with_for_update() if locked else query)

    def mark_cancelled(self, order: Order, *, reason: str | None) -> None:
        """Write that an order and all its lines are cancelled now."""
        moment = self.session.scalar(select(func.now()))
        for line in order.lines:
            line.cancelled_quantity = line.quantity
        order.status, order.cancel_reason, order.cancelled_at = CANCELLED, reason, moment
        self.session.flush()

    def listing(
        self,
        *,
        customer_id: UUID | None,
        status: str | None,
        reference: str | None,
        placed_from: datetime | None,
        placed_before: datetime | None,
    ) -> Listing:
        """List orders, newest first; `customer_id` None lists everybody's."""
        query = select(Order)
        if customer_id is not None:
            query = query.where(Order.customer_id == customer_id)
        if status is not None:
            query = query.where(Order.status == status)
        if reference is not None:
            query = query.where(Order.reference == reference)
        if placed_from is not None:
            query = query.where(Order.placed_at >= placed_from)
        if placed_before is not None:
            query = query.where(Order.placed_at < placed_before)
        return Listing(query, keys=(Order.placed_at, Order.id), descending=True)


def insert(session: Session, orders: Sequence[Placed]) -> None:
    """Insert orders and their lines with one statement, and thousands of lines with COPY; fill in what is made up."""
    lines = [(order.id, *_LINE_FACTS(line)) for order in orders for line in order.lines]
    is_copied = len(lines) >= COPIED_FROM
    values = arrays("o", _ORDER_TYPES, map(_order_row, orders))
    values |= arrays("l", _LINE_TYPES, () if is_copied else lines)
    made_up = {row.id: row for row in session.execute(_INSERT, values)}
    if is_copied:
        copy_in(session, "order_lines", _LINE_TYPES, lines)
    for order in orders:
        row = made_up[order.id]
        order.number, order.version, order.placed_at = number_of(row.sequence_number), row.version, row.placed_at
        order.created_at, order.updated_at = row.created_at, row.updated_at


def _order_row(order: Placed) -> tuple[Any, ...]:
    return (
        order.id,
        order.customer_id,
        order.reference,
        order.note,
        json.dumps(dict(order.details)),
        order.currency,
        order.total,
        order.line_count,
        order.placed_at,
    )


def cancel_units(session: Session, units: Sequence[tuple[UUID, int, int]], moments: dict[UUID, datetime]) -> None:
    """Count units of lines as cancelled, and orders of which nothing is left."""
    session.execute(_CANCEL_UNITS, arrays("c", _CANCELLED_TYPES, units))
    session.execute(_CANCEL_EMPTY, arrays("c", _MOMENT_TYPES, moments.items()))
