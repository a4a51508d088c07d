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
    been written yet: readers take what ends in `_now`, which is the same before and after.
    """

    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint("status IN ('held', 'released', 'ordered', 'lapsed')", name="status_known"),
        CheckConstraint("(status = 'ordered') = (order_id IS NOT NULL)", name="ordered_with_order"),
        Index("ix_reservations_customer_id_id", "customer_id", "id"),
        Index("ix_reservations_reference", "reference", "id", postgresql_where=text("reference IS NOT NULL")),
        Index("ix_reservations_held_for", "customer_id", postgresql_where=text("status = 'held'")),
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

    @property
    def has_lapsed_unwritten(self) -> bool:
        """Tell whether its time was over when it was read, and nobody has written that down."""
        return self.status == HELD and self.status_now == LAPSED

    @property
    def ended_now(self) -> datetime | None:
        """Tell when it ended."""
        return self.expires_at if self.has_lapsed_unwritten else self.ended_at

    @property
    def updated_now(self) -> datetime:
        """Tell when it last changed; to lapse is a change."""
        return self.expires_at if self.has_lapsed_unwritten else self.updated_at

    @property
    def version_now(self) -> int:
        """Count its changes, so that a copy from before it lapsed is not taken for a current one."""
        return self.version + self.has_lapsed_unwritten


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
