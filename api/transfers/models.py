"""Stock on its way from one location to another."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, func
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from api.core.orm import Base, Identified, Timestamped, Versioned

IN_TRANSIT, COMPLETED, CANCELLED = STATUSES = ("in_transit", "completed", "cancelled")


class Transfer(Identified, Versioned, Timestamped, Base):
    """Units that go from one location to another: at once, or by a road on which they are promised to the transfer.

    It is `in_transit` as long as any unit is. Then it is `completed`, or `cancelled` when it was called back before
    any unit had arrived.
    """

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint("status IN ('in_transit', 'completed', 'cancelled')", name="status_known"),
        CheckConstraint("from_location_id <> to_location_id", name="goes_somewhere"),
        Index("ix_transfers_status_id", "status", "id"),
        Index("ix_transfers_from_location_id", "from_location_id", "id"),
        Index("ix_transfers_to_location_id", "to_location_id", "id"),
        Index("ix_transfers_reference", "reference", "id", postgresql_where="reference IS NOT NULL"),
    )

    from_location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    to_location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"))
    status: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(String(2000))
    created_by: Mapped[UUID | None]
    sent_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]

    lines: Mapped[list[TransferLine]] = relationship(lazy="raise", order_by="TransferLine.line_no")

    from_location_code: Mapped[str | None] = query_expression()
    to_location_code: Mapped[str | None] = query_expression()

    @property
    def is_under_way(self) -> bool:
        """Tell whether any unit has neither arrived nor come back nor been lost."""
        return any(line.outstanding_quantity for line in self.lines)

    @property
    def has_arrived(self) -> bool:
        """Tell whether any unit has."""
        return any(line.received_quantity for line in self.lines)


class TransferLine(Base):
    """So many units of one item, and what has become of them."""

    __tablename__ = "transfer_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint(
            "least(received_quantity, returned_quantity, lost_quantity) >= 0"
            " AND received_quantity + returned_quantity + lost_quantity <= quantity",
            name="ends_within_quantity",
        ),
        Index("ix_transfer_lines_item_id", "item_id"),
    )

    transfer_id: Mapped[UUID] = mapped_column(ForeignKey("transfers.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    received_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    returned_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    lost_quantity: Mapped[int] = mapped_column(default=0, server_default="0")

    sku: Mapped[str | None] = query_expression()
    name: Mapped[str | None] = query_expression()

    @property
    def outstanding_quantity(self) -> int:
        """The units that are still in transit."""
        return self.quantity - self.received_quantity - self.returned_quantity - self.lost_quantity
