"""Every statement about locations."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from api.core import ids
from api.core.orm import Repository
from api.core.paging import Listing
from api.locations.models import TRANSIT, Location

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.orm import AnyRow


class LocationRepository(Repository[Location]):
    """Locations by id and code."""

    model = Location

    def by_code(self, code: str) -> Location | None:
        """Find a location by its code in any letter case."""
        return self.one(select(Location).where(func.lower(Location.code) == code.lower()))

    def listing(self, *, kind: str | None, code: str | None, archived: bool) -> Listing:
        """List locations by code."""
        query = select(Location).where(
            Location.archived_at.is_not(None) if archived else Location.archived_at.is_(None)
        )
        if kind is not None:
            query = query.where(Location.kind == kind)
        if code is not None:
            query = query.where(func.lower(Location.code) == code.lower())
        return Listing(query, keys=(Location.code, Location.id))

    def locked(self, location_id: UUID) -> Location | None:
        """Find a location that nobody else changes until the transaction ends."""
        query = select(Location).where(Location.id == location_id).with_for_update(key_share=True)
        return self.one(query.execution_options(populate_existing=True))

    def named(self, location_id: UUID) -> AnyRow | None:
        """Read what matters about a location that a request names, and keep it from being archived meanwhile."""
        query = select(Location.kind, Location.archived_at).where(Location.id == location_id)
        return self.session.execute(query.with_for_update(read=True)).one_or_none()

    def transit(self) -> UUID:
        """Find the location that stands for the road, or make it; of several who make it at once, one does."""
        find = select(Location.id).where(Location.kind == TRANSIT)
        known, new = self.session.scalar(find), ids.new()
        for code in ("TRANSIT", f"TRANSIT-{new.hex[-8:]}"):  # somebody may have given the plain one to a place
            if known is None:
                values = {"id": new, "code": code, "name": "In transit", "kind": TRANSIT}
                self.session.execute(insert(Location).values(values).on_conflict_do_nothing())
                known = self.session.scalar(find)
        return cast("UUID", known)

    def delete(self, location: Location) -> None:
        """Remove a location that nothing refers to; the foreign keys say so."""
        self.session.delete(location)
        self.session.flush()
