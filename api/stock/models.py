"""Balances, the ledger that explains them, and the promises that reserve them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from api.core import ids
from api.core.orm import Base

RECEIPT, ADJUSTMENT, RESERVE, RELEASE = "receipt", "adjustment", "reserve", "release"

LEVEL_KEY = ("stock_levels.item_id", "stock_levels.location_id")


class StockLevel(Base):
    """How much of an item lies at a location and how much of that is promised.

    `version` counts the level's movements. Only this domain writes here, and always under a row lock.
    """

    __tablename__ = "stock_levels"
    __table_args__ = (
        CheckConstraint("on_hand >= 0", name="on_hand_not_negative"),
        CheckConstraint("reserved BETWEEN 0 AND on_hand", name="reserved_within_on_hand"),
        Index("ix_stock_levels_location_id", "location_id", "item_id"),
        {"postgresql_with": {"fillfactor": 80}},
    )

    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"), primary_key=True)
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"), primary_key=True)
    on_hand: Mapped[int] = mapped_column(default=0, server_default="0")
    reserved: Mapped[int] = mapped_column(default=0, server_default="0")
    version: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved


class StockMovement(Base):
    """One immutable line of the ledger: what changed, by how much, why, who, when, and the balance after it.

    `sequence` numbers a level's movements from 1 without gaps. Triggers refuse UPDATE, DELETE and TRUNCATE.
    """

    __tablename__ = "stock_movements"
    __table_args__ = (
        ForeignKeyConstraint(["item_id", "location_id"], LEVEL_KEY),
        UniqueConstraint("item_id", "location_id", "sequence"),
        CheckConstraint("kind IN ('receipt', 'adjustment', 'reserve', 'release')", name="kind_known"),
        CheckConstraint("on_hand_change <> 0 OR reserved_change <> 0", name="changes_something"),
        CheckConstraint("reserved BETWEEN 0 AND on_hand", name="balance_possible"),
        Index("ix_stock_movements_source_id", "source_id", postgresql_where="source_id IS NOT NULL"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    item_id: Mapped[UUID]
    location_id: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(20))
    on_hand_change: Mapped[int]
    reserved_change: Mapped[int]
    on_hand: Mapped[int]
    reserved: Mapped[int]
    reason: Mapped[str | None] = mapped_column(String(40))
    reference: Mapped[str | None] = mapped_column(String(200))
    source_id: Mapped[UUID | None]
    actor_id: Mapped[UUID | None]
    request_id: Mapped[str | None] = mapped_column(String(128))
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now())
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def quantity(self) -> int:
        """The units moved: of `on_hand` where that changed, of `reserved` otherwise."""
        return self.on_hand_change or self.reserved_change


class Allocation(Base):
    """The part of an open promise that one stock level keeps: so much for this line of this order."""

    __tablename__ = "allocations"
    __table_args__ = (
        ForeignKeyConstraint(["item_id", "location_id"], LEVEL_KEY),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_allocations_item_id_location_id", "item_id", "location_id"),
    )

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    location_id: Mapped[UUID] = mapped_column(primary_key=True)
    item_id: Mapped[UUID]
    quantity: Mapped[int]
