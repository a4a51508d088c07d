"""Every statement about stock. The only place where `on_hand` and `reserved` are written."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Uuid, any_, cast, select, text

from api.core.bulk import COPIED_FROM, arrays, copy_in, unnest
from api.core.paging import Listing
from api.stock.booking import Balance, LevelKey
from api.stock.models import Allocation, StockLevel, StockMovement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.stock.booking import Book

_LOCKED = select(
    StockLevel.item_id, StockLevel.location_id, StockLevel.on_hand, StockLevel.reserved, StockLevel.version
).order_by(StockLevel.item_id, StockLevel.location_id)

_KEY_TYPES = {"item_id": "uuid", "location_id": "uuid"}
_LEVEL_TYPES = _KEY_TYPES | {"on_hand": "int4", "reserved": "int4", "version": "int8", "opened_at": "int8"}
_MOVEMENT_TYPES = {
    "id": "uuid",
    "item_id": "uuid",
    "location_id": "uuid",
    "sequence": "int8",
    "kind": "text",
    "on_hand_change": "int4",
    "reserved_change": "int4",
    "on_hand": "int4",
    "reserved": "int4",
    "reason": "text",
    "reference": "text",
    "source_id": "uuid",
    "actor_id": "uuid",
    "request_id": "text",
    "occurred_at": "timestamptz",
}
_PROMISE_TYPES = {"owner_id": "uuid", "line_no": "int2", "location_id": "uuid", "item_id": "uuid", "quantity": "int4"}
_FREED_TYPES = {"owner_id": "uuid", "line_no": "int2", "location_id": "uuid", "quantity": "int4"}

_CREATE_MISSING = text(f"""
    INSERT INTO stock_levels (item_id, location_id)
    SELECT item_id, location_id FROM {unnest("wanted", _KEY_TYPES)} ORDER BY item_id, location_id
    ON CONFLICT DO NOTHING
""")  # noqa: S608  # only names from the tables above are put into the text

_MOVEMENT_COLUMNS = ", ".join(_MOVEMENT_TYPES)
_WRITE = text(f"""
    WITH clock AS (
        SELECT clock_timestamp() AS moment
    ), level AS (
        UPDATE stock_levels AS s
        SET on_hand = n.on_hand, reserved = n.reserved, version = n.version, updated_at = now()
        FROM {unnest("n", _LEVEL_TYPES)}
        WHERE s.item_id = n.item_id AND s.location_id = n.location_id AND s.version = n.opened_at
        RETURNING 1
    ), movement AS (
        INSERT INTO stock_movements ({_MOVEMENT_COLUMNS}, recorded_at)
        SELECT {_MOVEMENT_COLUMNS.replace("occurred_at", "coalesce(occurred_at, moment)")}, moment
        FROM clock, {unnest("m", _MOVEMENT_TYPES)}
    ), kept AS (
        INSERT INTO allocations ({", ".join(_PROMISE_TYPES)}) SELECT * FROM {unnest("k", _PROMISE_TYPES)}
    )
    SELECT (SELECT count(*) FROM level) AS levels, moment FROM clock
