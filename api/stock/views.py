"""Every statement that shows stock: now, and at any moment of the past.

The past costs two probes of an index for each level, however long its ledger is. Ledger lines carry the balance after
them, and those that are not late stand in the order of time: so the last of them up to a moment tells the sum of all
lines with lower numbers. What is missing are late lines with higher numbers, and those, few as they are, have an index
of their own.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Integer,
    String,
    Uuid,
    any_,
    case,
    cast,
    column,
    func,
    null,
    select,
    table,
    text,
    true,
)

from api.core.money import UNIT_PRICE_PLACES
from api.core.paging import Listing, PreparedListing
from api.stock.models import Allocation, StockLevel, StockMovement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select, Table
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.selectable import LateralFromClause

    from api.core.orm import AnyRow

_ITEMS = table("items", column("id", Uuid), column("sku", String), column("name", String), column("unit", String))
_PLACES = table("locations", column("id", Uuid), column("code", String), column("name", String), column("kind", String))
"""What this domain reads of others' tables, in the statements that would otherwise take one for each row."""


_LEVELS, _LEDGER = StockLevel.metadata.tables["stock_levels"], StockMovement.metadata.tables["stock_movements"]
_LINE = _LEDGER.alias("line")
_KEPT = Allocation.metadata.tables["allocations"]
_QUANTITY = case((_LEDGER.c.on_hand_change != 0, _LEDGER.c.on_hand_change), else_=_LEDGER.c.reserved_change).label(
    "quantity"
)


def _names(row: Table) -> tuple[LateralFromClause, LateralFromClause]:
    """Look item and location up row by row; left to itself, the planner may read a million items for fifty rows."""
    items = select(_ITEMS.c.sku, _ITEMS.c.name, _ITEMS.c.unit).where(_ITEMS.c.id == row.c.item_id)
    places = select(*(_PLACES.c[name].label(f"location_{name}") for name in ("code", "name", "kind")))
    places = places.where(_PLACES.c.id == row.c.location_id)
    return items.limit(1).lateral("item"), places.limit(1).lateral("place")


_LEVEL_KEYS = _LEVELS.c.item_id, _LEVELS.c.location_id
_LEVEL_NAMES, _LEDGER_NAMES = _names(_LEVELS), _names(_LEDGER)


def levels(
    *,
    item_id: UUID | None = None,
    sku: str | None = None,
    location_id: UUID | None = None,
    low: bool | None = None,
    as_of: datetime | None = None,
) -> Listing:
    """List levels with the facts of their items and locations, now or as they were."""
    if (item_id, sku, location_id, low, as_of) == (None,) * 5:
        return _present_levels()
    keys, query = _LEVEL_KEYS, _named_levels(as_of)
    wanted: list[ColumnElement[bool]] = []
    if item_id is not None:
        wanted.append(_LEVELS.c.item_id == item_id)
    if sku is not None:
        wanted.append(_LEVELS.c.item_id == _id_of(sku))
    if location_id is not None:
        wanted.append(_LEVELS.c.location_id == location_id)
    if low is not None:
        wanted.append(_LEVELS.c.is_low if low else ~_LEVELS.c.is_low)
    return Listing(query.where(*wanted), keys=keys, counted=select(*keys).where(*wanted))


def movements(
    *,
    sku: str | None = None,
    occurred_from: datetime | None = None,
    occurred_before: datetime | None = None,
    oldest_first: bool = False,
    **facts: object,
) -> Listing:
    """List the ledger in the order in which things happened; `facts` are columns and what they must be."""
    line, (item, place) = _LEDGER.c, _LEDGER_NAMES
    query = select(*line, _QUANTITY, item.c.sku, place.c.location_code).select_from(_LEDGER)
    query = query.join(item, true()).join(place, true())
    wanted: list[ColumnElement[bool]] = [line[name] == value for name, value in facts.items()]
    if sku is not None:
        wanted.append(line.item_id == _id_of(sku))
    if occurred_from is not None:
        wanted.append(line.occurred_at >= occurred_from)
    if occurred_before is not None:
        wanted.append(line.occurred_at < occurred_before)
    counted = select(line.id).where(*wanted)
    return Listing(query.where(*wanted), keys=(line.occurred_at, line.id), descending=not oldest_first, counted=counted)


