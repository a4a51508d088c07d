"""Every statement the catalogue sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, Uuid, any_, cast, func, insert, or_, select

from api.core.orm import Repository
from api.core.paging import Listing
from api.items.models import Item

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from api.core.orm import AnyRow

_FACTS = select(Item.id, Item.sku, Item.name, Item.unit_price, Item.cost_price, Item.is_stocked, Item.archived_at)


class ItemRepository(Repository[Item]):
    """Items by id, SKU and text."""

    model = Item

    def by_sku(self, sku: str) -> Item | None:
        """Find an item by its SKU in any letter case."""
        return self.one(select(Item).where(func.lower(Item.sku) == sku.lower()))

    def search(self, *, text: str | None, sku: str | None, archived: bool) -> Listing:
        """List items by SKU, narrowed by a text that SKU or name contain."""
        query = select(Item).where(Item.archived_at.is_not(None) if archived else Item.archived_at.is_(None))
        if sku is not None:
            query = query.where(func.lower(Item.sku) == sku.lower())
        if text is not None:
            query = query.where(
                or_(Item.name.icontains(text, autoescape=True), Item.sku.icontains(text, autoescape=True))
            )
        return Listing(query, keys=(Item.sku, Item.id))

    def facts(self, *, ids: Collection[UUID], skus: Collection[str]) -> Sequence[AnyRow]:
        """Read what an order or a receipt needs to know about many items, in one statement."""
        by_id = Item.id == any_(cast(list(ids), ARRAY(Uuid)))
        if not skus:
            return self.session.execute(_FACTS.where(by_id)).all()
        by_sku = func.lower(Item.sku) == any_(cast([sku.lower() for sku in skus], ARRAY(Text)))
        return self.session.execute(_FACTS.where(or_(by_id, by_sku) if ids else by_sku)).all()

    def add_many(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert many items with one statement per thousand."""
        self.session.execute(insert(Item), rows)
