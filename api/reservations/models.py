"""Holds on stock for a while."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from api.core.orm import Base, Identified, Timestamped, Versioned

HELD, RELEASED, ORDERED, LAPSED = STATUSES = ("held", "released", "ordered", "lapsed")


class Reservation(Identified, Versioned, Timestamped, Base):
    """Stock that is kept for somebody until `expires_at`, unless it is released or becomes an order before.

    `status` is what was written. One whose time is over by the database's clock has lapsed, whether or not that has
    been written yet: readers take `status_now`.
    """

    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint("status IN ('held', 'released', 'ordered', 'lapsed')", name="status_known"),
        CheckConstraint("(status = 'ordered') = (order_id IS NOT NULL)", name="ordered_with_order"),
        Index("ix_reservations_customer_id_id", "customer_id", "id"),
        Index("ix_reservations_reference", "reference", "id", postgresql_where=text("reference IS NOT NULL")),
        Index("ix_reservations_held", "expires_at", "id", postgresql_where=text("status = 'held'")),
    )

    status: Mapped[str] = mapped_column(String(20), default=HELD)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reference: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(String(2000))
    created_by: Mapped[UUID | None]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    order_id: Mapped[UUID | None]

    lines: Mapped[list[ReservationLine]] = relationship(lazy="raise", order_by="ReservationLine.line_no")

    status_now: Mapped[str | None] = query_expression()


class ReservationLine(Base):
    """So many units of one item."""

    __tablename__ = "reservation_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_reservation_lines_item_id", "item_id"),
    )

    reservation_id: Mapped[UUID] = mapped_column(ForeignKey("reservations.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]

    sku: Mapped[str | None] = query_expression()
    name: Mapped[str | None] = query_expression()
