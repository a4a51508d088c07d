"""What the database itself says about stock, whatever the application believes; and rows by the thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from api.extensions import db

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy import Row
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location

_LEVEL = text("SELECT on_hand, reserved FROM stock_levels WHERE item_id = :item AND location_id = :location")
_LEDGER = text("SELECT * FROM stock_movements WHERE item_id = :item ORDER BY location_id, sequence")
_SUMS = text("""
    SELECT coalesce(sum(on_hand_change), 0), coalesce(sum(reserved_change), 0)
    FROM stock_movements WHERE item_id = :item AND location_id = :location
""")
_MANY = text("""
    INSERT INTO items (id, sku, name, unit_price) SELECT gen_random_uuid(), 'MANY-' || n, 'One of many', 1.5
    FROM generate_series(1, :count) AS n RETURNING id
""")
_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
_COUNTED = (
    "orders",
    "order_lines",
    "reservations",
    "reservation_lines",
    "shipments",
    "shipment_lines",
    "returns",
    "return_lines",
    "payments",
    "allocations",
    "stock_backorders",
    "stock_levels",
    "stock_movements",
    "events",
    "idempotency_keys",
)


class Level(NamedTuple):
    """What lies there and what is promised of it."""

    on_hand: int
    reserved: int


def level(session: Session, item: Item, location: Location) -> Level:
    """Read a balance; a level that does not exist holds nothing."""
    row = session.execute(_LEVEL, {"item": item.id, "location": location.id}).one_or_none()
    return Level(*row) if row else Level(0, 0)


def sums(session: Session, item: Item, location: Location) -> Level:
    """Add up the ledger of a level."""
    return Level(*session.execute(_SUMS, {"item": item.id, "location": location.id}).one())


def ledger(session: Session, item: Item) -> Sequence[Row[Any]]:
    """Read the ledger of an item, level by level, oldest first."""
    return session.execute(_LEDGER, {"item": item.id}).all()


def differences(session: Session) -> Sequence[Row[Any]]:
    """Read the integrity view."""
    return session.execute(text("SELECT * FROM integrity ORDER BY kind, item_id")).all()


def everything(session: Session) -> dict[str, list[str]]:
    """Read every row an order or a receipt could touch, so that two moments can be compared."""
    return {
        table: [row[0] for row in session.execute(text(f"SELECT t::text FROM {table} AS t ORDER BY 1"))]  # noqa: S608  # names from above
        for table in _COUNTED
    }


def many_items(session: Session, count: int) -> list[UUID]:
    """Make items with one statement, where a test needs more than it can wait for."""
    return list(session.scalars(_MANY, {"count": count}))


def waiting() -> int:
    """Count the connections to this database that wait for a lock; a transaction would see the same number for ever."""
    with db.engine.connect() as connection:
        return connection.scalar(_WAITING) or 0
