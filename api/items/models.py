"""What can be stocked and sold."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped, Versioned


class Item(Identified, Versioned, Timestamped, Base):
    """A thing that is stocked and sold. One that is not stocked (postage, a service) is ordered without stock."""

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint("unit_price >= 0", name="unit_price_not_negative"),
        Index("ix_items_sku_id", "sku", "id"),
        CheckConstraint("unit IN ('each', 'g', 'ml')", name="unit_known"),
    )

    sku: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(String(5000))
    unit: Mapped[str] = mapped_column(String(8), default="each", server_default="each")
    unit_price: Mapped[Decimal]
    is_stocked: Mapped[bool] = mapped_column(default=True, server_default="true")
    archived_at: Mapped[datetime | None]

    def facts(self) -> dict[str, Any]:
        """Tell what an event says about the item."""
        return {"sku": self.sku, "name": self.name, "unit_price": str(self.unit_price), "is_stocked": self.is_stocked}


Index("uq_items_sku_lower", func.lower(Item.sku), unique=True)
