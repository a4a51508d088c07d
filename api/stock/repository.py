"""Every statement that moves stock. The only place where `on_hand`, `reserved` and `value` are written."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
    text,
    union,
    update,
)

from api.core import gate
from api.core.bulk import COPIED_FROM, array, arrays, copy_in, given, unnest
from api.core.prepared import Prepared, settle
from api.locations.service import SELLING
from api.stock.booking import Balance, LevelKey, Since
from api.stock.models import Allocation, Backorder, StockLevel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select, Subquery, TextClause
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.stock.booking import Book

_levels = StockLevel.__table__
_LOCKED = (
    select(
        _levels.c.item_id,
        _levels.c.location_id,
        _levels.c.on_hand,
        _levels.c.reserved,
        _levels.c.version,
        _levels.c.value,
        _levels.c.moved_at,
        _levels.c.reorder_point,
    )
    .order_by(_levels.c.item_id, _levels.c.location_id)
    .with_for_update(of=_levels)
)

_PLACES = table("locations", column("id"), column("kind"), column("priority"), column("code"))
"""What this domain reads of another's table, in the statements that would otherwise take two."""

_SELLING_LEVELS = (
    _LOCKED.add_columns(_PLACES.c.priority, _PLACES.c.code)
    .join(_PLACES, _PLACES.c.id == _levels.c.location_id)
    .where(
        _PLACES.c.kind.in_([literal_column(f"'{kind}'") for kind in SELLING]),
        _levels.c.item_id == any_(given("items", Uuid())),
    )
)


class ForSale(NamedTuple):
    """A locked level, as `_LOCKED` reads it, and where it is among its location's peers."""

    item_id: UUID
    location_id: UUID
    on_hand: int
    reserved: int
    version: int
    value: Decimal
    moved_at: datetime | None
    reorder_point: int | None
    priority: int
    code: str


_FOR_SALE = Prepared(_SELLING_LEVELS, ForSale._make)
_FOR_SALE_AT_ONE = Prepared(
    _SELLING_LEVELS.where(_levels.c.location_id == bindparam("location_id", type_=Uuid)), ForSale._make
)

_KEY_TYPES = {"item_id": "uuid", "location_id": "uuid"}
_LEVEL_TYPES = _KEY_TYPES | {
    "on_hand": "int4",
    "reserved": "int4",
    "value": "numeric",
    "is_low": "bool",
    "moved_at": "timestamptz",
    "version": "int8",
    "opened_at": "int8",
}
_MOVEMENT_TYPES = {
    "id": "uuid",
    "item_id": "uuid",
    "location_id": "uuid",
    "sequence": "int8",
    "kind": "text",
    "on_hand_change": "int4",
    "reserved_change": "int4",
    "value_change": "numeric",
    "on_hand": "int4",
    "reserved": "int4",
    "value": "numeric",
    "reason": "text",
    "reference": "text",
    "source_id": "uuid",
    "actor_id": "uuid",
    "request_id": "text",
    "is_late": "bool",
    "occurred_at": "timestamptz",
}
_PROMISE_TYPES = {
    "owner_id": "uuid",
    "line_no": "int2",
    "location_id": "uuid",
    "item_id": "uuid",
    "quantity": "int4",
    "expires_at": "timestamptz",
}
_FREED_TYPES = {"owner_id": "uuid", "line_no": "int2", "location_id": "uuid", "quantity": "int4"}
_WAITING_TYPES = {"owner_id": "uuid", "line_no": "int2", "item_id": "uuid", "location_id": "uuid", "quantity": "int4"}
_SERVED_TYPES = {"owner_id": "uuid", "line_no": "int2", "quantity": "int4"}

_BY_SQL = {"synchronize_session": False}

