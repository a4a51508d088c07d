"""Locations over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.extensions import db
from api.locations import service
from api.locations.schemas import (
    LocationCreateSchema,
    LocationPageSchema,
    LocationQuerySchema,
    LocationSchema,
    LocationUpdateSchema,
)
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.locations.models import Location

blp = Blueprint("locations", __name__, url_prefix="/locations", description="Places that hold stock.")


@blp.route("")
class LocationCollection(MethodView):
    """All locations."""

    @blp.requires("locations:read")
    @blp.arguments(LocationQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, LocationPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List locations

        In order of code; those in use, unless `archived=true`.
        """
        return service.listing(db.session(), **query)

    @blp.requires("locations:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(LocationCreateSchema, example={"code": "SHOP", "name": "The shop"})
    @blp.response(HTTPStatus.CREATED, LocationSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[Location, dict[str, str]]:
        """Create a location

        Its kind says whether orders are served from it, and never changes.
        """
        location = service.create(db.session(), **body, by=caller.current())
        blp.set_etag(location.version)
        return location, {"Location": url_for(".LocationMember", location_id=location.id)}


@blp.route("/<uuid:location_id>")
class LocationMember(MethodView):
    """One location."""

    @blp.requires("locations:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, LocationSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, location_id: UUID) -> Location:
        """Show a location

        With the ETag that a change of it asks for.
        """
        location = service.get(db.session(), location_id)
        blp.set_etag(location.version)
        return location

    @blp.requires("locations:write")
    @blp.etag
    @blp.arguments(LocationUpdateSchema, example={"priority": 50})
    @blp.response(HTTPStatus.OK, LocationSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def patch(self, changes: service.LocationChanges, location_id: UUID) -> Location:
        """Change a location

        Only the fields sent; `address` is replaced as a whole.
        """
        location = service.get(db.session(), location_id)
        blp.check_etag(location.version)
        service.update(db.session(), location, changes, by=caller.current())
        blp.set_etag(location.version)
        return location

    @blp.requires("locations:write")
    @blp.etag
    @blp.response(HTTPStatus.NO_CONTENT)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def delete(self, location_id: UUID) -> None:
        """Delete a location

        Only one where stock has never been; any other is archived.
        """
        location = service.get(db.session(), location_id)
        blp.check_etag(location.version)
        service.delete(db.session(), location, by=caller.current())


@blp.route("/<uuid:location_id>/archive", methods=["POST"])
@blp.requires("locations:write")
@blp.idempotent
@blp.response(HTTPStatus.OK, LocationSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def archive(location_id: UUID) -> Location:
    """Archive a location

    Only an empty one; no stock comes in until it is restored. One that is archived already stays as it is.
    """
    return service.archive(db.session(), location_id, by=caller.current())


@blp.route("/<uuid:location_id>/restore", methods=["POST"])
@blp.requires("locations:write")
@blp.idempotent
@blp.response(HTTPStatus.OK, LocationSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def restore(location_id: UUID) -> Location:
    """Restore a location

    It can be used for stock again. One that is in use stays as it is.
    """
    return service.restore(db.session(), location_id, by=caller.current())