def availability(session: Session, item_id: UUID) -> Sequence[AnyRow]:
    """Read an item's levels with the facts of their locations, by code."""
    reserved = _LEVELS.c.reserved - _over(func.clock_timestamp())
    query = (
        select(
            _LEVELS.c.location_id,
            _PLACES.c.code.label("location_code"),
            _PLACES.c.name.label("location_name"),
            _PLACES.c.kind.label("location_kind"),
            _LEVELS.c.on_hand,
            reserved.label("reserved"),
            (_LEVELS.c.on_hand - reserved).label("available"),
        )
        .join(_PLACES, _PLACES.c.id == _LEVELS.c.location_id)
        .where(_LEVELS.c.item_id == item_id)
        .order_by(_PLACES.c.code)
    )
    return session.execute(query).all()


_VALUATION = text("""
    SELECT place.id AS location_id, place.code AS location_code, place.name AS location_name,
        place.kind AS location_kind,
        coalesce(closing.on_hand, 0) + since.on_hand + late.on_hand AS on_hand,
        coalesce(closing.value, 0) + since.value + late.value AS value
    FROM locations AS place
    LEFT JOIN LATERAL (
        SELECT * FROM stock_closings AS c WHERE c.location_id = place.id AND c.closed_at <= :as_of
        ORDER BY c.closed_at DESC LIMIT 1
    ) AS closing ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(m.on_hand_change), 0) AS on_hand, coalesce(sum(m.value_change), 0) AS value
        FROM stock_movements AS m
        WHERE m.location_id = place.id AND m.on_hand_change <> 0
            AND m.occurred_at >= coalesce(closing.closed_at, '-infinity') AND m.occurred_at <= :as_of
    ) AS since
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(m.on_hand_change), 0) AS on_hand, coalesce(sum(m.value_change), 0) AS value
        FROM stock_movements AS m
        WHERE m.location_id = place.id AND m.on_hand_change <> 0 AND m.occurred_at < m.recorded_at
            AND m.recorded_at > closing.known_at AND m.occurred_at < closing.closed_at
    ) AS late
    WHERE CAST(:location_id AS uuid) IS NULL OR place.id = :location_id
    ORDER BY place.code
""")
"""The last closing before a moment, what has happened between, and what was dated back to before the closing since."""


def valuation(session: Session, *, as_of: datetime, location_id: UUID | None = None) -> Sequence[AnyRow]:
    """Add up what lay at each location at a moment, and what it was worth."""
    return session.execute(_VALUATION, {"as_of": as_of, "location_id": location_id}).all()


def valuation_of(session: Session, item_id: UUID, *, as_of: datetime | None) -> Sequence[AnyRow]:
    """Read what lies, or lay, of an item at each location, and what it is worth."""
    place = _LEVEL_NAMES[1]
    query = _levels(as_of).add_columns(*place.c).join(place, true()).where(_LEVELS.c.item_id == item_id)
    return session.execute(query.order_by(place.c.location_code)).all()


_CLOSE = text("""
    WITH last AS (
        SELECT DISTINCT ON (location_id) * FROM stock_closings ORDER BY location_id, closed_at DESC
    ), base AS (
        SELECT last.location_id, last.closed_at,
            last.on_hand + coalesce(sum(m.on_hand_change), 0) AS on_hand,
            last.value + coalesce(sum(m.value_change), 0) AS value
        FROM last LEFT JOIN stock_movements AS m ON m.location_id = last.location_id AND m.on_hand_change <> 0
            AND m.occurred_at < m.recorded_at AND m.occurred_at < last.closed_at
            AND m.recorded_at > last.known_at AND m.recorded_at <= :known_at
        GROUP BY last.location_id, last.closed_at, last.on_hand, last.value
    ), days AS (
        SELECT m.location_id, date_trunc('day', m.occurred_at, 'UTC') + interval '1 day' AS closed_at,
            sum(m.on_hand_change) AS on_hand, sum(m.value_change) AS value
        FROM stock_movements AS m LEFT JOIN base USING (location_id)
        WHERE m.on_hand_change <> 0 AND m.recorded_at <= :known_at
            AND m.occurred_at >= coalesce(base.closed_at, '-infinity')
            AND m.occurred_at < date_trunc('day', CAST(:known_at AS timestamptz), 'UTC')
        GROUP BY 1, 2
    )
    INSERT INTO stock_closings (location_id, closed_at, known_at, on_hand, value)
    SELECT days.location_id, days.closed_at, :known_at,
        coalesce(base.on_hand, 0) + sum(days.on_hand) OVER upto, coalesce(base.value, 0) + sum(days.value) OVER upto
    FROM days LEFT JOIN base USING (location_id)
    WINDOW upto AS (PARTITION BY days.location_id ORDER BY days.closed_at)
    ON CONFLICT DO NOTHING
""")