_CREATE_MISSING = text(f"""
    INSERT INTO stock_levels (item_id, location_id, reorder_point, is_low)
    SELECT item.id, place.id,
        CASE WHEN place.kind = ANY(:selling) THEN item.reorder_point END,
        coalesce(place.kind = ANY(:selling) AND item.reorder_point >= 0, false)
    FROM {unnest("wanted", _KEY_TYPES)}
    JOIN items AS item ON item.id = wanted.item_id
    JOIN locations AS place ON place.id = wanted.location_id
    WHERE NOT EXISTS (
        SELECT FROM stock_levels AS known
        WHERE known.item_id = wanted.item_id AND known.location_id = wanted.location_id
    )
    ORDER BY item.id, place.id
    FOR SHARE OF item
    ON CONFLICT DO NOTHING
""")  # noqa: S608  # only names from the tables above are put into the text

_MOVEMENT_COLUMNS = ", ".join(_MOVEMENT_TYPES)


_WRITE_TEXT = text(f"""
    WITH clock AS (
        SELECT greatest(clock_timestamp(), CAST(:latest AS timestamptz)) AS moment
    ), level AS (
        UPDATE stock_levels AS s
        SET on_hand = n.on_hand, reserved = n.reserved, value = n.value, is_low = n.is_low,
            moved_at = coalesce(n.moved_at, moment), version = n.version, updated_at = now()
        FROM clock, {unnest("n", _LEVEL_TYPES)}
        WHERE s.item_id = n.item_id AND s.location_id = n.location_id AND s.version = n.opened_at
        RETURNING 1
    ), movement AS (
        INSERT INTO stock_movements ({_MOVEMENT_COLUMNS}, recorded_at)
        SELECT {_MOVEMENT_COLUMNS.replace("occurred_at", "coalesce(occurred_at, moment)")}, moment
        FROM clock, {unnest("m", _MOVEMENT_TYPES)}
    ), kept AS (
        INSERT INTO allocations AS a ({", ".join(_PROMISE_TYPES)}) SELECT * FROM {unnest("k", _PROMISE_TYPES)}
        ON CONFLICT (owner_id, line_no, location_id) DO UPDATE SET quantity = a.quantity + excluded.quantity
    )
    SELECT (SELECT count(*) FROM level) AS levels, moment FROM clock
""")  # noqa: S608  # the same
_WRITE = Prepared(_WRITE_TEXT)

_LOWEST_SINCE = text(f"""
    WITH told AS (
        SELECT item_id, location_id, occurred_at,
            lead(occurred_at) OVER upto AS until,
            sum(on_hand_change) OVER upto AS on_hand, sum(value_change) OVER upto AS value,
            sum(on_hand_change - reserved_change) OVER upto AS available
        FROM stock_movements
        WHERE (item_id, location_id) IN (SELECT * FROM {unnest("wanted", _KEY_TYPES)})
        WINDOW upto AS (PARTITION BY item_id, location_id ORDER BY occurred_at, sequence)
    )
    SELECT item_id, location_id,
        CASE WHEN min(occurred_at) > :since THEN 0
            ELSE min(available) FILTER (WHERE until IS NULL OR until > :since)
        END AS available,
        min(value) FILTER (WHERE until IS NULL OR until > :since) AS lowest_value,
        max(on_hand) FILTER (WHERE occurred_at <= :since AND (until IS NULL OR until > :since)) AS on_hand,
        max(value) FILTER (WHERE occurred_at <= :since AND (until IS NULL OR until > :since)) AS value
    FROM told GROUP BY item_id, location_id
""")  # noqa: S608  # the same

_FREED = f"""{unnest("f", _FREED_TYPES)}
    WHERE a.owner_id = f.owner_id AND a.line_no = f.line_no AND a.location_id = f.location_id AND f.quantity"""
_SHRINK = text(f"UPDATE allocations AS a SET quantity = a.quantity - f.quantity FROM {_FREED} < a.quantity RETURNING 1")  # noqa: S608  # the same
_DROP = text(f"DELETE FROM allocations AS a USING {_FREED} = a.quantity RETURNING 1")  # noqa: S608  # the same

