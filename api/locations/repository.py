"""Every statement about locations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from api.core.orm import Repository
from api.core.paging import Listing
from api.locations.models import Location

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID


class LocationRepository(Repository[Location]):
    """Locations by id, code and priority."""

    model = Location

    def by_code(self, code: str) -> Location | None:
        """Find a location by its code in any letter case."""
        return self.one(select(Location).where(func.lower(Location.code) == code.lower()))

    def listing(self) -> Listing:
        """List all locations by code."""
        return Listing(select(Location), keys=(Location.code, Location.id))

    def has(self, location_id: UUID) -> bool:
        """Tell whether a location exists."""
        return self.exists(select(Location.id).where(Location.id == location_id))

    def by_priority(self, location_ids: Collection[UUID]) -> Sequence[UUID]:
        """Order locations by priority, then code."""
        query = select(Location.id).where(Location.id.in_(location_ids)).order_by(Location.priority, Location.code)
        return self.session.scalars(query).all()
