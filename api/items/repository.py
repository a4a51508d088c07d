"""Every statement the catalogue sends."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import (
    ARRAY,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    false,
    func,
    insert,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSQUERY
from sqlalchemy.exc import IntegrityError

from api.core import bulk
from api.core.orm import Repository
from api.core.paging import Key, Listing, PreparedListing
from api.core.prepared import Prepared, named
from api.items import wording
from api.items.models import Item

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select

    from api.core.orm import AnyRow

UNIQUE_VIOLATION = "23505"
WRITTEN = {
    "id": "uuid",
    "sku": "text",
    "name": "text",
    "description": "text",
    "barcode": "text",
    "category": "text",
    "tags": "text[]",
    "attributes": "jsonb",
    "image_url": "text",
    "unit": "text",
    "unit_price": "numeric",
    "cost_price": "numeric",
    "reorder_point": "integer",
    "reorder_quantity": "integer",
    "backorders": "text",
    "lead_time_days": "integer",
    "is_stocked": "boolean",
    "words": "text[]",
}
"""The columns that are written, and PostgreSQL's types of them."""

_COLUMNS = ", ".join(WRITTEN)
_SAID = ", ".join(f"{name} {kind}" for name, kind in WRITTEN.items())
_SET = ", ".join(f"{name} = said.{name}" for name in WRITTEN if name != "id")
_INSERT = text(f"""
    INSERT INTO items ({_COLUMNS}) SELECT {_COLUMNS} FROM json_to_recordset(CAST(:rows AS json)) AS said ({_SAID})
    ORDER BY lower(sku) ON CONFLICT DO NOTHING RETURNING id
""")  # noqa: S608  # only names from the tables above are put into the text
_UPDATE = text(f"""
    UPDATE items SET {_SET}, version = items.version + 1, updated_at = now()
    FROM json_to_recordset(CAST(:rows AS json)) AS said ({_SAID}) WHERE items.id = said.id
""")  # noqa: S608  # the same
_LEARN = text("""
    INSERT INTO item_words (word) SELECT said.word FROM unnest(CAST(:words AS text[])) AS said (word)
    WHERE NOT EXISTS (SELECT FROM item_words AS known WHERE known.word = said.word)
    ORDER BY said.word COLLATE "C" ON CONFLICT DO NOTHING
""")

MOST_SIMILAR = 8
LEAST_SIMILARITY = 0.3
MOST_CONTAINING = 32
LEAST_CONTAINED = 3
"""An index of trigrams knows nothing about fewer letters."""

_UNDERSTAND = text("""
    SELECT asked.word, CASE
        WHEN EXISTS (SELECT FROM item_words AS known
                     WHERE known.word >= asked.word AND known.word < asked.word || :last) THEN NULL
        WHEN asked.word ~ '[0-9]' THEN CAST('{}' AS text[])
        ELSE ARRAY(
            (SELECT near.word FROM item_words AS near
             WHERE near.word !~ '[0-9]' AND near.word % asked.word AND similarity(near.word, asked.word) >= :least
             ORDER BY similarity(near.word, asked.word) DESC, near.word LIMIT :most_similar)
            UNION
            (SELECT holder.word FROM item_words AS holder
             WHERE holder.word !~ '[0-9]' AND length(asked.word) >= :least_contained
             AND holder.word LIKE '%' || asked.word || '%'
             ORDER BY holder.word LIMIT :most_containing)
        ) END AS meant
    FROM unnest(CAST(:words AS text[])) WITH ORDINALITY AS asked (word, place) ORDER BY asked.place
""").bindparams(
    last="\U0010ffff",
    least=LEAST_SIMILARITY,
    least_contained=LEAST_CONTAINED,
    most_similar=MOST_SIMILAR,
    most_containing=MOST_CONTAINING,
)

_items = Item.__table__.c
"""What is only read is read from the table: an object that could be changed costs three times as much."""

