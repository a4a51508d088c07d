"""The catalogue: what can be stocked and sold."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, Any, Required, TypedDict, Unpack

from sqlalchemy.orm.attributes import flag_modified

from api.core import ids
from api.events import service as events
from api.items import batches, wording
from api.items.errors import BarcodeTaken, CatalogueBusy, ItemNotFound, SkuTaken
from api.items.models import ALLOW, Item, told
from api.items.repository import ItemRepository, words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.money import Money
    from api.core.outcomes import Outcome
    from api.core.paging import Listing

TRIES = 5


class _Facts(TypedDict, total=False):
    description: str | None
    barcode: str | None
    category: str | None
    tags: list[str]
    attributes: dict[str, Any]
    image_url: str | None
    cost_price: Money | None
    reorder_point: int | None
    reorder_quantity: int | None
    backorders: str
    lead_time_days: int | None


class NewItem(_Facts, total=False):
    """What can be said about a new item."""

    sku: Required[str]
    name: Required[str]
    unit_price: Required[Money]
    unit: str
    is_stocked: bool


class ItemChanges(_Facts, total=False):
    """What can be changed about an item."""

    sku: str
    name: str
    unit_price: Money


class ItemFilters(TypedDict, total=False):
    """Which items to list, and in which order."""

    q: str
    sort: Sequence[tuple[str, bool]]
    sku: str
    barcode: str
    category: str
    tag: Sequence[str]
    attribute: tuple[str, str]
    is_stocked: bool
    archived: bool
    price_min: Decimal
    price_max: Decimal
    created_since: datetime
    updated_since: datetime


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What other domains need to know about an item."""

    id: UUID
    sku: str
    name: str
    unit_price: Decimal
    cost_price: Decimal | None
    is_stocked: bool
    archived_at: datetime | None
    backorders: str
    lead_time_days: int | None

    @property
    def may_wait(self) -> bool:
        """Tell whether more may be ordered than there is."""
        return self.backorders == ALLOW


def create(session: Session, *, by: Caller, **facts: Unpack[NewItem]) -> Item:
    """Add an item to the catalogue.

    Raises:
        SkuTaken: another item has the SKU.
        BarcodeTaken: another item has the barcode.

    """
    items = ItemRepository(session)
    if items.by_sku(facts["sku"]):  # names the culprit in the usual case; the unique index settles races
        raise SkuTaken
    _ensure_barcode_is_free(items, facts.get("barcode"))
    item = items.add(Item(**facts, words=words(facts)))
    events.record(session, "item.created", item.id, item.facts(), by=by)
    return item


def get(session: Session, item_id: UUID) -> Item:
    """Find an item.

    Raises:
        ItemNotFound: none has this id.

    """
    item = ItemRepository(session).get(item_id)
    if item is None:
        raise ItemNotFound
    return item


def show(session: Session, item_id: UUID) -> Any:  # noqa: ANN401  # a row that has the columns of an item
    """Read what is shown of an item.

    Raises:
        ItemNotFound: none has this id.

    """
    row = ItemRepository(session).shown(item_id)
    if row is None:
        raise ItemNotFound
    return row


def by_sku(session: Session, sku: str) -> Item:
    """Find an item by its SKU, in any letter case.

    Raises:
        ItemNotFound: none has it.

    """
    item = ItemRepository(session).by_sku(sku)
    if item is None:
        raise ItemNotFound
    return item


def update(session: Session, item: Item, changes: ItemChanges, *, by: Caller) -> None:
    """Change an item.

    Raises:
        SkuTaken: another item has the new SKU.
        BarcodeTaken: another item has the new barcode.

    """
    items = ItemRepository(session)
    sku, barcode = changes.get("sku"), changes.get("barcode")
    if sku is not None and sku.lower() != item.sku.lower() and items.by_sku(sku):
        raise SkuTaken
    if barcode is not None and barcode.zfill(14) != (item.barcode or "").zfill(14):
        _ensure_barcode_is_free(items, barcode)
    before = item.attributes
    for name, value in changes.items():
        setattr(item, name, value)
    if batches.differs({"attributes": before}, {"attributes": item.attributes}):
        flag_modified(item, "attributes")  # 1 and true are the same to Python, and not to those who sent them
    if not session.is_modified(item):
        return
    item.words = words({name: getattr(item, name) for name in ("sku", "name", "barcode", "category", "tags")})
    session.flush()
    events.record(session, "item.updated", item.id, item.facts(), by=by)


def archive(session: Session, item_id: UUID, *, by: Caller) -> Item:
    """Take an item out of the catalogue; one that is archived already stays so.

    Raises:
        ItemNotFound: none has this id.

    """
    items = ItemRepository(session)
    item = _locked(items, item_id)
    if item.archived_at is None:
        item.archived_at = items.now()
        session.flush()
        events.record(session, "item.archived", item.id, item.facts(), by=by)
    return item


