"""Where stock lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from api.events import service as events
from api.locations import models
from api.locations.errors import (
    CodeTaken,
    LocationArchived,
    LocationDoesNotSell,
    LocationNotFound,
    LocationReserved,
    LocationUnknown,
)
from api.locations.models import Location
from api.locations.repository import LocationRepository

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing


class LocationChanges(TypedDict, total=False):
    """What can be changed about a location."""

    code: str
    name: str
    priority: int
    address: dict[str, str] | None


SELLING, TRANSIT = models.SELLING, models.TRANSIT


def create(
    session: Session,
    *,
    code: str,
    name: str,
    by: Caller,
    kind: str = models.WAREHOUSE,
    priority: int = 100,
    address: dict[str, str] | None = None,
) -> Location:
    """Add a location.

    Raises:
        CodeTaken: another location has the code.

    """
    locations = LocationRepository(session)
    if locations.by_code(code):
        raise CodeTaken
    location = locations.add(Location(code=code, name=name, kind=kind, priority=priority, address=address))
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


def by_code(session: Session, code: str) -> Location:
    """Find a location by its code, in any letter case.

    Raises:
        LocationNotFound: none has it.

    """
    location = LocationRepository(session).by_code(code)
    if location is None:
        raise LocationNotFound
    return location


def archive(session: Session, location_id: UUID, *, by: Caller) -> Location:
    """Take a location out of use; one that is archived already stays so.

    Raises:
        LocationNotFound: none has this id.
        LocationNotEmpty: there is still stock; the database says so, where the location is locked.
        LocationReserved: it stands for the road.

    """
    location = _locked(session, location_id)
    if location.kind == models.TRANSIT:
        raise LocationReserved
    if location.archived_at is None:
        location.archived_at = LocationRepository(session).now()
        session.flush()
        events.record(session, "location.archived", location.id, location.facts(), by=by)
    return location


def restore(session: Session, location_id: UUID, *, by: Caller) -> Location:
    """Take an archived location back into use; one that is in use stays so.

    Raises:
        LocationNotFound: none has this id.

    """
    location = _locked(session, location_id)
    if location.archived_at is not None:
        location.archived_at = None
        session.flush()
        events.record(session, "location.restored", location.id, location.facts(), by=by)
    return location


def delete(session: Session, location: Location, *, by: Caller) -> None:
    """Remove a location that was never used.

    Raises:
        LocationInUse: stock has been there.
        LocationReserved: it stands for the road.

    """
    if location.kind == models.TRANSIT:
        raise LocationReserved
    events.record(session, "location.deleted", location.id, location.facts(), by=by)
    LocationRepository(session).delete(location)


def listing(session: Session, *, kind: str | None = None, code: str | None = None, archived: bool = False) -> Listing:
    """List locations in order of code."""
    return LocationRepository(session).listing(kind=kind, code=code, archived=archived)


def ensure(session: Session, location_id: UUID, *, at: str = "location_id", sells: bool = False) -> None:
    """Make sure that a location which a request names (in the field `at`) exists and can be used for goods.

    Until the transaction ends, nobody can archive it.

    Raises:
        LocationUnknown, LocationArchived, LocationReserved: as their docstrings say.
        LocationDoesNotSell: an order names it, and its kind is not for selling.

    """
    place = LocationRepository(session).named(location_id)
    if place is None:
        raise LocationUnknown(at=at)
    if place.kind == models.TRANSIT:
        raise LocationReserved(at=at)
    if place.archived_at is not None:
        raise LocationArchived(at=at)
    if sells and place.kind not in SELLING:
        raise LocationDoesNotSell(at=at)


def transit(session: Session) -> UUID:
    """Tell the id of the location that stands for the road."""
    return LocationRepository(session).transit()


def find_or_create(session: Session, *, code: str, name: str, by: Caller) -> Location:
    """Find a location by code, or add it."""
    return LocationRepository(session).by_code(code) or create(session, code=code, name=name, by=by)


def _locked(session: Session, location_id: UUID) -> Location:
    location = LocationRepository(session).locked(location_id)
    if location is None:
        raise LocationNotFound
    return location
