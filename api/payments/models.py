"""Payments recorded."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified

PAYMENT, REFUND = KINDS = ("payment", "refund")


class Payment(Identified, Base):
    """Money that came in for an order, or went back; recorded, never processed, and never changed."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("kind IN ('payment', 'refund')", name="kind_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        Index("ix_payments_order_id", "order_id", "id"),
        Index(
            "uq_payments_reference",
            "kind",
            "method",
            "reference",
            unique=True,
            postgresql_where=text("reference IS NOT NULL"),
        ),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    return_id: Mapped[UUID | None] = mapped_column(ForeignKey("returns.id"))
    kind: Mapped[str] = mapped_column(String(20), default=PAYMENT)
    amount: Mapped[Decimal] = mapped_column(Numeric(24, 4))
    method: Mapped[str] = mapped_column(String(40))
    reference: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(String(2000))
    created_by: Mapped[UUID | None]
    paid_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
