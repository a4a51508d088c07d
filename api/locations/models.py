"""Places that hold stock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped, Versioned


class Location(Identified, Versioned, Timestamped, Base):
    """A warehouse, a shop, a shelf. Orders are served from the lowest `priority` that can serve them."""

    __tablename__ = "locations"
    __table_args__ = (CheckConstraint("code <> ''", name="code_given"),)

    code: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    priority: Mapped[int] = mapped_column(default=100, server_default="100")

    def facts(self) -> dict[str, Any]:
        """Tell what an event says about the location."""
        return {"code": self.code, "name": self.name, "priority": self.priority}


Index("uq_locations_code_lower", func.lower(Location.code), unique=True)
