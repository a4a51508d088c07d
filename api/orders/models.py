"""Promises to deliver."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.core.orm import Base, Identified, Timestamped, Versioned

PLACED, CANCELLED = "placed", "cancelled"


class Order(Identified, Versioned, Timestamped, Base):
    """A promise to deliver. `number` comes from a sequence: unique and rising, with gaps where an attempt failed."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("sequence_number"),
        CheckConstraint("status IN ('placed', 'cancelled')", name="status_known"),
        CheckConstraint("total >= 0", name="total_not_negative"),
        Index("ix_orders_placed_at_id", "placed_at", "id"),
        Index("ix_orders_customer_id_placed_at_id", "customer_id", "placed_at", "id"),
        Index("ix_orders_reference", "reference", postgresql_where="reference IS NOT NULL"),
    )

    sequence_number: Mapped[int] = mapped_column(BigInteger, Identity(always=True, start=1001))
    status: Mapped[str] = mapped_column(String(20), default=PLACED)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reference: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(String(2000))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict, server_default="{}")
    currency: Mapped[str] = mapped_column(String(3))
    total: Mapped[Decimal] = mapped_column(Numeric(24, 4))
    line_count: Mapped[int] = mapped_column(SmallInteger)
    placed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    cancelled_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None] = mapped_column(String(200))

    lines: Mapped[list[OrderLine]] = relationship(lazy="raise", order_by="OrderLine.line_no")

    @property
    def number(self) -> str:
        """The number people use."""
        return number_of(self.sequence_number)


class OrderLine(Base):
    """So many units of an item at a price. SKU, name and price are as they were when the order was placed."""

    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("cancelled_quantity BETWEEN 0 AND quantity", name="cancelled_within_quantity"),
        CheckConstraint("unit_price >= 0", name="unit_price_not_negative"),
        Index("ix_order_lines_item_id", "item_id"),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))
    sku: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    quantity: Mapped[int]
    cancelled_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    unit_price: Mapped[Decimal]
    is_stocked: Mapped[bool]

    @property
    def amount(self) -> Decimal:
        """Quantity × unit price, exactly."""
        return self.quantity * self.unit_price


def number_of(sequence_number: int) -> str:
    """Write an order's number."""
    return f"SO-{sequence_number:06d}"
