"""What can be stocked and sold."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, Index, String, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped, Versioned

if TYPE_CHECKING:
    from collections.abc import Mapping

DENY, ALLOW = BACKORDERS = ("deny", "allow")

_LIVE = text("archived_at IS NULL")
_TOLD = ("sku", "name", "unit_price", "is_stocked")


class Item(Identified, Versioned, Timestamped, Base):
    """A thing that is stocked and sold. One that is not stocked (postage, a service) is ordered without stock.

    `words` is what a search finds it by; `reorder_point` holds at every location that sells.
    """

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint("unit_price >= 0", name="unit_price_not_negative"),
        CheckConstraint("unit IN ('each', 'g', 'ml')", name="unit_known"),
        CheckConstraint("cost_price >= 0", name="cost_price_not_negative"),
        CheckConstraint("reorder_point >= 0", name="reorder_point_not_negative"),
        CheckConstraint("reorder_quantity > 0", name="reorder_quantity_positive"),
        CheckConstraint("backorders IN ('deny', 'allow')", name="backorders_known"),
        CheckConstraint("lead_time_days >= 0", name="lead_time_days_not_negative"),
        *(
            Index(f"ix_items_live_{name}", name, "id", postgresql_where=_LIVE)
            for name in ("sku", "name", "unit_price", "created_at", "updated_at")
        ),
        Index("ix_items_archived_sku", "sku", "id", postgresql_where=text("archived_at IS NOT NULL")),
        Index("ix_items_not_stocked", "sku", "id", postgresql_where=text("archived_at IS NULL AND NOT is_stocked")),
        Index("ix_items_tags", "tags", postgresql_using="gin"),
        Index(
            "ix_items_attributes",
            "attributes",
            postgresql_using="gin",
            postgresql_ops={"attributes": "jsonb_path_ops"},
        ),
    )

    sku: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(String(5000))
    barcode: Mapped[str | None] = mapped_column(String(14))
    category: Mapped[str | None] = mapped_column(String(100))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    image_url: Mapped[str | None] = mapped_column(String(2000))
    unit: Mapped[str] = mapped_column(String(8), default="each", server_default="each")
    unit_price: Mapped[Decimal]
    cost_price: Mapped[Decimal | None]
    reorder_point: Mapped[int | None]
    reorder_quantity: Mapped[int | None]
    backorders: Mapped[str] = mapped_column(String(8), default=DENY, server_default=DENY)
    lead_time_days: Mapped[int | None]
    is_stocked: Mapped[bool] = mapped_column(default=True, server_default="true")
    archived_at: Mapped[datetime | None]
    words: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")

    def facts(self) -> dict[str, Any]:
        """Tell what an event says about the item."""
        return told({name: getattr(self, name) for name in _TOLD})


def told(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tell what an event says about an item with these values."""
    return {name: values[name] for name in _TOLD} | {"unit_price": str(values["unit_price"])}


class ItemWord(Base):
    """A word that some item is, or has been, described by; a trigger on items adds them."""

    __tablename__ = "item_words"
    __table_args__ = (
        Index(
            "ix_item_words_similar",
            "word",
            postgresql_using="gin",
            postgresql_ops={"word": "gin_trgm_ops"},
            postgresql_where=text("word !~ '[0-9]'"),
        ),
        {"comment": "Every word that items have ever been described by: what a misspelt one may have meant"},
    )

    word: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)


Index("uq_items_sku_lower", func.lower(Item.sku), unique=True)
Index("uq_items_barcode", func.lpad(Item.barcode, 14, text("'0'")), unique=True)
Index("ix_items_words", func.array_to_tsvector(Item.words), postgresql_using="gin")
Index("ix_items_live_category", func.coalesce(Item.category, text("''")), Item.sku, Item.id, postgresql_where=_LIVE)
