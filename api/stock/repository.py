"""Every statement about stock. The only place where `on_hand` and `reserved` are written."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from psycopg import sql
from sqlalchemy import ARRAY, Uuid, any_, cast, select, text

from api.core.paging import Listing
from api.stock.booking import Balance, LevelKey
from api.stock.models import Allocation, StockLevel, StockMovement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from psycopg import Connection
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.stock.booking import Book, PromiseKey

_LOCKED = select(
    StockLevel.item_id, StockLevel.location_id, StockLevel.on_hand, StockLevel.reserved, StockLevel.version
).order_by(StockLevel.item_id, StockLevel.location_id)

_CREATE_MISSING = text("""
    INSERT INTO stock_levels (item_id, location_id)
    SELECT item_id, location_id
    FROM unnest(CAST(:items AS uuid[]), CAST(:locations AS uuid[])) AS wanted (item_id, location_id)
    ORDER BY item_id, location_id
    ON CONFLICT DO NOTHING
""")

_MOVEMENT_TYPES = {
    "id": "uuid",
    "item_id": "uuid",
    "location_id": "uuid",
    "sequence": "bigint",
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

COPIED_FROM = 2_000
"""Books with so many movements send them, and their promises, through COPY, which costs a tenth of parameters."""

_MOVEMENT_COLUMNS = ", ".join(_MOVEMENT_TYPES)
_MOVEMENT_ARRAYS = ", ".join(f"CAST(:m_{name} AS {kind}[])" for name, kind in _MOVEMENT_TYPES.items())
_MOVEMENT_VALUES = _MOVEMENT_COLUMNS.replace("occurred_at", "coalesce(occurred_at, now())")

_WRITE = text(f"""
    WITH level AS (
        UPDATE stock_levels AS s
        SET on_hand = n.on_hand, reserved = n.reserved, version = n.version, updated_at = now()
        FROM unnest(
            CAST(:l_items AS uuid[]), CAST(:l_locations AS uuid[]), CAST(:l_on_hand AS int[]),
            CAST(:l_reserved AS int[]), CAST(:l_version AS bigint[]), CAST(:l_opened_at AS bigint[])
        ) AS n (item_id, location_id, on_hand, reserved, version, opened_at)
        WHERE s.item_id = n.item_id AND s.location_id = n.location_id AND s.version = n.opened_at
        RETURNING 1
    ), movement AS (
        INSERT INTO stock_movements ({_MOVEMENT_COLUMNS})
        SELECT {_MOVEMENT_VALUES} FROM unnest({_MOVEMENT_ARRAYS}) AS m ({_MOVEMENT_COLUMNS})
    ), kept AS (
        INSERT INTO allocations (owner_id, line_no, location_id, item_id, quantity)
        SELECT * FROM unnest(
            CAST(:k_owners AS uuid[]), CAST(:k_lines AS smallint[]), CAST(:k_locations AS uuid[]),
            CAST(:k_items AS uuid[]), CAST(:k_quantities AS int[])
        )
    )
    SELECT count(*) AS levels, now() AS moment FROM level
""")  # noqa: S608  # only names from the table above are put into the text

_FREED = """
    unnest(
        CAST(:owners AS uuid[]), CAST(:lines AS smallint[]), CAST(:locations AS uuid[]), CAST(:quantities AS int[])
    ) AS f (owner_id, line_no, location_id, quantity)
    WHERE a.owner_id = f.owner_id AND a.line_no = f.line_no AND a.location_id = f.location_id
        AND f.quantity