_WAIT = text(f"""
    INSERT INTO stock_backorders AS b ({", ".join(_WAITING_TYPES)}) SELECT * FROM {unnest("w", _WAITING_TYPES)}
    ON CONFLICT (owner_id, line_no) DO UPDATE SET quantity = b.quantity + excluded.quantity, waiting_since = now()
""")  # noqa: S608  # the same
_SERVED = f"""{unnest("s", _SERVED_TYPES)}
    WHERE b.owner_id = s.owner_id AND b.line_no = s.line_no AND s.quantity"""
_WAIT_LESS = text(f"""
    UPDATE stock_backorders AS b SET quantity = b.quantity - s.quantity FROM {_SERVED} < b.quantity RETURNING 1
""")  # noqa: S608  # the same
_WAIT_NO_MORE = text(f"DELETE FROM stock_backorders AS b USING {_SERVED} = b.quantity RETURNING 1")  # noqa: S608  # the same


class LevelChangedUnderLockError(RuntimeError):
    """A level or a promise is not as it was when it was locked: a bug, because nobody else may write here."""


def now(session: Session) -> datetime:
    """Tell the time, by the database's clock."""
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def lock_for_sale(
    session: Session, item_ids: Collection[UUID], *, location_id: UUID | None = None
) -> tuple[dict[LevelKey, Balance], list[UUID]]:
    """Lock the existing levels of items where orders are served from, everywhere or at one location, in key order.

    Returns:
        The levels, and their locations in the order in which they serve orders.

    """
    gate.enter(session, item_ids)
    query = _FOR_SALE if location_id is None else _FOR_SALE_AT_ONE
    return _for_sale(query.rows(session, {"items": array("uuid", item_ids), "location_id": location_id}))


def lock_for_change(
    session: Session, owner_id: UUID, item_ids: Collection[UUID]
) -> tuple[dict[LevelKey, Balance], list[UUID]]:
    """Lock the levels an order holds units at, and those of items where orders are served from, in key order."""
    selling = select(StockLevel.item_id, StockLevel.location_id).join(_PLACES, _PLACES.c.id == StockLevel.location_id)
    selling = selling.where(_PLACES.c.kind.in_(SELLING), StockLevel.item_id == any_(_uuids(item_ids)))
    keys = union(*_held([owner_id]), selling).subquery()
    query = _LOCKED.add_columns(_PLACES.c.priority, _PLACES.c.code, _PLACES.c.kind)
    query = query.join(_PLACES, _PLACES.c.id == StockLevel.location_id)
    return _for_sale(session.execute(_among(query, keys)).all())


def lock_of_owners(session: Session, owner_ids: Collection[UUID]) -> dict[LevelKey, Balance]:
    """Lock the levels at which owners hold units, and all levels of the items they wait for, in key order."""
    return _balances(session.execute(_among(_LOCKED, union(*_held(owner_ids)).subquery())))


def _held(owner_ids: Collection[UUID]) -> tuple[Select[UUID, UUID], Select[UUID, UUID]]:
    owners = any_(_uuids(owner_ids))
    held = select(Allocation.item_id, Allocation.location_id).where(Allocation.owner_id == owners)
    awaited = select(StockLevel.item_id, StockLevel.location_id)
    awaited = awaited.join(Backorder, Backorder.item_id == StockLevel.item_id).where(Backorder.owner_id == owners)
    return held, awaited


def _among[*Columns](query: Select[*Columns], keys: Subquery) -> Select[*Columns]:
    return query.join(keys, and_(keys.c.item_id == StockLevel.item_id, keys.c.location_id == StockLevel.location_id))


def _for_sale(rows: Sequence[AnyRow | ForSale]) -> tuple[dict[LevelKey, Balance], list[UUID]]:
    places = {row.location_id: (row.priority, row.code) for row in rows if getattr(row, "kind", SELLING[0]) in SELLING}
    return _balances(rows), sorted(places, key=lambda place: places[place])


