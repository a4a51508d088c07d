"""Places that hold stock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped, Versioned

WAREHOUSE, STORE, QUARANTINE, TRANSIT = KINDS = ("warehouse", "store", "quarantine", "transit")
SELLING = (WAREHOUSE, STORE)
"""The kinds of location that orders are served from, and that have reorder points."""


class Location(Identified, Versioned, Timestamped, Base):
    """A warehouse, a store, a place for goods that are not for sale, or the road between two of them.

    Orders are served from the lowest `priority` that can serve them. The kind never changes. There is one location of
    the kind `transit`, made when it is first needed: whatever is there is promised to a transfer.
    """

    __tablename__ = "locations"
    __table_args__ = (
        CheckConstraint("code <> ''", name="code_given"),
        CheckConstraint("kind IN ('warehouse', 'store', 'quarantine', 'transit')", name="kind_known"),
        Index("uq_locations_transit", "kind", unique=True, postgresql_where=text("kind = 'transit'")),
    )

    code: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20), default=WAREHOUSE, server_default=WAREHOUSE)
    address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    priority: Mapped[int] = mapped_column(default=100, server_default="100")
    archived_at: Mapped[datetime | None]

    def facts(self) -> dict[str, Any]:
        """Tell what an event says about the location."""
        return {"code": self.code, "name": self.name, "kind": self.kind, "priority": self.priority}


Index("uq_locations_code_lower", func.lower(Location.code), unique=True)