""")  # noqa: S608  # the same

_FREED = f"""{unnest("f", _FREED_TYPES)}
    WHERE a.owner_id = f.owner_id AND a.line_no = f.line_no AND a.location_id = f.location_id AND f.quantity"""
_SHRINK = text(f"UPDATE allocations AS a SET quantity = a.quantity - f.quantity FROM {_FREED} < a.quantity RETURNING 1")  # noqa: S608  # the same
_DROP = text(f"DELETE FROM allocations AS a USING {_FREED} = a.quantity RETURNING 1")  # noqa: S608  # the same


class LevelChangedUnderLockError(RuntimeError):
    """A level or a promise is not as it was when it was locked: a bug, because nobody else may write here."""


def lock(session: Session, item_ids: Collection[UUID], *, location_id: UUID | None = None) -> dict[LevelKey, Balance]:
    """Lock the existing levels of items, everywhere or at one location, in key order, and read them."""
    query = _LOCKED.where(StockLevel.item_id == any_(_uuids(item_ids)))
    if location_id is not None:
        query = query.where(StockLevel.location_id == location_id)
    return _balances(session.execute(query.with_for_update()))


def lock_at(session: Session, keys: Collection[LevelKey]) -> dict[LevelKey, Balance]:
    """Lock exactly these existing levels, in key order, and read them."""
    pairs = text(f"(item_id, location_id) IN (SELECT * FROM {unnest('wanted', _KEY_TYPES)})")  # noqa: S608  # the same
    wanted = arrays("wanted", _KEY_TYPES, keys)
    return _balances(session.execute(_LOCKED.where(pairs).with_for_update(), wanted))


def create_missing(session: Session, keys: Collection[LevelKey]) -> None:
    """Make sure levels exist, in key order."""
    session.execute(_CREATE_MISSING, arrays("wanted", _KEY_TYPES, keys))


def write(session: Session, book: Book) -> None:
    """Write everything a book holds: with one statement, or with COPY beside it where it holds thousands."""
    levels = [(*key, balance.on_hand, balance.reserved, balance.version, was) for key, balance, was in book.changed()]
    movements = list(map(attrgetter(*_MOVEMENT_TYPES), book.movements))
    kept = [(*key, *what) for key, what in book.kept.items()]
    is_copied = len(movements) >= COPIED_FROM
    values = arrays("n", _LEVEL_TYPES, levels)
    values |= arrays("m", _MOVEMENT_TYPES, () if is_copied else movements)
    values |= arrays("k", _PROMISE_TYPES, () if is_copied else kept)
    written = session.execute(_WRITE, values).one()
    if written.levels != len(levels):
        raise LevelChangedUnderLockError
    for movement in book.movements:
        movement.occurred_at = movement.occurred_at or written.moment
        movement.recorded_at = written.moment
    if is_copied:
        recorded = _MOVEMENT_TYPES | {"recorded_at": "timestamptz"}
        copy_in(session, "stock_movements", recorded, map(attrgetter(*recorded), book.movements))
        copy_in(session, "allocations", _PROMISE_TYPES, kept)
    if book.freed:
        freed = arrays("f", _FREED_TYPES, [(*key, quantity) for key, quantity in book.freed.items()])
        dropped = session.execute(_DROP, freed)  # before the others shrink, or one halved would look used up
        shrunk = session.execute(_SHRINK, freed)
        if len(dropped.all()) + len(shrunk.all()) != len(book.freed):
            raise LevelChangedUnderLockError


def promises(session: Session, owner_ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Lock the open promises of orders and read them, line by line; what somebody else has just ended is left out."""
    query = select(
        Allocation.owner_id, Allocation.line_no, Allocation.location_id, Allocation.item_id, Allocation.quantity
    )
    query = query.where(Allocation.owner_id == any_(_uuids(owner_ids)))
    query = query.order_by(Allocation.owner_id, Allocation.line_no, Allocation.location_id)
    return session.execute(query.with_for_update()).all()


def levels(*, item_id: UUID | None, location_id: UUID | None) -> Listing:
    """List levels by item and location."""
    query = select(StockLevel)
    if item_id is not None:
        query = query.where(StockLevel.item_id == item_id)
    if location_id is not None:
        query = query.where(StockLevel.location_id == location_id)
    return Listing(query, keys=(StockLevel.item_id, StockLevel.location_id))


def movements(*, item_id: UUID | None, location_id: UUID | None, source_id: UUID | None, kind: str | None) -> Listing:
    """List the ledger, newest first."""
    query = select(StockMovement)
    wanted = {
        StockMovement.item_id: item_id,
        StockMovement.location_id: location_id,
        StockMovement.source_id: source_id,
        StockMovement.kind: kind,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    return Listing(query, keys=(StockMovement.id,), descending=True)


def availability(session: Session, item_id: UUID) -> Sequence[StockLevel]:
    """Read an item's levels, location by location."""
    query = select(StockLevel).where(StockLevel.item_id == item_id).order_by(StockLevel.location_id)
    return session.scalars(query).all()


def differences(session: Session) -> Sequence[AnyRow]:
    """Read the integrity view: what does not add up, which is nothing."""
    return session.execute(text("SELECT * FROM integrity ORDER BY kind, item_id, location_id, order_id")).all()


def _balances(rows: Iterable[AnyRow]) -> dict[LevelKey, Balance]:
    return {LevelKey(row.item_id, row.location_id): Balance(row.on_hand, row.reserved, row.version) for row in rows}


def _uuids(values: Collection[UUID]) -> ColumnElement[Any]:
    return cast(list(values), ARRAY(Uuid))
