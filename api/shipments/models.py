"""Stock of orders leaving."""

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
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from api.core.orm import Base, Identified, Timestamped, Versioned

SHIPPED, DELIVERED = STATUSES = ("shipped", "delivered")


class Shipment(Identified, Versioned, Timestamped, Base):
    """Units of one order that have left, from one location or from several."""

    __tablename__ = "shipments"
    __table_args__ = (
        UniqueConstraint("sequence_number"),
        CheckConstraint("status IN ('shipped', 'delivered')", name="status_known"),
        CheckConstraint("(status = 'delivered') = (delivered_at IS NOT NULL)", name="delivered_at_a_time"),
        Index("ix_shipments_order_id", "order_id", "id"),
        Index(
            "ix_shipments_tracking_number",
            "tracking_number",
            postgresql_where=text("tracking_number IS NOT NULL"),
        ),
    )

    sequence_number: Mapped[int] = mapped_column(BigInteger, Identity(always=True, start=1001))
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    status: Mapped[str] = mapped_column(String(20), default=SHIPPED)
    carrier: Mapped[str | None] = mapped_column(String(100))
    tracking_number: Mapped[str | None] = mapped_column(String(100))
    tracking_url: Mapped[str | None] = mapped_column(String(2000))
    note: Mapped[str | None] = mapped_column(String(2000))
    created_by: Mapped[UUID | None]
    shipped_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]

    lines: Mapped[list[ShipmentLine]] = relationship(lazy="raise", order_by="ShipmentLine.line_no")

    @property
    def number(self) -> str:
        """The number people use."""
        return f"SH-{self.sequence_number:06d}"


class ShipmentLine(Base):
    """Units of one order line that left one location; `value` is what they were worth there.

    What is not stocked leaves no location.
    """

    __tablename__ = "shipment_lines"
    __table_args__ = (
        ForeignKeyConstraint(["order_id", "order_line_no"], ["order_lines.order_id", "order_lines.line_no"]),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_shipment_lines_order_id", "order_id", "order_line_no"),
        Index("ix_shipment_lines_item_id", "item_id"),
    )

    shipment_id: Mapped[UUID] = mapped_column(ForeignKey("shipments.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    order_id: Mapped[UUID]
    order_line_no: Mapped[int] = mapped_column(SmallInteger)
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))
    location_id: Mapped[UUID | None] = mapped_column(ForeignKey("locations.id"))
    quantity: Mapped[int]
    value: Mapped[Decimal] = mapped_column(Numeric(24, 4), default=0, server_default="0")

    sku: Mapped[str | None] = query_expression()
    name: Mapped[str | None] = query_expression()
    location_code: Mapped[str | None] = query_expression()
