"""Promises to deliver."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
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
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from api.core.orm import Base, Identified, Timestamped, Versioned

PLACED, ON_HOLD, PARTIALLY_SHIPPED, SHIPPED, DELIVERED, RETURNED, CANCELLED = STATUSES = (
    "placed",
    "on_hold",
    "partially_shipped",
    "shipped",
    "delivered",
    "returned",
    "cancelled",
)

DISCOUNT, TAX = "discount", "tax"


class Owed:
    """What an order says about money, beside the columns it comes from."""

    if TYPE_CHECKING:
        charges: Any
        lines: Any
        version: Any
        total: Any
        cancelled_total: Any
        refund_total: Any
        paid_total: Any

    @property
    def discounts(self) -> list[dict[str, Any]]:
        """What is taken off."""
        return self._charged(DISCOUNT)

    @property
    def taxes(self) -> list[dict[str, Any]]:
        """What is added for the state."""
        return self._charged(TAX)

    def _charged(self, kind: str) -> list[dict[str, Any]]:
        charges = [charge for charge in self.charges if charge["kind"] == kind]
        return [{**charge, "amount": Decimal(charge["amount"])} for charge in charges]

    @property
    def tag(self) -> str:
        """What tells one state of the order from another: its version, and how many units wait.

        Units that come are kept for those who wait without a new version of their orders.
        """
        waiting = sum(line.backordered_quantity or 0 for line in self.lines)
        return f"{self.version}.{waiting}" if waiting else str(self.version)

    @property
    def balance_due(self) -> Decimal:
        """What is still to be paid; less than nothing is to be paid back."""
        due: Decimal = self.total - self.cancelled_total - self.refund_total - self.paid_total
        return due

    @property
    def payment_status(self) -> str:
        """Say it in one word."""
        if self.balance_due < 0:
            return "overpaid"
        if not self.balance_due:
            return "paid" if self.paid_total else "nothing_due"
        return "partially_paid" if self.paid_total else "unpaid"


class Order(Owed, Identified, Versioned, Timestamped, Base):
    """A promise to deliver. `number` comes from a sequence: unique and rising, with gaps where an attempt failed.

    `total` is what was ordered, `cancelled_total` the part of it that was cancelled, `refund_total` what was granted
    for units that came back, `paid_total` what was paid and not paid back; the rest is the balance due.
    """

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("sequence_number"),
        CheckConstraint(
            "status IN ('placed', 'on_hold', 'partially_shipped', 'shipped', 'delivered', 'returned', 'cancelled')",
            name="status_known",
        ),
        CheckConstraint("total >= 0", name="total_not_negative"),
        CheckConstraint(
            "least(cancelled_total, refund_total) >= 0 AND cancelled_total + refund_total <= total",
            name="parts_within_total",
        ),
        Index("ix_orders_placed_at_id", "placed_at", "id"),
        Index("ix_orders_customer_id_placed_at_id", "customer_id", "placed_at", "id"),
        Index("ix_orders_status_placed_at_id", "status", "placed_at", "id"),
        Index("ix_orders_reference", "reference", postgresql_where="reference IS NOT NULL"),
        Index("ix_orders_email", func.lower(text("email")), "placed_at", "id", postgresql_where="email IS NOT NULL"),
        Index("uq_orders_reservation_id", "reservation_id", unique=True, postgresql_where="reservation_id IS NOT NULL"),
    )

    sequence_number: Mapped[int] = mapped_column(BigInteger, Identity(always=True, start=1001))
    status: Mapped[str] = mapped_column(String(20), default=PLACED)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reference: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(String(2000))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict, server_default="{}")
    email: Mapped[str | None] = mapped_column(String(254))
    shipping_address: Mapped[dict[str, Any] | None]
    billing_address: Mapped[dict[str, Any] | None]
    currency: Mapped[str] = mapped_column(String(3))
    charges: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    subtotal: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    discount_total: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    tax_total: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    total: Mapped[Decimal] = mapped_column(Numeric(24, 4))
    cancelled_total: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    refund_total: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    paid_total: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")
    line_count: Mapped[int] = mapped_column(SmallInteger)
    placed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    location_id: Mapped[UUID | None] = mapped_column(ForeignKey("locations.id"))
    allocation_policy: Mapped[str | None] = mapped_column(String(40))
    allow_backorders: Mapped[bool] = mapped_column(default=True, server_default="true")
    created_by: Mapped[UUID | None]
    reservation_id: Mapped[UUID | None] = mapped_column(ForeignKey("reservations.id"))
    held_at: Mapped[datetime | None]
    hold_reason: Mapped[str | None] = mapped_column(String(200))
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None] = mapped_column(String(200))

    lines: Mapped[list[OrderLine]] = relationship(
        lazy="raise", order_by="OrderLine.line_no", cascade="all, delete-orphan"
    )

    @property
    def number(self) -> str:
        """The number people use."""
        return number_of(self.sequence_number)


class OrderLine(Base):
    """So many units of an item at a price. SKU, name and price are as they were when the order was placed."""

    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint(
            "least(cancelled_quantity, shipped_quantity, delivered_quantity, returned_quantity) >= 0"
            " AND cancelled_quantity + shipped_quantity <= quantity"
            " AND greatest(delivered_quantity, returned_quantity) <= shipped_quantity",
            name="parts_within_quantity",
        ),
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
    shipped_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    delivered_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    returned_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    unit_price: Mapped[Decimal]
    is_stocked: Mapped[bool]
    promised_on: Mapped[date | None]

    backordered_quantity: Mapped[int] = query_expression()

    @property
    def amount(self) -> Decimal:
        """Quantity × unit price, exactly."""
        return self.quantity * self.unit_price

    @property
    def outstanding_quantity(self) -> int:
        """The units that are still to be shipped."""
        return self.quantity - self.cancelled_quantity - self.shipped_quantity


def number_of(sequence_number: int) -> str:
    """Write an order's number."""
    return f"SO-{sequence_number:06d}"
