"""Where stock lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from api.events import service as events
from api.locations.errors import CodeTaken, LocationNotFound, LocationUnknown
from api.locations.models import Location
from api.locations.repository import LocationRepository

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing


class LocationChanges(TypedDict, total=False):
    """What can be changed about a location."""

    code: str
    name: str
    priority: int


def create(session: Session, *, code: str, name: str, by: Caller, priority: int = 100) -> Location:
    """Add a location.

    Raises:
        CodeTaken: another location has the code.

    """
    locations = LocationRepository(session)
    if locations.by_code(code):
        raise CodeTaken
    location = locations.add(Location(code=code, name=name, priority=priority))
    events.record(session, "location.created", location.id, location.facts(), by=by)
    return location


def get(session: Session, location_id: UUID) -> Location:
    """Find a location.

    Raises:
        LocationNotFound: none has this id.

    """
    location = LocationRepository(session).get(location_id)
    if location is None:
        raise LocationNotFound
    return location


def update(session: Session, location: Location, changes: LocationChanges, *, by: Caller) -> None:
    """Change a location.

    Raises:
        CodeTaken: another location has the new code.

    """
    code = changes.get("code")
    if code is not None and code.lower() != location.code.lower() and LocationRepository(session).by_code(code):
        raise CodeTaken
    for name, value in changes.items():
        setattr(location, name, value)
    if not session.is_modified(location):
        return
    session.flush()
    events.record(session, "location.updated", location.id, location.facts(), by=by)


def listing(session: Session) -> Listing:
    """List all locations in order of code."""
    return LocationRepository(session).listing()


def ensure(session: Session, location_id: UUID) -> None:
    """Make sure a location that a request names exists.

    Raises:
        LocationUnknown: it does not.

    """
    if not LocationRepository(session).has(location_id):
        raise LocationUnknown


def find_or_create(session: Session, *, code: str, name: str, by: Caller) -> Location:
    """Find a location by code, or add it."""
    return LocationRepository(session).by_code(code) or create(session, code=code, name=name, by=by)


def by_priority(session: Session, location_ids: Collection[UUID]) -> list[UUID]:
    """Put locations in the order in which they serve orders."""
    return list(LocationRepository(session).by_priority(location_ids))
