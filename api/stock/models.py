"""Balances, the ledger that explains them, and the promises that reserve them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from api.core import ids
from api.core.orm import Base

RECEIPT, ADJUSTMENT, TRANSFER, COUNT, SHIPMENT, RETURN, RESERVE, RELEASE = KINDS = (
    "receipt",
    "adjustment",
    "transfer",
    "count",
    "shipment",
    "return",
    "reserve",
    "release",
)

_NEWEST_FIRST = ("occurred_at", "id")
_SUMMED = ("on_hand_change", "value_change")
_IN_TIME = ("item_id", "location_id", "occurred_at", "sequence")

LEVEL_KEY = ("stock_levels.item_id", "stock_levels.location_id")


class StockLevel(Base):
    """How much of an item lies at a location, what it is worth, and how much of it is promised.

    `version` counts the level's movements, `moved_at` is the latest moment at which any of them happened. A level
    keeps its item's `reorder_point` (a trigger copies it when it changes), so that whoever holds its lock can tell
    whether it is low. Only this domain writes here, and always under a row lock.
    """

    __tablename__ = "stock_levels"
    __table_args__ = (
        CheckConstraint("on_hand >= 0", name="on_hand_not_negative"),
        CheckConstraint("reserved BETWEEN 0 AND on_hand", name="reserved_within_on_hand"),
        CheckConstraint("value >= 0 AND (on_hand > 0 OR value = 0)", name="value_of_something"),
        CheckConstraint("is_low = coalesce(on_hand - reserved <= reorder_point, false)", name="is_low_told_rightly"),
        Index("ix_stock_levels_location_id", "location_id", "item_id"),
        Index("ix_stock_levels_low", "item_id", "location_id", postgresql_where=text("is_low")),
        {"postgresql_with": {"fillfactor": 80}},
    )

    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"), primary_key=True)
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"), primary_key=True)
    on_hand: Mapped[int] = mapped_column(default=0, server_default="0")
    reserved: Mapped[int] = mapped_column(default=0, server_default="0")
    value: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    version: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    moved_at: Mapped[datetime | None]
    reorder_point: Mapped[int | None]
    is_low: Mapped[bool] = mapped_column(default=False, server_default="false")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved


class StockMovement(Base):
    """One immutable line of the ledger: what changed, by how much, why, who, when, and the balance after it.

    `sequence` numbers a level's movements from 1 without gaps, in the order in which they were recorded. One that
    happened before an earlier numbered one `is_late`. Triggers refuse UPDATE, DELETE and TRUNCATE.
    """

    __tablename__ = "stock_movements"
    __table_args__ = (
        ForeignKeyConstraint(["item_id", "location_id"], LEVEL_KEY),
        UniqueConstraint("item_id", "location_id", "sequence"),
        CheckConstraint(
            "kind IN ('receipt', 'adjustment', 'transfer', 'count', 'shipment', 'return', 'reserve', 'release')",
            name="kind_known",
        ),
        CheckConstraint("on_hand_change <> 0 OR reserved_change <> 0", name="changes_something"),
        CheckConstraint("reserved BETWEEN 0 AND on_hand", name="balance_possible"),
        Index("ix_stock_movements_occurred_at", *_NEWEST_FIRST),
        Index("ix_stock_movements_item_id", "item_id", *_NEWEST_FIRST),
        Index("ix_stock_movements_location_id", "location_id", *_NEWEST_FIRST),
        *(
            Index(f"ix_stock_movements_{name}", name, *_NEWEST_FIRST, postgresql_where=text(f"{name} IS NOT NULL"))
            for name in ("source_id", "reference", "reason")
        ),
        Index(
            "ix_stock_movements_by_hand",
            "kind",
            *_NEWEST_FIRST,
            postgresql_where=text("kind NOT IN ('reserve', 'release')"),
        ),
        Index("ix_stock_movements_in_time", *_IN_TIME, postgresql_where=text("NOT is_late")),
        Index("ix_stock_movements_late", *_IN_TIME, postgresql_where=text("is_late")),
        Index(
            "ix_stock_movements_worth",
            "location_id",
            "occurred_at",
            postgresql_include=_SUMMED,
            postgresql_where=text("on_hand_change <> 0"),
        ),
        Index(
            "ix_stock_movements_dated_back",
            "location_id",
            "recorded_at",
            "occurred_at",
            postgresql_include=_SUMMED,
            postgresql_where=text("on_hand_change <> 0 AND occurred_at < recorded_at"),
        ),
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
    value_change: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    value: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    reason: Mapped[str | None] = mapped_column(String(40))
    reference: Mapped[str | None] = mapped_column(String(200))
    source_id: Mapped[UUID | None]
    actor_id: Mapped[UUID | None]
    request_id: Mapped[str | None] = mapped_column(String(128))
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now())
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    is_late: Mapped[bool] = mapped_column(default=False, server_default="false")

    @property
    def quantity(self) -> int:
        """The units moved: of `on_hand` where that changed, of `reserved` otherwise."""
        return self.on_hand_change or self.reserved_change


class Allocation(Base):
    """The part of an open promise that one stock level keeps: so much for this line of this owner.

    Owners are orders, reservations and transfers. What a reservation keeps is promised until `expires_at` only: from
    then on it is available again, even before the release of it is written.
    """

    __tablename__ = "allocations"
    __table_args__ = (
        ForeignKeyConstraint(["item_id", "location_id"], LEVEL_KEY),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_allocations_item_id_location_id", "item_id", "location_id"),
        Index(
            "ix_allocations_expires_at",
            "item_id",
            "location_id",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL"),
        ),
    )

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    location_id: Mapped[UUID] = mapped_column(primary_key=True)
    item_id: Mapped[UUID]
    quantity: Mapped[int]
    expires_at: Mapped[datetime | None]


class Backorder(Base):
    """The part of an order line that no stock level can keep yet; the next units that come are kept for the oldest.

    One that names a location waits for units there.
    """

    __tablename__ = "stock_backorders"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_stock_backorders_item_id", "item_id", "waiting_since", "owner_id", "line_no"),
    )

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))
    location_id: Mapped[UUID | None] = mapped_column(ForeignKey("locations.id"))
    quantity: Mapped[int]
    waiting_since: Mapped[datetime] = mapped_column(server_default=func.now())


class StockClosing(Base):
    """What lay at a location, and what it was worth, when a day began: a sum of the ledger that need not be made again.

    It counts what happened before `closed_at` and was recorded by `known_at`.
    """

    __tablename__ = "stock_closings"
    __table_args__ = ({"comment": "Sums of the ledger, as it was at known_at; they can be made again at any time"},)

    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"), primary_key=True)
    closed_at: Mapped[datetime] = mapped_column(primary_key=True)
    known_at: Mapped[datetime]
    on_hand: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[Decimal] = mapped_column(Numeric(24, 4))
