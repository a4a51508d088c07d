"""Every statement about stock counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Integer, Uuid, and_, any_, cast, column, func, null, select, table, text, true, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from api.core.bulk import arrays, unnest
from api.core.orm import Repository
from api.core.paging import Key, Listing
from api.counts.models import OPEN, Count, CountEntry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement, ScalarSelect, Select, Subquery

    from api.core.orm import AnyRow

_ITEMS = table("items", column("id", Uuid), column("sku"), column("name"))
_PLACES = table("locations", column("id", Uuid), column("code"))
_LEVELS = table("stock_levels", column("item_id", Uuid), column("location_id", Uuid), column("on_hand", Integer))
"""What this domain reads of others' tables, in the statements that would otherwise take one for each row."""

_ENTRY_TYPES = {"id": "uuid", "item_id": "uuid", "quantity": "int4", "on_hand": "int4"}
_ENTER = text(f"""
    INSERT INTO count_entries (id, count_id, item_id, quantity, on_hand, counted_by, counted_at)
    SELECT e.id, :count_id, e.item_id, e.quantity, e.on_hand, :counted_by, clock.moment
    FROM (SELECT clock_timestamp() AS moment) AS clock, {unnest("e", _ENTRY_TYPES)}
    RETURNING counted_at
""")  # noqa: S608  # only names from the table above are put into the text


class CountRepository(Repository[Count]):
    """Counts by id, place and status, and what was entered into them."""

    model = Count

    def open_at(self, location_id: UUID) -> UUID | None:
        """Find the open count of a location."""
        return self.session.scalar(select(Count.id).where(Count.location_id == location_id, Count.status == OPEN))

    def locked(self, count_id: UUID) -> Count | None:
        """Find a count that nobody else enters into, posts or cancels until this transaction ends."""
        query = select(Count).where(Count.id == count_id).with_for_update()
        return self.one(query.execution_options(populate_existing=True))

    def entered(self, count_id: UUID, *, alone: bool) -> AnyRow | None:
        """Read what an entry needs to know of a count, which stays as it is until this transaction ends.

        Many enter at the same time. Who replaces what others entered does so `alone`, or two recounts of an item at
        once would not see, and so not replace, each other.
        """
        query = select(Count.location_id, Count.status).where(Count.id == count_id)
        return self.session.execute(query.with_for_update(read=not alone, key_share=alone)).one_or_none()

    def close(self, count: Count, *, status: str, by: UUID | None) -> None:
        """Write that a count has come to its end, now."""
        count.status, count.closed_by, count.closed_at = status, by, func.now()
        self.session.flush()

    def shown(self, count_id: UUID) -> AnyRow | None:
        """Read a count with what was found in all.

        Its version counts the entries in: they do not touch the count itself, so that people do not wait for each
        other, but they change what is shown. Entries are never removed, so no number comes twice.
        """
        found = _found(count_id)
        totals = select(
            func.count().label("items_counted"),
            func.count().filter(found.c.difference != 0).label("items_differing"),
            func.count().filter(found.c.moved_between_entries).label("items_moved"),
        ).select_from(found)
        whole = totals.lateral("whole")
        entries = select(func.count()).where(CountEntry.count_id == Count.id).scalar_subquery()
        columns = [column for column in Count.__table__.columns if column.name != "version"]
        query = (
            select(
                *columns, _PLACES.c.code.label("location_code"), *whole.c, (Count.version + entries).label("version")
            )
            .join(_PLACES, _PLACES.c.id == Count.location_id)
            .join(whole, true())
            .where(Count.id == count_id)
        )
        return self.session.execute(query).one_or_none()

    def listing(self, **facts: object) -> Listing:
        """List counts, newest first; `facts` are columns and what they must be."""
        query = select(*Count.__table__.columns, _PLACES.c.code.label("location_code"))
        query = query.join(_PLACES, _PLACES.c.id == Count.location_id)
        for name, value in facts.items():
            query = query.where(getattr(Count, name) == value)
        return Listing(query, keys=(Count.id,), descending=True)

    def replace(self, count_id: UUID, item_ids: Collection[UUID]) -> None:
        """Mark the entries of items as replaced by what is entered next."""
        entry = CountEntry
        items = any_(cast(list(item_ids), ARRAY(Uuid)))
        replaced = update(entry).where(entry.count_id == count_id, entry.item_id == items, ~entry.is_replaced)
        self.session.execute(replaced.values(is_replaced=True), execution_options={"synchronize_session": False})

    def enter(self, count_id: UUID, rows: Iterable[Sequence[Any]], *, by: UUID | None) -> datetime:
        """Write entries (id, item, quantity, on_hand) with one statement; tells the moment."""
        values = arrays("e", _ENTRY_TYPES, rows) | {"count_id": count_id, "counted_by": by}
        moment: datetime = self.session.scalars(_ENTER, values).all()[0]
        return moment

    def entries(self, count_id: UUID, *, item_id: UUID | None) -> Listing:
        """List entries as they were made."""
        query = select(*CountEntry.__table__.columns, _ITEMS.c.sku).join(_ITEMS, _ITEMS.c.id == CountEntry.item_id)
        query = query.where(CountEntry.count_id == count_id)
        if item_id is not None:
            query = query.where(CountEntry.item_id == item_id)
        return Listing(query, keys=(CountEntry.id,))

    def lines(self, count_id: UUID, location_id: UUID, *, differing: bool) -> Listing:
        """List what was found, item by item, with what lies there now."""
        found = _found(count_id)
        on_hand = _LEVELS.c.on_hand, _LEVELS.c.location_id == location_id, _LEVELS.c.item_id == found.c.item_id
        query = select(*found.c, *_names_of(found.c.item_id), func.coalesce(_probe(*on_hand), 0).label("on_hand"))
        if differing:
            query = query.where(found.c.difference != 0)
        return Listing(query, keys=(Key(found.c.item_id, lambda row: row.item_id),))

    def uncounted(self, count_id: UUID, location_id: UUID) -> Listing:
        """List items that lie at a location, and that nobody has counted."""
        nothing = ("counted", "entries", "expected", "difference", "moved_between_entries", "counted_by", "counted_at")
        query = select(_LEVELS.c.item_id, *(null().label(name) for name in nothing), _LEVELS.c.on_hand)
        query = query.add_columns(*_names_of(_LEVELS.c.item_id)).where(_is_uncounted(count_id, location_id))
        return Listing(query, keys=(Key(_LEVELS.c.item_id, lambda row: row.item_id),))

    def corrections(self, count_id: UUID) -> Sequence[AnyRow]:
        """Read the items of which other was found than should have lain there, and by how much."""
        found = _found(count_id)
        query = select(found.c.item_id, found.c.difference).where(found.c.difference != 0).order_by(found.c.item_id)
        return self.session.execute(query).all()

    def missing(self, count_id: UUID, location_id: UUID) -> Sequence[AnyRow]:
        """Read the items nobody has counted as if nobody had found them: the difference is all that lies there."""
        query: Select[Any] = select(_LEVELS.c.item_id, (-_LEVELS.c.on_hand).label("difference"))
        return self.session.execute(query.where(_is_uncounted(count_id, location_id))).all()


