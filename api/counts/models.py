"""What people found when they looked."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped, Versioned

OPEN, POSTED, CANCELLED = STATUSES = ("open", "posted", "cancelled")


class Count(Identified, Versioned, Timestamped, Base):
    """A count of what lies at a location; there is one open count of a location at most."""

    __tablename__ = "counts"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'posted', 'cancelled')", name="status_known"),
        Index("uq_counts_open", "location_id", unique=True, postgresql_where=text("status = 'open'")),
        Index("ix_counts_location_id", "location_id", "id"),
    )

    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    status: Mapped[str] = mapped_column(String(20), default=OPEN)
    reference: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(String(2000))
    created_by: Mapped[UUID | None]
    closed_by: Mapped[UUID | None]
    closed_at: Mapped[datetime | None]


class CountEntry(Base):
    """So many units of an item that somebody found on a shelf, and what should have lain at the location then.

    Entries are never changed; a recount marks the earlier ones of its item as replaced.
    """

    __tablename__ = "count_entries"
    __table_args__ = (
        CheckConstraint("quantity >= 0", name="quantity_not_negative"),
        Index("ix_count_entries_count_id_item_id", "count_id", "item_id"),
        Index("ix_count_entries_item_id", "item_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    count_id: Mapped[UUID] = mapped_column(ForeignKey("counts.id"))
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    on_hand: Mapped[int]
    counted_by: Mapped[UUID | None]
    counted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    is_replaced: Mapped[bool] = mapped_column(default=False, server_default="false")