_shown_category = func.coalesce(_items.category, literal_column("''"))
_padded_barcode = func.lpad(_items.barcode, 14, literal_column("'0'"))
_found_by = func.array_to_tsvector(_items.words)
_FACTS = select(
    _items.id,
    _items.sku,
    _items.name,
    _items.unit_price,
    _items.cost_price,
    _items.is_stocked,
    _items.archived_at,
    _items.backorders,
    _items.lead_time_days,
)
_BY_ID = _items.id == any_(bulk.given("ids", Uuid()))
_BY_SKU = func.lower(_items.sku) == any_(bulk.given("skus", Text()))
_FACTS_BY_ID, _FACTS_BY_SKU, _FACTS_BY_EITHER = (
    Prepared(_FACTS.where(which)) for which in (_BY_ID, _BY_SKU, or_(_BY_ID, _BY_SKU))
)

SORTS: dict[str, tuple[ColumnElement[Any] | Any, Callable[[Any], object]]] = {
    "sku": (_items.sku, lambda item: item.sku),
    "name": (_items.name, lambda item: item.name),
    "unit_price": (_items.unit_price, lambda item: item.unit_price),
    "created_at": (_items.created_at, lambda item: item.created_at),
    "updated_at": (_items.updated_at, lambda item: item.updated_at),
    "category": (_shown_category, lambda item: item.category or ""),
}
"""What a list can be sorted by, and how a row shows its value."""


FILTERS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "sku": lambda sku: func.lower(_items.sku) == sku.lower(),
    "barcode": lambda barcode: _padded_barcode == barcode.zfill(14),
    "category": lambda category: _shown_category == category,
    "tag": lambda tags: _items.tags.op("@>")(cast(list(tags), ARRAY(Text))),
    "is_stocked": lambda wanted: and_(_items.is_stocked) if wanted else not_(_items.is_stocked),
    "price_min": lambda price: _items.unit_price >= price,
    "price_max": lambda price: _items.unit_price <= price,
    "created_since": lambda moment: _items.created_at >= moment,
    "updated_since": lambda moment: _items.updated_at >= moment,
    "attribute": lambda wanted: or_(
        *(_items.attributes.contains(literal({wanted[0]: value}, JSONB)) for value in wanted[1])
    ),
}
"""What narrows a list, each in the words of the index that serves it."""


_SHOWN = [column for column in _items if column.name != "words"]
_SHOW = Prepared(
    select(*_SHOWN).where(_items.id == bindparam("item_id", type_=Uuid)), named(tuple(column.key for column in _SHOWN))
)