def close_days(session: Session, *, known_at: datetime) -> int:
    """Add up the days that have ended since the last closing, as the ledger has it up to a moment; tells how many."""
    result = session.execute(_CLOSE, {"known_at": known_at})
    return int(result.rowcount)  # type: ignore[attr-defined]  # an INSERT has a row count


def on_hand(session: Session, *, location_id: UUID, item_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Read how much of items lies at a location."""
    query = select(_LEVELS.c.item_id, _LEVELS.c.on_hand).where(
        _LEVELS.c.location_id == location_id, _LEVELS.c.item_id == any_(cast(list(item_ids), ARRAY(Uuid)))
    )
    return {row.item_id: row.on_hand for row in session.execute(query)}


_WANTED = "unnest(CAST(:items AS uuid[]), CAST(:places AS uuid[])) AS wanted (item_id, location_id)"
_WORDS = text(f"""
    SELECT wanted.item_id, wanted.location_id, i.sku, i.name, i.reorder_quantity, p.code AS location
    FROM {_WANTED} JOIN items AS i ON i.id = wanted.item_id JOIN locations AS p ON p.id = wanted.location_id
""")  # noqa: S608  # only our own words are put into the text
_LOW_AMONG = text(f"""
    SELECT i.sku, i.name, p.code AS location, l.on_hand - l.reserved AS available, l.reorder_point, i.reorder_quantity
    FROM (SELECT DISTINCT * FROM {_WANTED}) AS wanted JOIN stock_levels AS l USING (item_id, location_id)
    JOIN items AS i ON i.id = l.item_id JOIN locations AS p ON p.id = l.location_id
    WHERE l.is_low AND i.archived_at IS NULL
    ORDER BY i.sku, p.code
""")  # noqa: S608  # the same


def words(session: Session, levels: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], dict[str, Any]]:
    """Read people's words for levels that are told by the ids of item and location."""
    return {
        (row.item_id, row.location_id): {
            "sku": row.sku,
            "name": row.name,
            "location": row.location,
            "reorder_quantity": row.reorder_quantity,
        }
        for row in session.execute(_WORDS, _ids(levels))
    }


def low_among(session: Session, levels: Sequence[tuple[UUID, UUID]]) -> Sequence[AnyRow]:
    """Read those of these levels that are low now."""
    return session.execute(_LOW_AMONG, _ids(levels)).all()


def _ids(levels: Sequence[tuple[UUID, UUID]]) -> dict[str, list[UUID]]:
    return {"items": [one[0] for one in levels], "places": [one[1] for one in levels]}


_DIFFERENCES = text("""
    SELECT d.*, m.id AS movement_id, m.sequence, m.actor_id, m.request_id, m.occurred_at, m.recorded_at
    FROM stock_differences(CAST(:item_id AS uuid), CAST(:location_id AS uuid)) AS d LEFT JOIN LATERAL (
        SELECT told.* FROM (
            SELECT l.*, sum(on_hand_change) OVER upto = on_hand AND sum(reserved_change) OVER upto = reserved
                AND sum(value_change) OVER upto = value AND row_number() OVER upto = sequence AS is_right
            FROM stock_movements AS l WHERE l.item_id = d.item_id AND l.location_id = d.location_id
            WINDOW upto AS (ORDER BY sequence)
        ) AS told
        ORDER BY is_right, CASE WHEN is_right THEN -sequence ELSE sequence END LIMIT 1
    ) AS m ON true
    ORDER BY d.kind, d.item_id, d.location_id, d.order_id, d.transfer_id, d.reservation_id
""")
"""Beside each difference, the first line of the level's ledger that is wrong, or the last one that is right."""


def differences(session: Session, *, item_id: UUID | None = None, location_id: UUID | None = None) -> Sequence[AnyRow]:
    """Read what does not add up, which is nothing."""
    return session.execute(_DIFFERENCES, {"item_id": item_id, "location_id": location_id}).all()


def take_time(session: Session) -> None:
    """Let this transaction take as long as it needs; the usual limit is that of a request."""
    session.execute(text("SET LOCAL statement_timeout = 0"))


@cache
def _present_levels() -> Listing:
    """List all levels as they are, which is what is most often asked for."""
    return PreparedListing(_named_levels(None), keys=_LEVEL_KEYS, counted=select(*_LEVEL_KEYS))


def _named_levels(as_of: datetime | None) -> Select[Any]:
    item, place = _LEVEL_NAMES
    return _levels(as_of).add_columns(*item.c, *place.c).join(item, true()).join(place, true())


def _levels(as_of: datetime | None) -> Select[Any]:
    """Read levels, now or as they were; one that was not yet there is shown empty."""
    if as_of is None:
        level, over = _LEVELS.c, _sum_over(func.clock_timestamp()).lateral("over")
        query = _shown(level.on_hand, level.reserved - over.c.units, level.value, level.version, level.moved_at)
        return query.add_columns(level.reorder_point, level.is_low).join(over, true())
    last = _last(as_of)
    late = _late(as_of, last)
    query = _shown(
        func.coalesce(last.c.on_hand, 0) + late.c.on_hand,
        func.coalesce(last.c.reserved, 0) + late.c.reserved - _over(as_of),
        func.coalesce(last.c.value, 0) + late.c.value,
        func.coalesce(last.c.sequence, 0) + late.c.lines,
        func.greatest(last.c.occurred_at, late.c.occurred_at),
    )
    unknown = null().cast(Integer).label("reorder_point"), null().cast(Boolean).label("is_low")
    return query.add_columns(*unknown).outerjoin(last, true()).join(late, true())


def _over(moment: datetime | ColumnElement[datetime]) -> ColumnElement[int]:
    return _sum_over(moment).scalar_subquery()


def _sum_over(moment: datetime | ColumnElement[datetime]) -> Select[int]:
    """Add up what a level keeps for holds that were over at a moment; their release may not have been written yet."""
    return (
        select(func.coalesce(func.sum(_KEPT.c.quantity), 0).cast(Integer).label("units"))
        .where(_KEPT.c.item_id == _LEVELS.c.item_id, _KEPT.c.location_id == _LEVELS.c.location_id)
        .where(_KEPT.c.expires_at <= moment)
    )


def _shown(on_hand: Any, reserved: Any, value: Any, version: Any, moved_at: Any) -> Select[Any]:  # noqa: ANN401  # columns or expressions
    return select(
        _LEVELS.c.item_id,
        _LEVELS.c.location_id,
        on_hand.label("on_hand"),
        reserved.label("reserved"),
        (on_hand - reserved).label("available"),
        value.label("value"),
        func.round(value / func.nullif(on_hand, 0), UNIT_PRICE_PLACES).label("average_cost"),
        version.label("version"),
        moved_at.label("moved_at"),
    ).select_from(_LEVELS)


def _last(as_of: datetime) -> LateralFromClause:
    """Find, for a level, the last line up to a moment among those that are in the order of time."""
    return (
        select(_LINE.c.sequence, _LINE.c.occurred_at, _LINE.c.on_hand, _LINE.c.reserved, _LINE.c.value)
        .where(_LINE.c.item_id == _LEVELS.c.item_id, _LINE.c.location_id == _LEVELS.c.location_id)
        .where(~_LINE.c.is_late, _LINE.c.occurred_at <= as_of)
        .order_by(_LINE.c.occurred_at.desc(), _LINE.c.sequence.desc())
        .limit(1)
        .lateral("last")
    )


def _late(as_of: datetime, last: LateralFromClause) -> LateralFromClause:
    """Add up, for a level, the late lines up to a moment that have higher numbers than that last one."""
    return (
        select(
            func.coalesce(func.sum(_LINE.c.on_hand_change), 0).label("on_hand"),
            func.coalesce(func.sum(_LINE.c.reserved_change), 0).label("reserved"),
            func.coalesce(func.sum(_LINE.c.value_change), 0).label("value"),
            func.count().label("lines"),
            func.max(_LINE.c.occurred_at).label("occurred_at"),
        )
        .where(_LINE.c.item_id == _LEVELS.c.item_id, _LINE.c.location_id == _LEVELS.c.location_id)
        .where(_LINE.c.is_late, _LINE.c.occurred_at <= as_of, _LINE.c.sequence > func.coalesce(last.c.sequence, 0))
        .lateral("late")
    )


def _id_of(sku: str) -> ColumnElement[Any]:
    return select(_ITEMS.c.id).where(func.lower(_ITEMS.c.sku) == sku.lower()).scalar_subquery()