"""
_SHRINK = text(f"UPDATE allocations AS a SET quantity = a.quantity - f.quantity FROM {_FREED} < a.quantity")  # noqa: S608  # two constants
_DROP = text(f"DELETE FROM allocations AS a USING {_FREED} = a.quantity")  # noqa: S608  # two constants


class LevelChangedUnderLockError(RuntimeError):
    """A level is not as it was when it was locked: a bug, because nobody else may write here."""


def lock(session: Session, item_ids: Collection[UUID], *, location_id: UUID | None = None) -> dict[LevelKey, Balance]:
    """Lock the existing levels of items, everywhere or at one location, in key order, and read them."""
    query = _LOCKED.where(StockLevel.item_id == any_(_uuids(item_ids)))
    if location_id is not None:
        query = query.where(StockLevel.location_id == location_id)
    return _balances(session.execute(query.with_for_update()))


def lock_at(session: Session, keys: Collection[LevelKey]) -> dict[LevelKey, Balance]:
    """Lock exactly these existing levels, in key order, and read them."""
    wanted = {"items": [key.item_id for key in keys], "locations": [key.location_id for key in keys]}
    pairs = text("(item_id, location_id) IN (SELECT * FROM unnest(CAST(:items AS uuid[]), CAST(:locations AS uuid[])))")
    return _balances(session.execute(_LOCKED.where(pairs).with_for_update(), wanted))


def create_missing(session: Session, keys: Collection[LevelKey]) -> None:
    """Make sure levels exist, in key order."""
    wanted = {"items": [key.item_id for key in keys], "locations": [key.location_id for key in keys]}
    session.execute(_CREATE_MISSING, wanted)


def write(session: Session, book: Book) -> None:
    """Write everything a book holds."""
    changed = list(book.changed())
    is_copied = len(book.movements) >= COPIED_FROM
    kept, movements = ({}, []) if is_copied else (book.kept, book.movements)
    values: dict[str, Any] = {
        "l_items": [key.item_id for key, _, _ in changed],
        "l_locations": [key.location_id for key, _, _ in changed],
        "l_on_hand": [balance.on_hand for _, balance, _ in changed],
        "l_reserved": [balance.reserved for _, balance, _ in changed],
        "l_version": [balance.version for _, balance, _ in changed],
        "l_opened_at": [version for _, _, version in changed],
        "k_owners": [key.owner_id for key in kept],
        "k_lines": [key.line_no for key in kept],
        "k_locations": [key.location_id for key in kept],
        "k_items": [item_id for item_id, _ in kept.values()],
        "k_quantities": [quantity for _, quantity in kept.values()],
    }
    for name in _MOVEMENT_TYPES:
        values[f"m_{name}"] = [getattr(movement, name) for movement in movements]
    written = session.execute(_WRITE, values).one()
    if written.levels != len(changed):
        raise LevelChangedUnderLockError
    if book.freed:
        _end_promises(session, book.freed)
    for movement in book.movements:
        movement.occurred_at = movement.occurred_at or written.moment
        movement.recorded_at = written.moment
    if is_copied:
        _copy_in(session, book)


def _copy_in(session: Session, book: Book) -> None:
    """Insert a large book's movements and promises."""
    movements = attrgetter(*_MOVEMENT_TYPES)
    _copy(session, "stock_movements", _MOVEMENT_TYPES, (movements(movement) for movement in book.movements))
    promises = ((owner, line, place, item, units) for (owner, line, place), (item, units) in book.kept.items())
    _copy(session, "allocations", _PROMISE_TYPES, promises)


def _copy(session: Session, table: str, types: dict[str, str], rows: Iterable[Sequence[Any]]) -> None:
    connection: Connection = session.connection().connection.driver_connection  # type: ignore[assignment]  # psycopg's
    into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
    columns = sql.SQL(", ").join(map(sql.Identifier, types))
    with connection.cursor() as cursor, cursor.copy(into.format(sql.Identifier(table), columns)) as copy:
        copy.set_types(list(types.values()))
        for row in rows:
            copy.write_row(row)


def _end_promises(session: Session, freed: dict[PromiseKey, int]) -> None:
    values = {
        "owners": [key.owner_id for key in freed],
        "lines": [key.line_no for key in freed],
        "locations": [key.location_id for key in freed],
        "quantities": list(freed.values()),
    }
    session.execute(_DROP, values)  # before the others shrink, or one halved would look used up
    session.execute(_SHRINK, values)


def promises(session: Session, owner_ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Read the open promises of orders, line by line."""
    query = select(
        Allocation.owner_id, Allocation.line_no, Allocation.location_id, Allocation.item_id, Allocation.quantity
    )
    query = query.where(Allocation.owner_id == any_(_uuids(owner_ids)))
    return session.execute(query.order_by(Allocation.owner_id, Allocation.line_no, Allocation.location_id)).all()


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