def _found(count_id: UUID) -> Subquery:
    """Add up the entries of each item, and compare them with what should have lain there at the latest of them."""
    entry = CountEntry
    counted = (
        select(
            entry.item_id,
            func.sum(entry.quantity).label("counted"),
            func.count().label("entries"),
            _latest(entry.on_hand).label("expected"),
            (func.min(entry.on_hand) != func.max(entry.on_hand)).label("moved_between_entries"),
            _latest(entry.counted_by).label("counted_by"),
            func.max(entry.counted_at).label("counted_at"),
        )
        .where(entry.count_id == count_id, ~entry.is_replaced)
        .group_by(entry.item_id)
        .subquery("counted")
    )
    return select(*counted.c, (counted.c.counted - counted.c.expected).label("difference")).subquery("found")


def _latest(value: Any) -> ColumnElement[Any]:  # noqa: ANN401  # a column of any type
    latest_first = aggregate_order_by(value, CountEntry.counted_at.desc(), CountEntry.id.desc())
    return func.array_agg(latest_first, type_=ARRAY(value.type))[1]


def _is_uncounted(count_id: UUID, location_id: UUID) -> ColumnElement[bool]:
    entry = CountEntry
    counted = _probe(entry.id, entry.count_id == count_id, entry.item_id == _LEVELS.c.item_id)
    return and_(_LEVELS.c.location_id == location_id, _LEVELS.c.on_hand > 0, counted.is_(None))


def _names_of(item_id: ColumnElement[UUID]) -> Iterable[ColumnElement[Any]]:
    return (_probe(_ITEMS.c[name], _ITEMS.c.id == item_id).label(name) for name in ("sku", "name"))


def _probe(value: Any, *where: ColumnElement[bool]) -> ScalarSelect[Any]:  # noqa: ANN401  # a column of any type
    """Look something up for each row of a page. A join would be merged with the page, and read from its beginning."""
    return select(value).where(*where).limit(1).scalar_subquery()
