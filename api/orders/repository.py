"""Every statement about orders."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from psycopg import sql
from sqlalchemy import func, select, text
from sqlalchemy.orm import selectinload

from api.core.orm import Repository
from api.core.paging import Listing
from api.orders.models import CANCELLED, Order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow

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

COPIED_FROM = 2_000
"""So many lines go through COPY, which costs a tenth of parameters."""


def _unnest(prefix: str, types: dict[str, str]) -> str:
    arrays = ", ".join(f"CAST(:{prefix}_{name} AS {kind}[])" for name, kind in types.items())
    return f"unnest({arrays}) AS {prefix} ({', '.join(types)})"


_INSERT = text(f"""
    WITH placed AS (
        INSERT INTO orders ({", ".join(_ORDER_TYPES)}, status)
        SELECT id, customer_id, reference, note, metadata, currency, total, line_count, coalesce(placed_at, now()),
            'placed'
        FROM {_unnest("o", _ORDER_TYPES)}
        RETURNING id, sequence_number, placed_at, created_at, updated_at, version
    ), line AS (
        INSERT INTO order_lines ({", ".join(_LINE_TYPES)})
        SELECT {", ".join(_LINE_TYPES)} FROM {_unnest("l", _LINE_TYPES)}
    )
    SELECT * FROM placed
""")  # noqa: S608  # only names from the tables above are put into the text

_CANCEL_UNITS = text("""
    UPDATE order_lines AS l SET cancelled_quantity = l.cancelled_quantity + c.quantity
    FROM unnest(CAST(:orders AS uuid[]), CAST(:lines AS smallint[]), CAST(:quantities AS int[]))
        AS c (order_id, line_no, quantity)
    WHERE l.order_id = c.order_id AND l.line_no = c.line_no
""")

_CANCEL_EMPTY = text("""
    UPDATE orders AS o SET status = 'cancelled', cancelled_at = c.moment, version = version + 1, updated_at = now()
    FROM unnest(CAST(:orders AS uuid[]), CAST(:moments AS timestamptz[])) AS c (order_id, moment)
    WHERE o.id = c.order_id AND o.status = 'placed' AND NOT EXISTS (
        SELECT FROM order_lines AS l WHERE l.order_id = o.id AND l.cancelled_quantity < l.quantity
    )
""")


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


def insert(session: Session, orders: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> Sequence[AnyRow]:
    """Insert orders and their lines with one statement (and very many lines with COPY); tells what was made up."""
    copied, passed = (lines, ()) if len(lines) >= COPIED_FROM else ((), lines)
    values = {f"o_{name}": [order[name] for order in orders] for name in _ORDER_TYPES}
    values |= {f"l_{name}": [line[name] for line in passed] for name in _LINE_TYPES}
    rows = session.execute(_INSERT, values).all()
    if copied:
        _copy_lines(session, copied)
    return rows


def _copy_lines(session: Session, lines: Sequence[dict[str, Any]]) -> None:
    connection: Connection = session.connection().connection.driver_connection  # type: ignore[assignment]  # psycopg's
    statement = sql.SQL("COPY order_lines ({}) FROM STDIN (FORMAT binary)")
    columns, values = sql.SQL(", ").join(map(sql.Identifier, _LINE_TYPES)), itemgetter(*_LINE_TYPES)
    with connection.cursor() as cursor, cursor.copy(statement.format(columns)) as copy:
        copy.set_types(list(_LINE_TYPES.values()))
        for line in lines:
            copy.write_row(values(line))


def cancel_units(session: Session, units: Sequence[tuple[UUID, int, int]], moments: dict[UUID, datetime]) -> None:
    """Count units of lines as cancelled, and orders of which nothing is left."""
    session.execute(
        _CANCEL_UNITS,
        {
            "orders": [order_id for order_id, _, _ in units],
            "lines": [line_no for _, line_no, _ in units],
            "quantities": [quantity for _, _, quantity in units],
        },
    )
    session.execute(_CANCEL_EMPTY, {"orders": list(moments), "moments": list(moments.values())})