def restore(session: Session, item_id: UUID, *, by: Caller) -> Item:
    """Put an archived item back into the catalogue; one that is there stays so.

    Raises:
        ItemNotFound: none has this id.

    """
    item = _locked(ItemRepository(session), item_id)
    if item.archived_at is not None:
        item.archived_at = None
        session.flush()
        events.record(session, "item.restored", item.id, item.facts(), by=by)
    return item


def delete(session: Session, item: Item, *, by: Caller) -> None:
    """Remove an item that nothing refers to.

    Raises:
        ItemInUse: stock, an order, a transfer or a count names it; the database says so.

    """
    events.record(session, "item.deleted", item.id, item.facts(), by=by)
    ItemRepository(session).delete(item)


def search(session: Session, **wanted: Unpack[ItemFilters]) -> Listing:
    """List items, in order of SKU unless `sort` says otherwise.

    Every word of `q` must begin a word of the item; one that begins no word of any item is taken for misspelt, and
    stands for the words most like it. A `q` without letters and digits finds nothing.
    """
    items = ItemRepository(session)
    filters: dict[str, Any] = dict(wanted)
    q, sort, archived = filters.pop("q", None), filters.pop("sort", None), filters.pop("archived", False)
    if "attribute" in filters:
        key, value = filters["attribute"]
        filters["attribute"] = key, _meanings(value)
    query = None if q is None else _understood(items, wording.asked(q))
    return items.search(filters, wanted=query, archived=archived, sort=sort or [("sku", False)])


def upsert(session: Session, rows: batches.Rows, *, by: Caller, dry_run: bool = False) -> list[Outcome]:
    """Create or change many items, each named by its SKU; a row that is refused does not spoil the others.

    A dry run tells what would happen and writes nothing.

    Raises:
        CatalogueBusy: others changed the same items again and again.

    """
    items = ItemRepository(session)
    skus = {values["sku"].lower() for _, values in rows}
    barcodes = {values["barcode"].zfill(14) for _, values in rows if values.get("barcode")}
    for _ in range(TRIES if rows else 0):
        present = items.present(skus, locked=not dry_run)
        holders = items.holders(barcodes) if barcodes else {}
        plan = batches.plan(rows, present=present, holders=holders)
        if dry_run:
            return plan.rehearsed()
        if items.write(new=plan.new, changed=plan.changed):  # else somebody else was first, and is seen now
            for type_, written in (("item.created", plan.new), ("item.updated", plan.changed)):
                news = [(row["id"], told(row)) for row in written]
                events.record_all(session, type_, news, by=by)
            return plan.outcomes
    if rows:
        raise CatalogueBusy
    return []


def facts_by_id(session: Session, item_ids: Collection[UUID]) -> dict[UUID, ItemFacts]:
    """Read facts about many items with one statement; unknown ids are left out."""
    return {item.id: item for item in _facts(session, ids=item_ids)}


def facts(session: Session, *, ids: Collection[UUID], skus: Collection[str]) -> dict[UUID | str, ItemFacts]:
    """Read facts about items named by id or by SKU (any letter case); found under the id and the lower-case SKU."""
    found: dict[UUID | str, ItemFacts] = {}
    for item in _facts(session, ids=ids, skus=skus):
        found[item.id] = found[item.sku.lower()] = item
    return found


def import_many(session: Session, rows: Iterable[dict[str, Any]]) -> dict[str, UUID]:
    """Add many new items at once, without events; tells the id of each SKU."""
    values = [{"id": ids.new(), **row} for row in rows]
    ItemRepository(session).add_many(values)
    return {row["sku"]: row["id"] for row in values}


def _facts(session: Session, *, ids: Collection[UUID], skus: Collection[str] = ()) -> Iterable[ItemFacts]:
    return starmap(ItemFacts, ItemRepository(session).facts(ids=ids, skus=skus))


def _locked(items: ItemRepository, item_id: UUID) -> Item:
    item = items.locked(item_id)
    if item is None:
        raise ItemNotFound
    return item


def _ensure_barcode_is_free(items: ItemRepository, barcode: str | None) -> None:
    if barcode is not None and items.has_barcode(barcode):
        raise BarcodeTaken


def _understood(items: ItemRepository, asked: list[str]) -> str:
    """Write the tsquery somebody means; an empty one when nothing can match."""
    choices = items.meant_by(asked) if asked else []
    return "" if any(meant == [] for _, meant in choices) else wording.query(choices)


def _meanings(value: str) -> list[object]:
    """Tell what a value in a query may stand for: a text, one of several texts, a number or a boolean."""
    meanings: list[object] = [value, [value]]
    try:
        scalar = json.loads(value)
    except ValueError:
        return meanings
    is_plain = isinstance(scalar, bool | int) or (isinstance(scalar, float) and math.isfinite(scalar))
    return [*meanings, scalar] if is_plain else meanings