class ItemRepository(Repository[Item]):
    """Items by id, SKU and text."""

    model = Item

    def shown(self, item_id: UUID) -> Any | None:  # noqa: ANN401  # a row that has the columns of an item
        """Read what is shown of an item."""
        return _SHOW.first(self.session, {"item_id": item_id})

    def by_sku(self, sku: str) -> Item | None:
        """Find an item by its SKU in any letter case."""
        return self.one(select(Item).where(func.lower(Item.sku) == sku.lower()))

    def has_barcode(self, barcode: str) -> bool:
        """Tell whether an item has a barcode, whatever zeros stand before it."""
        return self.exists(select(Item.id).where(_padded_barcode == barcode.zfill(14)))

    def locked(self, item_id: UUID) -> Item | None:
        """Find an item that nobody else changes until the transaction ends; others may refer to it meanwhile."""
        query = select(Item).where(Item.id == item_id).with_for_update(key_share=True)
        return self.one(query.execution_options(populate_existing=True))

    def delete(self, item: Item) -> None:
        """Remove an item that nothing refers to; the foreign keys say so."""
        self.session.delete(item)
        self.session.flush()

    def meant_by(self, words: Sequence[str]) -> list[tuple[str, list[str] | None]]:
        """Tell, for each word that begins no word of any item, which words it may have meant; None for the others.

        A word with digits is a code: another that looks like it is not what was meant, and does not stand for it.
        """
        rows = self.session.execute(_UNDERSTAND, {"words": list(words)})
        return [(row.word, row.meant) for row in rows]

    def search(
        self, filters: Mapping[str, Any], *, wanted: str | None, archived: bool, sort: Sequence[tuple[str, bool]]
    ) -> Listing:
        """List items, narrowed by `FILTERS` and by a tsquery; an empty one finds nothing."""
        if not filters and wanted is None:
            return _whole(archived=archived, sort=tuple(sort))
        query = _shown(archived=archived).where(*(FILTERS[name](value) for name, value in filters.items()))
        if wanted is not None:
            query = query.where(_found_by.op("@@")(cast(wanted, TSQUERY)) if wanted else false())
        return Listing(query, keys=tuple(_keys(list(sort))))

    def facts(self, *, ids: Collection[UUID], skus: Collection[str]) -> list[tuple[Any, ...]]:
        """Read what an order or a receipt needs to know about many items, in one statement: the columns of `_FACTS`."""
        wanted = {"ids": bulk.array("uuid", ids), "skus": bulk.array("text", (sku.lower() for sku in skus))}
        query = _FACTS_BY_EITHER if ids and skus else _FACTS_BY_SKU if skus else _FACTS_BY_ID
        return query.rows(self.session, wanted)

    def present(self, skus: Collection[str], *, locked: bool) -> dict[str, AnyRow]:
        """Read items by SKU in lower case, locked in key order if they are to be changed."""
        columns = (*(getattr(Item, name) for name in WRITTEN), Item.version)
        query = select(*columns).where(func.lower(Item.sku) == any_(bindparam("skus", list(skus), ARRAY(Text))))
        if locked:
            query = query.order_by(Item.id).with_for_update(key_share=True, of=Item)
        return {row.sku.lower(): row for row in self.session.execute(query)}

    def holders(self, barcodes: Collection[str]) -> dict[str, UUID]:
        """Tell which items have barcodes, all of 14 digits."""
        code = _padded_barcode.label("code")
        query = select(code, Item.id).where(code == any_(bindparam("codes", list(barcodes), ARRAY(Text))))
        return {row.code: row.id for row in self.session.execute(query)}

    def write(self, *, new: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]) -> bool:
        """Insert and update many items with one statement each, all or, when others came between, none of them.

        New words come first, in order: a trigger would add them statement by statement, and two that write the same
        words and the same barcodes would block each other.
        """
        worded_new, worded_changed = ([{**row, "words": words(row)} for row in rows] for rows in (new, changed))
        said = {word for row in (*worded_new, *worded_changed) for word in row["words"]}
        savepoint = self.session.begin_nested()
        try:
            self.session.execute(_LEARN, {"words": sorted(said)})
            added = self.session.execute(_INSERT, {"rows": _json(worded_new)}).all() if new else []
            if changed:
                self.session.execute(_UPDATE, {"rows": _json(worded_changed)})
        except IntegrityError as error:
            savepoint.rollback()
            if getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
                return False
            raise
        if len(added) < len(new):
            savepoint.rollback()
            return False
        savepoint.commit()
        return True

    def add_many(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many new items with one statement per thousand."""
        self.session.execute(insert(Item), [{**row, "words": words(row)} for row in rows])


@lru_cache(maxsize=64)
def _whole(*, archived: bool, sort: tuple[tuple[str, bool], ...]) -> Listing:
    """List the catalogue as it is most often asked for."""
    return PreparedListing(_shown(archived=archived), keys=tuple(_keys(list(sort))))


def _shown(*, archived: bool) -> Select[Any]:
    return select(*_SHOWN).where(_items.archived_at.is_not(None) if archived else _items.archived_at.is_(None))


def words(values: Mapping[str, Any]) -> list[str]:
    """Tell the words an item with these values is found by."""
    return wording.words_of(
        sku=values["sku"],
        name=values["name"],
        barcode=values.get("barcode"),
        category=values.get("category"),
        tags=values.get("tags") or (),
    )


def _keys(sort: list[tuple[str, bool]]) -> Iterator[Key]:
    """Put a unique key last, in the direction of the one before it, so that one index serves both."""
    names = [name for name, _ in sort]
    if names == ["category"]:
        sort = [*sort, ("sku", sort[0][1])]  # as its index has it
    elif "sku" in names:
        sort = sort[: names.index("sku") + 1]  # no two items have the same, so nothing after it matters
    for name, descending in sort:
        column, read = SORTS[name]
        yield Key(column, read, descending)
    yield Key(_items.id, lambda item: item.id, sort[-1][1])


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows, default=str).decode()