def lock_at(session: Session, keys: Collection[LevelKey]) -> dict[LevelKey, Balance]:
    """Lock exactly these existing levels, in key order, and read them."""
    pairs = text(f"(item_id, location_id) IN (SELECT * FROM {unnest('wanted', _KEY_TYPES)})")  # noqa: S608  # the same
    wanted = arrays("wanted", _KEY_TYPES, keys)
    return _balances(session.execute(_LOCKED.where(pairs), wanted))


def create_missing(session: Session, keys: Collection[LevelKey]) -> None:
    """Make sure levels exist, in key order. A new one learns its item's reorder point if its location sells."""
    session.execute(_CREATE_MISSING, arrays("wanted", _KEY_TYPES, keys) | {"selling": list(SELLING)})


def since(session: Session, keys: Collection[LevelKey], moment: datetime) -> dict[LevelKey, Since]:
    """Tell how locked levels have been from a moment of the past until now."""
    rows = session.execute(_LOWEST_SINCE, arrays("wanted", _KEY_TYPES, keys) | {"since": moment})
    return {
        LevelKey(row.item_id, row.location_id): Since(row.available, row.on_hand, row.value, row.lowest_value)
        for row in rows
    }


def write(session: Session, book: Book) -> None:
    """Write everything a book holds: with one statement, or with COPY beside it where it holds thousands.

    The statement goes with the next one; `settle` tells the movements when they happened.
    """
    book.settle()
    levels = [
        (*key, to.on_hand, to.reserved, to.value, to.is_low, to.moved_at, to.version, opened_at)
        for key, to, opened_at in book.changed()
    ]
    movements = list(map(attrgetter(*_MOVEMENT_TYPES), book.movements))
    kept = [(*key, *what) for key, what in book.kept.items()]
    is_copied, kept_is_copied = len(movements) >= COPIED_FROM, len(kept) >= COPIED_FROM and not book.tops_up
    values = arrays("n", _LEVEL_TYPES, levels)
    values |= arrays("m", _MOVEMENT_TYPES, () if is_copied else movements)
    values |= arrays("k", _PROMISE_TYPES, () if kept_is_copied else kept)

    def note(rows: Sequence[tuple[int, datetime]]) -> None:
        ((changed, moment),) = rows
        if changed != len(levels):
            raise LevelChangedUnderLockError
        for movement in book.movements:
            movement.occurred_at = movement.occurred_at or moment
            movement.recorded_at = moment

    _WRITE.later(session, values | {"latest": book.latest()}, note)
    if is_copied:
        settle(session)  # which tells when it happened
        recorded = _MOVEMENT_TYPES | {"recorded_at": "timestamptz"}
        copy_in(session, "stock_movements", recorded, map(attrgetter(*recorded), book.movements))
    if kept_is_copied:
        copy_in(session, "allocations", _PROMISE_TYPES, kept)
    if book.freed:
        freed = arrays("f", _FREED_TYPES, [(*key, quantity) for key, quantity in book.freed.items()])
        _end(session, _DROP, _SHRINK, freed, len(book.freed))
    if book.waiting:
        waiting = [(*key, *what) for key, what in book.waiting.items()]
        session.execute(_WAIT, arrays("w", _WAITING_TYPES, waiting))
    if book.served:
        served = arrays("s", _SERVED_TYPES, [(*key, quantity) for key, quantity in book.served.items()])
        _end(session, _WAIT_NO_MORE, _WAIT_LESS, served, len(book.served))


def _end(session: Session, drop: TextClause, shrink: TextClause, ended: dict[str, Any], expected: int) -> None:
    """Drop what is used up before the rest shrinks, or one that is halved would look used up."""
    dropped = session.execute(drop, ended)
    shrunk = session.execute(shrink, ended)
    if len(dropped.all()) + len(shrunk.all()) != expected:
        raise LevelChangedUnderLockError


