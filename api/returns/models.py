"""Stock of orders coming back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Numeric,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from api.core.orm import Base, Identified, Timestamped, Versioned

REQUESTED, RECEIVED, CANCELLED = STATUSES = ("requested", "received", "cancelled")


class Return(Identified, Versioned, Timestamped, Base):
    """Units of one order that are to come back, and in what state they came."""

    __tablename__ = "returns"
    __table_args__ = (
        UniqueConstraint("sequence_number"),
        CheckConstraint("status IN ('requested', 'received', 'cancelled')", name="status_known"),
        CheckConstraint("refund_amount >= 0", name="refund_amount_not_negative"),
        Index("ix_returns_order_id", "order_id", "id"),
        Index("ix_returns_status_id", "status", "id"),
    )

    sequence_number: Mapped[int] = mapped_column(BigInteger, Identity(always=True, start=1001))
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    status: Mapped[str] = mapped_column(String(20), default=REQUESTED)
    reason: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(String(2000))
    refund_amount: Mapped[Decimal | None] = mapped_column(Numeric(24, 4))
    created_by: Mapped[UUID | None]
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    received_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]

    lines: Mapped[list[ReturnLine]] = relationship(lazy="raise", order_by="ReturnLine.line_no")

    @property
    def number(self) -> str:
        """The number people use."""
        return f"RT-{self.sequence_number:06d}"


class ReturnLine(Base):
    """Units of one order line that are to come back; `line_no` is that of the order line.

    What came back is resellable, damaged (it is not stock any more) or lies in quarantine.
    """

    __tablename__ = "return_lines"
    __table_args__ = (
        ForeignKeyConstraint(["order_id", "line_no"], ["order_lines.order_id", "order_lines.line_no"]),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint(
            "least(resellable_quantity, damaged_quantity, quarantined_quantity) >= 0"
            " AND resellable_quantity + damaged_quantity + quarantined_quantity <= quantity",
            name="received_within_quantity",
        ),
        Index("ix_return_lines_order_id", "order_id", "line_no"),
        Index("ix_return_lines_item_id", "item_id"),
    )

    return_id: Mapped[UUID] = mapped_column(ForeignKey("returns.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    order_id: Mapped[UUID]
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    resellable_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    damaged_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    quarantined_quantity: Mapped[int] = mapped_column(default=0, server_default="0")

    sku: Mapped[str | None] = query_expression()
    name: Mapped[str | None] = query_expression()

    @property
    def received_quantity(self) -> int:
        """The units that have come back, in whatever state."""
        return self.resellable_quantity + self.damaged_quantity + self.quarantined_quantity
