"""The catalogue: what can be stocked and sold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from api.core import ids
from api.events import service as events
from api.items.errors import ItemNotFound, SkuTaken
from api.items.models import Item
from api.items.repository import ItemRepository

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.money import Money
    from api.core.orm import AnyRow
    from api.core.paging import Listing


class ItemChanges(TypedDict, total=False):
    """What can be changed about an item."""

    sku: str
    name: str
    description: str | None
    unit_price: Money


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


def create(
    session: Session,
    *,
    sku: str,
    name: str,
    unit_price: Money,
    by: Caller,
    description: str | None = None,
    unit: str = "each",
    is_stocked: bool = True,
) -> Item:
    """Add an item to the catalogue.

    Raises:
        SkuTaken: another item has the SKU.

    """
    items = ItemRepository(session)
    if items.by_sku(sku):  # names the culprit in the usual case; the unique index settles races
        raise SkuTaken
    item = items.add(
        Item(sku=sku, name=name, unit_price=unit_price, description=description, unit=unit, is_stocked=is_stocked)
    )
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


def update(session: Session, item: Item, changes: ItemChanges, *, by: Caller) -> None:
    """Change an item.

    Raises:
        SkuTaken: another item has the new SKU.

    """
    sku = changes.get("sku")
    if sku is not None and sku.lower() != item.sku.lower() and ItemRepository(session).by_sku(sku):
        raise SkuTaken
    for name, value in changes.items():
        setattr(item, name, value)
    if not session.is_modified(item):
        return
    session.flush()
    events.record(session, "item.updated", item.id, item.facts(), by=by)


def search(session: Session, *, q: str | None = None, sku: str | None = None, archived: bool = False) -> Listing:
    """List items in order of SKU; `q` narrows to those whose SKU or name contain it."""
    return ItemRepository(session).search(text=q, sku=sku, archived=archived)


def facts_by_id(session: Session, item_ids: Collection[UUID]) -> dict[UUID, ItemFacts]:
    """Read facts about many items with one statement; unknown ids are left out."""
    rows = ItemRepository(session).facts(ids=item_ids, skus=())
    return {row.id: _facts(row) for row in rows}


def facts(session: Session, *, ids: Collection[UUID], skus: Collection[str]) -> dict[UUID | str, ItemFacts]:
    """Read facts about items named by id or by SKU (any letter case); found under the id and the lower-case SKU."""
    rows = ItemRepository(session).facts(ids=ids, skus=skus)
    found: dict[UUID | str, ItemFacts] = {}
    for row in rows:
        found[row.id] = found[row.sku.lower()] = _facts(row)
    return found


def _facts(row: AnyRow) -> ItemFacts:
    return ItemFacts(*row)


def import_many(session: Session, rows: Iterable[dict[str, Any]]) -> dict[str, UUID]:
    """Add many new items at once, without events; tells the id of each SKU."""
    values = [{"id": ids.new(), **row} for row in rows]
    ItemRepository(session).add_many(values)
    return {row["sku"]: row["id"] for row in values}