_HELD = select(
    Allocation.owner_id, Allocation.line_no, Allocation.location_id, Allocation.item_id, Allocation.quantity
).order_by(Allocation.owner_id, Allocation.line_no, Allocation.location_id)


def promises(session: Session, owner_ids: Collection[UUID], *, locked: bool = True) -> Sequence[AnyRow]:
    """Read the open promises of owners, line by line; locked, nobody else ends them before this transaction does."""
    query = _HELD.where(Allocation.owner_id == any_(_uuids(owner_ids)))
    return session.execute(query.with_for_update() if locked else query).all()


def expired(session: Session, item_ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Lock and read what is kept of items for holds whose time is over."""
    query = _HELD.add_columns(Allocation.expires_at).where(
        Allocation.item_id == any_(_uuids(item_ids)), Allocation.expires_at <= func.clock_timestamp()
    )
    return session.execute(query.with_for_update()).all()


def hand_over(session: Session, from_owner: UUID, to_owner: UUID) -> None:
    """Make what an owner holds another's, for good."""
    change = update(Allocation).where(Allocation.owner_id == from_owner)
    session.execute(change.values(owner_id=to_owner, expires_at=None), execution_options=_BY_SQL)


def extend(session: Session, owner_id: UUID, expires_at: datetime) -> None:
    """Keep what an owner holds until another moment."""
    change = update(Allocation).where(Allocation.owner_id == owner_id)
    session.execute(change.values(expires_at=expires_at), execution_options=_BY_SQL)


_AWAITED = select(Backorder.owner_id, Backorder.line_no, Backorder.item_id, Backorder.location_id, Backorder.quantity)


def waiting_for(session: Session, item_ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Lock and read what waits for units of items, in the order in which it is served."""
    query = _AWAITED.where(Backorder.item_id == any_(_uuids(item_ids)))
    query = query.order_by(Backorder.item_id, Backorder.waiting_since, Backorder.owner_id, Backorder.line_no)
    return session.execute(query.with_for_update()).all()


def waiting_of(session: Session, owner_ids: Collection[UUID]) -> Sequence[AnyRow]:
    """Lock and read what owners wait for."""
    query = _AWAITED.where(Backorder.owner_id == any_(_uuids(owner_ids)))
    query = query.order_by(Backorder.item_id, Backorder.waiting_since, Backorder.owner_id, Backorder.line_no)
    return session.execute(query.with_for_update()).all()


def awaited_and_available(session: Session, *, at_most: int) -> Sequence[UUID]:
    """Name items that somebody waits for and that are available where orders are served from."""
    query = (
        select(Backorder.item_id)
        .distinct()
        .join(StockLevel, StockLevel.item_id == Backorder.item_id)
        .join(_PLACES, _PLACES.c.id == StockLevel.location_id)
        .where(_PLACES.c.kind.in_(SELLING), StockLevel.on_hand > StockLevel.reserved)
        .where((Backorder.location_id == StockLevel.location_id) | Backorder.location_id.is_(None))
    )
    return session.scalars(query.limit(at_most)).all()


def selling_among(session: Session, location_ids: Collection[UUID]) -> list[UUID]:
    """Choose the locations that orders are served from, in the order in which they serve."""
    query = select(_PLACES.c.id).where(_PLACES.c.id == any_(_uuids(location_ids)), _PLACES.c.kind.in_(SELLING))
    return list(session.scalars(query.order_by(_PLACES.c.priority, _PLACES.c.code)))


def _balances(rows: Iterable[AnyRow | ForSale]) -> dict[LevelKey, Balance]:
    return {LevelKey(*row[:2]): Balance(*row[2:8]) for row in rows}  # in the order of _LOCKED


def _uuids(values: Collection[UUID]) -> ColumnElement[Any]:
    return cast(list(values), ARRAY(Uuid))
